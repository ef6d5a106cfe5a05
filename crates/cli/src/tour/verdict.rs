//! The verdict of a tour: what must be true, so that its exit status is 0.

use super::report::{Agree, InMutex, Report};

impl Report {
    /// Returns what is not as it should be, in words.
    pub(super) fn find_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |good: bool, problem: &str| {
            if !good {
                problems.push(problem.to_owned());
            }
        };
        let Agree { bytes, lines, words, histogram, chunks } = self.agree;
        check(bytes, "the bytes differ");
        check(lines, "the lines differ");
        check(words, "the words differ");
        check(histogram, "the histograms differ");
        check(chunks, "not every chunk was finished");
        let same = bytes && lines && words && histogram;
        if !same && !self.files.changed.is_empty() {
            check(
                false,
                "files changed between the two counts, which may be why they differ: count files that rest",
            );
        }
        if let Some(kills) = &self.kills {
            check(kills.in_mutex.is_some(), "no worker could be killed with the mutex held");
            check(kills.in_pipe.is_some(), "no worker could be killed while it filled its pipe");
            let recovered = |kill: &InMutex| kill.recovered_ms.is_some() && self.owner_died > 0;
            check(
                kills.in_mutex.as_ref().is_none_or(recovered),
                "nobody was told that the owner of the mutex died",
            );
        }
        for skipped in self.files.skipped.iter().filter(|skipped| skipped.named) {
            check(false, &format!("{} was named, and not counted to its end", skipped.file.shown));
        }
        check(self.permits.all_back, "a permit of the semaphore did not come back");
        check(self.segment.was_named, "the segment's name was not seen while it was in use");
        check(self.left.shm.is_empty(), "a name is left in /dev/shm");
        check(self.left.processes.is_empty(), "a process is left");
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tour::count::Counts;
    use crate::tour::report::{Files, Kills, Left, Permits, Segment, Side, Skipped, Victim};

    /// A report of a good tour without kills.
    fn good() -> Report {
        let side = || Side::new(&Counts::default(), 1);
        let agree = Agree { bytes: true, lines: true, words: true, histogram: true, chunks: true };
        Report {
            ok: true,
            problems: Vec::new(),
            workers: 1,
            files: Files {
                listed: 1,
                listed_bytes: 0,
                empty: 1,
                binary: 0,
                skipped: Vec::new(),
                changed: Vec::new(),
                links: 0,
                special: 0,
                unreadable: Vec::new(),
            },
            chunks: 1,
            parallel: side(),
            single: side(),
            agree,
            kills: None,
            owner_died: 0,
            handed_out_again: 0,
            lost_workers: 0,
            permits: Permits { total: 1, all_back: true },
            by_worker: Vec::new(),
            segment: Segment { path: "/dev/shm/shmkit.tour-1".into(), bytes: 1, was_named: true },
            left: Left { shm: Vec::new(), processes: Vec::new() },
        }
    }

    type Flaw = (&'static str, fn(&mut Report));

    #[test]
    fn every_flaw_spoils_the_verdict() {
        assert!(good().find_problems().is_empty());
        let flaws: [Flaw; 13] = [
            ("the bytes", |report| report.agree.bytes = false),
            ("the lines", |report| report.agree.lines = false),
            ("the words", |report| report.agree.words = false),
            ("the histograms", |report| report.agree.histogram = false),
            ("every chunk", |report| report.agree.chunks = false),
            ("mutex held", |report| report.kills = Some(Kills::default())),
            ("filled its pipe", |report| report.kills = Some(Kills::default())),
            ("owner of the mutex died", |report| {
                let victim = Victim { worker: 0, pid: 1, peer_died_ms: None, handed_out_again: 0 };
                let in_mutex = Some(InMutex { victim, heir: None, recovered_ms: None, redone: 0 });
                report.kills = Some(Kills { in_mutex, in_pipe: None });
            }),
            ("was named", |report| {
                let file = Path::new("/a/file").into();
                let why = "it became shorter".to_owned();
                let skipped =
                    |named| Skipped { file, named, counted_bytes: 0, listed_bytes: 1, why };
                report.files.skipped.push(skipped(true));
            }),
            ("permit", |report| report.permits.all_back = false),
            ("not seen", |report| report.segment.was_named = false),
            ("/dev/shm", |report| report.left.shm.push("shmkit.tour-1".into())),
            ("process is left", |report| report.left.processes.push(7)),
        ];
        for (word, spoil) in flaws {
            let mut report = good();
            spoil(&mut report);
            let problems = report.find_problems().join("; ");
            assert!(problems.contains(word), "{word}: {problems}");
        }
    }

    #[test]
    fn files_that_changed_explain_a_difference_and_are_none_by_themselves() {
        let mut report = good();
        report.files.changed.push(Path::new("log").into());
        assert!(report.find_problems().is_empty(), "appended to, for example");
        report.agree.words = false;
        assert!(report.find_problems().join("; ").contains("files changed"));
    }
}
