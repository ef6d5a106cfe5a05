//! Which words the threads of a process sleep on: the kernel says it, so that nobody has to write it down before a sleep,
//! and nothing is ever out of date.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use nix::libc::{SYS_futex, SYS_futex_waitv, dev_t};
use nix::sys::stat::makedev;

/// The commands of a futex call that sleep (`linux/futex.h`), without the flags beside them.
const WAIT: u64 = 0;
const WAIT_BITSET: u64 = 9;
/// What of the second argument is the command.
const COMMAND: u64 = 0x7f;

/// Most words that a thread sleeps on at once, and the bytes of the record of each (`struct futex_waitv`).
const WORDS: u64 = 128;
const RECORD: usize = 24;

/// A thread that sleeps on words of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sleeper {
    /// Its number.
    pub(crate) thread: u32,
    /// The words; any of them may end the sleep.
    pub(crate) words: Vec<Word>,
}

/// A word of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// The file: its device and number.
    pub(crate) file: (dev_t, u64),
    /// Where in the file the word is, in bytes.
    pub(crate) offset: u64,
}

/// The threads of a process.
#[derive(Debug)]
pub(crate) struct Threads {
    /// How many there are.
    pub(crate) count: usize,
    /// Those that sleep on words of files.
    pub(crate) asleep: Vec<Sleeper>,
}

/// Asks about all threads of a process.
///
/// # Errors
///
/// The system's; above all that this user may not ask, who is neither root nor would be allowed to trace the process.
pub(crate) fn threads(pid: u32) -> io::Result<Threads> {
    let mut count = 0;
    let mut calls = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let name = entry?.file_name();
        let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        count += 1;
        match fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")) {
            Ok(call) => calls.extend(sleep(&call).map(|call| (thread, call))),
            // It has ended since.
            Err(error) if is_over(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if calls.is_empty() {
        return Ok(Threads { count, asleep: Vec::new() });
    }
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut asleep = Vec::new();
    for (thread, call) in calls {
        let addresses = match call {
            Call::One(address) => vec![address],
            Call::Several { at, count } => several(pid, at, count)?,
        };
        let words: Vec<_> =
            addresses.into_iter().filter_map(|address| place(&maps, address)).collect();
        if !words.is_empty() {
            asleep.push(Sleeper { thread, words });
        }
    }
    Ok(Threads { count, asleep })
}

/// Whether it says that there is no such thread any more.
fn is_over(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

/// A call that sleeps on words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// On the one at this address.
    One(u64),
    /// On those that so many records at an address name.
    Several { at: u64, count: u64 },
}

/// Reads what the kernel says of a thread: `running`, or the number of the call that it is in and what it was called with.
fn sleep(text: &str) -> Option<Call> {
    let mut words = text.split_ascii_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let mut next = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (first, second) = (next()?, next()?);
    if number == SYS_futex {
        let sleeps = matches!(second & COMMAND, WAIT | WAIT_BITSET);
        sleeps.then_some(Call::One(first))
    } else if number == SYS_futex_waitv {
        Some(Call::Several { at: first, count: second.min(WORDS) })
    } else {
        None
    }
}

/// The addresses in the records of a call that sleeps on several words.
fn several(pid: u32, at: u64, count: u64) -> io::Result<Vec<u64>> {
    // At most 128 records: no overflow.
    let mut bytes = vec![0; count as usize * RECORD];
    match File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut bytes, at) {
        Ok(()) => {}
        // It has unmapped them since, or ended.
        Err(error) if error.raw_os_error() == Some(nix::libc::EIO) || is_over(&error) => {
            return Ok(Vec::new());
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    let address = |record: &[u8]| {
        // The value comes first, eight bytes, and the address behind it.
        record[8..16].try_into().map(u64::from_ne_bytes).unwrap_or(0)
    };
    Ok(bytes.chunks_exact(RECORD).map(address).collect())
}

/// Where an address leads, by the list of a process's mappings; nothing if that is no file.
fn place(maps: &str, address: u64) -> Option<Word> {
    maps.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let (start, end) = (hex(start)?, hex(end)?);
        if !(start..end).contains(&address) {
            return None;
        }
        let offset = hex(words.nth(1)?)?;
        let (major, minor) = words.next()?.split_once(':')?;
        let number: u64 = words.next()?.parse().ok()?;
        let file = (makedev(hex(major)?, hex(minor)?), number);
        (number != 0).then_some(Word { file, offset: offset.checked_add(address - start)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
7f00a0000000-7f00a0001000 r--s 00000000 00:1a 11 /dev/shm/shmkit.a
7f00a0001000-7f00a0003000 rw-s 00001000 00:1a 11 /dev/shm/shmkit.a
7f00b0000000-7f00b0001000 rw-p 00000000 00:00 0
7f00c0000000-7f00c0001000 rw-s 00000000 08:01 7 /a file/with spaces
";

    #[test]
    fn an_address_leads_into_a_file_or_to_nothing() {
        let file = (makedev(0, 0x1a), 11);
        assert_eq!(place(MAPS, 0x7f00_a000_0010), Some(Word { file, offset: 0x10 }));
        assert_eq!(place(MAPS, 0x7f00_a000_1020), Some(Word { file, offset: 0x1020 }));
        assert_eq!(place(MAPS, 0x7f00_a000_3000), None, "behind the last byte");
        assert_eq!(place(MAPS, 0x7f00_b000_0010), None, "memory of its own");
        let file = (makedev(8, 1), 7);
        assert_eq!(place(MAPS, 0x7f00_c000_0004), Some(Word { file, offset: 4 }));
        for text in ["", "x", "1-2", "0-ffffffffffffffff rw-s", "0-ff rw-s 0 0:0 x"] {
            assert_eq!(place(text, 1), None, "{text}");
        }
    }

    #[test]
    fn who_sleeps_is_told_from_who_runs() {
        let futex =
            |op: &str| format!("{SYS_futex} 0x7f00a0000010 {op} 0x1 0x0 0x0 0xffffffff 0x1 0x2");
        for op in ["0x0", "0x9", "0x189"] {
            assert_eq!(sleep(&futex(op)), Some(Call::One(0x7f00_a000_0010)), "{op}");
        }
        for op in ["0x1", "0x3", "0x5"] {
            assert_eq!(sleep(&futex(op)), None, "{op} wakes");
        }
        let several = format!("{SYS_futex_waitv} 0x1000 0xffff 0x0 0x0 0x1 0x0 0x1 0x2");
        assert_eq!(sleep(&several), Some(Call::Several { at: 0x1000, count: WORDS }));
        for text in ["running", "-1 0x7ffc 0x7f17", "0 0x3 0x7f17 0x20000", "", "202", "202 7 8"] {
            assert_eq!(sleep(text), None, "{text}");
        }
    }
}
