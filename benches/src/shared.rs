//! Memory that forked children share.

use std::ptr::NonNull;

use anyhow::{Result, ensure};

/// One zeroed `T` in an anonymous mapping that forked children share.
#[derive(Debug)]
pub struct Shared<T> {
    at: NonNull<T>,
}

impl<T> Shared<T> {
    /// Maps it.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    ///
    /// # Safety
    ///
    /// All zero bytes must be a `T`, and `T` must stay one whatever a child does to it: atomics, C structs.
    pub unsafe fn new() -> Result<Self> {
        // SAFETY: with a null hint the kernel picks unused addresses; nothing existing is touched.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        ensure!(at != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        Ok(Self { at: NonNull::new(at.cast()).expect("mmap never returns null") })
    }

    /// Returns its address.
    pub fn get(&self) -> *mut T {
        self.at.as_ptr()
    }
}

impl<T: Sync> std::ops::Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped and zeroed in `new` until drop; still a `T`, whatever a child did (`new`).
        unsafe { self.at.as_ref() }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping of `new`; no reference is left, since they borrow `self`.
        let failed = unsafe { libc::munmap(self.at.as_ptr().cast(), size_of::<T>()) };
        debug_assert_eq!(failed, 0);
    }
}
