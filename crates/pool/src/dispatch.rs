//! How tasks go out.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_process::TaskError;
use shmkit_sync::{GivenUp, Patience};

use crate::book::{Book, Later, Order};
use crate::inner::{Inner, SLICE, Spot};
use crate::raw::RawCell;
use crate::table::ROOM;

/// How many orders with luggage may be under way: each keeps descriptors.
const MOST_LADEN: usize = 64;

/// Calls that workers may run.
struct Queued {
    spot: Spot,
    /// Whoever looks at clocks and numbers of workers is to look.
    rings: bool,
    later: Vec<Later>,
}

/// They, or why they are not run, with all that was asked for.
type Filled = Result<Queued, Box<(TaskError, Order)>>;

impl Inner {
    /// S1 and S2: puts calls into a free cell, waits for one, and tells the workers.
    pub(crate) fn dispatch(
        &self,
        order: Order,
        patience: &Patience<'_>,
    ) -> Result<Spot, Box<(TaskError, Order)>> {
        if !self.is_here() {
            return Err(Box::new((TaskError::NotOurs, order)));
        }
        let (is_laden, is_small) = (order.luggage.is_some(), order.bytes.len() as u64 <= ROOM);
        let mut order = Some(order);
        let found = self.work_until(patience, |book| {
            if let Some(error) = book.refusal() {
                return Some(Err(error));
            }
            if is_laden && book.laden >= MOST_LADEN {
                return None;
            }
            let number = book.free.pop()?;
            // What is large is copied while others have the book.
            Some(Ok(match order.take_if(|_| is_small) {
                Some(order) => Err(self.fill_and_queue(book, number, order)),
                None => Ok(number),
            }))
        });
        let queued = match (found, order) {
            (Ok(Ok(Err(queued))), _) => queued,
            (Ok(Ok(Ok(number))), Some(order)) => {
                let filled = self.fill(number, &order);
                self.queue(&mut self.book(), number, order, filled)
            }
            (Ok(Err(error)), Some(order)) => Err(Box::new((error, order))),
            (Err(GivenUp::Interrupted), Some(order)) => {
                Err(Box::new((TaskError::Interrupted, order)))
            }
            (_, Some(order)) => Err(Box::new((TaskError::TimedOut, order))),
            (_, None) => unreachable!("it was taken by who has queued it"),
        };
        let Queued { spot, rings, later } = queued?;
        self.call(later);
        self.line_up(spot.number);
        if rings {
            self.ring();
        }
        Ok(spot)
    }

    /// Writes calls into a cell that is this thread's alone, until it is queued.
    fn fill(&self, number: u32, order: &Order) -> Result<&RawCell, String> {
        self.store.table.front().prefetch();
        let cell = self.store.table.cell(number).ok_or("there is no such cell")?;
        let is_laden = order.luggage.is_some();
        self.store
            .write_args(number, cell, order.calls(), &order.bytes, is_laden)
            .map_err(|trouble| trouble.to_string())?;
        // Relaxed: the cell's word publishes it.
        cell.print.store(order.print, Relaxed);
        Ok(cell)
    }

    fn fill_and_queue(&self, book: &mut Book, number: u32, order: Order) -> Filled {
        let filled = self.fill(number, &order);
        self.queue(book, number, order, filled)
    }

    /// S1, of a cell that is filled, or could not be.
    fn queue(
        &self,
        book: &mut Book,
        number: u32,
        mut order: Order,
        filled: Result<&RawCell, String>,
    ) -> Filled {
        let refused = match (filled, book.refusal()) {
            (Ok(cell), None) => Ok(cell),
            (Ok(cell), Some(error)) => {
                self.store.free_blocks(cell);
                Err(error)
            }
            (Err(why), _) => Err(TaskError::Encode { task: order.task, why }),
        };
        let cell = match refused {
            Ok(cell) => cell,
            Err(error) => {
                book.free.push(number);
                self.stir(book);
                return Err(Box::new((error, order)));
            }
        };
        let is_once = self.builder.on_death.is_none() && !order.retry.keeps_arguments();
        if is_once && order.calls() == 1 {
            order.bytes = Vec::new();
        }
        let mut rings = order.limit.is_some();
        let generation = book.begin(number, order);
        rings |= self
            .builder
            .scale
            .is_some_and(|(most, _)| book.wanted < book.under_way.min(most as usize));
        let mut later = Vec::new();
        if let Err(corrupt) = cell.queue(generation) {
            self.break_up(book, corrupt.to_string(), &mut later);
        }
        Ok(Queued { spot: Spot { number, generation }, rings, later })
    }

    /// S2. The line has room for twice as many as there are cells.
    pub(crate) fn line_up(&self, number: u32) {
        let put = |_| self.store.ready.put_timeout(number, SLICE);
        if let Err(error) = self.store.ready.try_put(number).or_else(put) {
            let (mut book, mut later) = (self.book(), Vec::new());
            self.break_up(&mut book, error.error.to_string(), &mut later);
            drop(book);
            self.call(later);
        }
        self.store.table.front().told();
    }
}
