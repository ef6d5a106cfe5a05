//! What a deque is made of.

/// How many bytes a deque takes, and how many elements it may have: a number of bytes alone converts into this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DequeSpec {
    pub(super) bytes: u64,
    pub(super) most: Option<u32>,
}

impl DequeSpec {
    /// Of so many bytes, all included, and of as many elements as there is room for.
    pub const fn bytes(bytes: u64) -> Self {
        Self { bytes, most: None }
    }

    /// With so many elements at most, as Python's `deque(maxlen=…)`: what is pushed at one end pushes another one out at the
    /// other.
    #[must_use]
    pub const fn max_len(self, most: u32) -> Self {
        Self { most: Some(most), ..self }
    }
}

impl From<u64> for DequeSpec {
    fn from(bytes: u64) -> Self {
        Self::bytes(bytes)
    }
}
