//! What all handles of a pool have in common, and how tasks go out and answers come in.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_process::TaskError;
use shmkit_queue::QueueError;
use shmkit_roster::OwnerId;
use shmkit_sync::{GivenUp, Patience, Spin};

use crate::answers::Packed;
use crate::book::{Book, Later, News, Order, Phase};
use crate::builder::Builder;
use crate::error::{PoolError, PoolErrorKind, Trouble};
use crate::raw::{CellState, RawCell};
use crate::store::{NEWS, Store};
use crate::told;

/// How many answers are taken at a time.
const BATCH: usize = 64;
/// How long a wait sleeps that a signal handler may end, or somebody who forgot to tell of it.
pub(crate) const SLICE: Duration = Duration::from_millis(200);

/// Pauses between two looks of who waits for one task at its cell: a hundred and fifty are some 3 µs. Then it waits as for many.
const REST: u32 = 3;

/// A cell with an order, as who has put it in knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) number: u32,
    pub(crate) generation: u32,
}

/// What all handles of a pool have in common.
pub(crate) struct Inner {
    /// The process that has it: not a forked child.
    pid: u32,
    /// The same as it is called in the segment, which is asked for faster.
    me: Option<OwnerId>,
    pub(crate) store: Store,
    pub(crate) builder: Builder,
    /// The builder's, for who keeps it.
    pub(crate) name: Arc<str>,
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
        let (pid, me) = (std::process::id(), store.me());
        let name = builder.name.as_str().into();
        Ok(Self { pid, me, store, name, builder, book, changed: Condvar::new(), bell })
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing of a user's runs under it, and what we do leaves it whole at each step that can panic.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    /// The same for who needs the segment: a forked child has no name there, or another one.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.me.is_some() && self.store.me() == self.me
    }

    /// Wakes the thread that sees workers end.
    pub(crate) fn ring(&self) {
        // It is full at 2^64 - 1 only, and is rung then.
        let _ = self.bell.write(1);
    }

    /// Wakes all who wait: something has changed that did not come out of `finished`.
    pub(crate) fn stir(&self, book: &mut Book) {
        // Once: in `finished` there is room for the workers' numbers, and one more.
        if book.is_draining && !std::mem::replace(&mut book.has_news, true) {
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
            if patience.has_hook() {
                // Without the book: the hook is a user's, and may use the pool.
                drop(book);
                let says_stop = patience.says_stop();
                book = self.book();
                if let Some(result) = done(&mut book) {
                    return Ok(result);
                }
                if says_stop {
                    return Err(GivenUp::Interrupted);
                }
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

    /// Looks at a cell for a moment, and tells of it as soon as it is answered: its worker tells nobody then.
    pub(crate) fn tell_soon(&self, spot: Spot) {
        let Some(cell) = self.store.table.cell(spot.number) else { return };
        if !cell.watch(spot.generation) {
            return;
        }
        let mut spin = Spin::for_hand_over(REST);
        while !cell.is_done(spot.generation) && spin.again() {}
        // One that was called off has a number on its way, which the cell has to wait for.
        if cell.unwatch(spot.generation) || !cell.is_done(spot.generation) {
            return;
        }
        self.store.table.prefetch(spot.number);
        let (mut book, mut later) = (self.book(), Vec::new());
        self.tell(&mut book, spot.number, &mut later);
        if book.is_draining {
            // Who takes out of `finished` may wait for this.
            self.stir(&mut book);
        }
        drop(self.told(book, later));
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
        (book.is_draining, book.has_news) = (false, false);
        let mut later = Vec::new();
        match taken {
            Ok(n) => {
                numbers[..n].iter().for_each(|&number| self.tell(&mut book, number, &mut later))
            }
            Err(QueueError::TimedOut | QueueError::Empty | QueueError::Interrupted) => {}
            Err(error) => self.break_up(&mut book, error.to_string(), &mut later),
        }
        self.told(book, later)
    }

    /// Wakes those who wait for what was told, and does what is to be done when the book is not locked.
    fn told<'b>(
        &'b self,
        mut book: MutexGuard<'b, Book>,
        later: Vec<Later>,
    ) -> MutexGuard<'b, Book> {
        if book.sleepers > 0 {
            self.changed.notify_all();
        }
        self.close_if_done(&mut book);
        if later.is_empty() {
            return book;
        }
        drop(book);
        self.call(later);
        self.book()
    }

    /// Does what is to be done when the book is not locked.
    pub(crate) fn call(&self, later: Vec<Later>) {
        if later.is_empty() {
            return;
        }
        for later in later {
            // A user's callback or waker: its panic is no business of this thread, nor of those behind it.
            let _ = catch_unwind(AssertUnwindSafe(later));
        }
        // Answers were lent, and are back.
        self.stir(&mut self.book());
    }

    /// F1, of a cell whose number has come, or at which somebody has looked: its word says what is there.
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
        let generation = slot.generation;
        if seen.generation != generation {
            return;
        }
        match seen.state {
            CellState::Dropped => self.give_back(book, number, cell, CellState::Dropped),
            CellState::Done => {
                let answers = self.answers(book, number, cell, generation);
                if let Some(order) = book.finish(number) {
                    let calls = order.calls();
                    let (told, why) = match answers {
                        Ok((told, packed)) => {
                            let told = calls.min(told as usize);
                            let news = News::Answers { first: order.first, calls: told, packed };
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

    /// Reads the answers in a cell, with what their worker has sent that goes with them.
    pub(crate) fn answers(
        &self,
        book: &mut Book,
        number: u32,
        cell: &RawCell,
        generation: u32,
    ) -> Result<(u64, Packed), Trouble> {
        let (told, bytes) = self.store.read_answers(number, cell)?;
        let mut packed = Packed { bytes, files: Vec::new() };
        if cell.brings.load(Relaxed) != 0 {
            for call in packed.laden() {
                let answer = (number, generation, call);
                // It was sent before the answer was told of: in the socket, if nobody has taken it out.
                let place = cell.worker.load(Relaxed) as usize;
                while !book.brought.contains_key(&answer) && self.hear(book, place) {}
                packed.files.push(book.brought.remove(&answer).unwrap_or_default());
            }
        }
        // What a worker has sent of a call that it did not live to answer is nobody's.
        book.brought.retain(|&(cell, task, _), _| (cell, task) != (number, generation));
        Ok((told, packed))
    }

    fn give_back(&self, book: &mut Book, number: u32, cell: &RawCell, from: CellState) {
        self.store.free_blocks(cell);
        let slot = &mut book.slots[number as usize];
        if let Some(next) = cell.free(slot.generation, from) {
            slot.generation = next;
            book.free.push(number);
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
            self.store.close();
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
    later.extend(match &news {
        News::Answers { first, .. } => told::answered(order.task, *first, calls),
        News::Failed { index, error } => told::failed(order.task, *index, error),
    });
    if let Some(then) = order.sink.clone().take(news) {
        book.watched -= 1;
        later.push(then);
    }
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
