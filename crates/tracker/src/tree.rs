//! Removing a folder with all that is in it, without an allocation.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::entries::{each, open_folder};
use crate::identity::{Identity, Thing};

/// Folders in folders: each takes a descriptor and some memory of the stack.
const DEPTH: u32 = 64;

/// Removes a folder if it is the one that is meant; what has taken its name is left alone. Everything in it is removed by
/// way of a descriptor, so that it does not matter who moves or replaces what meanwhile. `false` if it was not there.
pub(crate) fn remove(
    folder: BorrowedFd<'_>,
    path: &CStr,
    is_meant: impl Fn(&Thing) -> bool,
) -> Result<bool, Errno> {
    let root = match open_folder(folder, path) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(false),
        root => root?,
    };
    let thing = Thing::of(root.as_fd())?;
    if !is_meant(&thing) {
        return Ok(false);
    }
    empty(root.as_fd(), thing.identity.device, DEPTH)?;
    remove_same(folder, path, thing.identity)
}

/// Removes an empty folder if the name leads to it still.
fn remove_same(folder: BorrowedFd<'_>, path: &CStr, same: Identity) -> Result<bool, Errno> {
    match Thing::at(folder, path) {
        Ok(now) if now.identity == same => {}
        Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(false),
        Err(errno) => return Err(errno),
    }
    match unlinkat(folder, path, UnlinkatFlags::RemoveDir) {
        Err(Errno::ENOENT) => Ok(false),
        removed => removed.map(|()| true),
    }
}

/// Removes all that is in a folder, on its own file system. What cannot be removed is told when the rest is gone.
fn empty(folder: BorrowedFd<'_>, device: u64, depth: u32) -> Result<(), Errno> {
    if depth == 0 {
        return Err(Errno::ELOOP);
    }
    let mut result = Ok(());
    each(folder, |entry| {
        let removed = match entry.is_folder {
            Some(false) => unlink(folder, entry.name),
            _ => remove_inner(folder, entry.name, device, depth),
        };
        result = result.and(removed);
        true
    })?;
    result
}

fn remove_inner(folder: BorrowedFd<'_>, name: &CStr, device: u64, depth: u32) -> Result<(), Errno> {
    let inner = match open_folder(folder, name) {
        Err(Errno::ENOTDIR | Errno::ELOOP) => return unlink(folder, name),
        Err(Errno::ENOENT) => return Ok(()),
        inner => inner?,
    };
    // What is mounted there is none of it.
    if Thing::of(inner.as_fd())?.identity.device != device {
        return Err(Errno::EXDEV);
    }
    empty(inner.as_fd(), device, depth - 1)?;
    match unlinkat(folder, name, UnlinkatFlags::RemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        removed => removed,
    }
}

fn unlink(folder: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_is_removed_with_all_in_it_and_nothing_else() {
        let test = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let outside = test.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let root = test.path().join("it");
        let deep = root.join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        symlink(&outside, root.join("link")).unwrap();
        symlink(&outside, deep.join("link")).unwrap();
        for n in 0..1000 {
            fs::write(root.join(format!("{n:0200}")), "").unwrap();
        }
        let folder = File::open(test.path()).unwrap();
        assert!(!remove(folder.as_fd(), c"it", |_| false).unwrap());
        assert!(deep.exists());
        assert!(remove(folder.as_fd(), c"it", |thing| thing.is_folder()).unwrap());
        assert!(!root.exists() && outside.join("kept").exists());
        assert!(!remove(folder.as_fd(), c"it", |_| true).unwrap(), "it is gone");
        symlink(&outside, &root).unwrap();
        assert!(!remove(folder.as_fd(), c"it", |_| true).unwrap(), "a link is no folder");
        assert!(outside.join("kept").exists());
    }
}
