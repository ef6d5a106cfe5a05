//! What all handles of a pool have in common, and how tasks go out and answers come in.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_parcel::Parcel;
use shmkit_process::TaskError;
use shmkit_queue::QueueError;
use shmkit_sync::{GivenUp, Patience};

use crate::book::{Book, Later, News, Order, Phase};
use crate::builder::Builder;
use crate::error::{PoolError, PoolErrorKind};
use crate::raw::{CellState, RawCell};
use crate::store::{NEWS, PREFIX, Store};

/// How many answers are taken at a time.
const BATCH: usize = 64;
/// How long a wait sleeps that a signal handler may end, or somebody who forgot to tell of it.
const SLICE: Duration = Duration::from_millis(200);

/// How many orders with luggage may be under way: each keeps descriptors.
const MOST_LADEN: usize = 64;

/// A cell with an order, as who has put it in knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) number: u32,
    pub(crate) generation: u32,
}

/// What all handles of a pool have in common.
pub(crate) struct Inner {
    /// The process that has it: not a forked child.
    pub(crate) pid: u32,
    pub(crate) store: Store,
    pub(crate) builder: Builder,
    book: Mutex<Book>,
    /// Something was told, or nobody takes out of `finished` any more.
    changed: Condvar,
    /// Wakes the thread that sees workers end.
    pub(crate) bell: EventFd,
}

impl Inner {
    pub(crate) fn new(builder: Builder, places: usize) -> Result<Self, PoolError> {
        let store = Store::new(builder.capacity, places as u32, builder.memory)?;
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| PoolError::of(PoolErrorKind::Memory, errno))?;
        let book = Mutex::new(Book::new(builder.capacity, places, builder.workers as usize));
        let pid = std::process::id();
        Ok(Self { pid, store, builder, book, changed: Condvar::new(), bell })
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing of a user's runs under it, and what we do leaves it whole at each step that can panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Wakes the thread that sees workers end.
    pub(crate) fn ring(&self) {
        // It is full at 2^64 - 1 only, and is rung then.
        let _ = self.bell.write(1);
    }

    /// Wakes all who wait: something has changed that did not come out of `finished`.
    pub(crate) fn stir(&self, book: &Book) {
        if book.is_draining {
            // If it is full, who takes out of it is awake.
            let _ = self.store.finished.try_put(NEWS);
        }
        self.changed.notify_all();
    }

    /// Works until `done` has something: takes answers, and tells those who wait for them, or waits while another thread does.
    pub(crate) fn work_until<R>(
        &self,
        patience: &Patience<'_>,
        mut done: impl FnMut(&mut Book) -> Option<R>,
    ) -> Result<R, GivenUp> {
        let mut book = self.book();
        loop {
            if let Some(result) = done(&mut book) {
                return Ok(result);
            }
            if patience.deadline().has_passed() {
                return Err(GivenUp::TimedOut);
            }
            if patience.says_stop() {
                return Err(GivenUp::Interrupted);
            }
            let slice = patience.deadline().remaining().map_or(SLICE, |left| left.min(SLICE));
            if book.is_draining {
                book.sleepers += 1;
                let woken = self.changed.wait_timeout(book, slice);
                book = woken.unwrap_or_else(PoisonError::into_inner).0;
                book.sleepers -= 1;
                continue;
            }
            book = self.drain(book, Deadline::after(slice));
        }
    }

    /// Takes what is finished without waiting for it.
    pub(crate) fn drain_now(&self) {
        let book = self.book();
        if !book.is_draining {
            drop(self.drain(book, Deadline::PASSED));
        }
    }

    /// Takes what is finished, waits for it, and tells of it.
    fn drain<'b>(
        &'b self,
        mut book: MutexGuard<'b, Book>,
        until: Deadline,
    ) -> MutexGuard<'b, Book> {
        book.is_draining = true;
        drop(book);
        let mut numbers = [0; BATCH];
        let taken = self.store.finished.get_batch_deadline(&mut numbers, until);
        let mut book = self.book();
        book.is_draining = false;
        let mut later = Vec::new();
        match taken {
            Ok(n) => {
                numbers[..n].iter().for_each(|&number| self.tell(&mut book, number, &mut later))
            }
            Err(QueueError::TimedOut | QueueError::Empty | QueueError::Interrupted) => {}
            Err(error) => self.break_up(&mut book, error.to_string(), &mut later),
        }
        if book.sleepers > 0 {
            self.changed.notify_all();
        }
        self.close_if_done(&mut book);
        if later.is_empty() {
            return book;
        }
        drop(book);
        later.into_iter().for_each(|later| later());
        let book = self.book();
        // An answer was lent, and is back.
        self.stir(&book);
        book
    }

    /// F1, of a cell whose number has come: its word says what is there.
    pub(crate) fn tell(&self, book: &mut Book, number: u32, later: &mut Vec<Later>) {
        let (Some(cell), Some(slot)) =
            (self.store.table.cell(number), book.slots.get(number as usize))
        else {
            if number != NEWS {
                let why = format!("the pool is corrupt: {number:#x} came as the number of a cell");
                self.break_up(book, why, later);
            }
            return;
        };
        let seen = match cell.look() {
            Ok(seen) => seen,
            Err(corrupt) => return self.break_up(book, corrupt.to_string(), later),
        };
        // A number may come twice, and late.
        if seen.generation != slot.generation {
            return;
        }
        match seen.state {
            CellState::Dropped => self.give_back(book, number, cell, CellState::Dropped),
            CellState::Done => {
                let answers = self.store.read_answers(number, cell);
                if let Some(order) = book.finish(number) {
                    let calls = order.calls();
                    let (told, why) = match answers {
                        Ok((told, bytes)) => {
                            let told = calls.min(told as usize);
                            let news = News::Answers { first: order.first, calls: told, bytes };
                            report(book, &order, told, news, later);
                            (told, "the worker has said nothing".to_owned())
                        }
                        Err(trouble) => (0, trouble.to_string()),
                    };
                    for n in told..calls {
                        let error = TaskError::Decode {
                            task: order.task,
                            name: self.builder.name.clone(),
                            why: why.clone(),
                        };
                        let news = News::Failed { index: order.first + n, error };
                        report(book, &order, 1, news, later);
                    }
                }
                self.give_back(book, number, cell, CellState::Done);
            }
            _ => {}
        }
    }

    fn give_back(&self, book: &mut Book, number: u32, cell: &RawCell, from: CellState) {
        self.store.free_blocks(cell);
        let slot = &mut book.slots[number as usize];
        if let Some(next) = cell.free(slot.generation, from) {
            slot.generation = next;
            book.free.push(number);
        }
    }

    /// S1 and S2: puts calls into a free cell, waits for one, and tells the workers.
    pub(crate) fn dispatch(
        &self,
        mut order: Order,
        patience: &Patience<'_>,
    ) -> Result<Spot, Box<(TaskError, Order)>> {
        if !self.is_ours() {
            return Err(Box::new((TaskError::NotOurs, order)));
        }
        let is_laden = order.luggage.is_some();
        let found = self.work_until(patience, |book| match book.refusal() {
            Some(error) => Some(Err(error)),
            None if is_laden && book.laden >= MOST_LADEN => None,
            None => book.free.pop().map(Ok),
        });
        let number = match found {
            Ok(Ok(number)) => number,
            Ok(Err(error)) => return Err(Box::new((error, order))),
            Err(GivenUp::Interrupted) => return Err(Box::new((TaskError::Interrupted, order))),
            Err(_) => return Err(Box::new((TaskError::TimedOut, order))),
        };
        let task = order.task;
        // The cell is this thread's alone, until it is queued.
        let written = match self.store.table.cell(number) {
            Some(cell) => self
                .store
                .write_args(number, cell, order.calls(), &order.bytes, is_laden)
                .map(|()| cell)
                .map_err(|trouble| trouble.to_string()),
            None => Err("there is no such cell".into()),
        };
        let cell = match written {
            Ok(cell) => cell,
            Err(why) => {
                let mut book = self.book();
                book.free.push(number);
                self.stir(&book);
                return Err(Box::new((TaskError::Encode { task, why }, order)));
            }
        };
        cell.print.store(order.print, Relaxed);
        let is_once = self.builder.on_death.is_none() && !order.retry.keeps_arguments();
        if is_once && order.calls() == 1 {
            order.bytes = Vec::new();
        }
        let is_limited = order.limit.is_some();
        let mut book = self.book();
        if let Some(error) = book.refusal() {
            self.store.free_blocks(cell);
            book.free.push(number);
            return Err(Box::new((error, order)));
        }
        let generation = book.begin(number, order);
        let grows = self
            .builder
            .scale
            .is_some_and(|(most, _)| book.wanted < book.under_way.min(most as usize));
        if let Err(corrupt) = cell.queue(generation) {
            let mut later = Vec::new();
            self.break_up(&mut book, corrupt.to_string(), &mut later);
            drop(book);
            later.into_iter().for_each(|later| later());
            return Ok(Spot { number, generation });
        }
        drop(book);
        self.line_up(number);
        if is_limited || grows {
            self.ring();
        }
        Ok(Spot { number, generation })
    }

    /// S2. The line has room for twice as many as there are cells.
    pub(crate) fn line_up(&self, number: u32) {
        if let Err(error) = self.store.ready.put_timeout(number, SLICE) {
            let (mut book, mut later) = (self.book(), Vec::new());
            self.break_up(&mut book, error.error.to_string(), &mut later);
            drop(book);
            later.into_iter().for_each(|later| later());
        }
    }

    /// The pool works no more: everybody is told why.
    pub(crate) fn break_up(&self, book: &mut Book, why: String, later: &mut Vec<Later>) {
        if matches!(book.phase, Phase::Open | Phase::Closed) {
            book.phase = Phase::Broken(why.clone());
        }
        self.tell_all(book, || TaskError::Broken(why.clone()), later);
        self.ring();
    }

    /// Tells everybody that there is no answer.
    pub(crate) fn tell_all(
        &self,
        book: &mut Book,
        why: impl Fn() -> TaskError,
        later: &mut Vec<Later>,
    ) {
        for number in 0..book.slots.len() as u32 {
            if let Some(order) = book.finish(number) {
                for n in 0..order.calls() {
                    let news = News::Failed { index: order.first + n, error: why() };
                    report(book, &order, 1, news, later);
                }
            }
        }
        self.stir(book);
    }

    /// Sets how long what is in a cell may run.
    pub(crate) fn limit(&self, spot: Spot, limit: Duration) {
        let mut book = self.book();
        let slot = &mut book.slots[spot.number as usize];
        if slot.generation == spot.generation
            && let Some(order) = &mut slot.order
        {
            let is_first = order.limit.replace(limit).is_none();
            book.limited += usize::from(is_first);
            drop(book);
            self.ring();
        }
    }

    /// Starts the thread that takes answers for those who do not wait, unless it is there.
    pub(crate) fn start_taker(self: &Arc<Self>, book: &mut Book) {
        if !book.has_taker {
            let inner = self.clone();
            let started =
                std::thread::Builder::new().name("shmkit-taker".into()).spawn(move || {
                    let is_over = |book: &Book| matches!(book.phase, Phase::Ended);
                    while !is_over(&inner.book()) {
                        let is_idle =
                            |book: &mut Book| (book.watched == 0 || is_over(book)).then_some(());
                        // It is patient.
                        let _ = inner.work_until(&Patience::ENDLESS, is_idle);
                        inner.rest(|book| book.watched == 0 && !is_over(book));
                    }
                });
            // Without it they are told when somebody else waits.
            book.has_taker = started.is_ok();
        }
        self.changed.notify_all();
    }

    /// Sleeps as long as `idle` says.
    fn rest(&self, idle: impl Fn(&Book) -> bool) {
        let mut book = self.book();
        while idle(&book) {
            book = self.changed.wait(book).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the workers go if nothing is left for them.
    pub(crate) fn close_if_done(&self, book: &mut Book) {
        if book.phase == Phase::Closed && book.under_way == 0 {
            let _ = self.store.ready.close();
            self.ring();
        }
    }
}

/// Tells an order's sink, and counts it.
pub(crate) fn report(
    book: &mut Book,
    order: &Order,
    calls: usize,
    news: News,
    later: &mut Vec<Later>,
) {
    book.completed += calls as u64;
    if let Some(then) = order.sink.take(news) {
        book.watched -= 1;
        later.push(then);
    }
}

/// Cuts the bytes of answers into one parcel for each.
pub(crate) fn each_answer(bytes: &[u8]) -> impl Iterator<Item = Parcel> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (len, behind) = rest.split_first_chunk::<PREFIX>()?;
        let (answer, behind) = behind.split_at_checked(u32::from_ne_bytes(*len) as usize)?;
        rest = behind;
        Some(Parcel::from_parts(answer.to_vec(), Vec::new()))
    })
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.book();
        f.debug_struct("Pool")
            .field("phase", &book.phase)
            .field("workers", &book.living())
            .field("under_way", &book.under_way)
            .field("completed", &book.completed)
            .finish_non_exhaustive()
    }
}

/// The pool of a handle.
pub(crate) type Shared = Arc<Inner>;
