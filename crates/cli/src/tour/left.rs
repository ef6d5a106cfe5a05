//! What a tour leaves behind: nothing.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Returns the names in `folder` that begin with `prefix`, in order.
pub(super) fn names(folder: &Path, prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let name = |name: OsString| name.to_string_lossy().into_owned();
    let names = entries.flatten().map(|entry| name(entry.file_name()));
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

/// Returns which of `pids` are still children of this process, dead ones that nobody has waited for included.
pub(super) fn children(pids: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let me = std::process::id();
    pids.into_iter().filter(|&pid| parent(pid) == Some(me)).collect()
}

/// Returns the parent of a process, if it exists.
fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_is_left_until_it_is_waited_for() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        assert_eq!(children([pid, 1]), [pid]);
        child.kill().unwrap();
        assert_eq!(children([pid]), [pid], "a zombie is left, too");
        child.wait().unwrap();
        assert!(children([pid]).is_empty());
    }

    #[test]
    fn names_are_found_by_their_beginning() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["shmkit.tour-1", "shmkit.other", "shmkit.tour-1.x"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(names(dir.path(), "shmkit.tour-1"), ["shmkit.tour-1", "shmkit.tour-1.x"]);
        assert!(names(&dir.path().join("none"), "").is_empty());
    }
}
