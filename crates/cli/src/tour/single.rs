//! The count in one process, for comparison.

use serde::Serialize;

use crate::text::count::{self, Counts};
use crate::text::outcome::Outcome;
use crate::text::plan::Plan;
use crate::text::walk::{Listed, Stamp};
use crate::words::Location;

/// What one process counted.
#[derive(Debug, Default)]
pub(super) struct Single {
    pub(super) counts: Counts,
    /// Files that the workers did not count, or not to the end: counted here as far as they counted them.
    pub(super) skipped: Vec<Skipped>,
    /// Files that are not as they were listed: a difference may come from them.
    pub(super) changed: Vec<Location>,
    /// Files with a zero byte among the bytes that the workers counted.
    pub(super) binary: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    #[serde(flatten)]
    pub(super) file: Location,
    /// Whether the user named it: then it had to be counted.
    pub(super) named: bool,
    pub(super) counted_bytes: u64,
    pub(super) listed_bytes: u64,
    pub(super) why: String,
}

/// Counts `files`, each from its beginning to its listed end in one go; a file that the workers could not count to its end, as
/// `outcomes` of the plan's pieces say, just as far as they did. `progress` is called with bytes.
pub(super) fn count(
    files: &[Listed],
    plan: &Plan,
    outcomes: &[Outcome],
    progress: impl Fn(u64),
) -> Single {
    let (mut single, mut buffer) = (Single::default(), Vec::new());
    let pieces: Vec<_> = plan.pieces.iter().copied().zip(outcomes.iter().copied()).collect();
    for of_file in pieces.chunk_by(|(a, _), (b, _)| a.file == b.file) {
        let file = &files[of_file[0].0.file];
        single.binary += u64::from(of_file.iter().any(|(_, outcome)| outcome.is_binary()));
        let counted = of_file.iter().map(|&(piece, outcome)| outcome.counted(piece));
        let ranges: Vec<_> = match of_file.iter().find_map(|(_, outcome)| outcome.why()) {
            None => vec![(0, file.size)],
            Some(why) => {
                single.skipped.push(Skipped {
                    file: file.path.as_path().into(),
                    named: file.named,
                    counted_bytes: counted.clone().sum(),
                    listed_bytes: file.size,
                    why: why.to_string(),
                });
                let starts = of_file.iter().map(|(piece, _)| piece.start);
                starts.zip(counted).filter(|(_, len)| *len > 0).collect()
            }
        };
        if !single.is_as_listed(file, &ranges, &mut buffer) {
            single.changed.push(file.path.as_path().into());
        }
        progress(file.size);
    }
    single
}

impl Single {
    /// Counts ranges of a file. Returns whether they are there, and the file has not changed.
    fn is_as_listed(&mut self, file: &Listed, ranges: &[(u64, u64)], buffer: &mut Vec<u8>) -> bool {
        if ranges.is_empty() {
            return true; // Skipped as a whole, and told of as such.
        }
        let Ok(open) = count::open(&file.path) else { return false };
        let mut is_there = true;
        for &(start, len) in ranges {
            let (done, error) = count::range(&open, start, len, buffer, &mut self.counts);
            is_there &= done == len && error.is_ok();
        }
        is_there && open.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == file.stamp)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::text::plan::Piece;
    use crate::text::walk;

    #[test]
    fn files_are_counted_as_far_as_the_workers_counted_them_and_named_if_they_changed() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "one two"), ("b", "three four"), ("c", ""), ("d", "old")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let files = walk::list(&[dir.path().to_owned()]).unwrap().files;
        let plan = Plan::cut(&files, 1);
        // The workers could not read more of "b" than "three".
        let outcome = |piece: &Piece| match piece {
            Piece { file: 1, start: 5.., .. } => Outcome::new(*piece, 0, false, None),
            _ => Outcome::new(*piece, piece.len, false, None),
        };
        let outcomes: Vec<_> = plan.pieces.iter().map(outcome).collect();
        // Grown since it was listed, and vanished.
        fs::write(dir.path().join("d"), "old and new").unwrap();
        let single = count(&files, &plan, &outcomes, |_| ());
        assert_eq!((single.counts.bytes(), single.counts.words()), (7 + 5 + 3, 4));
        assert_eq!((single.skipped[0].counted_bytes, single.skipped[0].listed_bytes), (5, 10));
        assert!(single.changed.len() == 1 && single.changed[0].path.ends_with("/d"));
        fs::remove_file(dir.path().join("a")).unwrap();
        assert_eq!(count(&files, &plan, &outcomes, |_| ()).changed.len(), 2);
    }
}
