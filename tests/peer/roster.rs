//! A roster in a file, and a participant that does as it is told.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::NonNull;

use memmap2::MmapRaw;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use shmkit_atomic::AtomicU32;
use shmkit_layout::{Offset, Region};
use shmkit_roster::{Description, JoinError, Judge, Link, OwnerId, Participant, Roster, Spent};

use crate::Channel;

/// Length of a table's log.
const LOG: u64 = 1 << 18;

/// What sweeps a log.
pub type Sweep = fn(Region<'_>, &Spent) -> Result<(), &'static str>;

/// A roster and a log, in a file and a mapping that shmkit did not make.
#[derive(Debug)]
pub struct Table {
    file: OwnedFd,
    mapping: MmapRaw,
    slots: u32,
}

impl Table {
    /// Makes one in a new memfd.
    pub fn new(slots: u32) -> Self {
        Self::numbered(slots, OwnerId::LAST)
    }

    /// As [`new`](Self::new), with so few names.
    pub fn numbered(slots: u32, numbers: u32) -> Self {
        let file = memfd_create(c"shmkit-test", MFdFlags::MFD_CLOEXEC).unwrap();
        Self::make(file, slots, numbers)
    }

    /// Makes one in a new file of this name.
    pub fn create(path: &Path, slots: u32) -> Self {
        let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        Self::make(file.into(), slots, OwnerId::LAST)
    }

    /// Makes one in an empty file.
    pub fn make(file: OwnedFd, slots: u32, numbers: u32) -> Self {
        let file = File::from(file);
        file.set_len(Roster::bytes(slots) + 4 * LOG).unwrap();
        let this = Self { mapping: MmapRaw::map_raw(&file).unwrap(), file: file.into(), slots };
        // SAFETY: the bytes of a new file are zero, and nobody else knows it yet.
        unsafe { Roster::init_numbered(this.region(), slots, numbers) }.unwrap();
        this
    }

    /// Uses the one in the file at `path`.
    pub fn open(path: &Path, slots: u32) -> Self {
        let file = open(path);
        let mapping = MmapRaw::map_raw(&File::from(file.try_clone().unwrap())).unwrap();
        Self { mapping, file, slots }
    }

    /// A path by which another process can open the file.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// The data descriptor.
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Opens a description of the file that nobody else has.
    pub fn fresh(&self) -> OwnedFd {
        open(&self.path())
    }

    /// The roster.
    pub fn roster(&self) -> Roster<'_> {
        // SAFETY: made by `make`, here or in the process that gave us the path.
        unsafe { Roster::attach(self.region(), self.slots) }.unwrap()
    }

    /// Joins.
    ///
    /// # Errors
    ///
    /// Those of [`Participant::join`].
    pub fn try_join(&self, how: Description, link: Link) -> Result<Participant<'_>, JoinError> {
        // SAFETY: the mapping is of this file.
        unsafe { Participant::join(self.roster(), self.file.try_clone().unwrap(), how, link) }
    }

    /// Joins through `/proc`.
    pub fn join(&self) -> Participant<'_> {
        self.try_join(Description::Proc, Link::Nameless).unwrap()
    }

    /// Joins through `/proc`, and sweeps the [`log`](Self::log) of the dead when names run out.
    ///
    /// # Errors
    ///
    /// Those of [`Participant::join`].
    pub fn try_join_swept(&self, sweep: Sweep) -> Result<Participant<'_>, JoinError> {
        let bytes = Roster::bytes(self.slots);
        let log = self.region().sub(bytes, 4 * LOG).unwrap();
        // SAFETY: whoever uses this has no lock that a wrong name could rob.
        let roster = unsafe { self.roster().swept_by(log, sweep) };
        let file = self.file.try_clone().unwrap();
        // SAFETY: the mapping is of this file.
        unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) }
    }

    /// As [`try_join_swept`](Self::try_join_swept), where it cannot fail.
    pub fn join_swept(&self, sweep: Sweep) -> Participant<'_> {
        self.try_join_swept(sweep).unwrap()
    }

    /// Words behind the roster, for what a test wants to note.
    pub fn log(&self) -> &[AtomicU32] {
        let at = Offset::new(Roster::bytes(self.slots)).unwrap();
        self.region().slice(at, LOG as usize).unwrap()
    }

    fn region(&self) -> Region<'_> {
        let base = NonNull::new(self.mapping.as_mut_ptr()).unwrap();
        // SAFETY: mapped for as long as `self`, and used as atomics only.
        unsafe { Region::from_raw_parts(base, self.mapping.len()) }
    }
}

fn open(path: &Path) -> OwnedFd {
    File::options().read(true).write(true).open(path).unwrap().into()
}

pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    let [path, slots] = args else { panic!("usage: roster/member PATH SLOTS") };
    assert_eq!(script, "member");
    let table = Table::open(Path::new(path), slots.parse().unwrap());
    obey(&table, table.join(), channel);
}

/// Says its id, and does what it hears until it is told to `end`.
pub fn obey(table: &Table, participant: Participant<'_>, channel: &mut Channel) {
    say_id(&participant, channel);
    let mut participant = Some(participant);
    loop {
        match channel.hear().as_str() {
            "end" => return,
            "exit" => std::process::exit(0),
            "exec" => panic!("{}", Command::new("sleep").arg("60").exec()),
            "leave" => participant = None,
            "rejoin" => {
                participant.as_ref().unwrap().rejoin().unwrap();
                say_id(participant.as_ref().unwrap(), channel);
                continue;
            }
            "close everything" => {
                // SAFETY: the process does nothing from now on but exist.
                let failed = unsafe { libc::close_range(0, u32::MAX, 0) };
                assert_eq!(failed, 0);
                pause();
            }
            "close others" => {
                for _ in 0..3 {
                    let fresh = table.fresh();
                    let copy = fresh.try_clone().unwrap();
                    // A classic lock, which any close of the file drops, is none of ours.
                    drop((fresh, copy));
                    drop(table.file().try_clone().unwrap());
                }
            }
            "end the main thread" => {
                std::thread::spawn(|| pause());
                // SAFETY: ends this thread without unwinding; what it owns stays, as the process does.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
            }
            "fork" => say_pid(fork(), channel),
            "raw clone" => say_pid(raw_clone(), channel),
            "spawn" => {
                #[expect(clippy::zombie_processes, reason = "it outlives us: that is the test")]
                let child = Command::new("sleep").arg("60").spawn().unwrap();
                say_pid(child.id() as i32, channel);
            }
            "share memory" => say_pid(share_memory(), channel),
            verdict => {
                let id = verdict.strip_prefix("verdict ").expect("something to do");
                let id = OwnerId::from_word(id.parse().unwrap()).unwrap();
                let verdict = participant.as_ref().unwrap().verdict(id);
                channel.say(&format!("{verdict:?}"));
                continue;
            }
        }
        channel.say("done");
    }
}

fn say_id(participant: &Participant<'_>, channel: &mut Channel) {
    channel.say(&participant.id().unwrap().get().to_string());
}

fn say_pid(pid: i32, channel: &mut Channel) {
    assert!(pid > 0);
    channel.say(&pid.to_string());
}

fn pause() -> ! {
    loop {
        nix::unistd::pause();
    }
}

fn fork() -> i32 {
    // SAFETY: the child does nothing.
    let pid = unsafe { libc::fork() };
    if pid == 0 { pause() } else { pid }
}

fn raw_clone() -> i32 {
    // SAFETY: as fork, but no handler runs; the child does nothing.
    let pid = unsafe { libc::syscall(libc::SYS_clone, Signal::SIGCHLD as i32, 0, 0, 0, 0) };
    if pid == 0 { pause() } else { pid as i32 }
}

/// Starts a process that shares our memory, as a `vfork` child does.
fn share_memory() -> i32 {
    extern "C" fn sleep(_: *mut c_void) -> c_int {
        pause()
    }
    let stack = Box::leak(vec![0_u128; 4096].into_boxed_slice()).as_mut_ptr_range().end;
    // SAFETY: the stack is 64 KiB, aligned, leaked, and of nobody else; the child does nothing.
    unsafe {
        libc::clone(
            sleep,
            stack.cast(),
            libc::CLONE_VM | Signal::SIGCHLD as i32,
            core::ptr::null_mut(),
        )
    }
}

/// Returns whether the file behind the table is in use, as a stranger sees it.
pub fn is_in_use(table: &Table) -> bool {
    shmkit_roster::removal::in_use(table.fresh().as_fd()).unwrap()
}
