//! What the unit tests share.

use core::ptr::NonNull;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};
use shmkit_layout::Region;

use crate::{Roster, description};

pub(crate) fn memfd() -> OwnedFd {
    let fd = memfd_create(c"shmkit-test", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&fd, 1 << 16).unwrap();
    fd
}

pub(crate) fn reopen(fd: &OwnedFd) -> OwnedFd {
    description::reopen(fd.as_fd()).unwrap()
}

/// Zeroed bytes, unmapped by drop; shared with children.
pub(crate) struct Bytes(MmapRaw);

impl Bytes {
    pub(crate) fn new(len: u64) -> Self {
        Self::of(&memfd(), len)
    }

    pub(crate) fn of(fd: &OwnedFd, len: u64) -> Self {
        Self(MmapOptions::new().len(len as usize).map_raw(fd).unwrap())
    }

    pub(crate) fn region(&self) -> Region<'_> {
        let base = NonNull::new(self.0.as_mut_ptr()).unwrap();
        // SAFETY: mapped for as long as `self`, and borrowed by nobody but through regions.
        unsafe { Region::from_raw_parts(base, self.0.len()) }
    }

    pub(crate) fn roster(&self, slots: u32) -> Roster<'_> {
        // SAFETY: zeroed, and of one test alone.
        unsafe { Roster::init(self.region(), slots) }.unwrap()
    }
}

/// Runs `scene` in a forked child and expects that it does not panic.
#[track_caller]
pub(crate) fn in_child(scene: impl FnOnce()) {
    // SAFETY: the child runs the scene and ends; glibc's malloc works in the child of a process with threads.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let ended = catch_unwind(AssertUnwindSafe(scene));
        // SAFETY: ends the process without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(ended.is_err())) };
    }
    let mut status = 0;
    // SAFETY: our child, and a place for its status.
    let pid = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((pid, status), (child, 0), "the child failed");
}
