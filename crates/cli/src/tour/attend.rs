//! One thread of the tour for each worker: starts it, gives it work, hears its reports, kills it if that is planned,
//! and puts another in its place when it is dead.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmkit::{PipeError, Receiver, Segment, Sender, ShareSegment};

use super::board::{Board, Done, Kill};
use super::ledger::now;
use super::message::{order, report};
use super::parking::Place;
use super::record::Record;
use super::shared::{Order, Report, Shared};
use super::{KEY, PATIENCE};
use crate::print::complain;

/// Chunks that a worker has at a time: one to count, one to go on with.
const UNDER_WAY: usize = 2;
/// How often a victim is looked for, and an idle worker.
const GLANCE: Duration = Duration::from_millis(1);
/// How often a silent worker is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long the others are given to repair what a killed worker left, before the tour does it.
const HEIRS: Duration = Duration::from_secs(2);
/// How long a worker may take to end when its orders have ended.
const END: Duration = Duration::from_secs(10);

/// A started worker. Dropping it kills what still runs, and reaps it.
struct Worker {
    number: u64,
    child: Child,
    status: Option<ExitStatus>,
}

impl Worker {
    fn start(number: u64, segment: &Segment) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let mut command = Command::new(program);
        let tour = std::process::id();
        command.arg("tour-worker").args([number.to_string(), tour.to_string()]);
        command.stdin(Stdio::null());
        // Of no terminal's job: when Ctrl-C ends the tour, the workers learn it from their pipes, and tidy up.
        command.process_group(0);
        let child = command
            .share_segment(KEY, segment)
            .context("cannot share the segment with a worker")?
            .spawn()
            .context("cannot start a worker")?;
        Ok(Self { number, child, status: None })
    }

    /// Returns how it ended, if it has.
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().context("cannot wait for a worker")?;
        }
        Ok(self.status)
    }

    /// Waits until it has ended. By now it should.
    fn end(&mut self) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if begun.elapsed() > END {
                bail!("worker {} did not end within {END:?}", self.number);
            }
            thread::sleep(GLANCE);
        }
    }

    fn kill(&self) -> Result<()> {
        // Not reaped yet: the process id is still its own.
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGKILL).context("cannot kill a worker")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Both fail only for a child that is gone.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Attends to one worker after another, until everything is counted. A failure is put on the board.
pub(super) fn attend(board: &Board, shared: &Shared, segment: &Segment) {
    while !board.is_over() {
        let Some(number) = board.start() else {
            return board.fail(anyhow::anyhow!("too many workers died; see what they said above"));
        };
        if let Err(error) = attend_one(board, shared, segment, number) {
            return board.fail(error.context(format!("worker {number}")));
        }
    }
}

fn attend_one(board: &Board, shared: &Shared, segment: &Segment, number: u64) -> Result<()> {
    let (orders, reports) = shared.pipes(number)?;
    let (orders, reports) = (orders.sender()?, reports.receiver()?);
    let worker = Worker::start(number, segment)?;
    let pid = worker.child.id();
    let done = Done { worker: number, pid, chunks: 0, bytes: 0 };
    let attendance = Attendance {
        board,
        shared,
        worker,
        orders,
        reports,
        done,
        given: Vec::new(),
        victim: None,
    };
    attendance.run()
}

/// A worker at work.
struct Attendance<'b> {
    board: &'b Board,
    shared: &'b Shared,
    worker: Worker,
    orders: Sender<Order>,
    reports: Receiver<Report>,
    done: Done,
    /// Chunks that it has got and not reported.
    given: Vec<u64>,
    /// Where it is to be killed, and over which chunk.
    victim: Option<(Place, u64)>,
}

impl Attendance<'_> {
    fn run(mut self) -> Result<()> {
        loop {
            if self.board.has_failed() {
                return Ok(()); // The worker is killed by its drop.
            }
            if self.give()? {
                return self.dismiss();
            }
            if self.given.is_empty() {
                // Nothing for it now; but another worker may die.
                self.board.wait(GLANCE);
                if self.worker.ended()?.is_some() {
                    return self.bury(None);
                }
                continue;
            }
            let look = if self.victim.is_some() { GLANCE } else { LOOK };
            match self.reports.recv_timeout(look) {
                Ok(report) => self.hear(report),
                Err(PipeError::TimedOut) => {
                    // A worker that ended before it claimed its end of the pipe is nobody's dead peer.
                    if self.worker.ended()?.is_some() {
                        return self.bury(None);
                    }
                }
                Err(PipeError::PeerDied { .. } | PipeError::Closed) => return self.bury(None),
                Err(error) => return Err(error).context("cannot hear its reports"),
            }
            if let Some((place, _)) = self.victim
                && self.shared.parked[place as usize].load() == self.worker.number + 1
            {
                return self.kill(place);
            }
        }
    }

    /// Gives it work, if it has not enough. Returns whether all is done.
    fn give(&mut self) -> Result<bool> {
        while self.given.len() < UNDER_WAY {
            let Some(given) = self.board.take(self.worker.number) else { break };
            self.given.push(given.chunk);
            match given.order {
                order::DIE_IN_MUTEX => self.victim = Some((Place::Mutex, given.chunk)),
                order::DIE_IN_PIPE => self.victim = Some((Place::Pipe, given.chunk)),
                _ => {}
            }
            match self.orders.send_timeout([given.chunk, given.order], PATIENCE) {
                Ok(()) => {}
                // Its reports end, too: there it is dealt with.
                Err(failed) if is_end(failed.error) => break,
                Err(failed) => return Err(failed).context("cannot give it work"),
            }
        }
        Ok(self.given.is_empty() && self.board.is_over())
    }

    fn hear(&mut self, [chunk, figure, amount]: Report) {
        match figure {
            report::BYTES => {
                self.done.bytes += amount;
                self.board.count_bytes(amount);
            }
            report::FINISHED => {
                self.done.chunks += amount;
                self.given.retain(|&given| given != chunk);
                if self.victim.take_if(|(_, over)| *over == chunk).is_some() {
                    // Somebody else had counted the chunk that it was to be killed over.
                    self.board.spare(self.worker.number);
                }
                self.board.finish(chunk);
            }
            _ => {}
        }
    }

    /// Kills it where it stands, and sees to the rest.
    fn kill(mut self, place: Place) -> Result<()> {
        if place == Place::Mutex {
            self.shared.ledger.recovery.killed_at.store(now());
        }
        let begun = Instant::now();
        self.worker.kill()?;
        let seen = loop {
            match self.reports.recv_timeout(PATIENCE) {
                // What it reported before.
                Ok(report) => self.hear(report),
                Err(PipeError::PeerDied { .. }) => break begun.elapsed(),
                Err(error) => return Err(error).context("its death was not seen"),
            }
        };
        let (worker, pid) = (self.worker.number, self.done.pid);
        let kill = Kill { place, worker, pid, seen: Some(seen), again: 0 };
        if place == Place::Mutex && self.board.has_others() {
            // Let the survivors be the heirs: they wait for the mutex.
            let begun = Instant::now();
            while self.shared.ledger.recovery.healed_at.load() == 0 && begun.elapsed() < HEIRS {
                thread::sleep(GLANCE);
            }
        }
        self.bury(Some(kill))
    }

    /// A dead worker: hands out again what it had not finished.
    fn bury(mut self, mut kill: Option<Kill>) -> Result<()> {
        let status = self.worker.end()?;
        let mut again = 0;
        if !self.given.is_empty() {
            let mut guard = self.shared.ledger.lock()?;
            let record = Record(&mut guard);
            for &chunk in &self.given {
                if record.is_finished(chunk) {
                    self.board.finish(chunk);
                } else {
                    self.board.hand_out_again(chunk);
                    again += 1;
                }
            }
        }
        let lost = kill.is_none();
        if lost {
            let (worker, pid) = (self.worker.number, self.done.pid);
            complain(&format!("worker {worker} ({pid}) was lost: {status}"));
        }
        if let Some(kill) = &mut kill {
            kill.again = again;
        }
        self.board.gone(self.done, kill, lost);
        Ok(())
    }

    /// Everything is counted: ends its orders, and waits for its end.
    fn dismiss(mut self) -> Result<()> {
        drop(self.orders);
        let status = self.worker.end()?;
        if !status.success() {
            let (worker, pid) = (self.worker.number, self.done.pid);
            complain(&format!("worker {worker} ({pid}) ended badly: {status}"));
        }
        self.board.gone(self.done, None, !status.success());
        Ok(())
    }
}

/// Returns whether nobody is at the other end any more.
fn is_end(error: PipeError) -> bool {
    matches!(error, PipeError::Closed | PipeError::PeerDied { .. })
}
