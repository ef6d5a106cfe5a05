//! What a tour leaves behind: nothing.

use std::fs;
use std::path::Path;

/// Returns the name of a file that is still there. Just this name: one that begins alike may be another tour's.
pub(super) fn name(file: &Path) -> Option<String> {
    let is_there = file.symlink_metadata().is_ok();
    is_there.then(|| file.file_name().unwrap_or_default().to_string_lossy().into_owned())
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
    fn another_tours_file_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shmkit.tour-1");
        fs::write(dir.path().join("shmkit.tour-12"), "").unwrap();
        assert_eq!(name(&file), None);
        fs::write(&file, "").unwrap();
        assert_eq!(name(&file), Some("shmkit.tour-1".to_owned()));
    }
}
