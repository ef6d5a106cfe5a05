//! What became of what the dead had registered.

/// What became of something that a dead process had registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was removed, or its command or function was run.
    Done,
    /// It was gone.
    Gone,
    /// Something else bears its name, which is left alone.
    Replaced,
    /// The system does not let us, with this error; it is registered no more.
    Failed(i32),
}
