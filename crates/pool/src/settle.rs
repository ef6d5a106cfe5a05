//! What is done about the dead, and who is killed for taking too long.

use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_process::{Death, TaskError};
use shmkit_roster::{OwnerId, Verdict, ask};

use crate::AfterDeath;
use crate::book::{Book, Killed, Later, News, Order};
use crate::inner::{Inner, Spot, report};
use crate::member::{Corpse, End, Member};
use crate::raw::{CellState, RawCell, Seen, WorkerState};
use crate::worker::now;

/// Between two looks at what is about to be there.
const SOON: Duration = Duration::from_millis(1);

impl Inner {
    /// K1 to K3, for a worker whose process has ended. Returns false if it is not dead to the roster yet: somebody who shares its
    /// memory may still write there. Then it is tried again.
    pub(crate) fn settle(
        &self,
        book: &mut Book,
        corpse: &Corpse,
        later: &mut Vec<Later>,
        again: &mut Vec<u32>,
    ) -> bool {
        let &Corpse { place, ref end, .. } = corpse;
        let words = &self.store.table.workers()[place];
        let state = match words.look() {
            Ok((_, state)) => state,
            Err(corrupt) => {
                self.break_up(book, corrupt.to_string(), later);
                return true;
            }
        };
        if let WorkerState::Busy(number) | WorkerState::Condemned(number) = state
            && let Some(cell) = self.store.table.cell(number)
        {
            match cell.look() {
                Ok(seen) => {
                    let owner = seen.owner;
                    if owner.is_some_and(|owner| owner == OwnerId::GONE || words.is(owner)) {
                        if !self.is_dead(owner) {
                            return false;
                        }
                        self.bury(book, number, cell, seen, corpse, later, again);
                    }
                }
                Err(corrupt) => self.break_up(book, corrupt.to_string(), later),
            }
        }
        // K3: what it has answered counts, whether it could say so or not.
        for number in 0..self.store.table.count {
            let is_done =
                |cell: &RawCell| matches!(cell.look(), Ok(Seen { state: CellState::Done, .. }));
            if book.slots[number as usize].order.is_some()
                && self.store.table.cell(number).is_some_and(is_done)
            {
                self.tell(book, number, later);
            }
        }
        if let Some(me) = self.store.me() {
            self.store.table.front().forget_dead(self.store.table.keeper(), me);
        }
        // Numbers that it had in its hands; and whoever was called for one, or was about to call.
        if let Err(error) = self.store.ready.look_for_dead() {
            self.break_up(book, error.to_string(), later);
        }
        self.store.table.front().told();
        self.count_loss(book, place, state, end, later);
        words.vacate();
        self.stir(book);
        true
    }

    /// What somebody is to be asked about: the death of a worker that was at a task, unless it was killed for that.
    pub(crate) fn death_of(&self, book: &Book, corpse: &Corpse) -> Option<Box<Death>> {
        let words = &self.store.table.workers()[corpse.place];
        let Ok((_, WorkerState::Busy(number) | WorkerState::Condemned(number))) = words.look()
        else {
            return None;
        };
        let cell = self.store.table.cell(number)?;
        let Ok(Seen { state: CellState::Running, owner: Some(owner), .. }) = cell.look() else {
            return None;
        };
        let order = book.slots[number as usize].order.as_ref()?;
        let told = cell.progress().calls() as usize;
        if !words.is(owner) || order.killed.is_some() || told >= order.calls() {
            return None;
        }
        let deaths = if told > 0 { 0 } else { order.deaths };
        died(order.task, ran_for(cell), deaths + 1, &corpse.end)
    }

    fn is_dead(&self, owner: Option<OwnerId>) -> bool {
        let judge = self.store.table.keeper();
        match (owner, self.store.me()) {
            (Some(OwnerId::GONE), _) => true,
            (Some(owner), Some(me)) => {
                matches!(ask(judge, me, owner), Verdict::Dead | Verdict::Nobody)
            }
            _ => false,
        }
    }

    /// K2: what the worker has answered counts; of the call that it was at, somebody hears how it died, or another worker runs
    /// it; and those behind it have not begun.
    #[expect(clippy::too_many_arguments, reason = "what is known of one death")]
    fn bury(
        &self,
        book: &mut Book,
        number: u32,
        cell: &RawCell,
        seen: Seen,
        corpse: &Corpse,
        later: &mut Vec<Later>,
        again: &mut Vec<u32>,
    ) {
        let answers = self.answers(book, number, cell, seen.generation);
        let ran_for = ran_for(cell);
        if let Some(mut order) = book.finish(number) {
            let (told, packed) = answers.unwrap_or_default();
            let told = order.calls().min(told as usize);
            if told > 0 {
                let news = News::Answers { first: order.first, calls: told, packed };
                report(book, &order, told, news, later);
                order.skip(told);
            }
            if told == 0 || order.calls() > 0 {
                order.deaths += 1;
                let fails = match corpse.verdict {
                    _ if order.killed.is_some() => true,
                    Some(verdict) => verdict == AfterDeath::Fail,
                    None => !order.retry.allows(order.deaths),
                };
                if fails {
                    let error = error_of(&order, ran_for, &corpse.end);
                    order.killed = None;
                    let news = News::Failed { index: order.first, error };
                    report(book, &order, 1, news, later);
                    order.skip(1);
                }
            }
            if order.calls() > 0 && !order.bytes.is_empty() {
                self.store.free_blocks(cell);
                let written = self.store.write_args(
                    number,
                    cell,
                    order.calls(),
                    &order.bytes,
                    order.luggage.is_some(),
                );
                match written {
                    Ok(()) if cell.queue_again(seen) => {
                        book.begin(number, order);
                        again.push(number);
                        return;
                    }
                    // Nobody but this takes a cell from the dead.
                    Ok(()) => {}
                    Err(trouble) => {
                        for n in 0..order.calls() {
                            let (task, why) = (order.task, trouble.to_string());
                            let error = TaskError::Encode { task, why };
                            let news = News::Failed { index: order.first + n, error };
                            report(book, &order, 1, news, later);
                        }
                    }
                }
            }
        }
        self.store.free_blocks(cell);
        if let Some(next) = cell.bury(seen) {
            book.slots[number as usize].generation = next;
            book.free.push(number);
        }
    }

    /// D18: counts the workers that have ended before they came while nobody else was there.
    fn count_loss(
        &self,
        book: &mut Book,
        place: usize,
        state: WorkerState,
        end: &End,
        later: &mut Vec<Later>,
    ) {
        if state != WorkerState::Starting {
            book.ended += 1;
            book.lost = 0;
            return;
        }
        book.lost_at = Some(Instant::now());
        let has_come = |(other, member): (usize, &Option<Member>)| {
            let words = &self.store.table.workers()[other];
            let is_starting = words.look().is_ok_and(|(_, state)| state == WorkerState::Starting);
            other != place && member.is_some() && !is_starting
        };
        // As long as somebody works, whoever kills those that start breaks nothing.
        if book.members.iter().enumerate().any(has_come) {
            book.lost = 0;
            return;
        }
        book.lost += 1;
        if book.lost >= LOSSES {
            let why = format!(
                "{LOSSES} workers in a row have ended before their first task; of the last one: {}",
                end.text()
            );
            self.break_up(book, why, later);
        }
    }

    /// T1 and T2: kills the worker that runs what is in a cell, and says why. Returns false if it is not running.
    pub(crate) fn kill(&self, book: &mut Book, number: u32, why: Killed) -> bool {
        let Some(cell) = self.store.table.cell(number) else { return false };
        // No cell is freed while the book is locked: what is running is the order that is there.
        let Ok(Seen { state: CellState::Running, owner: Some(owner), .. }) = cell.look() else {
            return false;
        };
        let workers = self.store.table.workers();
        let runs = |words: &crate::raw::RawWorker| {
            matches!(words.look(), Ok((_, WorkerState::Busy(it))) if it == number)
                && words.is(owner)
        };
        let Some(place) = workers.iter().position(runs) else { return false };
        let (Some(member), Some(order)) =
            (&book.members[place], book.slots[number as usize].order.as_mut())
        else {
            return false;
        };
        if !workers[place].condemn(member.generation, number) {
            return false;
        }
        order.killed = Some(why);
        // If it has answered meanwhile, that counts; and it leaves by itself.
        let is_running = matches!(cell.look(), Ok(Seen { state: CellState::Running, .. }));
        if is_running {
            let _ = member.process.kill();
        }
        is_running
    }

    /// Kills those that have run for longer than they may. Returns when to look again.
    pub(crate) fn enforce_limits(&self, book: &mut Book) -> Option<Duration> {
        if book.limited == 0 {
            return None;
        }
        let mut next = None::<Duration>;
        for number in 0..book.slots.len() as u32 {
            let Some(order) = &book.slots[number as usize].order else { continue };
            let (Some(limit), None) = (order.limit, order.killed) else { continue };
            let Some(cell) = self.store.table.cell(number) else { continue };
            let left = match cell.look() {
                Ok(Seen { state: CellState::Running, .. }) => match cell.started.load(Relaxed) {
                    0 => SOON,
                    started => {
                        let ran = Duration::from_nanos(now().saturating_sub(started));
                        match limit.checked_sub(ran).filter(|left| !left.is_zero()) {
                            Some(left) => left,
                            None if self.kill(book, number, Killed::Overran) => continue,
                            // It has just answered, or has not said which worker it is.
                            None => SOON,
                        }
                    }
                },
                // At the earliest, if it begins now.
                _ => limit.max(SOON),
            };
            next = Some(next.map_or(left, |next| next.min(left)));
        }
        next
    }

    /// Returns whether a worker is at what is in a cell.
    pub(crate) fn is_running(&self, spot: Spot) -> bool {
        let is_it = |seen: &Seen| seen.generation == spot.generation;
        let seen = self.store.table.cell(spot.number).and_then(|cell| cell.look().ok());
        seen.filter(is_it).is_some_and(|seen| seen.state == CellState::Running)
    }

    /// Calls off all that has not begun.
    pub(crate) fn cancel_all(&self) {
        let spots: Vec<Spot> = {
            let book = self.book();
            let slots = (0..).zip(&book.slots).filter(|(_, slot)| slot.order.is_some());
            slots.map(|(number, slot)| Spot { number, generation: slot.generation }).collect()
        };
        for spot in spots {
            self.cancel(spot, false);
        }
    }

    /// Calls off what is in a cell, if it has not begun.
    pub(crate) fn cancel(&self, spot: Spot, kills: bool) -> bool {
        if !self.is_ours() {
            return false;
        }
        let (mut book, mut later) = (self.book(), Vec::new());
        let slot = &book.slots[spot.number as usize];
        if slot.generation != spot.generation || slot.order.is_none() {
            return false;
        }
        let dropped = self
            .store
            .table
            .cell(spot.number)
            .is_some_and(|cell| cell.drop_queued(spot.generation));
        if dropped && let Some(order) = book.finish(spot.number) {
            for n in 0..order.calls() {
                let news = News::Failed { index: order.first + n, error: TaskError::Cancelled };
                report(&mut book, &order, 1, news, &mut later);
            }
            self.stir(&mut book);
            self.close_if_done(&mut book);
        }
        let killed = !dropped && kills && self.kill(&mut book, spot.number, Killed::Cancelled);
        drop(book);
        self.call(later);
        dropped || killed
    }
}

/// How many workers in a row may end before their first task.
const LOSSES: u32 = 3;

/// For how long the call has run that a worker is at, if it has said so.
fn ran_for(cell: &RawCell) -> Option<Duration> {
    match cell.started.load(Relaxed) {
        0 => None,
        started => Some(Duration::from_nanos(now().saturating_sub(started))),
    }
}

/// A worker's death, as that of a task.
fn died(
    task: &'static str,
    ran_for: Option<Duration>,
    attempt: u32,
    end: &End,
) -> Option<Box<Death>> {
    let End::Died(death) = end else { return None };
    let mut death = death.clone();
    (death.task, death.ran_for, death.attempt) = (task, ran_for, attempt);
    Some(death)
}

fn error_of(order: &Order, ran_for: Option<Duration>, end: &End) -> TaskError {
    let Some(death) = died(order.task, ran_for, order.deaths, end) else {
        let (task, name) = (order.task, "worker".into());
        return TaskError::Travel { task, name, why: end.text() };
    };
    match order.killed {
        Some(Killed::Overran) => TaskError::Overran(death),
        Some(Killed::Cancelled) => TaskError::Cancelled,
        None => match death.status {
            shmkit_process::Status::Exited(_) => TaskError::Exited(death),
            _ => TaskError::WorkerDied(death),
        },
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
