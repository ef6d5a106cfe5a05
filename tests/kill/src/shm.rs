//! What is left in `/dev/shm`.

use std::fs;
use std::path::PathBuf;

use shmkit_segment::{DIRECTORY, PREFIX};

/// Returns the segment name of this process's scenes that ends in `what`. For the director: a child has another pid.
pub(crate) fn name(what: &str) -> String {
    format!("{}{what}", mark())
}

/// Returns the file of segment `name`.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(DIRECTORY).join(format!("{PREFIX}{name}"))
}

/// Returns the files of this process's scenes. For the director.
pub(crate) fn left() -> Vec<PathBuf> {
    let mark = mark();
    let Ok(dir) = fs::read_dir(DIRECTORY) else { return Vec::new() };
    dir.flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains(&mark))
        .map(|entry| entry.path())
        .collect()
}

fn mark() -> String {
    format!("shmkit-test-{}-kill-", std::process::id())
}
