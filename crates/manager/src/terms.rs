//! What a manager grants to those who connect.

use shmkit_connection::Key;

/// Who is let in, how many, and how long a frame may be.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) key: Option<Key>,
    /// How many may be connected.
    pub(crate) crowd: u32,
    /// The longest frame, in bytes.
    pub(crate) most: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self { key: None, crowd: 256, most: 16 << 20 }
    }
}
