//! What two ends know and nobody else.

use std::{fmt, io};

use zeroize::Zeroizing;

/// A secret that both ends of a connection have: Python's `authkey`.
///
/// It is wiped from memory when it is dropped, not shown by `Debug`, and has no `Serialize`: how it comes to the other side is
/// for the program to decide. Processes that are forked or started by the same program may inherit it; a file that nobody else
/// reads will do elsewhere. Whoever has it may be anybody: of several who have the same one, none is told from another.
///
/// ```
/// use shmkit_connection::Key;
///
/// let key = Key::new("secret");
/// assert_eq!(key.bytes(), b"secret");
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// ```
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Length of a random key, in bytes: that of Python's.
    const RANDOM: usize = 32;

    /// Takes a key. An empty one is no secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Draws a key of 32 bytes.
    ///
    /// # Errors
    ///
    /// The kernel, or a filter of system calls, refuses `getrandom`.
    pub fn random() -> io::Result<Self> {
        let mut bytes = Zeroizing::new(vec![0; Self::RANDOM]);
        getrandom::fill(&mut bytes).map_err(io::Error::from)?;
        Ok(Self(bytes))
    }

    /// Returns its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
