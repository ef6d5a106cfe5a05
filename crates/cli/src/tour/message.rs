//! What the tour and its workers say to one another through the pipes.

/// What to do with a chunk.
pub(super) mod order {
    /// Count it.
    pub(crate) const COUNT: u64 = 0;
    /// Count it, and stop half-way through the update, with the mutex held, to be killed.
    pub(crate) const DIE_IN_MUTEX: u64 = 1;
    /// Count it, and stop half-way through the report, with a part of it in the pipe, to be killed.
    pub(crate) const DIE_IN_PIPE: u64 = 2;
}

/// What is reported of a chunk: four items in one batch, of which the tour sees all or none.
pub(super) mod report {
    pub(crate) const BYTES: u64 = 0;
    pub(crate) const LINES: u64 = 1;
    pub(crate) const WORDS: u64 = 2;
    /// The chunk is finished. The amount is 1 if this worker counted it, 0 if that had been done before.
    pub(crate) const FINISHED: u64 = 3;
    /// Items of a batch.
    pub(crate) const ITEMS: usize = 4;
}
