//! What a tour says in the end: for scripts as JSON.

use serde::Serialize;

use super::conduct::Parallel;
use super::count::Counts;
use super::parking::Place;
use super::plan::Plan;
use super::single::Single;
use super::walk::Listing;
use crate::words::Location;

/// The whole report. Times are in milliseconds.
#[derive(Debug, Serialize)]
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
    /// Times that the mutex was taken over from a dead owner.
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
#[derive(Debug, Serialize)]
pub(super) struct Files {
    pub(super) listed: u64,
    pub(super) listed_bytes: u64,
    /// No bytes in them.
    pub(super) empty: u64,
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

#[derive(Debug, Serialize)]
pub(super) struct Unreadable {
    #[serde(flatten)]
    pub(super) file: Location,
    pub(super) why: String,
}

/// One of the two counts.
///
/// Not how long it took: workers are started and killed in the meantime, so that it would be said of that.
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
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
    pub(super) in_pipe: Option<InPipe>,
}

/// The worker that was killed with the mutex held.
#[derive(Debug, Serialize)]
pub(super) struct InMutex {
    #[serde(flatten)]
    pub(super) victim: Victim,
    /// The process that took the mutex next, and repaired the record.
    pub(super) heir: Option<u32>,
    /// From the kill to the repaired record.
    pub(super) recovered_ms: Option<f64>,
    /// Updates that were done again from the journal.
    pub(super) redone: u64,
}

/// The worker that was killed while it filled its report pipe.
#[derive(Debug, Serialize)]
pub(super) struct InPipe {
    #[serde(flatten)]
    pub(super) victim: Victim,
}

#[derive(Debug, Serialize)]
pub(super) struct Victim {
    pub(super) worker: u64,
    pub(super) pid: u32,
    /// From the kill to the moment when the tour's receive said that the peer is dead.
    pub(super) peer_died_ms: Option<f64>,
    /// Chunks that the victim had got and not finished.
    pub(super) handed_out_again: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Permits {
    pub(super) total: u32,
    /// Those of the dead included.
    pub(super) all_back: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ByWorker {
    pub(super) worker: u64,
    pub(super) pid: u32,
    /// As far as it reported.
    pub(super) chunks: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Segment {
    pub(super) path: String,
    pub(super) bytes: u64,
    /// Whether it had its name while the workers ran.
    pub(super) was_named: bool,
}

#[derive(Debug, Serialize)]
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
        listing: &Listing,
        plan: &Plan,
        parallel: &Parallel,
        single: &Single,
        left: (Vec<String>, Vec<u32>),
    ) -> Self {
        let chunks = plan.chunks.len() as u64;
        let (a, b) = (&parallel.counts, &single.counts);
        let agree = Agree {
            bytes: a.bytes == b.bytes,
            lines: a.lines == b.lines,
            words: a.words == b.words,
            histogram: a.histogram == b.histogram,
            chunks: parallel.finished == chunks,
        };
        let (owner_died, redone, _) = parallel.deaths;
        let mut report = Self {
            ok: false,
            problems: Vec::new(),
            workers,
            files: Files::new(listing, single),
            chunks,
            parallel: Side::new(a, parallel.finished),
            single: Side::new(b, chunks),
            agree,
            kills: kill.then(|| Kills::new(parallel, redone)),
            owner_died,
            handed_out_again: parallel.end.again,
            lost_workers: parallel.end.lost,
            permits: Permits { total: parallel.permits.0, all_back: parallel.permits.1 },
            by_worker: by_worker(parallel),
            segment: Segment {
                path: parallel.file.display().to_string(),
                bytes: parallel.bytes,
                was_named: parallel.was_named,
            },
            left: Left { shm: left.0, processes: left.1 },
        };
        report.problems = report.find_problems();
        report.ok = report.problems.is_empty();
        report
    }
}

impl Files {
    fn new(listing: &Listing, single: &Single) -> Self {
        let skipped = single.skipped.iter().map(|skipped| Skipped {
            file: skipped.path.as_path().into(),
            named: skipped.named,
            counted_bytes: skipped.counted,
            listed_bytes: skipped.size,
            why: skipped.why.to_string(),
        });
        let unreadable = listing
            .unreadable
            .iter()
            .map(|(path, why)| Unreadable { file: path.as_path().into(), why: why.clone() });
        Self {
            listed: listing.files.len() as u64,
            listed_bytes: listing.files.iter().map(|file| file.size).sum(),
            empty: listing.files.iter().filter(|file| file.size == 0).count() as u64,
            binary: single.binary,
            skipped: skipped.collect(),
            changed: single.changed.iter().map(|path| path.as_path().into()).collect(),
            links: listing.links,
            special: listing.special,
            unreadable: unreadable.collect(),
        }
    }
}

impl Side {
    pub(super) fn new(counts: &Counts, chunks: u64) -> Self {
        Self {
            bytes: counts.bytes,
            lines: counts.lines,
            words: counts.words,
            histogram: format!("{:016x}", counts.digest()),
            chunks,
        }
    }
}

impl Kills {
    fn new(parallel: &Parallel, redone: u64) -> Self {
        let mut kills = Self::default();
        for kill in &parallel.end.kills {
            let victim = Victim {
                worker: kill.worker,
                pid: kill.pid,
                peer_died_ms: kill.seen.map(ms),
                handed_out_again: kill.again,
            };
            match kill.place {
                Place::Mutex => {
                    kills.in_mutex = Some(InMutex {
                        victim,
                        heir: parallel.heir.map(|heir| heir.pid),
                        recovered_ms: parallel.heir.map(|heir| ms(heir.after)),
                        redone,
                    });
                }
                Place::Pipe => kills.in_pipe = Some(InPipe { victim }),
            }
        }
        kills
    }
}

fn by_worker(parallel: &Parallel) -> Vec<ByWorker> {
    let mut workers: Vec<_> = parallel
        .end
        .done
        .iter()
        .map(|done| ByWorker {
            worker: done.worker,
            pid: done.pid,
            chunks: done.chunks,
            bytes: done.bytes,
        })
        .collect();
    workers.sort_by_key(|worker| worker.worker);
    workers
}

/// Milliseconds, to the microsecond.
fn ms(time: std::time::Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
