//! Segments without a name: anonymous ones, such as a pool's, and those that were unlinked and are mapped still.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::inspect::Inspection;

/// What the kernel calls the file of an anonymous segment.
const ANONYMOUS: &[u8] = b"/memfd:shmkit";
/// What it adds to the name of a file that has none any more, or never had one.
const GONE: &[u8] = b" (deleted)";

/// Looks into every segment without a name that some process has open: an anonymous one, or one of any directory that was
/// unlinked. Each once, as the first process that has it sees it, in the order of processes. Nothing is joined or written.
///
/// A segment that nobody has open is not there. Of processes that this user may not look at, who is neither root nor would be
/// allowed to trace them, nothing is seen.
pub fn unnamed() -> Vec<Inspection> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut pids: Vec<u32> = numbers("/proc").collect();
    pids.sort_unstable();
    for pid in pids {
        let folder = format!("/proc/{pid}/fd");
        for descriptor in numbers(&folder) {
            let link = format!("{folder}/{descriptor}");
            if !may_be_one(Path::new(&link)) {
                continue;
            }
            // Through the link: of the file that is open, and before that is opened once more.
            let Ok(file) = fs::metadata(&link) else { continue };
            if file.nlink() > 0 || !seen.insert((file.dev(), file.ino())) {
                continue;
            }
            found.extend(Inspection::open_in(pid, descriptor));
        }
    }
    found
}

/// The entries of a folder that are numbers; none if it cannot be read.
fn numbers(folder: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a descriptor leads to a file that is called like a segment's without a name. A file that was made without a name and
/// had one later is called by its number, which says nothing.
fn may_be_one(link: &Path) -> bool {
    fs::read_link(link).is_ok_and(|name| {
        let name = name.as_os_str().as_bytes();
        name.ends_with(GONE) && (name.starts_with(ANONYMOUS) || !name.starts_with(b"/memfd:"))
    })
}

#[cfg(test)]
mod tests {
    use shmkit_segment::Options;

    use super::*;

    #[test]
    fn what_is_anonymous_and_what_was_unlinked_is_found_once() {
        let folder =
            tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let anonymous = Options::new(1 << 14).content("unnamed").anonymous().unwrap();
        let named = Options::new(1 << 14).directory(folder.path()).content("unnamed");
        let linked = named.create("linked").unwrap();
        let unlinked = named.create("unlinked").unwrap();
        unlinked.unlink().unwrap();
        let ours = |pid: u32| {
            unnamed()
                .into_iter()
                .filter(move |seen| {
                    seen.summary.content == "unnamed" && seen.name.starts_with(&format!("{pid}:"))
                })
                .map(|seen| (seen.header().cookie, seen.is_unnamed()))
                .collect::<BTreeSet<_>>()
        };
        let expected = [&anonymous, &unlinked].map(|segment| (segment.header().cookie, true));
        assert_eq!(ours(std::process::id()), BTreeSet::from(expected));
        drop(linked);
        drop((anonymous, unlinked));
        assert!(ours(std::process::id()).is_empty());
    }
}
