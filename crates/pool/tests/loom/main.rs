//! Every interleaving of a parent, its workers and who kills one of them, which dies before each of its steps.
#![cfg(loom)]

mod front;

use std::sync::Arc as StdArc;
use std::sync::Mutex as StdMutex;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed};
use shmkit_atomic::{AtomicU32, crash};
use shmkit_pool::raw::{CellState, Next, Progress, RawCell, RawWorker, Receipt, Turn, WorkerState};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, Verdict, ask};

/// As many tasks as there are.
const TASKS: usize = 2;
/// A number in the line that nobody has.
const OFFERED: u32 = 1 << 31;

/// What became of one task: every entry is one answer.
type Told = StdArc<StdMutex<Vec<(usize, Answer)>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Result(u64),
    Died,
}

/// A pool with as many cells as tasks, and two workers.
struct Pool {
    cells: Vec<RawCell>,
    /// The bytes of each cell: arguments, then the answer.
    bytes: Vec<UnsafeCell<u64>>,
    workers: Vec<RawWorker>,
    /// The line: 0 when nothing is there, OFFERED, or who has the receipt.
    line: Vec<AtomicU32>,
    /// A bit for each cell that the parent was told of.
    announced: AtomicU32,
}

// SAFETY: bytes are touched by who has the cell; loom checks that.
unsafe impl Sync for Pool {}
// SAFETY: as above.
unsafe impl Send for Pool {}

struct Ticket<'p> {
    place: &'p AtomicU32,
    me: u32,
}

impl Receipt for Ticket<'_> {
    fn done(self) {
        crash::step();
        let _ = self.place.compare_exchange(self.me, 0, AcqRel, Relaxed);
    }

    fn give_back(self) {
        crash::step();
        let _ = self.place.compare_exchange(self.me, OFFERED, AcqRel, Relaxed);
    }
}

impl Pool {
    /// Makes one in which all tasks wait.
    fn new() -> Arc<Self> {
        let this = Self {
            cells: (0..TASKS).map(|_| RawCell::new()).collect(),
            bytes: (0..TASKS).map(|_| UnsafeCell::new(0)).collect(),
            workers: (0..2).map(|_| RawWorker::new()).collect(),
            line: (0..TASKS).map(|_| AtomicU32::new(0)).collect(),
            announced: AtomicU32::new(0),
        };
        for n in 0..TASKS {
            // SAFETY: nobody else has it yet.
            this.bytes[n].with_mut(|bytes| unsafe { *bytes = n as u64 });
            this.cells[n].queue(0).unwrap(); // S1
            this.line[n].swap(OFFERED, AcqRel); // S2
        }
        Arc::new(this)
    }

    /// A worker's life: takes what is in the line until there is nothing, or it is to leave.
    fn work(&self, place: usize, judge: &ModelJudge, ran: impl Fn(usize)) {
        let me = judge.me().unwrap();
        let worker = &self.workers[place];
        let Ok((generation, _)) = worker.look() else { unreachable!() };
        if !worker.arrive(generation, me) {
            return;
        }
        let turn = Turn { worker, generation, me };
        for n in 0..TASKS {
            crash::step();
            let taken = self.line[n].compare_exchange(OFFERED, me.get(), AcqRel, Relaxed); // W1
            if taken.is_err() {
                continue;
            }
            let receipt = Ticket { place: &self.line[n], me: me.get() };
            let run = |cell: &RawCell| {
                ran(n);
                // SAFETY: the cell is this worker's; loom checks that nobody else touches it.
                self.bytes[n].with_mut(|bytes| unsafe { *bytes = 10 + *bytes });
                cell.advance(Progress::new(0, 1, 8));
            };
            let announce = || {
                crash::step();
                self.announced.fetch_or(1 << n, AcqRel);
            };
            if turn.take(n as u32, &self.cells[n], receipt, run, announce) == Ok(Next::Leave) {
                return;
            }
        }
        let _ = worker.leave(generation);
    }

    /// F1 of a cell.
    fn tell(&self, n: usize, told: &Told) {
        let seen = self.cells[n].look().unwrap();
        if seen.state == CellState::Done {
            assert_eq!(self.cells[n].progress().calls(), 1);
            // SAFETY: the parent's, as long as it is done.
            let answer = self.bytes[n].with(|bytes| unsafe { *bytes });
            if self.cells[n].free(seen.generation, seen.state).is_some() {
                told.lock().unwrap().push((n, Answer::Result(answer)));
            }
        }
    }

    /// F1 of what was announced.
    fn drain(&self, told: &Told) {
        let announced = self.announced.swap(0, AcqRel);
        (0..TASKS).filter(|n| announced & 1 << n != 0).for_each(|n| self.tell(n, told));
    }

    /// K1 to K3, for a worker of which the kernel says that it has ended.
    fn settle(&self, judge: &ModelJudge, told: &Told) {
        let me = judge.me().unwrap();
        for n in 0..TASKS {
            let seen = self.cells[n].look().unwrap();
            match (seen.state, seen.owner) {
                (CellState::Running, Some(owner)) if ask(judge, me, owner) == Verdict::Dead => {
                    if self.cells[n].bury(seen).is_some() {
                        told.lock().unwrap().push((n, Answer::Died));
                    }
                }
                (CellState::Done, _) => self.tell(n, told),
                _ => {}
            }
        }
    }

    /// The line gives back what the dead had taken out of it.
    fn offer_again(&self, judge: &ModelJudge) {
        let me = judge.me().unwrap();
        for place in &self.line {
            let held = place.load(Acquire);
            let owner = shmkit_roster::OwnerId::from_word(held);
            if held != OFFERED && owner.is_some_and(|owner| ask(judge, me, owner) == Verdict::Dead)
            {
                let _ = place.compare_exchange(held, OFFERED, AcqRel, Relaxed);
            }
        }
    }
}

/// The numbers of the tasks that were run, in their order.
type Ran = StdArc<StdMutex<Vec<usize>>>;

/// Makes three participants, and a pool for which two of them are about to come.
fn scene() -> ([ModelJudge; 3], Arc<Pool>, Told, Ran) {
    let pool = Pool::new();
    for worker in &pool.workers {
        worker.prepare();
    }
    (ModelJudge::new(3).try_into().unwrap(), pool, Told::default(), Ran::default())
}

/// The life of a worker that dies after so many steps, if that comes first: then it returns true.
fn life_of(judge: ModelJudge, steps: u32, pool: &Arc<Pool>, ran: &Ran) -> thread::JoinHandle<bool> {
    let (pool, ran) = (pool.clone(), ran.clone());
    thread::spawn(move || {
        let note = |n| ran.lock().unwrap().push(n);
        let died = crash::after(steps, || pool.work(0, &judge, note)).is_err();
        if died {
            judge.die();
        }
        died
    })
}

/// Asserts that each task was answered once, and ran at most once.
fn check(told: &Told, ran: &StdMutex<Vec<usize>>) {
    let (mut told, ran) = (told.lock().unwrap().clone(), ran.lock().unwrap());
    told.sort_by_key(|(n, _)| *n);
    let tasks: Vec<_> = told.iter().map(|(n, _)| *n).collect();
    assert_eq!(tasks, Vec::from_iter(0..TASKS), "each is answered once: {told:?}");
    for (n, answer) in &told {
        let times = ran.iter().filter(|&other| other == n).count();
        match answer {
            Answer::Result(value) => assert_eq!((*value, times), (10 + *n as u64, 1)),
            Answer::Died => assert!(times <= 1, "task {n} ran {times} times"),
        }
    }
}

/// One worker dies; another one works beside it or after it; the parent tells what it hears of meanwhile.
fn worker_dies(name: &str, beside: bool) {
    crash::everywhere(name, 2, move |steps, lives| {
        let ([mortal, other, parent], pool, told, ran) = scene();
        let life = life_of(mortal, steps, &pool, &ran);
        let note = {
            let ran = ran.clone();
            move |n| ran.lock().unwrap().push(n)
        };
        let beside = beside.then(|| {
            let (pool, judge, note) = (pool.clone(), other.clone(), note.clone());
            thread::spawn(move || pool.work(1, &judge, note))
        });
        pool.drain(&told);
        let is_beside = beside.is_some();
        let died = life.join().unwrap();
        beside.into_iter().for_each(|thread| thread.join().unwrap());
        if died {
            lives.died();
            pool.settle(&parent, &told);
        }
        // What the dead one had taken comes again, to whoever is left; or to a successor.
        pool.offer_again(&parent);
        let place = if is_beside { 0 } else { 1 };
        if is_beside {
            pool.workers[0].prepare();
        }
        pool.work(place, &other, note);
        pool.drain(&told);
        check(&told, &ran);
    });
}

#[test]
fn each_task_is_answered_once_beside_a_worker_that_dies() {
    worker_dies("worker beside another", true);
}

#[test]
fn each_task_is_answered_once_after_a_worker_that_died() {
    worker_dies("worker before another", false);
}

#[test]
fn a_killer_hits_the_task_that_it_aims_at_and_no_other() {
    crash::everywhere("killer", 3, |steps, lives| {
        let ([mortal, other, parent], pool, told, ran) = scene();
        let killing = {
            let pool = pool.clone();
            thread::spawn(move || match pool.workers[0].look() {
                // T1, for what the worker does with the first task.
                Ok((generation, WorkerState::Busy(0))) => pool.workers[0].condemn(generation, 0),
                _ => false,
            })
        };
        let note = {
            let ran = ran.clone();
            move |n| ran.lock().unwrap().push(n)
        };
        let died = crash::after(steps, || pool.work(0, &mortal, note.clone())).is_err();
        if killing.join().unwrap() {
            let ran = ran.lock().unwrap();
            assert!(ran.iter().all(|&n| n == 0), "a condemned worker began another task");
        }
        if died {
            lives.died();
            mortal.die();
            pool.settle(&parent, &told);
        }
        pool.offer_again(&parent);
        pool.work(1, &other, note);
        pool.drain(&told);
        check(&told, &ran);
    });
}

#[test]
fn what_is_dropped_never_runs_and_what_runs_is_not_dropped() {
    loom::model(|| {
        let [worker, _]: [ModelJudge; 2] = ModelJudge::new(2).try_into().unwrap();
        let (pool, ran) = (Pool::new(), StdArc::new(StdMutex::new(Vec::new())));
        pool.workers[0].prepare();
        let working = {
            let (pool, ran) = (pool.clone(), ran.clone());
            thread::spawn(move || pool.work(0, &worker, |n| ran.lock().unwrap().push(n)))
        };
        let dropped = pool.cells[1].drop_queued(0);
        working.join().unwrap();
        assert_eq!(ran.lock().unwrap().contains(&1), !dropped);
        // Told of both: the parent has the cells back.
        assert_eq!(pool.announced.load(Acquire), 3);
        let state = if dropped { CellState::Dropped } else { CellState::Done };
        assert_eq!(pool.cells[1].free(0, state), Some(1));
        assert_eq!(pool.cells[1].look().unwrap().state, CellState::Free);
    });
}

#[test]
fn who_looks_at_a_task_sees_the_answer_or_is_told_and_never_neither() {
    crash::everywhere("worker of a watched task", 2, |steps, lives| {
        let ([mortal, other, parent], pool, told, ran) = scene();
        let life = life_of(mortal, steps, &pool, &ran);
        // S3 and S4.
        let sees = pool.cells[0].watch(0) && !pool.cells[0].unwatch(0);
        if sees {
            pool.tell(0, &told);
            assert_eq!(told.lock().unwrap().len(), 1, "nobody looks, and it is not answered");
        }
        if life.join().unwrap() {
            lives.died();
            pool.settle(&parent, &told);
        } else {
            let announced = pool.announced.load(Acquire) & 1;
            assert_ne!(sees, announced == 1, "told by both, or by nobody");
        }
        pool.offer_again(&parent);
        pool.work(1, &other, |n| ran.lock().unwrap().push(n));
        pool.drain(&told);
        check(&told, &ran);
    });
}
