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
use crate::list::List;
use crate::status::{Identity, Status};

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
        known.filter(|folder| folder.has(file_name, identity)).or_else(|| Self::now(path))
    }

    /// Opens the folder that is called `path` now, for this process's other segments, too.
    pub(crate) fn now(path: &Path) -> Option<Arc<Self>> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let file = retry(|| open(path, flags, Mode::empty())).ok()?;
        let new = Arc::new(Self(KeptFile::of_path(file).ok()?));
        let entry = (path.to_owned(), Arc::downgrade(&new));
        let mut folders = FOLDERS.lock_with_room();
        let found =
            folders.iter_mut().find(|(known, folder)| known == path || folder.strong_count() == 0);
        let same = found.as_ref().and_then(|(_, folder)| folder.upgrade());
        if let Some(same) = same.filter(|same| same.0.is_same(&new.0) && same.file().is_some()) {
            // Unlocked first: what is dropped frees.
            drop(folders);
            return Some(same);
        }
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
