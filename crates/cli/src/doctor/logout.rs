//! What systemd does when a user logs out: with `RemoveIPC`, it removes the user's files in `/dev/shm`.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::getuid;

use super::Report;

/// Users below are the system's own, which are spared (`SYSTEM_UID_MAX` of most distributions).
const FIRST_USER: u32 = 1000;

pub(super) fn look(report: &mut Report) {
    if !Path::new("/run/systemd/seats").exists() {
        return report.fine("log-out", "no systemd-logind that removes anything");
    }
    let uid = getuid().as_raw();
    if uid < FIRST_USER {
        return report.fine("log-out", format!("user {uid} is the system's, and spared"));
    }
    // The first of the folders that has a file of a name wins; among names, the last one.
    let folders =
        ["/etc", "/run", "/usr/local/lib", "/usr/lib"].map(|at| Path::new(at).join("systemd"));
    if removes(&folders) {
        report.finding(
            "log-out",
            "systemd removes this user's segments when its last session ends (RemoveIPC)",
            "programs that go on then keep what they have, and nobody can join them",
            "mkdir -p /etc/systemd/logind.conf.d && printf '[Login]\\nRemoveIPC=no\\n' > /etc/systemd/logind.conf.d/ipc.conf && systemctl kill -s HUP systemd-logind",
        );
    } else {
        report.fine("log-out", "systemd removes nothing (RemoveIPC=no)");
    }
}

/// Whether `RemoveIPC` is on, as it is by default, by the configuration in these folders, the most important first.
fn removes(folders: &[PathBuf]) -> bool {
    let main = folders.iter().map(|folder| folder.join("logind.conf")).find(|file| file.exists());
    let mut drops: Vec<PathBuf> = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder.join("logind.conf.d")).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_new = drops.iter().all(|other| other.file_name() != path.file_name());
            if is_new && path.extension().is_some_and(|end| end == "conf") {
                drops.push(path);
            }
        }
    }
    drops.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    let mut files = main.into_iter().chain(drops).rev();
    files.find_map(|file| said(&fs::read_to_string(file).ok()?)).unwrap_or(true)
}

/// What one file says of it.
fn said(text: &str) -> Option<bool> {
    let mut lines = text.lines().rev().filter_map(|line| line.split_once('='));
    let value = lines.find(|(key, _)| key.trim() == "RemoveIPC")?.1.trim();
    Some(["yes", "true", "on", "1", "y", "t"].iter().any(|yes| value.eq_ignore_ascii_case(yes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_file_that_says_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let folders = ["etc", "lib"].map(|name| root.path().join(name));
        assert!(removes(&folders), "by default");
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("lib/logind.conf", "[Login]\n#RemoveIPC=yes\n");
        assert!(removes(&folders), "a comment says nothing");
        write("lib/logind.conf", "[Login]\nRemoveIPC=no\n");
        assert!(!removes(&folders));
        write("lib/logind.conf.d/50-ipc.conf", "[Login]\n RemoveIPC = Yes\n");
        assert!(removes(&folders));
        write("etc/logind.conf.d/50-ipc.conf", "[Login]\nRemoveIPC=false\n");
        assert!(!removes(&folders), "it hides the other one of its name");
        write("lib/logind.conf.d/60-more.conf", "[Login]\nRemoveIPC=1\n");
        assert!(removes(&folders));
    }
}
