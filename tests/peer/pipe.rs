//! A roster and a pipe in a file of their own, and an end that does as it is told.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::Duration;

use memmap2::MmapRaw;
use nix::sys::memfd::{MFdFlags, memfd_create};
use shmkit_layout::{Object, Offset, Region, align_up};
use shmkit_pipe::{Pipe, PipeError, Receiver, Sender};
use shmkit_roster::{Description, Judge, Link, Participant, Roster};

use crate::Channel;

const SLOTS: u32 = 8;

/// The keeper of a peer's handles.
pub type Me<'a> = &'a Participant<'a>;

/// A mapping that shmkit did not make, with a roster and a pipe in it.
#[derive(Debug)]
pub struct Place {
    file: OwnedFd,
    mapping: MmapRaw,
}

impl Place {
    /// Makes one in a new memfd; the pipe is made by [`make`](Self::make).
    pub fn new() -> Self {
        let file = File::from(memfd_create(c"shmkit-test", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(1 << 16).unwrap();
        let this = Self { mapping: MmapRaw::map_raw(&file).unwrap(), file: file.into() };
        // SAFETY: the bytes of a new file are zero, and nobody else knows it yet.
        unsafe { Roster::init(this.part(0, Roster::bytes(SLOTS)), SLOTS) }.unwrap();
        this
    }

    /// Uses the one in the file at `path`.
    pub fn open(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        Self { mapping: MmapRaw::map_raw(&file).unwrap(), file: file.into() }
    }

    /// A path by which another process can open the file.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// Joins.
    pub fn join(&self) -> Participant<'_> {
        // SAFETY: made by `new`, here or in the process that gave us the path.
        let roster = unsafe { Roster::attach(self.part(0, Roster::bytes(SLOTS)), SLOTS) }.unwrap();
        let file = self.file.try_clone().unwrap();
        // SAFETY: the mapping is of this file.
        unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) }.unwrap()
    }

    /// Makes the pipe.
    pub fn make<'a>(&'a self, capacity: u64, me: &'a Participant<'a>) -> Pipe<u64, Me<'a>> {
        // SAFETY: the bytes are zero, and no peer has been started.
        unsafe { Pipe::init(self.rest(), capacity, me) }.unwrap()
    }

    /// Uses the pipe that somebody made.
    pub fn pipe<'a>(&'a self, me: &'a Participant<'a>) -> Pipe<u64, Me<'a>> {
        let len = self.rest().read::<u64>(Offset::ZERO).unwrap();
        // SAFETY: made by `make`.
        unsafe { Pipe::attach(self.rest(), len, me) }.unwrap()
    }

    fn rest(&self) -> Region<'_> {
        let at = align_up(Roster::bytes(SLOTS), 128).unwrap();
        self.part(at, self.mapping.len() as u64 - at)
    }

    fn part(&self, at: u64, len: u64) -> Region<'_> {
        let base = NonNull::new(self.mapping.as_mut_ptr()).unwrap();
        // SAFETY: mapped for as long as `self`, and used through regions only.
        unsafe { Region::from_raw_parts(base, self.mapping.len()) }.sub(at, len).unwrap()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// The script of a freshly executed peer, whose first argument is the path of its place.
pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    let place = Place::open(Path::new(&args[0]));
    let me = place.join();
    if script == "stays" {
        return stay(&me, channel);
    }
    play(script, &args[1..], place.pipe(&me), channel);
}

/// The script of a peer that has joined and claims nothing: it says its id, and is there until it is killed.
pub fn stay(me: Me<'_>, channel: &mut Channel) {
    channel.say(&me.me().unwrap().get().to_string());
    channel.hear();
}

/// The script of a peer that has its pipe; a forked one joins first.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub fn play(script: &str, args: &[String], pipe: Pipe<u64, Me<'_>>, channel: &mut Channel) {
    match script {
        "send-all" => {
            let mut sender = pipe.sender().unwrap();
            for value in 0..args[0].parse().unwrap() {
                sender.send(value).unwrap();
            }
        }
        "receive-all" => {
            let mut receiver = pipe.receiver().unwrap();
            for value in 0..args[0].parse().unwrap() {
                assert_eq!(receiver.recv(), Ok(value));
            }
            channel.say(&format!("{:?}", receiver.recv()));
        }
        "echo" => echo(pipe),
        "sender" => send(pipe.sender().unwrap(), channel),
        "receiver" => receive(pipe.receiver().unwrap(), channel),
        "claims" => {
            channel.say(&format!("{:?}", pipe.sender().map(|_| ())));
            channel.say(&format!("{:?}", pipe.receiver().map(|_| ())));
        }
        _ => panic!("no script pipe/{script}"),
    }
}

/// Moves batches of all sizes, by all ways of receiving, until the end of file.
fn echo(pipe: Pipe<u64, Me<'_>>) {
    let mut receiver = pipe.receiver().unwrap();
    let mut next = 0;
    let mut batch = [0; 7];
    loop {
        let got = match next % 3 {
            0 => receiver.recv_batch(&mut batch),
            1 => receiver.recv().map(|value| {
                batch[0] = value;
                1
            }),
            _ => receiver.peek().map(|items| {
                let len = items.len().min(batch.len());
                batch.iter_mut().zip(items.iter()).for_each(|(to, value)| *to = value);
                items.release(len).unwrap();
                len
            }),
        };
        match got {
            Ok(len) => {
                for value in &batch[..len] {
                    assert_eq!(*value, next);
                    next += 1;
                }
            }
            Err(PipeError::Closed) => return,
            Err(error) => panic!("after {next} items: {error}"),
        }
    }
}

/// A sender that does as it is told: `send V`, `fill N`, `close`, `wait` for the test.
fn send(mut sender: Sender<u64, Me<'_>>, channel: &mut Channel) {
    channel.say("ready");
    loop {
        let line = channel.hear();
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("send", value) => {
                let sent = sender.send(value.parse().unwrap()).map_err(|refused| refused.error);
                channel.say(&format!("{sent:?}"));
            }
            ("fill", count) => {
                let mut slots = sender.reserve(count.parse().unwrap()).unwrap();
                let (near, far) = slots.as_mut_slices();
                near.fill(99);
                far.fill(99);
                channel.say("filled");
                channel.hear();
                unreachable!("to be killed before the commit");
            }
            ("close", _) => return,
            _ => panic!("a sender cannot {line}"),
        }
    }
}

/// A receiver that does as it is told: `accept`, `recv`, `recv-for MS`, `peek`, `close`.
fn receive(mut receiver: Receiver<u64, Me<'_>>, channel: &mut Channel) {
    channel.say("ready");
    loop {
        let line = channel.hear();
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("accept", _) => {
                channel.say(&format!("{} were left", receiver.accept().unwrap().skipped));
            }
            ("recv", _) => channel.say(&format!("{:?}", receiver.recv())),
            ("recv-for", millis) => {
                let wait = Duration::from_millis(millis.parse().unwrap());
                channel.say(&format!("{:?}", receiver.recv_timeout(wait)));
            }
            ("peek", _) => {
                let items = receiver.peek().unwrap();
                channel.say(&format!("{:?}", items.iter().collect::<Vec<_>>()));
                channel.hear();
                unreachable!("to be killed before the release");
            }
            ("close", _) => return,
            _ => panic!("a receiver cannot {line}"),
        }
    }
}
