//! A block that this process has reserved.

use core::fmt;

use shmkit_layout::Region;
use shmkit_roster::{Judge, Seat};

use crate::{BlockId, Heap, HeapError, Reserved};

/// A block that this process has reserved, and nobody else knows: it is filled, and then [kept](Self::keep). Dropped, it
/// goes back.
///
/// If this process is killed, the block is free for whoever finds no other. In a forked child it is nobody's: its drop does
/// nothing there, and the child must not use its bytes.
#[must_use = "dropping the block gives it back"]
pub struct Block<'a, K: Judge = Seat> {
    heap: &'a Heap<K>,
    block: Reserved<'a>,
    bytes: Region<'a>,
}

impl<'a, K: Judge> Block<'a, K> {
    #[inline]
    pub(crate) fn new(heap: &'a Heap<K>, block: Reserved<'a>, bytes: Region<'a>) -> Self {
        Self { heap, block, bytes }
    }

    /// Returns its name.
    #[inline]
    pub fn id(&self) -> BlockId {
        self.block.id()
    }

    /// Returns how many bytes there are: as many as were asked for, or some more.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether there are none, which never is.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns its bytes, which are what whoever had them before has left.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: mapped as long as the heap's keeper lives; nobody but who has the guard uses a reserved block, and bytes
        // are valid whatever they are.
        unsafe { core::slice::from_raw_parts(self.bytes.base().as_ptr(), self.bytes.len()) }
    }

    /// Returns its bytes, to be written to.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the guard is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.bytes.base().as_ptr(), self.bytes.len()) }
    }

    /// Returns its bytes as a region, to lay typed values out in.
    pub fn region(&mut self) -> Region<'_> {
        self.bytes
    }

    /// Gives it to a structure, which frees it one day, and returns its name.
    ///
    /// If this process is killed between this and the store by which the structure remembers it, the block is lost; a
    /// [`Swap`](crate::Swap) has no such gap.
    ///
    /// # Errors
    ///
    /// [`HeapError::NotJoined`] in a forked child; [`HeapError::NotReserved`] or [`HeapError::Stale`] if this process has
    /// lost its place.
    #[inline]
    pub fn keep(self) -> Result<BlockId, HeapError> {
        let id = self.id();
        self.heap.keep(&self.block)?;
        core::mem::forget(self);
        Ok(id)
    }
}

impl<K: Judge> Drop for Block<'_, K> {
    fn drop(&mut self) {
        // A forked child has reserved nothing, and who has lost its place has nothing left.
        let _ = self.heap.free(self.id());
    }
}

impl<K: Judge> fmt::Debug for Block<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("id", &self.id()).field("len", &self.len()).finish()
    }
}
