//! What tells one roster's record locks from every other's.

use core::fmt;
use core::num::NonZeroU64;
use std::io;

/// A random number in a roster's head, by which the lock bytes of its participants are shifted.
///
/// A descriptor's number may lead to another file by the time the kernel is asked through it: a program closes
/// descriptors that are not its own, and opens files that get their numbers. Two rosters whose first members lock the
/// same bytes would then answer for one another, and no look at the file beforehand could prevent it. With a byte out of
/// 2^61 of its own, a stranger's locks say nothing: neither that somebody lives, nor, as the control, that the question
/// reached the right file.
///
/// It is written once, with the roster, and read once by whoever attaches. Removers do not need it (see `range`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(NonZeroU64);

impl Salt {
    /// Number of different salts, with 0, which is none.
    pub(crate) const COUNT: u64 = 1 << 61;

    /// Draws one.
    pub(crate) fn random() -> io::Result<Self> {
        loop {
            if let Some(salt) = Self::new(random()? % Self::COUNT) {
                return Ok(salt);
            }
        }
    }

    /// Returns the salt that stands in a roster, or `None` if no roster has it.
    pub(crate) const fn new(found: u64) -> Option<Self> {
        match NonZeroU64::new(found) {
            Some(salt) if salt.get() < Self::COUNT => Some(Self(salt)),
            _ => None,
        }
    }

    /// Returns the number, 1 to 2^61 - 1.
    pub(crate) const fn get(self) -> u64 {
        self.0.get()
    }
}

/// Nobody who reads a report has use for it.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt")
    }
}

/// Returns a number that the kernel has drawn.
///
/// # Errors
///
/// The kernel, or a filter of system calls, refuses [getrandom(2)].
///
/// [getrandom(2)]: https://man7.org/linux/man-pages/man2/getrandom.2.html
pub fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    loop {
        let (start, len) = (bytes.as_mut_ptr().cast(), bytes.len());
        // SAFETY: `bytes` is valid for writes of its length.
        let got = unsafe { libc::getrandom(start, len, 0) };
        if got == 8 {
            return Ok(u64::from_ne_bytes(bytes));
        }
        // So few bytes come whole, or not at all.
        let error = io::Error::last_os_error();
        if got < 0 && error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_in_range_and_never_the_same() {
        let salts: Vec<_> = (0..100).map(|_| Salt::random().unwrap().get()).collect();
        assert!(salts.iter().all(|&salt| Salt::new(salt).is_some()));
        assert!(salts.iter().any(|&salt| salt > Salt::COUNT / 4), "the upper bits are used");
        let mut different = salts.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), salts.len());
        assert_eq!([0, Salt::COUNT, u64::MAX].map(Salt::new), [None; 3]);
    }
}
