//! The faults, as data: `tests/faults/*.toml`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::check::Check;
use crate::root;

/// A fault, and the check that must catch it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// What it is called on the command line.
    pub(crate) name: String,
    /// What is wrong with it, in a sentence.
    pub(crate) what: String,
    /// The source file, from the root of the workspace.
    pub(crate) file: String,
    /// What stands there, exactly once.
    pub(crate) find: String,
    /// What is put in its place.
    pub(crate) replace: String,
    /// What must fail then.
    pub(crate) check: Check,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    fault: Vec<Fault>,
}

/// Reads all faults, in the order of the files' names.
pub(crate) fn read() -> Result<Vec<Fault>> {
    let folder = root().join("tests/faults");
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let file: File = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
        for fault in file.fault {
            ensure!(names.insert(fault.name.clone()), "two faults are called {}", fault.name);
            ensure!(
                fault.find != fault.replace,
                "{}: nothing is replaced, so that nothing is wrong",
                fault.name
            );
            faults.push(fault);
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes the code writes the faults in it anew, and not whoever next tries them all.
    #[test]
    fn every_fault_finds_its_place() {
        let astray: Vec<_> = read()
            .unwrap()
            .into_iter()
            .filter(|fault| {
                let text = std::fs::read_to_string(root().join(&fault.file)).unwrap_or_default();
                text.matches(&fault.find).count() != 1
            })
            .map(|fault| format!("{} in {}", fault.name, fault.file))
            .collect();
        assert!(astray.is_empty(), "what these replace does not stand there once: {astray:#?}");
    }
}
