//! Who waits for what, and who keeps them waiting.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use nix::libc::dev_t;
use shmkit_layout::Kind;
use shmkit_roster::{Person, Verdict};
use shmkit_segment::Entry;

use crate::asleep::{self, Threads, Word};
use crate::holders::{Holder, holders};
use crate::inspect::{Inspection, inspect_all};
use crate::list::ListError;

/// A thread that sleeps on an object of a segment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// The process it is a thread of.
    pub pid: u32,
    /// The number of the thread.
    pub thread: u32,
    /// What the segment is called, without the prefix.
    pub segment: String,
    /// What the object is called.
    pub object: String,
    /// What it is.
    pub kind: Kind,
    /// Whom it waits for: the participants that the object names, as who holds it or is at its other end. None where no
    /// word of it tells.
    pub holders: Vec<Holder>,
    /// One of them is enough: it is a permit that is waited for, and each of them has one.
    pub any: bool,
}

/// A process that takes part in a segment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Process {
    /// Name of the command.
    pub command: String,
    /// How many threads it has.
    pub threads: usize,
    /// How many of them sleep on objects that somebody holds.
    pub asleep: usize,
}

/// Who waits for what, in all segments of a directory.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Waits {
    /// Every thread that sleeps on an object, in the order of processes.
    pub waiting: Vec<Waiting>,
    /// The living processes in the segments, by number.
    pub processes: BTreeMap<u32, Process>,
    /// Those of which the system does not say what their threads do, or that are not seen from here: in another PID namespace.
    pub unseen: BTreeMap<u32, io::Error>,
}

/// Asks the kernel what the threads of all participants sleep on, and reads who has it. Nothing is stopped, joined or
/// written; what is seen of a process that runs has passed when it is told.
///
/// No participant writes down what it waits for: the kernel knows. It tells root, and users who may trace the process;
/// of others' processes [`Waits::unseen`] says so.
///
/// # Errors
///
/// [`ListError`] if the directory cannot be read.
pub fn waits(directory: impl AsRef<Path>) -> Result<Waits, ListError> {
    Ok(waits_in(inspect_all(directory)?.flatten()))
}

/// The same, in segments that are looked into.
pub fn waits_in(inspections: impl IntoIterator<Item: Borrow<Inspection>>) -> Waits {
    let mut waits = Waits::default();
    let mut threads: BTreeMap<u32, Option<Threads>> = BTreeMap::new();
    for inspection in inspections {
        let inspection = inspection.borrow();
        let (file, summary) = (inspection.file(), &inspection.summary);
        let Ok(entries) = &summary.objects else { continue };
        let (device, inode) = inspection.identity();
        for member in summary.participants.iter().filter(|who| who.verdict == Verdict::Alive) {
            let pid = member.person.pid;
            let seen = threads.entry(pid).or_insert_with(|| waits.ask(&member.person));
            let Some(seen) = seen else { continue };
            for sleeper in &seen.asleep {
                let here = |word: &&Word| word.file == (device as dev_t, inode);
                let words = sleeper.words.iter().filter(here);
                for entry in words.filter_map(|word| at(entries, word.offset)) {
                    let holders = holders(file, entry, &summary.participants);
                    waits.waiting.push(Waiting {
                        pid,
                        thread: sleeper.thread,
                        segment: inspection.name.clone(),
                        object: entry.name.clone(),
                        kind: entry.shape.kind,
                        holders,
                        any: entry.shape.kind.name() == "sema",
                    });
                }
            }
        }
    }
    waits.waiting.sort_by_key(|waiting| (waiting.pid, waiting.thread));
    let held = waits.waiting.iter().filter(|waiting| !waiting.holders.is_empty());
    let mut last = None;
    // In order: a thread that sleeps on several words counts once.
    for thread in held.map(|waiting| (waiting.pid, waiting.thread)) {
        if last.replace(thread) != Some(thread)
            && let Some(process) = waits.processes.get_mut(&thread.0)
        {
            process.asleep += 1;
        }
    }
    waits
}

impl Waits {
    /// Asks about one process, and notes what it is.
    fn ask(&mut self, person: &Person) -> Option<Threads> {
        let asked = started(person.pid).and_then(|start| match start == person.start_time {
            true => asleep::threads(person.pid),
            false => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "another process has its number here: it lives in another PID namespace",
            )),
        });
        match asked {
            Ok(threads) => {
                let command = person.command.clone();
                let process = Process { command, threads: threads.count, asleep: 0 };
                self.processes.insert(person.pid, process);
                Some(threads)
            }
            Err(error) => {
                self.unseen.insert(person.pid, error);
                None
            }
        }
    }
}

/// When a process started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
fn started(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command may have blanks and brackets in it, and ends with the last one. Field 3 is the first one behind it.
    let field = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19));
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "its stat is none");
    field.and_then(|field| field.parse().ok()).ok_or_else(invalid)
}

/// The object that has the byte at `offset`.
fn at(entries: &[Entry], offset: u64) -> Option<&Entry> {
    entries.iter().find(|entry| {
        offset.checked_sub(entry.offset).is_some_and(|within| within < entry.shape.bytes)
    })
}
