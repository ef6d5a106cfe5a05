//! A fault in the copy.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::list::Fault;
use super::tree::Tree;

impl Fault {
    /// Puts it into the copy, until the result is dropped.
    pub(crate) fn seed(&self, tree: &Tree) -> Result<Seeded> {
        let path = tree.source.join(&self.file);
        let sound = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let found = sound.matches(&self.find).count();
        ensure!(
            found == 1,
            "{}: what it replaces stands {found} times in {}, and must stand there once: the code has \
             changed, so write the fault anew",
            self.name,
            self.file
        );
        fs::write(&path, sound.replace(&self.find, &self.replace))?;
        Ok(Seeded { path, sound })
    }
}

/// Takes the fault out again when dropped.
#[derive(Debug)]
pub(crate) struct Seeded {
    path: PathBuf,
    sound: String,
}

impl Drop for Seeded {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.sound) {
            eprintln!("{}: the fault stays in the copy: {error}", self.path.display());
        }
    }
}
