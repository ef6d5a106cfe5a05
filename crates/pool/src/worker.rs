//! The life of a worker.

use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use shmkit_atomic::Ordering::Relaxed;
use shmkit_parcel::{Descriptor, Parcel};
use shmkit_process::__pool::{Call, unencodable};
use shmkit_process::{Failure, task};
use shmkit_queue::{Lease, QueueError};
use shmkit_roster::OwnerId;
use shmkit_segment::Segment;
use shmkit_sync::Patience;

use crate::error::Trouble;
use crate::luggage;
use crate::raw::{Next, RawCell, Receipt, Turn, WorkerState};
use crate::store::Store;

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
    let mut tasks = 0;
    let mut most_tasks = place.most_tasks;
    loop {
        let patience = Patience::ENDLESS.while_alive(parent).interruptible(&is_to_leave);
        let lease = match store.ready.take_deadline(patience) {
            Ok(lease) => lease,
            Err(QueueError::Closed | QueueError::Interrupted | QueueError::PeerDied { .. }) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let number = *lease;
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
            trouble = run(store, number, cell, place.number, socket);
        };
        // The parent always makes room, and if it does not live, nobody needs to be told.
        let announce = || {
            let _ = store.finished.put_deadline(number, Patience::ENDLESS.while_alive(parent));
        };
        let next = turn.take(number, cell, Ticket(lease), run, announce)?;
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
struct Ticket<'q>(Lease<'q, u32>);

impl Receipt for Ticket<'_> {
    fn done(self) {
        // It is this process's, unless that has lost its place: then somebody else has the number, too.
        let _ = self.0.done();
    }

    fn give_back(self) {
        let _ = self.0.give_back();
    }
}

/// W5: runs the calls of a cell, one after the other, and answers each.
fn run(
    store: &Store,
    number: u32,
    cell: &RawCell,
    place: u32,
    socket: &UnixStream,
) -> Result<(), Trouble> {
    // Relaxed, both: hints for whoever looks how long it takes.
    cell.started.store(now(), Relaxed);
    cell.worker.store(place, Relaxed);
    let (calls, bytes) = store.read_args(number, cell)?;
    let call = Call::find(cell.print.load(Relaxed));
    let (files, mut refusal) = match cell.laden.load(Relaxed) {
        0 => (Vec::new(), None),
        _ => match luggage::ask(socket, number, cell.look()?.generation) {
            Ok(files) => (files, None),
            Err(error) => {
                let why = format!("what goes with the arguments did not come: {error}");
                (Vec::new(), Some(unencodable(why)))
            }
        },
    };
    let mut args = Parcel::from_parts(bytes, files);
    for n in 0..calls {
        if n > 0 {
            cell.started.store(now(), Relaxed);
        }
        let answer = match (&call, &refusal) {
            // What went wrong with one goes wrong with those behind it.
            (Err(why), _) => Err(copy(why)),
            (_, Some(why)) => Err(copy(why)),
            (Ok(call), None) => call.run(&mut args),
        };
        match answer {
            Ok(answer) => add(store, number, cell, &answer)?,
            Err(why) => {
                add(store, number, cell, &why)?;
                refusal = Some(*why);
            }
        }
    }
    Ok(())
}

fn copy(answer: &Parcel) -> Box<Parcel> {
    Parcel::from_parts(answer.bytes().to_vec(), Vec::new()).into()
}

/// Writes an answer; or, if there is no room for it, that there is none.
fn add(store: &Store, number: u32, cell: &RawCell, answer: &Parcel) -> Result<(), Trouble> {
    let why = match answer.has_files() {
        true => "a descriptor in the answer cannot travel out of a pool's worker".to_owned(),
        false => match store.add_answer(number, cell, answer.bytes()) {
            Err(error @ (Trouble::Heap(_) | Trouble::TooLong(_))) => {
                format!("no room for an answer of {} bytes: {error}", answer.bytes().len())
            }
            other => return other,
        },
    };
    store.add_answer(number, cell, unencodable(why).bytes())
}

/// Has this thread, and those that it starts, run on one processor.
fn pin(cpu: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    let pinned = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    pinned.map_err(|errno| Failure::new(format!("no worker can run on processor {cpu}: {errno}")))
}

/// Calls the initializer.
fn initialize(print: u64, mut args: Parcel) -> Result<(), Failure> {
    let answer = match Call::find(print) {
        Ok(call) => call.run(&mut args).unwrap_or_else(|why| *why),
        Err(why) => *why,
    };
    shmkit_process::__pool::answered("initializer", "worker", answer)
        .map(drop)
        .map_err(|error| Failure::new(error.to_string()))
}

/// The time now, in ns of CLOCK_MONOTONIC; never 0.
pub(crate) fn now() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(1, |now| (now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64).max(1))
}

/// How many bytes of memory this process has resident; 0 if nobody says.
fn resident() -> u64 {
    let pages = || -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        text.split(' ').nth(1)?.parse().ok()
    };
    pages().unwrap_or(0) * 4096
}
