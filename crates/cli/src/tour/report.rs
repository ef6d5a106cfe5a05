//! What a tour says in the end, for scripts as JSON; and its verdict: what must be true, so that its exit status is 0.

use serde::Serialize;

use super::conduct::{ByWorker, Kill, Parallel, Permits, Segment};
use super::single::{Single, Skipped};
use crate::text::count::Counts;
use crate::text::plan::Plan;
use crate::text::walk::{Listing, Unreadable};
use crate::words::Location;

/// The whole report. Times are in milliseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Every figure agrees, every planned kill was made and recovered from, and nothing is left.
    pub(super) ok: bool,
    /// What is not as it should be, in words. Empty if `ok`.
    pub(super) problems: Vec<String>,
    pub(super) workers: u32,
    pub(super) files: Files,
    /// Chunks that the work was cut into.
    pub(super) chunks: u64,
    pub(super) parallel: Side,
    pub(super) single: Side,
    pub(super) agree: Agree,
    /// Absent with `--no-kill`.
    pub(super) kills: Option<Kills>,
    /// Times that the lock was taken over from an owner who had died in an update.
    pub(super) owner_died: u64,
    /// Chunks that were handed out again.
    pub(super) handed_out_again: u64,
    /// Workers that ended and were neither told to nor killed by the tour.
    pub(super) lost_workers: u64,
    pub(super) permits: Permits,
    pub(super) by_worker: Vec<ByWorker>,
    pub(super) segment: Segment,
    pub(super) left: Left,
}

/// The files, and what is special about some.
#[derive(Debug, Default, Serialize)]
pub(super) struct Files {
    pub(super) listed: usize,
    pub(super) listed_bytes: u64,
    /// No bytes in them.
    pub(super) empty: usize,
    /// A zero byte in them; counted like the others.
    pub(super) binary: u64,
    /// Not counted, or not to the end, by the workers, and then by the one process likewise.
    pub(super) skipped: Vec<Skipped>,
    /// Written to or gone since they were listed.
    pub(super) changed: Vec<Location>,
    /// Below a folder, and not followed.
    pub(super) links: u64,
    /// Pipes, sockets, devices.
    pub(super) special: u64,
    /// Could not be listed.
    pub(super) unreadable: Vec<Unreadable>,
}

/// One of the two counts.
///
/// Not how long it took: workers are started and killed in the meantime, so that it would be said of that.
#[derive(Debug, Default, Serialize)]
pub(super) struct Side {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) words: u64,
    /// FNV-1a of the 256 bins.
    pub(super) histogram: String,
    /// Chunks finished; of the one process, chunks that its files were cut into.
    pub(super) chunks: u64,
}

/// Which figures agree; the histograms bin by bin.
#[derive(Debug, Default, Serialize)]
pub(super) struct Agree {
    pub(super) bytes: bool,
    pub(super) lines: bool,
    pub(super) words: bool,
    pub(super) histogram: bool,
    pub(super) chunks: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Kills {
    pub(super) in_mutex: Option<InMutex>,
    /// The worker that was killed while it filled its report pipe.
    pub(super) in_pipe: Option<Kill>,
}

/// The worker that was killed with the lock held.
#[derive(Debug, Serialize)]
pub(super) struct InMutex {
    #[serde(flatten)]
    pub(super) victim: Kill,
    /// The process that took the lock next, and found the record as it was before.
    pub(super) heir: Option<u32>,
    /// From the kill to the record as it was.
    pub(super) recovered_ms: Option<f64>,
    /// Updates that were undone.
    pub(super) undone: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Left {
    /// Names of the tour's in `/dev/shm`.
    pub(super) shm: Vec<String>,
    /// Child processes.
    pub(super) processes: Vec<u32>,
}

impl Report {
    /// Compares the two counts, and judges.
    pub(super) fn new(
        workers: u32,
        kill: bool,
        listing: Listing,
        plan: &Plan,
        parallel: Parallel,
        single: Single,
    ) -> Self {
        let (a, b) = (&parallel.read.counts, &single.counts);
        let chunks = plan.chunks.len() as u64;
        let is_finished = |first: usize| parallel.read.outcomes[first].is_known();
        let finished = plan.chunks.iter().filter(|it| is_finished(it.start)).count() as u64;
        let path = &parallel.segment.path;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let left = Left {
            shm: path.symlink_metadata().map(|_| name).into_iter().collect(),
            processes: children(parallel.by_worker.iter().map(|worker| worker.pid)),
        };
        let [in_update, in_pipe] = parallel.kills;
        let (undone, heir) = (parallel.read.undone, parallel.read.heir);
        let ms = |from: u64, to: u64| (to.saturating_sub(from) / 1000) as f64 / 1000.0;
        let in_mutex = in_update.map(|victim| InMutex {
            heir: heir.map(|(pid, _)| pid),
            recovered_ms: heir.map(|(_, at)| ms(victim.at, at)),
            undone,
            victim,
        });
        let mut report = Self {
            workers,
            chunks,
            parallel: Side::new(a, finished),
            single: Side::new(b, chunks),
            agree: Agree {
                bytes: a.bytes() == b.bytes(),
                lines: a.lines() == b.lines(),
                words: a.words() == b.words(),
                histogram: a.bins() == b.bins(),
                chunks: finished == chunks,
            },
            files: Files::new(listing, single),
            kills: kill.then_some(Kills { in_mutex, in_pipe }),
            owner_died: undone,
            handed_out_again: parallel.again,
            lost_workers: parallel.lost,
            permits: parallel.permits,
            by_worker: parallel.by_worker,
            segment: parallel.segment,
            left,
            ..Self::default()
        };
        report.problems = report.find_problems();
        report.ok = report.problems.is_empty();
        report
    }

    /// Returns what is not as it should be, in words.
    fn find_problems(&self) -> Vec<String> {
        let Agree { bytes, lines, words, histogram, chunks } = self.agree;
        let differs = !(bytes && lines && words && histogram);
        let killed =
            |as_planned: &dyn Fn(&Kills) -> bool| self.kills.as_ref().is_none_or(as_planned);
        let is_recovered = |kills: &Kills| {
            kills.in_mutex.as_ref().is_none_or(|it| it.recovered_ms.is_some() && it.undone > 0)
        };
        let checks = [
            (bytes, "the bytes differ"),
            (lines, "the lines differ"),
            (words, "the words differ"),
            (histogram, "the histograms differ"),
            (chunks, "not every chunk was finished"),
            (
                !differs || self.files.changed.is_empty(),
                "files changed between the two counts, which may be why they differ: count files that rest",
            ),
            (killed(&|it| it.in_mutex.is_some()), "no worker could be killed with the mutex held"),
            (killed(&|it| it.in_pipe.is_some()), "no worker could be killed as it filled its pipe"),
            (killed(&is_recovered), "nobody was told that the owner of the mutex died"),
            (self.permits.all_back, "a permit of the semaphore did not come back"),
            (self.segment.was_named, "the segment's name was not seen while it was in use"),
            (self.left.shm.is_empty(), "a name is left in /dev/shm"),
            (self.left.processes.is_empty(), "a process is left"),
        ];
        let problems = checks.iter().filter(|(good, _)| !good).map(|(_, said)| (*said).to_owned());
        let named = self.files.skipped.iter().filter(|skipped| skipped.named);
        let named = named
            .map(|skipped| format!("{} was named, and not counted to its end", skipped.file.shown));
        problems.chain(named).collect()
    }
}

impl Files {
    fn new(listing: Listing, single: Single) -> Self {
        Self {
            listed: listing.files.len(),
            listed_bytes: listing.files.iter().map(|file| file.size).sum(),
            empty: listing.files.iter().filter(|file| file.size == 0).count(),
            binary: single.binary,
            skipped: single.skipped,
            changed: single.changed,
            links: listing.links,
            special: listing.special,
            unreadable: listing.unreadable,
        }
    }
}

impl Side {
    fn new(counts: &Counts, chunks: u64) -> Self {
        let histogram = format!("{:016x}", counts.digest());
        let (bytes, lines, words) = (counts.bytes(), counts.lines(), counts.words());
        Self { bytes, lines, words, histogram, chunks }
    }
}

/// Which of the processes are still children of this one, dead ones that nobody has waited for included.
fn children(pids: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let me = std::process::id().to_string();
    let is_child = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().filter_map(|line| line.strip_prefix("PPid:")).any(|p| p.trim() == me)
    };
    pids.into_iter().filter(is_child).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn good() -> Report {
        let agree = Agree { bytes: true, lines: true, words: true, histogram: true, chunks: true };
        let segment = Segment { was_named: true, ..Segment::default() };
        Report {
            agree,
            segment,
            permits: Permits { total: 1, all_back: true },
            ..Report::default()
        }
    }

    type Flaw = (&'static str, fn(&mut Report));

    #[test]
    fn every_flaw_spoils_the_verdict() {
        assert!(good().find_problems().is_empty());
        let flaws: [Flaw; 14] = [
            ("the bytes", |report| report.agree.bytes = false),
            ("the lines", |report| report.agree.lines = false),
            ("the words", |report| report.agree.words = false),
            ("the histograms", |report| report.agree.histogram = false),
            ("every chunk", |report| report.agree.chunks = false),
            ("mutex held", |report| report.kills = Some(Kills::default())),
            ("filled its pipe", |report| report.kills = Some(Kills::default())),
            ("owner of the mutex died", |report| {
                let victim =
                    Kill { worker: 0, pid: 1, peer_died_ms: 1.0, handed_out_again: 0, at: 0 };
                let in_mutex = Some(InMutex { victim, heir: None, recovered_ms: None, undone: 0 });
                report.kills = Some(Kills { in_mutex, in_pipe: None });
            }),
            ("was named", |report| {
                let (file, why) = (Path::new("/a/file").into(), String::new());
                let (counted_bytes, listed_bytes) = (0, 1);
                report.files.skipped.push(Skipped {
                    file,
                    named: true,
                    counted_bytes,
                    listed_bytes,
                    why,
                });
            }),
            ("files changed", |report| {
                report.files.changed.push(Path::new("log").into());
                assert!(report.find_problems().is_empty(), "appended to, for example");
                report.agree.words = false;
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
    fn a_child_is_left_until_it_is_waited_for() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let left = |pid| children([pid, 1]);
        assert_eq!(left(child.id()), [child.id()]);
        child.kill().unwrap();
        assert_eq!(left(child.id()), [child.id()], "a zombie is left, too");
        child.wait().unwrap();
        assert!(left(child.id()).is_empty());
    }
}
