//! Who is killed when.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmkit::{Options, Segment};

use crate::report::{Report, Row};
use crate::toys::{self, Toy};
use crate::witness::{Me, SEATS, TOYS, Witness};
use crate::worker;

/// A use that takes longer hangs. A hundred times the slowest seen; a busy machine needs the rest.
const LIMIT: Duration = Duration::from_secs(20);
/// At most so long between two kills.
const PAUSE: Duration = Duration::from_millis(6);
/// One of so many is stopped for a moment instead of killed.
const STOPS: u32 = 8;
/// After so many violations it is over.
const PATIENCE: usize = 5;

/// A run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) time: Duration,
    pub(crate) processes: usize,
    pub(crate) seed: u64,
    pub(crate) only: Option<String>,
}

/// Runs it. `watch` hears of the time gone and the kills.
pub(crate) fn run(plan: &Plan, watch: &mut dyn FnMut(Duration, u64)) -> Result<Report> {
    let name = format!("soak-{}", std::process::id());
    let segment = Options::new(4 << 20).participants(64).objects(128).create(&name)?;
    let path = segment.path().context("a named segment has a path")?.to_owned();
    let mut report = {
        let mut toys = toys::all(&segment)?;
        if let Some(only) = &plan.only {
            toys.retain(|toy| toy.name().contains(only.as_str()));
        }
        if toys.is_empty() || toys.len() > TOYS {
            bail!("{} primitives: 1 to {TOYS} are possible", toys.len());
        }
        Director::new(plan, &segment, &toys)?.run(watch)?
    };
    // The last one out: nobody else lives.
    drop(segment);
    if path.exists() {
        report.violations.push(format!("{} was left behind", path.display()));
    }
    report.judge();
    Ok(report)
}

struct Director<'a> {
    plan: &'a Plan,
    segment: &'a Segment,
    toys: &'a [Box<dyn Toy + 'a>],
    witness: Witness,
    began: Instant,
    /// By seat.
    workers: Vec<Pid>,
    violations: Vec<String>,
    kills: u64,
    stops: u64,
}

impl<'a> Director<'a> {
    fn new(plan: &'a Plan, segment: &'a Segment, toys: &'a [Box<dyn Toy + 'a>]) -> Result<Self> {
        Ok(Self {
            plan,
            segment,
            toys,
            witness: Witness::new()?,
            began: Instant::now(),
            workers: Vec::new(),
            violations: Vec::new(),
            kills: 0,
            stops: 0,
        })
    }

    fn run(mut self, watch: &mut dyn FnMut(Duration, u64)) -> Result<Report> {
        let mut random = fastrand::Rng::with_seed(self.plan.seed);
        for seat in 0..self.plan.processes.min(SEATS) {
            let pid = self.start(seat)?;
            self.workers.push(pid);
        }
        let mut watched = Instant::now();
        while self.began.elapsed() < self.plan.time && self.violations.len() < PATIENCE {
            std::thread::sleep(Duration::from_nanos(random.u64(..PAUSE.as_nanos() as u64)));
            self.look_for_the_ended()?;
            self.look_for_the_hung();
            let seat = random.usize(..self.workers.len());
            if random.u32(..STOPS) == 0 {
                self.pause(seat, Duration::from_micros(random.u64(..3000)))?;
            } else {
                self.kill(seat)?;
                self.workers[seat] = self.start(seat)?;
            }
            if watched.elapsed() > Duration::from_millis(200) {
                watched = Instant::now();
                watch(self.began.elapsed(), self.kills);
            }
        }
        for seat in 0..self.workers.len() {
            self.kill(seat)?;
        }
        self.look_at_what_is_left();
        let rows = self.toys.iter().enumerate().map(|(n, toy)| Row {
            name: toy.name(),
            uses: self.witness.uses(n),
            told: self.witness.told(n),
            slowest_ms: self.witness.slowest(n).as_secs_f64() * 1e3,
        });
        Ok(Report {
            ok: false,
            seconds: self.began.elapsed().as_secs_f64(),
            seed: self.plan.seed,
            processes: self.workers.len(),
            kills: self.kills,
            stops: self.stops,
            primitives: rows.collect(),
            violations: self.violations,
        })
    }

    fn start(&self, seat: usize) -> Result<Pid> {
        let me = Me::new(&self.witness, seat);
        // SAFETY: the director has one thread, so that its child may do what it likes.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => {
                // Not a limit of the run: only of what is left of it if the director is killed.
                let _ = prctl::set_pdeathsig(Signal::SIGKILL);
                let what = worker::run(self.segment, self.toys, me, self.began, self.plan.seed);
                me.complain(&what);
                // SAFETY: ends the process at once, without the director's exit handlers.
                unsafe { libc::_exit(1) }
            }
        }
    }

    fn kill(&mut self, seat: usize) -> Result<()> {
        self.witness.fall(seat);
        let pid = self.workers[seat];
        kill(pid, Signal::SIGKILL)?;
        match waitpid(pid, None)? {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => self.kills += 1,
            ended => self.note_end(seat, ended),
        }
        self.witness.bury(seat);
        Ok(())
    }

    fn pause(&mut self, seat: usize, time: Duration) -> Result<()> {
        kill(self.workers[seat], Signal::SIGSTOP)?;
        std::thread::sleep(time);
        kill(self.workers[seat], Signal::SIGCONT)?;
        self.stops += 1;
        Ok(())
    }

    /// A worker that ends by itself has found something wrong, or crashed.
    fn look_for_the_ended(&mut self) -> Result<()> {
        for seat in 0..self.workers.len() {
            match waitpid(self.workers[seat], Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive => {}
                ended => {
                    self.witness.fall(seat);
                    self.note_end(seat, ended);
                    self.witness.bury(seat);
                    self.workers[seat] = self.start(seat)?;
                }
            }
        }
        Ok(())
    }

    fn note_end(&mut self, seat: usize, ended: WaitStatus) {
        let what = self.witness.complaint(seat).unwrap_or_else(|| format!("{ended:?}"));
        self.violations.push(what);
    }

    fn look_for_the_hung(&mut self) {
        let now = self.began.elapsed().as_millis() as u64;
        for seat in 0..self.workers.len() {
            let Some((toy, since)) = self.witness.at(seat) else { continue };
            if now.saturating_sub(since) > LIMIT.as_millis() as u64 {
                self.violations.push(format!("{}: seat {seat} hangs", self.toys[toy].name()));
            }
        }
    }

    /// Everybody is dead: who comes then finds everything free and whole.
    fn look_at_what_is_left(&mut self) {
        let me = Me::new(&self.witness, 0);
        let mut random = fastrand::Rng::with_seed(self.plan.seed);
        for (n, toy) in self.toys.iter().enumerate() {
            let start = Instant::now();
            let end = toy.play(me, n, &mut random).and_then(|()| toy.look_at_what_is_left());
            me.end(n, start.elapsed().saturating_sub(toy.patience()));
            if let Err(what) = end {
                self.violations.push(format!("{}, when all were dead: {what}", toy.name()));
            }
        }
    }
}
