//! After which instructions of a victim a kill leaves something else than before: shared memory has changed, or the victim came out
//! of a system call.
//!
//! Whoever survives sees nothing else of it: between two such instructions, one kill is as good as another.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

/// Bytes of a page; the least that any processor has.
const PAGE: u64 = 4096;
/// In an entry of the page map: the page is there.
const PRESENT: u64 = 1 << 63;

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
    /// Address and bytes of each page that is mapped as shared memory, and that the victim has used.
    pages: Vec<(u64, Option<Vec<u8>>)>,
}

impl Trail {
    /// Begins one, if they are to be counted. A process that has no files in `/proc` any more has none.
    pub(crate) fn begin(pid: Pid) -> Option<Self> {
        COUNTED.get().then_some(())?;
        let open = |name| File::open(format!("/proc/{pid}/{name}")).ok();
        let mut trail =
            Self { pid, memory: open("mem")?, present: open("pagemap")?, pages: Vec::new() };
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

    /// Finds the pages: there may be others after a system call.
    fn survey(&mut self) {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap_or_default();
        let shared = maps.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let address = |text| u64::from_str_radix(text, 16).ok();
            rest.starts_with("rw-s").then_some((address(from)?, address(to)?))
        });
        let mut before = std::mem::take(&mut self.pages).into_iter().peekable();
        for (from, to) in shared {
            for at in (from..to).step_by(PAGE as usize) {
                while before.next_if(|(other, _)| *other < at).is_some() {}
                let page = before.next_if(|(other, _)| *other == at).and_then(|(_, page)| page);
                self.pages.push((at, page));
            }
        }
    }

    /// Takes the pages as they are; returns whether any is not as it was.
    fn look(&mut self) -> bool {
        let (mut changed, mut found) = (false, [0; PAGE as usize]);
        for (at, page) in &mut self.pages {
            let mut entry = [0; 8];
            // To read a page that nobody has used would be to use it.
            let is_there = page.is_some()
                || self.present.read_exact_at(&mut entry, *at / PAGE * 8).is_ok()
                    && u64::from_ne_bytes(entry) & PRESENT != 0;
            if !is_there || self.memory.read_exact_at(&mut found, *at).is_err() {
                continue;
            }
            if page.as_deref() != Some(&found[..]) {
                *page = Some(found.to_vec());
                changed = true;
            }
        }
        changed
    }
}
