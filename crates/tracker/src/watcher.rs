//! The watcher: what it does from the first look to the last.
//!
//! It knows nothing that is not in the folder or in the register, so that whoever follows it knows as much: killed at any
//! moment it loses nothing. It may have been forked from a program with many threads, so that it allocates nothing, and takes
//! no lock but record locks.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shmkit_atomic::Deadline;
use shmkit_segment::PREFIX;

use crate::command::{self, Running};
use crate::entries;
use crate::events::{Events, Happened};
use crate::kind::Kind;
use crate::look::{self, Look, look};
use crate::outcome::Outcome;
use crate::pending::{Looks, Pending};
use crate::register::Register;
use crate::release::{self, Cleaner, Job, clean, release, take};

/// Between two looks at the register, which is told of whenever somebody registers.
const PAUSE: Duration = Duration::from_millis(5);

/// Between two looks at a command that runs.
const COMMAND_PAUSE: Duration = Duration::from_millis(20);

/// Makers' segments that are looked for by number at a time; of more than these all are looked at.
const MAKERS: usize = 64;

/// What a watcher did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watched<'w> {
    /// It removed a segment that nobody lived in.
    Segment {
        /// The segment's name, byte for byte.
        name: &'w [u8],
    },
    /// It released what a dead process had registered.
    Registered {
        /// What kind of thing.
        kind: Kind<'w>,
        /// Its name, as it is kept: without a leading slash, or as an absolute path.
        name: &'w [u8],
        /// What became of it.
        outcome: Outcome,
    },
}

/// All that a watcher needs.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) folder: OwnedFd,
    /// Of the description that makes it the watcher.
    pub(crate) register: Register,
    pub(crate) events: Events,
    pub(crate) cleaners: &'static [Cleaner],
}

/// What it has to do.
struct Work {
    pending: Pending,
    register: Looks,
    /// When the register may be looked at again.
    register_next: Deadline,
    command: Option<(Running, Job)>,
    makers: [u64; MAKERS],
    makers_len: usize,
}

impl Watcher {
    /// Watches until there is nothing to watch over, or somebody else does.
    pub(crate) fn run(
        &self,
        register_name: &CStr,
        told: &mut dyn FnMut(Watched<'_>),
    ) -> Result<(), Errno> {
        let mut work = Work {
            pending: Pending::new()?,
            register: Looks::NONE,
            register_next: Deadline::now(),
            command: None,
            makers: [0; MAKERS],
            makers_len: 0,
        };
        work.pending.all.restart(Duration::ZERO);
        work.register.restart(Duration::ZERO);
        loop {
            self.look_at_segments(&mut work, told);
            if work.register.take() {
                self.look_at_register(&mut work, told);
            }
            self.look_at_command(&mut work, told);
            let wait = self.next(&work);
            if wait.is_none() && !self.has_something_to_watch(register_name) {
                if self.end(register_name)? {
                    return Ok(());
                }
                work.pending.all.restart(Duration::ZERO);
                continue;
            }
            self.sleep(wait)?;
            if !self.hear(&mut work, register_name)? {
                return Ok(());
            }
        }
    }

    /// How long it is until there is something to do; `None` if nothing is.
    fn next(&self, work: &Work) -> Option<Duration> {
        let command = work.command.as_ref().map(|_| COMMAND_PAUSE);
        let all = [work.pending.remaining(), work.register.remaining(), command];
        all.into_iter().flatten().min()
    }

    fn sleep(&self, wait: Option<Duration>) -> Result<(), Errno> {
        let mut files = [PollFd::new(self.events.file(), PollFlags::POLLIN)];
        // Rounded up, so that what it slept for is due.
        let milliseconds = wait.map(|wait| wait.as_micros().div_ceil(1000));
        let timeout = milliseconds.map_or(PollTimeout::NONE, |wait| {
            PollTimeout::try_from(wait.min(60_000) as u32).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut files, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Takes note of what has happened; `false` if somebody has removed the register by force: who asks for a watcher
    /// next makes another.
    fn hear(&self, work: &mut Work, register_name: &CStr) -> Result<bool, Errno> {
        let (mut is_told_of_register, mut is_lost) = (false, false);
        work.makers_len = 0;
        self.events.drain(|happened| match happened {
            Happened::Closed(name) if name == register_name.to_bytes() => {
                is_told_of_register = true
            }
            Happened::Closed(name) if name.starts_with(PREFIX.as_bytes()) => work.pending.add(name),
            Happened::Closed(_) => {}
            Happened::ClosedByMaker(inode) if inode == self.register.identity.inode => {
                is_told_of_register = true;
            }
            Happened::ClosedByMaker(inode) => match work.makers.get_mut(work.makers_len) {
                Some(place) => {
                    *place = inode;
                    work.makers_len += 1;
                }
                None => is_lost = true,
            },
            Happened::Register => is_told_of_register = true,
            Happened::Lost => (is_told_of_register, is_lost) = (true, true),
        })?;
        if is_told_of_register {
            if self.register.is_unlinked() {
                return Ok(false);
            }
            // Everybody who registers something is told of as well as everybody who dies.
            work.register.restart(work.register_next.remaining().unwrap_or_default());
        }
        if is_lost {
            work.pending.all.restart(Duration::ZERO);
        } else if work.makers_len > 0 {
            let makers = &work.makers[..work.makers_len];
            let pending = &mut work.pending;
            self.each_segment(|name, inode| {
                if makers.contains(&inode) {
                    pending.add(name.to_bytes());
                }
                true
            })?;
        }
        Ok(true)
    }

    /// Shows every file that is called like a segment, and its number.
    fn each_segment(&self, mut show: impl FnMut(&CStr, u64) -> bool) -> Result<(), Errno> {
        entries::each(self.folder.as_fd(), |entry| {
            let is_called_so = entry.name.to_bytes().starts_with(PREFIX.as_bytes());
            !is_called_so || show(entry.name, entry.inode)
        })
    }

    fn look_at_segments(&self, work: &mut Work, told: &mut dyn FnMut(Watched<'_>)) {
        let folder = self.folder.as_fd();
        if work.pending.all.take() {
            let _ = self.each_segment(|name, _| {
                consider(folder, name, told);
                true
            });
        }
        work.pending.each(|name| {
            let mut buffer = [0; 256];
            let Some(place) = buffer.get_mut(..name.len()) else { return (false, false) };
            place.copy_from_slice(name);
            let name = CStr::from_bytes_until_nul(&buffer).unwrap_or(c"");
            let done = consider(folder, name, told);
            (done.again, done.closed)
        });
    }

    fn look_at_register(&self, work: &mut Work, told: &mut dyn FnMut(Watched<'_>)) {
        let folder = self.folder.as_fd();
        work.register_next = Deadline::after(PAUSE);
        let jobs = release(&self.register, folder, &mut |kind, name, outcome| {
            told(Watched::Registered { kind, name, outcome });
        });
        // Another look comes.
        let Ok(jobs) = jobs else { return };
        for unit in jobs.units() {
            // One command at a time: the next look takes the next.
            let Ok(Some(job)) = take(&self.register, unit) else { continue };
            let Some(kind) = job.text.kind(&job.head) else { continue };
            let done = match kind {
                Kind::Directory => release::remove_folder(folder, &job),
                Kind::Command if work.command.is_some() => None,
                Kind::Command => match command::start(job.text.name()) {
                    Ok(running) => {
                        work.command = Some((running, job));
                        continue;
                    }
                    Err(errno) => Some(Outcome::Failed(errno as i32)),
                },
                kind => clean(kind, job.text.name(), self.cleaners),
            };
            if let Some(outcome) = done {
                let _ = release::finish(&self.register, &job);
                told(Watched::Registered { kind, name: job.text.name(), outcome });
            }
        }
    }

    fn look_at_command(&self, work: &mut Work, told: &mut dyn FnMut(Watched<'_>)) {
        let Some((running, job)) = &work.command else { return };
        let Some(outcome) = running.look() else { return };
        let _ = release::finish(&self.register, job);
        told(Watched::Registered { kind: Kind::Command, name: job.text.name(), outcome });
        work.command = None;
        work.register.restart(Duration::ZERO);
    }

    /// Whether somebody takes part in the register, or in any segment of this user that does not outlive them.
    fn has_something_to_watch(&self, register_name: &CStr) -> bool {
        if self.register.in_use() {
            return true;
        }
        let mut found = false;
        let looked = self.each_segment(|name, _| {
            found = name != register_name && look(self.folder.as_fd(), name) == Look::InUse;
            !found
        });
        found || looked.is_err()
    }

    /// Is no watcher any more, unless somebody has come: first it gives that up, then it looks again. Who comes joins first,
    /// and then looks whether there is a watcher. So one of the two sees the other.
    fn end(&self, register_name: &CStr) -> Result<bool, Errno> {
        self.register.set_watched(false)?;
        self.register.unwatch()?;
        if !self.has_something_to_watch(register_name) {
            let _ = look::remove_if_dead(self.folder.as_fd(), register_name);
            return Ok(true);
        }
        if !self.register.try_watch()? {
            return Ok(true);
        }
        self.register.set_watched(true)?;
        Ok(false)
    }
}

fn consider(folder: BorrowedFd<'_>, name: &CStr, told: &mut dyn FnMut(Watched<'_>)) -> look::Done {
    let done = look::remove_if_dead(folder, name);
    if done.removed {
        let name = name.to_bytes();
        told(Watched::Segment { name: name.strip_prefix(PREFIX.as_bytes()).unwrap_or(name) });
    }
    done
}
