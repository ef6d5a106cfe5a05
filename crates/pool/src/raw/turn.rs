//! One turn of a worker: the order of its steps.

use shmkit_roster::OwnerId;

use super::Corrupt;
use super::cell::{Commit, RawCell};
use super::word::CellState;
use super::worker::RawWorker;

/// The receipt for a cell's number that a worker has taken out of the line.
pub trait Receipt {
    /// The number is done: nobody else gets it.
    fn done(self);
    /// Another worker is to have it.
    fn give_back(self);
}

/// What a worker does after a turn.
///
/// Closed: there is nothing else to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It takes another number.
    Again,
    /// It ends.
    Leave,
}

/// A worker that has come.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'t> {
    /// Its place.
    pub worker: &'t RawWorker,
    /// Which of the processes that were there it is.
    pub generation: u32,
    /// Who it is.
    pub me: OwnerId,
}

impl Turn<'_> {
    /// Does with a cell what is to be done, steps W2 to W8. The number was taken out of the line (W1), with a receipt.
    ///
    /// `run` reads the arguments and writes the answers (W5); `announce` tells the parent of the cell (W7), where nobody looks.
    ///
    /// # Errors
    ///
    /// [`Corrupt`].
    pub fn take(
        self,
        number: u32,
        cell: &RawCell,
        receipt: impl Receipt,
        run: impl FnOnce(&RawCell),
        announce: impl FnOnce(),
    ) -> Result<Next, Corrupt> {
        // W2. Before W3, so that whoever looks for what a dead or a slow worker runs finds it.
        if !self.worker.begin(self.generation, number) {
            receipt.give_back();
            return Ok(Next::Leave);
        }
        // W3.
        match cell.start(self.me)? {
            Ok(task) => {
                // W4. After W3: killed before, it has left the number to others; killed after, the cell names it.
                receipt.done();
                // W5.
                run(cell);
                // W6.
                match cell.commit(task, self.me) {
                    // W7.
                    Commit::Tell => announce(),
                    Commit::Seen => {}
                    Commit::Lost => return Ok(Next::Leave),
                }
            }
            Err(seen) => {
                // Somebody had it, or it was dropped: then the parent wants the cell back, and is told before the number is
                // gone.
                if seen.state == CellState::Dropped {
                    announce();
                }
                receipt.done();
            }
        }
        // W8.
        Ok(if self.worker.end(self.generation, number) { Next::Again } else { Next::Leave })
    }
}
