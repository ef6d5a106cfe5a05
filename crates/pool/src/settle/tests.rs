//! A worker that was killed after each of its steps: its words are made by hand, and its name is that of all the dead.

use std::sync::Mutex;

use shmkit_atomic::Deadline;

use super::*;
use crate::Retry;
use crate::answers::{Answers, PREFIX, Reader};
use crate::book::{Order, Phase, Sink};
use crate::builder::Builder;
use crate::raw::Commit;

/// What was told, in order: the call's number, and whether there is an answer.
#[derive(Default)]
struct Told(Mutex<Vec<(usize, bool)>>);

impl Sink for Told {
    fn take(self: std::sync::Arc<Self>, news: News) -> Option<Later> {
        let mut told = self.0.lock().unwrap();
        match news {
            News::Failed { index, .. } => told.push((index, false)),
            News::Answers { first, calls, mut packed } => {
                let mut answers = Reader::new(&mut packed);
                assert_eq!(std::iter::from_fn(|| answers.cut()).count(), calls);
                told.extend((first..first + calls).map(|n| (n, true)));
            }
        }
        None
    }
}

fn send(inner: &Inner, told: &std::sync::Arc<Told>, calls: usize, retry: Retry) -> Spot {
    let order = Order {
        task: "task",
        print: 1,
        sink: told.clone(),
        first: 0,
        ends: (1..=calls).map(|n| n * 8).collect(),
        bytes: (0..calls as u64).flat_map(u64::to_ne_bytes).collect(),
        luggage: None,
        limit: None,
        retry,
        deaths: 0,
        killed: None,
    };
    inner.dispatch(order, &Deadline::NEVER.into()).map_err(|e| e.0).unwrap()
}

/// A pool without processes, with one order in a cell, and a worker that has come.
struct Scene {
    inner: Inner,
    told: std::sync::Arc<Told>,
    number: u32,
    worker: u32,
}

impl Scene {
    fn new(calls: usize, retry: Retry) -> Self {
        let inner = Inner::new(Builder::new(1).memory(1 << 20), 1).unwrap();
        let told = std::sync::Arc::<Told>::default();
        let number = send(&inner, &told, calls, retry).number;
        assert_eq!(*inner.store.ready.take().unwrap(), number);
        let words = &inner.store.table.workers()[0];
        let worker = words.prepare();
        assert!(words.arrive(worker, OwnerId::GONE));
        Self { inner, told, number, worker }
    }

    fn cell(&self) -> &RawCell {
        self.inner.store.table.cell(self.number).unwrap()
    }

    /// W2, and W3 if it comes to that.
    fn begin(&self, runs: bool) {
        assert!(self.inner.store.table.workers()[0].begin(self.worker, self.number));
        if runs {
            assert_eq!(self.cell().start(OwnerId::GONE).unwrap(), Ok(0));
        }
    }

    /// W5, of so many calls; the arguments are overwritten with it.
    fn answer(&self, calls: usize) {
        let mut answers = Answers::new(&self.inner.store, self.number, self.cell()).unwrap();
        (0..calls).for_each(|n| answers.add(&mut vec![n as u8; PREFIX + 3 * n]).unwrap());
    }

    /// The death is settled; returns what is to stand in line again.
    #[track_caller]
    fn settle(&self) -> Vec<u32> {
        let (mut later, mut again) = (Vec::new(), Vec::new());
        let corpse = Corpse::new(0, End::Left(None));
        let mut book = self.inner.book();
        assert!(self.inner.settle(&mut book, &corpse, &mut later, &mut again));
        again
    }

    fn told(&self) -> Vec<(usize, bool)> {
        self.told.0.lock().unwrap().clone()
    }

    /// The arguments that are in the cell.
    fn arguments(&self) -> Vec<u64> {
        let (calls, bytes) = self.inner.store.read_args(self.number, self.cell()).unwrap();
        let numbers: Vec<_> =
            bytes.chunks(8).map(|bytes| u64::from_ne_bytes(bytes.try_into().unwrap())).collect();
        assert_eq!(numbers.len() as u64, calls);
        numbers
    }

    #[track_caller]
    fn is_free_again(&self) {
        let seen = self.cell().look().unwrap();
        assert_eq!((seen.state, seen.generation), (CellState::Free, 1));
        let book = self.inner.book();
        assert_eq!((book.under_way, book.free.len()), (0, 1024));
        let heap = self.inner.store.heap.check().unwrap();
        assert_eq!(heap.kept_blocks, 0, "a block is lost");
    }
}

#[test]
fn killed_before_w3_it_has_left_the_task_to_others() {
    let scene = Scene::new(2, Retry::NEVER);
    scene.begin(false);
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.told(), []);
    assert_eq!(scene.cell().look().unwrap().state, CellState::Queued);
}

#[test]
fn killed_after_w3_it_costs_the_first_call_and_the_others_stand_in_line_again() {
    let scene = Scene::new(3, Retry::NEVER);
    scene.begin(true);
    assert_eq!(scene.settle(), [scene.number]);
    assert_eq!(scene.told(), [(0, false)]);
    assert_eq!(scene.arguments(), [1, 2]);
}

#[test]
fn killed_in_the_middle_it_costs_the_call_that_it_was_at() {
    // Ever longer answers, so that they have left the cell for a block, and that for a larger one.
    let scene = Scene::new(40, Retry::NEVER);
    scene.begin(true);
    scene.answer(30);
    assert_eq!(scene.settle(), [scene.number]);
    let expected: Vec<_> = (0..30).map(|n| (n, true)).chain([(30, false)]).collect();
    assert_eq!(scene.told(), expected);
    assert_eq!(scene.arguments(), (31..40).collect::<Vec<_>>());
    let alone = Scene::new(1, Retry::NEVER);
    alone.begin(true);
    assert_eq!(alone.settle(), []);
    assert_eq!(alone.told(), [(0, false)]);
    alone.is_free_again();
}

#[test]
fn killed_before_w6_with_all_answered_it_costs_nothing() {
    let scene = Scene::new(10, Retry::NEVER);
    scene.begin(true);
    scene.answer(10);
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.told(), (0..10).map(|n| (n, true)).collect::<Vec<_>>());
    scene.is_free_again();
}

#[test]
fn killed_before_w7_it_has_answered_though_nobody_was_told() {
    let scene = Scene::new(10, Retry::NEVER);
    scene.begin(true);
    scene.answer(10);
    assert_ne!(scene.cell().commit(0, OwnerId::GONE), Commit::Lost);
    assert_eq!(scene.settle(), []);
    assert_eq!(scene.told().len(), 10);
    scene.is_free_again();
}

#[test]
fn killed_after_w7_it_has_answered_once() {
    for (first, condemned) in [(true, false), (false, false), (true, true)] {
        let scene = Scene::new(2, Retry::NEVER);
        scene.begin(true);
        scene.answer(2);
        if condemned {
            assert!(scene.inner.store.table.workers()[0].condemn(scene.worker, scene.number));
        }
        assert_ne!(scene.cell().commit(0, OwnerId::GONE), Commit::Lost);
        scene.inner.store.finished.put(scene.number).unwrap();
        if first {
            scene.inner.drain_now();
        }
        assert_eq!(scene.settle(), []);
        scene.inner.drain_now();
        assert_eq!(scene.told(), [(0, true), (1, true)]);
        scene.is_free_again();
    }
}

#[test]
fn who_looks_at_its_task_is_told_by_its_word_and_no_number_comes() {
    let scene = Scene::new(1, Retry::NEVER);
    let (inner, finished) = (&scene.inner, &scene.inner.store.finished);
    let mut spot = Spot { number: scene.number, generation: 0 };
    for n in 0..20 {
        std::thread::scope(|scope| {
            let looker = scope.spawn(|| {
                while scene.told().len() == n {
                    inner.tell_soon(spot);
                }
            });
            let cell = scene.cell();
            assert_eq!(cell.start(OwnerId::GONE).unwrap(), Ok(spot.generation));
            scene.answer(1);
            // While it looks.
            while !cell.look().unwrap().is_watched {}
            if cell.commit(spot.generation, OwnerId::GONE) == Commit::Tell {
                finished.put(scene.number).unwrap();
                inner.drain_now();
            }
            looker.join().unwrap();
        });
        assert_eq!((scene.told().len(), finished.len()), (n + 1, Ok(0)));
        spot = send(inner, &scene.told, 1, Retry::NEVER);
    }
}

#[test]
fn who_takes_answers_is_told_once_to_look_around() {
    let scene = Scene::new(1, Retry::NEVER);
    let (inner, finished) = (&scene.inner, &scene.inner.store.finished);
    inner.book().is_draining = true;
    (0..5).for_each(|_| inner.stir(&mut inner.book()));
    assert_eq!(finished.len(), Ok(1));
    inner.book().is_draining = false;
    inner.drain_now();
    inner.stir(&mut inner.book());
    assert_eq!(finished.len(), Ok(0), "nobody is there");
    inner.book().is_draining = true;
    inner.stir(&mut inner.book());
    assert_eq!(finished.len(), Ok(1), "it has looked since");
}

#[test]
fn a_task_that_is_called_off_while_somebody_looks_keeps_its_cell_until_its_number_has_come() {
    let scene = Scene::new(1, Retry::NEVER);
    let (cell, spot) = (scene.cell(), Spot { number: scene.number, generation: 0 });
    assert!(cell.watch(0));
    assert!(scene.inner.cancel(spot, false));
    assert!(!cell.unwatch(0));
    scene.inner.tell_soon(spot);
    assert_eq!(cell.look().unwrap().state, CellState::Dropped);
    scene.inner.store.finished.put(scene.number).unwrap();
    scene.inner.drain_now();
    scene.is_free_again();
    assert_eq!(scene.told(), [(0, false)]);
}

#[test]
fn what_may_be_run_again_has_its_arguments_back_each_time() {
    let scene = Scene::new(2, Retry::times(1));
    scene.begin(true);
    // It has overwritten them.
    scene.inner.store.table.bytes(scene.number).unwrap().write_bytes(0, &[0xff; 60]).unwrap();
    assert_eq!(scene.settle(), [scene.number]);
    assert_eq!(scene.told(), []);
    assert_eq!(scene.arguments(), [0, 1]);
    let words = &scene.inner.store.table.workers()[0];
    let worker = words.prepare();
    assert!(words.arrive(worker, OwnerId::GONE) && words.begin(worker, scene.number));
    assert_eq!(scene.cell().start(OwnerId::GONE).unwrap(), Ok(0));
    assert_eq!(scene.settle(), [scene.number]);
    assert_eq!(scene.told(), [(0, false)], "twice is as often as was said");
    assert_eq!(scene.arguments(), [1]);
}

#[test]
fn whoever_the_roster_has_among_the_living_is_not_settled() {
    let scene = Scene::new(1, Retry::NEVER);
    let words = &scene.inner.store.table.workers()[0];
    let me = scene.inner.store.me().unwrap();
    let worker = words.prepare();
    assert!(words.arrive(worker, me) && words.begin(worker, scene.number));
    assert_eq!(scene.cell().start(me).unwrap(), Ok(0));
    let mut book = scene.inner.book();
    let corpse = Corpse::new(0, End::Left(None));
    let settled = scene.inner.settle(&mut book, &corpse, &mut Vec::new(), &mut Vec::new());
    assert!(!settled);
    assert_eq!(scene.told(), []);
}

#[test]
fn a_number_of_no_cell_breaks_the_pool_and_everybody_is_told() {
    let scene = Scene::new(2, Retry::NEVER);
    scene.inner.store.finished.put(77_777).unwrap();
    scene.inner.drain_now();
    let phase = scene.inner.book().phase.clone();
    assert!(matches!(phase, Phase::Broken(why) if why.contains("0x12fd1")));
    assert_eq!(scene.told(), [(0, false), (1, false)]);
}
