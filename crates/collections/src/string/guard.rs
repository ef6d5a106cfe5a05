//! A text whose lock is held.

use core::fmt;
use core::ops::RangeBounds;

use shmkit_roster::{Judge, Seat};

use crate::SeqError;
use crate::seq::{Held, range_of};

/// A [`ShmString`](crate::ShmString) whose lock is held. Dropped, it releases the lock.
///
/// Each change happens at one store. Lengths and places are in bytes, as `std`'s are. In a forked child it is nobody's: its
/// drop does nothing there, and the child must not use it.
#[must_use = "dropping the guard releases the lock"]
pub struct StringGuard<'a, K: Judge = Seat> {
    held: Held<'a, K>,
}

impl<'a, K: Judge> StringGuard<'a, K> {
    pub(super) fn new(held: Held<'a, K>) -> Self {
        Self { held }
    }

    /// Returns the text.
    ///
    /// # Errors
    ///
    /// [`SeqError::NotUtf8`] if a peer has written something else over it: a text is checked whenever it is looked at.
    pub fn as_str(&self) -> Result<&str, SeqError> {
        str::from_utf8(self.as_bytes())
            .map_err(|error| SeqError::NotUtf8 { valid: error.valid_up_to() })
    }

    /// Returns the bytes of the text.
    pub fn as_bytes(&self) -> &[u8] {
        // The first one is in the first place.
        self.held.halves()[0]
    }

    /// Returns how many bytes there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a text at the end.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push_str(&mut self, text: &str) -> Result<(), SeqError> {
        self.held.extend(text.as_bytes())
    }

    /// Puts a character at the end.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn push(&mut self, c: char) -> Result<(), SeqError> {
        self.push_str(c.encode_utf8(&mut [0; 4]))
    }

    /// Takes the last character out.
    ///
    /// # Errors
    ///
    /// [`SeqError::NotUtf8`].
    pub fn pop(&mut self) -> Result<Option<char>, SeqError> {
        let Some(c) = self.as_str()?.chars().next_back() else { return Ok(None) };
        self.held.keep(0, self.len() - c.len_utf8());
        Ok(Some(c))
    }

    /// Makes it another text.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room beside the one that there is.
    pub fn set(&mut self, text: &str) -> Result<(), SeqError> {
        self.held.splice(0..self.len(), text.as_bytes())
    }

    /// Puts a text before the character that begins there.
    ///
    /// # Errors
    ///
    /// As [`replace_range`](Self::replace_range).
    pub fn insert_str(&mut self, at: usize, text: &str) -> Result<(), SeqError> {
        self.replace_range(at..at, text)
    }

    /// Puts a text in the place of another one.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `NoSuchRange`, `NotBoundary` if it begins or ends within a character, `Full` if there is no room for a
    /// copy of all.
    pub fn replace_range(
        &mut self,
        range: impl RangeBounds<usize>,
        with: &str,
    ) -> Result<(), SeqError> {
        let range = range_of(&range, self.len());
        self.boundary(range.start)?;
        self.boundary(range.end)?;
        self.held.splice(range, with.as_bytes())
    }

    /// Leaves the first `len` bytes.
    ///
    /// # Errors
    ///
    /// [`SeqError::NotBoundary`] if a character would be cut.
    pub fn truncate(&mut self, len: usize) -> Result<(), SeqError> {
        if len < self.len() {
            self.boundary(len)?;
            self.held.keep(0, len);
        }
        Ok(())
    }

    /// Leaves nothing, and keeps the memory for what comes.
    pub fn clear(&mut self) {
        self.held.keep(0, 0);
    }

    /// Makes room for so many more bytes.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room.
    pub fn reserve(&mut self, more: usize) -> Result<(), SeqError> {
        self.held.reserve(more)
    }

    /// Gives the memory back that the text does not need.
    ///
    /// # Errors
    ///
    /// [`SeqError`]; `Full` if there is no room for a copy.
    pub fn shrink_to_fit(&mut self) -> Result<(), SeqError> {
        self.held.shrink()
    }

    /// Returns how many bytes there is room for before a larger block is needed.
    pub fn capacity(&self) -> usize {
        self.held.capacity()
    }

    fn boundary(&self, at: usize) -> Result<(), SeqError> {
        // A byte within a character is 0b10xx_xxxx.
        match self.as_bytes().get(at) {
            Some(byte) if byte & 0xc0 == 0x80 => Err(SeqError::NotBoundary { at }),
            _ => Ok(()),
        }
    }
}

impl<K: Judge> fmt::Debug for StringGuard<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.as_bytes()), f)
    }
}
