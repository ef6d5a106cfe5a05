//! The life of a segment as one process sees it. What needs a second process is in the workspace's `tests/ipc`.

mod files;
mod living;
mod locate;
mod options;
mod passing;
mod raw;
mod removal;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use shmkit_segment::{ErrorKind, Options, PREFIX, Segment, SegmentError};

/// A name that no other test uses, removed at the end whatever happens.
struct Name(String, PathBuf);

impl Name {
    fn new(test: &str) -> Self {
        Self::within(Path::new("/dev/shm"), test)
    }

    /// One in a directory where nobody else makes segments, and on that occasion removes what is dead.
    fn within(directory: &Path, test: &str) -> Self {
        Self(format!("test-{}-{test}", std::process::id()), directory.to_owned())
    }

    fn path(&self) -> PathBuf {
        self.1.join(format!("{PREFIX}{}", self.0))
    }

    fn exists(&self) -> bool {
        self.path().symlink_metadata().is_ok()
    }

    fn create(&self) -> Segment {
        small().create(self).unwrap()
    }
}

impl AsRef<OsStr> for Name {
    fn as_ref(&self) -> &OsStr {
        self.0.as_ref()
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
        let _ = std::fs::remove_dir(self.path());
    }
}

/// A directory of this test's own, on the file system of the segments.
fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn small() -> Options {
    Options::new(512).participants(4).objects(4)
}

/// Checks that something failed in this way, and that the message says all of these.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, SegmentError>, kind: ErrorKind, says: &[&str]) {
    let error = result.expect_err("it was accepted");
    assert_eq!(error.kind(), kind, "{error}");
    let message = error.to_string();
    for part in says {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    // An error never repeats its source.
    if let Some(source) = std::error::Error::source(&error) {
        assert!(!message.contains(&source.to_string()), "{message} / {source}");
    }
}
