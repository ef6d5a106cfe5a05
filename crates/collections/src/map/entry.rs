//! An entry in its block.

use core::alloc::Layout;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_heap::{BlockId, Changes};
use shmkit_layout::{Offset, Region};

use super::frame::EntryHead;
use crate::MapError;

const HEAD: usize = size_of::<EntryHead>();

/// An entry of a part whose lock is held: nobody frees it meanwhile, and its key and its value do not change.
#[derive(Clone, Copy)]
pub(super) struct Entry<'m> {
    pub(super) head: &'m EntryHead,
    bytes: &'m [u8],
    key: usize,
    value: usize,
}

impl<'m> Entry<'m> {
    /// Returns the room that an entry takes.
    #[inline]
    pub(super) fn layout(key: usize, value: usize) -> Result<Layout, MapError> {
        let fits = key.checked_add(value).is_some_and(|sum| u32::try_from(sum).is_ok());
        // Written in words of eight bytes.
        let bytes = HEAD + key.next_multiple_of(8) + value.next_multiple_of(8);
        match Layout::from_size_align(bytes, 8) {
            Ok(layout) if fits => Ok(layout),
            _ => Err(MapError::TooLong),
        }
    }

    /// Finds an entry in its block, whose lengths must fit in there.
    ///
    /// # Safety
    ///
    /// Nobody writes to its key and its value, or frees the block, in `'m`.
    #[inline]
    pub(super) unsafe fn find(block: Region<'m>) -> Option<Self> {
        let head: &EntryHead = block.get(Offset::ZERO).ok()?;
        // Relaxed: they do not change as long as the entry is linked, and the part's lock was taken since.
        let (key, value) = (head.key.load(Relaxed) as usize, head.value.load(Relaxed) as usize);
        let len = block.len() - HEAD;
        let start = key.checked_next_multiple_of(8)?;
        if start.checked_add(value)? > len {
            return None;
        }
        // SAFETY: the bytes behind the head, which are mapped for `'m` as the region is.
        let first = unsafe { block.base().add(HEAD) };
        // SAFETY: as above, and nobody writes to them (caller); any bytes are valid.
        let bytes = unsafe { core::slice::from_raw_parts(first.as_ptr(), len) };
        Some(Self { head, bytes, key, value: start })
    }

    /// Fills a block that nobody else knows yet, for an entry of this hash. Somebody may still look at what lay there before
    /// (`glance`), and so all of it is written atomically.
    ///
    /// # Errors
    ///
    /// [`MapError::TooLong`] if the block is not of [`layout`](Self::layout).
    #[inline]
    pub(super) fn fill(
        block: Region<'_>,
        hash: u64,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), MapError> {
        let short = |_| MapError::TooLong;
        Changes::before_filling();
        let head: &EntryHead = block.get(Offset::ZERO).map_err(short)?;
        head.set(hash, key.len() as u32, value.len() as u32);
        let start = HEAD + key.len().next_multiple_of(8);
        block.write_words(HEAD as u64, key).map_err(short)?;
        block.write_words(start as u64, value).map_err(short)
    }

    /// Says what comes behind a filled block, and when it was put in.
    ///
    /// # Errors
    ///
    /// As [`fill`](Self::fill).
    #[inline]
    pub(super) fn link(block: Region<'_>, next: BlockId, now: u32) -> Result<(), MapError> {
        let head: &EntryHead = block.get(Offset::ZERO).map_err(|_| MapError::TooLong)?;
        // Relaxed, both: ordered by the store that leads to the block.
        head.next.store(next.get(), Relaxed);
        head.asked.store(now, Relaxed);
        Ok(())
    }

    #[inline]
    pub(super) fn key(&self) -> &'m [u8] {
        &self.bytes[..self.key]
    }

    #[inline]
    pub(super) fn value(&self) -> &'m [u8] {
        // Relaxed: as in `find`, which has checked a length; a wrong peer may have stored another since.
        let len = self.head.value.load(Relaxed) as usize;
        self.bytes[self.value..].get(..len).unwrap_or_default()
    }

    #[inline]
    pub(super) fn next(&self) -> BlockId {
        // Relaxed: changed under the part's lock.
        BlockId::from_number(self.head.next.load(Relaxed))
    }
}
