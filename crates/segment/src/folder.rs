//! The folders of the segments that this process has joined, held by descriptor: a name that was found from there can be
//! removed from there, wherever the process or its root directory has moved since.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstatat};
use shmkit_roster::KeptFile;

use crate::file::retry;
use crate::inspect::{Identity, Status};
use crate::list::List;

/// A folder, one descriptor for all segments of this process that lie in it.
#[derive(Debug)]
pub(crate) struct Folder(KeptFile);

/// By path. A path may lead to another folder since, so what is found here is tried before it is used.
static FOLDERS: List<Vec<(PathBuf, Weak<Folder>)>> = List::new(Vec::new());

impl Folder {
    /// Finds or opens the folder called `path`, which has a segment's `file_name`; `None` if it cannot be opened.
    pub(crate) fn of(path: &Path, file_name: &Path, identity: Identity) -> Option<Arc<Self>> {
        let among = |folders: &[(PathBuf, Weak<Self>)]| {
            folders.iter().find(|known| known.0 == path)?.1.upgrade()
        };
        let known = among(&FOLDERS.lock());
        known.filter(|folder| folder.has(file_name, identity)).or_else(|| Self::open(path))
    }

    /// Opens the folder, for this process's other segments, too.
    fn open(path: &Path) -> Option<Arc<Self>> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let file = retry(|| open(path, flags, Mode::empty())).ok()?;
        let new = Arc::new(Self(KeptFile::new(file).ok()?));
        let entry = (path.to_owned(), Arc::downgrade(&new));
        let mut folders = FOLDERS.lock_with_room();
        let found =
            folders.iter_mut().find(|(known, folder)| known == path || folder.strong_count() == 0);
        // Freed when it is unlocked.
        let _old = match found {
            Some(old) => Some(std::mem::replace(old, entry)),
            None => {
                folders.push(entry);
                None
            }
        };
        drop(folders);
        Some(new)
    }

    /// The descriptor, if it leads to the folder still.
    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.0.get(None).ok()
    }

    fn has(&self, file_name: &Path, identity: Identity) -> bool {
        let found = self.file().ok_or(Errno::EBADF);
        let found = found.and_then(|file| fstatat(file, file_name, AtFlags::AT_SYMLINK_NOFOLLOW));
        found.is_ok_and(|found| Status::from(found).is_file_of(identity))
    }
}
