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
        let bytes = HEAD + key.next_multiple_of(8) + value;
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

    /// Fills a block that nobody else knows yet, for an entry of this hash.
    #[inline]
    pub(super) fn fill(block: &mut [u8], hash: u64, key: &[u8], value: &[u8]) {
        // Somebody may still look at what lay there before.
        Changes::before_filling();
        let (head, rest) = block.split_at_mut(HEAD);
        head[..8].fill(0);
        head[8..16].copy_from_slice(&hash.to_ne_bytes());
        head[16..20].copy_from_slice(&(key.len() as u32).to_ne_bytes());
        head[20..24].copy_from_slice(&(value.len() as u32).to_ne_bytes());
        head[24..].fill(0);
        let start = key.len().next_multiple_of(8);
        rest[..key.len()].copy_from_slice(key);
        rest[start..start + value.len()].copy_from_slice(value);
    }

    /// Says what comes behind a filled block, and when it was put in.
    #[inline]
    pub(super) fn link(block: &mut [u8], next: BlockId, now: u32) {
        block[..8].copy_from_slice(&next.get().to_ne_bytes());
        block[24..28].copy_from_slice(&now.to_ne_bytes());
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
