//! The life of a worker.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use shmkit_atomic::Ordering::Relaxed;
use shmkit_parcel::{Descriptor, Kept, Parcel};
use shmkit_process::__pool::{Call, unencodable};
use shmkit_process::{Failure, task};
use shmkit_queue::{Lease, QueueError};
use shmkit_roster::OwnerId;
use shmkit_segment::Segment;
use shmkit_sync::Patience;

use crate::answers::{Answers, PREFIX};
use crate::error::Trouble;
use crate::luggage;
use crate::raw::{Next, RawCell, RawFront, Receipt, Turn, WorkerState};
use crate::store::Store;
use crate::told;

/// Of how many answers a worker keeps the objects that it has made for them.
const MOST_KEPT: usize = 64;

/// At how many calls a worker looks at the clock once, while the kernel's ticks are longer than they: they take less time
/// than the look.
const MOST_UNTIMED: u64 = 16;

/// What a worker is told when it is started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) number: u32,
    pub(crate) generation: u32,
    /// The parent's owner id.
    pub(crate) parent: u32,
    /// It leaves after so many tasks.
    pub(crate) most_tasks: Option<u64>,
    /// It leaves when it has more bytes of memory resident.
    pub(crate) most_resident: Option<u64>,
    /// Calls may take so long and no longer: when each began is to be exact.
    pub(crate) is_limited: bool,
    /// The processor that it runs on.
    pub(crate) cpu: Option<usize>,
    /// What it calls first: the task's fingerprint, and its arguments.
    pub(crate) first: Option<(u64, Vec<u8>)>,
}

/// A worker: what all processes of a pool run.
#[task(crate = shmkit_process)]
pub(crate) fn worker(
    socket: Descriptor<UnixStream>,
    mut place: Place,
    files: Vec<Descriptor>,
) -> Result<(), Failure> {
    let store = Store::find(Segment::receive(&*socket)?)?;
    if let Some(cpu) = place.cpu {
        pin(cpu)?;
    }
    if let Some((print, args)) = place.first.take() {
        let files = files.into_iter().map(Descriptor::into_inner).collect();
        initialize(print, Parcel::from_parts(args, files))?;
    }
    let nobody = || Failure::new("the worker has no place in the pool's segment");
    let words = store.table.workers().get(place.number as usize).ok_or_else(nobody)?;
    let me = store.me().ok_or_else(nobody)?;
    let parent = OwnerId::from_word(place.parent).ok_or_else(nobody)?;
    let turn = Turn { worker: words, generation: place.generation, me };
    words.pid.store(std::process::id(), Relaxed);
    if !words.arrive(place.generation, me) {
        return Ok(());
    }
    work(&store, turn, parent, &place, &socket)?;
    words.leave(place.generation);
    Ok(())
}

/// Takes tasks until there are none for it any more.
fn work(
    store: &Store,
    turn: Turn<'_>,
    parent: OwnerId,
    place: &Place,
    socket: &UnixStream,
) -> Result<(), Trouble> {
    let is_to_leave = || match turn.worker.look() {
        Ok((_, WorkerState::Idle)) => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let mut out = Out { socket, cell: (0, 0), kept: VecDeque::new() };
    let mut tasks = 0;
    let mut most_tasks = place.most_tasks;
    loop {
        // The parent sees who dies, and calls those who are to leave, but the first at the line; its own death ends us. For what
        // is left there is time.
        let patience = Patience::ENDLESS.interruptible(&is_to_leave).calm();
        let lease = match store.next(turn.me, parent, &patience) {
            Ok(lease) => lease,
            Err(QueueError::Closed | QueueError::Interrupted | QueueError::PeerDied { .. }) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let number = *lease;
        store.table.prefetch(number);
        let Some(cell) = store.table.cell(number) else {
            // Somebody has written where nobody should; whoever takes it next would find the same.
            let _ = lease.done();
            return Err(
                crate::raw::Corrupt { field: "number in line", found: number.into() }.into()
            );
        };
        let mut trouble = Ok(());
        let run = |cell: &RawCell| {
            tasks += 1;
            if most_tasks == Some(tasks) {
                // Whoever does not hear of it sees that it has left.
                let _ = luggage::leaves(socket);
            }
            trouble = run(store, number, cell, place, &mut out);
            turn.worker.count(cell.progress().calls());
        };
        // The parent always makes room, and if it does not live, nobody needs to be told.
        let announce = || {
            let _ = store.finished.put_deadline(number, Patience::ENDLESS.while_alive(parent));
        };
        let next = turn.take(number, cell, Ticket(lease, store.table.front()), run, announce)?;
        trouble?;
        let is_over = most_tasks.is_some_and(|most| tasks >= most);
        if next == Next::Leave || is_over || turn.worker.is_dismissed() {
            return Ok(());
        }
        if place.most_resident.is_some_and(|most| resident() > most) {
            // One more, while its successor starts.
            most_tasks = Some(tasks + 1);
        }
    }
}

/// The receipt for a number that was taken out of the line.
struct Ticket<'q>(Lease<'q, u32>, &'q RawFront);

impl Receipt for Ticket<'_> {
    fn done(self) {
        // It is this process's, unless that has lost its place: then somebody else has the number, too.
        let _ = self.0.done();
    }

    fn give_back(self) {
        let _ = self.0.give_back();
        self.1.told();
    }
}

/// W5: runs the calls of a cell, one after the other, and answers each.
fn run(
    store: &Store,
    number: u32,
    cell: &RawCell,
    place: &Place,
    out: &mut Out<'_>,
) -> Result<(), Trouble> {
    out.cell = (number, cell.look()?.generation);
    // Relaxed, both: hints for whoever looks how long it takes.
    cell.started.store(now(), Relaxed);
    cell.worker.store(place.number, Relaxed);
    let (calls, bytes) = store.read_args(number, cell)?;
    let call = Call::find(cell.print.load(Relaxed));
    let (files, mut refusal) = match cell.laden.load(Relaxed) {
        0 => (Vec::new(), None),
        _ => match luggage::ask(out.socket, number, out.cell.1) {
            Ok(files) => (files, None),
            Err(error) => {
                let why = format!("what goes with the arguments did not come: {error}");
                (Vec::new(), Some(unencodable(why)))
            }
        },
    };
    let mut args = Parcel::from_parts(bytes, files);
    let (mut answers, mut answer) = (Answers::new(store, number, cell)?, Parcel::new());
    told::within(call.as_ref().map_or("", |call| call.name()), calls, || {
        let (mut about, mut looks, mut next) = (0, 1, 1);
        for n in 0..calls {
            if place.is_limited && n > 0 {
                cell.started.store(now(), Relaxed);
            } else if n == next {
                let before = std::mem::replace(&mut about, about_now());
                cell.started.store(about, Relaxed);
                // Of calls that take far less than a tick, it says when one of the last few began.
                looks = if about == before { MOST_UNTIMED.min(looks * 2) } else { 1 };
                next += looks;
            }
            match (&call, &refusal) {
                // What went wrong with one goes wrong with those behind it.
                (_, Some(why)) => prefixed(&mut answer, why),
                (Err(why), None) => prefixed(&mut answer, why),
                (Ok(call), None) => {
                    answer.refill(&[0; PREFIX]);
                    if !call.run(&mut args, &mut answer) {
                        let why = answer.bytes()[PREFIX..].to_vec();
                        refusal = Some(Parcel::from_parts(why, Vec::new()));
                    }
                }
            }
            match answer.has_files() {
                false => add(&mut answers, answer.bytes_mut(), false)?,
                true => add_laden(&mut answers, &mut answer, out)?,
            }
        }
        Ok(())
    })
}

/// Makes `answer` what says why there is none.
#[cold]
fn prefixed(answer: &mut Parcel, why: &Parcel) {
    answer.refill(&[&[0; PREFIX], why.bytes()].concat());
}

/// Writes that there is no answer.
#[cold]
fn refuse(answers: &mut Answers<'_>, why: String) -> Result<(), Trouble> {
    let mut answer = Parcel::new();
    prefixed(&mut answer, &unencodable(why));
    answers.add(answer.bytes_mut())
}

/// Writes an answer; or, if there is no room for it, that there is none.
#[inline]
fn add(answers: &mut Answers<'_>, answer: &mut [u8], is_laden: bool) -> Result<(), Trouble> {
    let added = if is_laden { answers.add_laden(answer) } else { answers.add(answer) };
    match added {
        Err(error @ (Trouble::Heap(_) | Trouble::TooLong(_))) => {
            let len = answer.len() - PREFIX;
            refuse(answers, format!("no room for an answer of {len} bytes: {error}"))
        }
        other => other,
    }
}

/// The same of an answer with which something goes that is more than bytes: that is sent first.
#[cold]
fn add_laden(
    answers: &mut Answers<'_>,
    answer: &mut Parcel,
    out: &mut Out<'_>,
) -> Result<(), Trouble> {
    let (number, generation) = out.cell;
    let (files, kept) = (answer.take_files(), answer.take_kept());
    let sent = luggage::bring(out.socket, (number, generation, answers.next()), files);
    match sent {
        Ok(()) => {
            if out.kept.len() >= MOST_KEPT {
                out.kept.pop_front();
            }
            out.kept.push_back(kept);
            add(answers, answer.bytes_mut(), true)
        }
        Err(error) => refuse(answers, format!("what goes with the answer was not sent: {error}")),
    }
}

/// How a worker's answers go out that are more than bytes.
struct Out<'s> {
    socket: &'s UnixStream,
    /// The number and generation of the cell that it is at.
    cell: (u32, u32),
    /// What keeps objects there that the worker has made and answered with, until others have them.
    kept: VecDeque<Kept>,
}

/// Has this thread, and those that it starts, run on one processor.
fn pin(cpu: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    let pinned = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    pinned.map_err(|errno| Failure::new(format!("no worker can run on processor {cpu}: {errno}")))
}

/// Calls the initializer.
fn initialize(print: u64, mut args: Parcel) -> Result<(), Failure> {
    let mut answer = Parcel::new();
    match Call::find(print) {
        Ok(call) => {
            call.run(&mut args, &mut answer);
        }
        Err(why) => answer = *why,
    }
    shmkit_process::__pool::answered("initializer", "worker", &mut answer)
        .map_err(|error| Failure::new(error.to_string()))
}

/// The time now, in ns of CLOCK_MONOTONIC; never 0.
pub(crate) fn now() -> u64 {
    time_of(ClockId::CLOCK_MONOTONIC)
}

/// The same as of the kernel's last tick, some milliseconds ago, which is read faster.
fn about_now() -> u64 {
    time_of(ClockId::CLOCK_MONOTONIC_COARSE)
}

fn time_of(clock: ClockId) -> u64 {
    clock_gettime(clock)
        .map_or(1, |now| (now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64).max(1))
}

/// How many bytes of memory this process has resident; 0 if nobody says.
fn resident() -> u64 {
    let pages = || -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        text.split(' ').nth(1)?.parse().ok()
    };
    pages().unwrap_or(0) * 4096
}
