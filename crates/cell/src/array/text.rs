//! A byte array as a string of C: Python's `Array('c')`.

use shmkit_roster::Judge;

use super::Array;
use crate::error::ArrayError;

/// As a string that ends at its first NUL, if it has one: Python's `Array('c').value` and `.raw`.
impl<K: Judge> Array<u8, K> {
    /// Returns the bytes before the first NUL, or all of them if there is none: `.value`. All bytes, its `.raw`, are
    /// [`to_vec`](Self::to_vec).
    ///
    /// # Errors
    ///
    /// See [`ArrayError`].
    pub fn text(&self) -> Result<Vec<u8>, ArrayError> {
        let mut bytes = self.to_vec()?;
        if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
            bytes.truncate(end);
        }
        Ok(bytes)
    }

    /// Stores `text` and, if there is room, a NUL behind it; the bytes after that stay: `.value = text`.
    ///
    /// # Errors
    ///
    /// [`ArrayError::Count`] if it is longer than the array; otherwise see [`ArrayError`]. Then nothing was stored.
    pub fn set_text(&self, text: &[u8]) -> Result<(), ArrayError> {
        if text.len() >= self.len() {
            return self.set_raw(text);
        }
        let mut ended = text.to_vec();
        ended.push(0);
        self.set_raw(&ended)
    }

    /// Stores `bytes` as the first ones; the others stay: `.raw = bytes`.
    ///
    /// # Errors
    ///
    /// As [`set_text`](Self::set_text).
    pub fn set_raw(&self, bytes: &[u8]) -> Result<(), ArrayError> {
        if bytes.len() > self.len() {
            return Err(ArrayError::Count { given: bytes.len(), expected: self.len() });
        }
        self.write_range(..bytes.len(), bytes)
    }
}
