//! After which instructions of a victim a kill leaves something else than before: shared memory has changed, or the victim came out
//! of a system call.
//!
//! Whoever survives sees nothing else of it: between two such instructions, one kill is as good as another.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

/// Bytes of a page; the least that any processor has.
const PAGE: usize = 4096;
/// In the last byte of an entry of the page map: the page is there.
const PRESENT: u8 = 1 << 7;

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Has the points of victims be these, and no other instructions, until the result is dropped.
pub(crate) fn count() -> impl Drop {
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            COUNTED.set(false);
        }
    }
    COUNTED.set(true);
    Counted
}

/// What others may see of a victim, as of its last step.
#[derive(Debug)]
pub(crate) struct Trail {
    pid: Pid,
    memory: File,
    present: File,
    mappings: Vec<Mapping>,
    found: Vec<u8>,
}

/// Shared memory that it may write to.
#[derive(Debug)]
struct Mapping {
    from: u64,
    /// As it was; zeros where the victim has used no page.
    bytes: Vec<u8>,
}

impl Trail {
    /// Begins one, if they are to be counted. A process that has no files in `/proc` any more has none.
    pub(crate) fn begin(pid: Pid) -> Option<Self> {
        COUNTED.get().then_some(())?;
        let open = |name| File::open(format!("/proc/{pid}/{name}")).ok();
        let (memory, present) = (open("mem")?, open("pagemap")?);
        let mut trail = Self { pid, memory, present, mappings: Vec::new(), found: Vec::new() };
        trail.survey();
        trail.look();
        Some(trail)
    }

    /// Returns whether anything has changed by an instruction, which was a system call or not.
    pub(crate) fn has_changed(&mut self, was_call: bool) -> bool {
        if was_call {
            self.survey();
        }
        self.look() || was_call
    }

    /// Finds the mappings: there may be others after a system call.
    fn survey(&mut self) {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap_or_default();
        let mut before = std::mem::take(&mut self.mappings);
        self.mappings = maps
            .lines()
            .filter_map(|line| {
                let (range, rest) = line.split_once(' ')?;
                let (from, to) = range.split_once('-')?;
                let address = |text| u64::from_str_radix(text, 16).ok();
                let (from, to) = (address(from)?, address(to)?);
                rest.starts_with("rw-s").then_some(())?;
                let mut known = before.iter_mut().filter(|known| known.from == from);
                let mut bytes =
                    known.next().map(|known| std::mem::take(&mut known.bytes)).unwrap_or_default();
                bytes.resize((to - from) as usize, 0);
                Some(Mapping { from, bytes })
            })
            .collect();
    }

    /// Takes the memory as it is; returns whether any is not as it was.
    fn look(&mut self) -> bool {
        let Self { memory, present, mappings, found, .. } = self;
        let mut changed = false;
        for Mapping { from, bytes } in mappings {
            let pages = bytes.len() / PAGE;
            found.resize(8 * pages, 0);
            if present.read_exact_at(found, *from / PAGE as u64 * 8).is_err() {
                continue;
            }
            // To read a page that the victim has not used would be to use it.
            let used: Vec<bool> =
                found.chunks_exact(8).map(|entry| entry[7] & PRESENT != 0).collect();
            let mut at = 0;
            for run in used.chunk_by(|one, next| one == next) {
                let range = at * PAGE..(at + run.len()) * PAGE;
                at += run.len();
                found.resize(range.len(), 0);
                if !run[0] || memory.read_exact_at(found, *from + range.start as u64).is_err() {
                    continue;
                }
                if bytes[range.clone()] != found[..] {
                    bytes[range].copy_from_slice(found);
                    changed = true;
                }
            }
        }
        changed
    }
}
