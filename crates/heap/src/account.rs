//! Where every byte of a heap is.

use core::fmt;

/// Where every byte of a heap was, when somebody went through it: all of them are in one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// All of them.
    pub bytes: u64,
    /// Those of the tables that tell the others apart.
    pub tables: u64,
    /// Only reserved: the heap has the memory when it needs it.
    pub uncommitted: u64,
    /// Free, in whole pages.
    pub pages: u64,
    /// Free, in blocks of slabs.
    pub slots: u64,
    /// Of slabs: the words of their blocks, and what is left over.
    pub around: u64,
    /// In blocks that living participants have reserved.
    pub reserved: u64,
    /// In blocks that belong to structures.
    pub kept: u64,
    /// How many blocks living participants have reserved.
    pub reserved_blocks: u64,
    /// How many blocks belong to structures.
    pub kept_blocks: u64,
}

impl Account {
    /// Returns how many bytes are there and free: in whole pages, and in blocks of slabs.
    pub fn free(&self) -> u64 {
        self.pages + self.slots
    }

    /// Returns whether all parts make up the whole.
    pub fn is_complete(&self) -> bool {
        let used = self.around + self.reserved + self.kept;
        self.tables + self.uncommitted + self.free() + used == self.bytes
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes: {} free, {} not there yet, {} in {} blocks, {} reserved in {}, {} around them",
            self.bytes,
            self.free(),
            self.uncommitted,
            self.kept,
            self.kept_blocks,
            self.reserved,
            self.reserved_blocks,
            self.tables + self.around,
        )
    }
}
