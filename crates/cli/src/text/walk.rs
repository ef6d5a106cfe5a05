//! Which files a tour counts.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::count;
use crate::words::{Location, shown};

/// What is counted without a path.
const ENDINGS: [&str; 3] = ["rs", "toml", "md"];

/// A regular file, as it was when it was listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    /// Its length, in bytes. What is appended later is not counted.
    pub(crate) size: u64,
    pub(crate) stamp: Stamp,
    /// Named by the user, not found below a folder: it must be counted.
    pub(crate) named: bool,
}

/// What tells that a file has been written to or replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Last change of the contents, in seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The files to count, and what was passed over.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// In the order of their paths, none twice.
    pub(crate) files: Vec<Listed>,
    /// Links found below a folder: not followed, so that no loop is walked and no file is counted twice.
    pub(crate) links: u64,
    /// Pipes, sockets, devices.
    pub(crate) special: u64,
    pub(crate) unreadable: Vec<Unreadable>,
}

/// A folder or file that could not be looked at, and why.
#[derive(Debug, Serialize)]
pub(crate) struct Unreadable {
    #[serde(flatten)]
    pub(crate) file: Location,
    pub(crate) why: String,
}

impl Unreadable {
    fn new(path: &Path, why: &io::Error) -> Self {
        Self { file: path.into(), why: why.to_string() }
    }
}

/// Lists every file of `paths` and below; without paths, every `*.rs`, `*.toml` and `*.md` below the current folder
/// that is not below `target` or a folder whose name begins with a dot.
///
/// # Errors
///
/// If a path that was named does not exist, cannot be read or is neither file nor folder, or there is no file at all.
pub(crate) fn list(paths: &[PathBuf]) -> Result<Listing> {
    let mut listing = Listing::default();
    let (mut seen, mut named) = (BTreeSet::new(), BTreeSet::new());
    let here = [PathBuf::from(".")];
    let sources_only = paths.is_empty();
    for root in if sources_only { &here } else { paths } {
        // Links are followed here, and only here. One spelling for each file, so that none is counted twice.
        let path = root.canonicalize().with_context(|| {
            format!("cannot count {}: give files or folders that exist", shown(root))
        })?;
        let metadata =
            fs::metadata(&path).with_context(|| format!("cannot look at {}", shown(&path)))?;
        if metadata.is_dir() {
            fs::read_dir(&path).with_context(|| format!("cannot look into {}", shown(&path)))?;
            listing.folder(&path, sources_only, &mut seen);
        } else {
            if !metadata.is_file() {
                bail!("cannot count {}: it is not a regular file", shown(&path));
            }
            count::open(&path)
                .with_context(|| format!("cannot count {}: name what can be read", shown(&path)))?;
            named.insert(path.clone());
            listing.entry(path, &metadata, &mut seen);
        }
    }
    if listing.files.is_empty() {
        let what = if sources_only {
            "there is no *.rs, *.toml or *.md file below the current folder".to_owned()
        } else {
            let paths: Vec<_> = paths.iter().map(shown).collect();
            format!("there is no regular file to count in {}", paths.join(", "))
        };
        let unread = match listing.unreadable.len() {
            0 => String::new(),
            n => format!(" ({n} could not be read)"),
        };
        bail!("{what}{unread}: name files or folders, as in `shmkit tour /usr/share/doc`");
    }
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &mut listing.files {
        // It may have been found below a folder first.
        file.named = named.contains(&file.path);
    }
    Ok(listing)
}

impl Listing {
    fn folder(&mut self, root: &Path, sources_only: bool, seen: &mut BTreeSet<PathBuf>) {
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.unreadable.push(Unreadable::new(&folder, &error));
                    continue;
                }
            };
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        self.unreadable.push(Unreadable::new(&folder, &error));
                        break;
                    }
                };
                let path = entry.path();
                let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                // Does not follow links.
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    Err(error) => {
                        self.unreadable.push(Unreadable::new(&path, &error));
                        continue;
                    }
                };
                if metadata.is_dir() {
                    if !(sources_only && (hidden || entry.file_name() == "target")) {
                        folders.push(path);
                    }
                } else if !sources_only || is_source(&path) {
                    self.entry(path, &metadata, seen);
                }
            }
        }
    }

    fn entry(&mut self, path: PathBuf, metadata: &Metadata, seen: &mut BTreeSet<PathBuf>) {
        if metadata.is_symlink() {
            self.links += 1;
        } else if !metadata.is_file() {
            self.special += 1;
        } else if seen.insert(path.clone()) {
            let (size, stamp) = (metadata.size(), Stamp::of(metadata));
            self.files.push(Listed { path, size, stamp, named: false });
        }
    }
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|&e| ending == e))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(listing: &Listing, root: &Path) -> Vec<String> {
        let root = root.canonicalize().unwrap();
        let name = |file: &Listed| file.path.strip_prefix(&root).unwrap().display().to_string();
        listing.files.iter().map(name).collect()
    }

    #[test]
    fn a_folder_is_all_its_files_and_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("b/.dot")).unwrap();
        fs::create_dir(root.join("target")).unwrap();
        for name in ["b/one", "b/.dot/two", "target/three", "a.rs"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink(root, root.join("b/loop")).unwrap();
        symlink("nowhere", root.join("b/dangling")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let listing = list(&[root.to_owned()]).unwrap();
        assert_eq!(names(&listing, root), ["a.rs", "b/.dot/two", "b/one", "target/three"]);
        assert_eq!((listing.links, listing.special), (2, 1));
        assert_eq!(listing.files[0].size, 4);
    }

    #[test]
    fn sources_are_chosen_by_ending_outside_target_and_dot_folders() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for folder in ["src/target", ".git", "target"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for name in ["a.rs", "b.toml", "src/c.md", ".d.rs", "e.txt", "rs"] {
            fs::write(root.join(name), name).unwrap();
        }
        for name in ["src/target/x.rs", ".git/x.rs", "target/x.rs"] {
            fs::write(root.join(name), name).unwrap();
        }
        let mut listing = Listing::default();
        listing.folder(&root.canonicalize().unwrap(), true, &mut BTreeSet::new());
        let mut found = names(&listing, root);
        found.sort();
        assert_eq!(found, [".d.rs", "a.rs", "b.toml", "src/c.md"]);
    }

    #[test]
    fn a_file_named_twice_is_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let link = dir.path().join("link");
        symlink(&file, &link).unwrap();
        let listing = list(&[file.clone(), dir.path().to_owned(), link, file]).unwrap();
        assert_eq!(listing.files.len(), 1);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = format!("{:#}", list(&[dir.path().join("nothing")]).unwrap_err());
        assert!(error.contains("nothing") && error.contains("No such file"), "{error}");
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = format!("{:#}", list(std::slice::from_ref(&fifo)).unwrap_err());
        assert!(error.contains("fifo") && error.contains("not a regular file"), "{error}");
        let error = list(&[dir.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
    }
}
