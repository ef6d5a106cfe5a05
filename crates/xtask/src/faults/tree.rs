//! A copy of the workspace to put faults into.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::root;

/// The copy. Builds in it are kept from one run to the next, beside it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(super) source: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// Copies every file that belongs to the workspace, as it is now.
    pub(crate) fn copy() -> Result<Self> {
        let base = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root().join("target"), PathBuf::from)
            .join("faults");
        let this = Self { source: base.join("tree"), target: base.join("target") };
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root())
            .output()
            .context("git lists the files to be copied")?;
        ensure!(listed.status.success(), "git ls-files: {}", listed.status);
        let mut kept = BTreeSet::new();
        for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (root().join(name), this.source.join(name));
            let Ok(bytes) = fs::read(&from) else { continue };
            // What has not changed keeps its time, so that it is not built again.
            if fs::read(&to).ok().as_ref() != Some(&bytes) {
                fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
                fs::write(&to, bytes).with_context(|| format!("{}", to.display()))?;
            }
            kept.insert(to);
        }
        remove_others(&this.source, &kept)?;
        Ok(this)
    }

    /// Returns a cargo that works in the copy.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command
            .current_dir(&self.source)
            .env("CARGO_TARGET_DIR", self.target.join("plain"))
            .env("RUST_BACKTRACE", "0");
        command
    }

    /// Another `--cfg` is another build of everything.
    pub(crate) fn for_loom(&self, command: &mut Command) {
        command.env("CARGO_TARGET_DIR", self.target.join("loom"));
    }
}

/// Removes what was deleted from the workspace since the last copy.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
