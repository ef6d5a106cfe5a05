//! What is left in `/dev/shm`.

use std::fs;
use std::path::PathBuf;

/// Where named segments live.
const DIR: &str = "/dev/shm";

/// Returns the segment name of this process's scenes that ends in `what`.
pub(crate) fn name(what: &str) -> String {
    format!("shmkit-test-{}-kill-{what}", std::process::id())
}

/// Returns the file of segment `name`.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(format!("{DIR}/shmkit.{name}"))
}

/// Returns the files of this process's scenes.
pub(crate) fn left(director: u32) -> Vec<String> {
    let mark = format!("shmkit-test-{director}-kill-");
    let Ok(dir) = fs::read_dir(DIR) else { return Vec::new() };
    dir.flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains(&mark))
        .collect()
}
