//! What people want to know of a participant. No verdict ever rests on it.

use core::fmt;
use std::fs::File;
use std::io::Read;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};

use crate::boot;

/// Most bytes of a command's name, as the kernel has it: `TASK_COMM_LEN` is 16 with the final zero.
const COMMAND: usize = 16;

/// Most bytes of `/proc/self/stat`: 52 fields, of which the 22nd is the last that matters.
const STAT: usize = 1024;

/// Who is behind an id, in words for people.
///
/// It was true when the participant joined. It is not how anybody is recognised: PIDs are reused, mean nothing in
/// another PID namespace, and survive `exec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Process id, in the participant's own PID namespace.
    pub pid: u32,
    /// When the process started, in clock ticks since boot (field 22 of [proc_pid_stat(5)]); 0 if there was no
    /// `/proc` to ask.
    ///
    /// [proc_pid_stat(5)]: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    pub start_time: u64,
    /// Name of the command, at most 15 bytes.
    pub command: String,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped: what a peer wrote goes to a terminal.
        write!(f, "{} ({})", self.pid, self.command.escape_debug())
    }
}

/// A [`Person`] in atomics: in shared memory, and once for this process itself.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Card {
    /// As in [`Person`].
    start_time: AtomicU64,
    /// The command's bytes, padded with zeros, in memory order.
    command: [AtomicU64; COMMAND / 8],
    /// As in [`Person`].
    pid: AtomicU32,
    /// In which boot it was written, as [`boot`] numbers them; 0 if never, or if that was not known.
    boot: AtomicU32,
}

impl Card {
    const fn new() -> Self {
        Self {
            start_time: AtomicU64::new(0),
            command: [const { AtomicU64::new(0) }; COMMAND / 8],
            pid: AtomicU32::new(0),
            boot: AtomicU32::new(0),
        }
    }

    /// Copies the card, which a peer may be rewriting: a mixture, unless the slot shows that nobody was.
    pub(crate) fn read(&self) -> Person {
        let mut bytes = [0; COMMAND];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(&self.command) {
            chunk.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        let len = bytes.iter().position(|&b| b == 0).unwrap_or(COMMAND);
        Person {
            pid: self.pid.load(Relaxed),
            start_time: self.start_time.load(Relaxed),
            command: String::from_utf8_lossy(&bytes[..len]).into_owned(),
        }
    }

    pub(crate) fn write(&self, pid: u32, start_time: u64, command: &[u8]) {
        let mut bytes = [0; COMMAND];
        let len = command.len().min(COMMAND - 1);
        bytes[..len].copy_from_slice(&command[..len]);
        self.pid.store(pid, Relaxed);
        self.start_time.store(start_time, Relaxed);
        for (chunk, word) in bytes.chunks_exact(8).zip(&self.command) {
            word.store(chunk.try_into().map_or(0, u64::from_ne_bytes), Relaxed);
        }
    }

    /// Writes this process's card here. Under the join lock.
    pub(crate) fn sign(&self) {
        let pid = std::process::id();
        if OWN.pid.load(Relaxed) != pid {
            let mut stat = [0; STAT];
            match ask_proc(&mut stat) {
                Some((start_time, command)) => OWN.write(pid, start_time, command),
                None => OWN.write(pid, 0, &ask_prctl()),
            }
        }
        for (to, from) in self.command.iter().zip(&OWN.command) {
            to.store(from.load(Relaxed), Relaxed);
        }
        self.start_time.store(OWN.start_time.load(Relaxed), Relaxed);
        self.pid.store(pid, Relaxed);
        self.boot.store(boot::current().unwrap_or(0), Relaxed);
    }

    /// Returns in which boot it was signed, if that is known.
    pub(crate) fn boot(&self) -> Option<u32> {
        Some(self.boot.load(Relaxed)).filter(|&boot| boot != 0)
    }

    #[cfg(test)]
    pub(crate) fn set_boot(&self, boot: u32) {
        self.boot.store(boot, Relaxed);
    }
}

/// This process's own card, written at its first join: asking `/proc` takes longer than all the rest of a join.
static OWN: Card = Card::new();

/// In a forked child: it is somebody else, even if a new PID namespace calls it by the same number.
pub(crate) fn forget() {
    OWN.pid.store(0, Relaxed);
}

fn ask_proc(stat: &mut [u8; STAT]) -> Option<(u64, &[u8])> {
    let len = File::open("/proc/self/stat").ok()?.read(stat).ok()?;
    parse_stat(stat.get(..len)?)
}

/// Finds start time and command in `pid (command) state …`; a command may hold spaces and parentheses.
fn parse_stat(stat: &[u8]) -> Option<(u64, &[u8])> {
    let open = stat.iter().position(|&b| b == b'(')?;
    let close = stat.iter().rposition(|&b| b == b')')?;
    let command = stat.get(open + 1..close)?;
    let rest = core::str::from_utf8(&stat[close + 1..]).ok()?;
    // The state, field 3, is the first of the rest.
    let start_time = rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()?;
    Some((start_time, command))
}

/// The name of this thread, padded with zeros, which is as near as one gets without `/proc`.
fn ask_prctl() -> [u8; COMMAND] {
    let mut name = [0; COMMAND];
    // SAFETY: the call writes at most 16 bytes, with the final zero, to where it is told.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_be_anything() {
        let stat = b"12 (a) b (c) S 1 12 12 0 -1 4194560 90 0 0 0 0 0 0 0 20 0 1 0 777 2306048 200";
        assert_eq!(parse_stat(stat), Some((777, &b"a) b (c"[..])));
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b")("), None);
        assert_eq!(parse_stat(b"1 (x) S 1"), None);
    }

    #[test]
    fn a_card_shows_this_process() {
        let card = Card::new();
        card.sign();
        let person = card.read();
        assert_eq!(person.pid, std::process::id());
        assert!(person.start_time > 0);
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert!(comm.starts_with(&person.command) && !person.command.is_empty(), "{person}");
        assert_ne!(ask_prctl(), [0; COMMAND]);
    }

    #[test]
    fn a_long_command_is_cut_and_a_strange_one_escaped() {
        let card = Card::new();
        card.write(7, 8, b"0123456789abcdefgh");
        assert_eq!(card.read().command, "0123456789abcde");
        card.write(7, 8, b"\x1b[2J\xff");
        assert_eq!(card.read().to_string(), "7 (\\u{1b}[2J\u{fffd})");
    }
}
