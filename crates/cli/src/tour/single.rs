//! The same count in one process, for comparison.

use std::path::PathBuf;

use super::count::{self, Counts};
use super::outcome::{Outcome, Why};
use super::plan::Piece;
use super::walk::{Listed, Stamp};

/// What one process counted.
#[derive(Debug)]
pub(super) struct Single {
    pub(super) counts: Counts,
    /// Files that the workers did not count, or not to the end: counted here as far as they counted them.
    pub(super) skipped: Vec<Skipped>,
    /// Files that are not as they were listed: a difference may come from them.
    pub(super) changed: Vec<PathBuf>,
    /// Files with a zero byte among the bytes that the workers counted.
    pub(super) binary: u64,
}

/// A file that was not counted to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) path: PathBuf,
    /// Bytes of it that were counted.
    pub(super) counted: u64,
    /// Bytes that it had when it was listed.
    pub(super) size: u64,
    pub(super) why: Why,
    /// As in [`Listed`].
    pub(super) named: bool,
}

/// Counts `files`, each from its beginning to its listed end in one go; a file that the workers could not count to its
/// end, as `outcomes` of `pieces` say, just as far as they did. `progress` is called with bytes.
pub(super) fn count(
    files: &[Listed],
    pieces: &[Piece],
    outcomes: &[Outcome],
    progress: impl Fn(u64),
) -> Single {
    let mut single =
        Single { counts: Counts::default(), skipped: Vec::new(), changed: Vec::new(), binary: 0 };
    let mut buffer = Vec::new();
    let mut rest = pieces.iter().copied().zip(outcomes.iter().copied()).peekable();
    let mut of_file = Vec::new();
    for (index, file) in files.iter().enumerate() {
        of_file.clear();
        while let Some(piece) = rest.next_if(|(piece, _)| piece.file == index as u64) {
            of_file.push(piece);
        }
        single.file(file, &of_file, &mut buffer);
        progress(file.size);
    }
    single
}

impl Single {
    fn file(&mut self, file: &Listed, pieces: &[(Piece, Outcome)], buffer: &mut Vec<u8>) {
        self.binary += u64::from(pieces.iter().any(|(_, outcome)| outcome.is_binary()));
        let why = pieces.iter().find_map(|(_, outcome)| outcome.why());
        let counted = pieces.iter().map(|&(piece, outcome)| outcome.counted(piece)).sum();
        if let Some(why) = why {
            let Listed { path, size, named, .. } = file.clone();
            self.skipped.push(Skipped { path, counted, size, why, named });
            if counted == 0 {
                return;
            }
        }
        let open = match count::open(&file.path) {
            Ok(open) => open,
            Err(_) => return self.changed.push(file.path.clone()),
        };
        let whole;
        let ranges = if why.is_none() {
            whole = [(0, file.size)];
            &whole[..]
        } else {
            &pieces.iter().map(|&(p, outcome)| (p.start, outcome.counted(p))).collect::<Vec<_>>()
        };
        let mut as_listed = true;
        for &(start, len) in ranges {
            let (done, error) = count::range(&open, start, len, buffer, &mut self.counts);
            as_listed &= done == len && error.is_ok();
        }
        as_listed &= open.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == file.stamp);
        if !as_listed {
            self.changed.push(file.path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tour::plan::Plan;
    use crate::tour::walk;

    fn counts(text: &str) -> Counts {
        let mut counts = Counts::default();
        counts.add(text.as_bytes(), None);
        counts
    }

    #[test]
    fn the_same_set_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "one two"), ("b", "three four"), ("c", "")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let files = walk::list(&[dir.path().to_owned()]).unwrap().files;
        let pieces = Plan::cut(&files, 1).pieces;
        let mut outcomes = vec![Outcome::default(); pieces.len()];
        let single = count(&files, &pieces, &outcomes, |_| ());
        assert_eq!(single.counts, {
            let mut sum = counts("one two");
            sum.merge(&counts("three four"));
            sum
        });
        assert!(single.skipped.is_empty() && single.changed.is_empty());

        // The workers could not read the first bytes of "b", and then no more than "three".
        for (piece, outcome) in pieces.iter().zip(&mut outcomes) {
            if piece.file == 1 && piece.start >= 5 {
                *outcome = Outcome::new(*piece, 0, false, None);
            }
        }
        let single = count(&files, &pieces, &outcomes, |_| ());
        assert_eq!((single.counts.bytes, single.counts.words), (12, 3));
        assert_eq!((single.skipped[0].counted, single.skipped[0].size), (5, 10));

        // It vanished after the workers had counted it.
        fs::remove_file(dir.path().join("a")).unwrap();
        let single = count(&files, &pieces, &outcomes, |_| ());
        assert_eq!(single.changed, [files[0].path.clone()]);
        assert_eq!(single.counts, counts("three"));
    }

    #[test]
    fn a_file_that_grew_is_counted_to_its_listed_end_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "one two").unwrap();
        let files = walk::list(std::slice::from_ref(&path)).unwrap().files;
        let pieces = Plan::cut(&files, 1).pieces;
        fs::write(&path, "one two three").unwrap();
        let single = count(&files, &pieces, &vec![Outcome::default(); pieces.len()], |_| ());
        assert_eq!(single.counts, counts("one two"));
        assert_eq!(single.changed.len(), 1);
    }
}
