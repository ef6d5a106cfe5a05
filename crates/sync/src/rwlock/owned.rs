//! A readers-writer lock's guards that borrow nothing.

use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;

use super::handle::{ReadResult, RwLock, WriteResult};
use crate::Patience;

/// # With owned guards
impl<T: ShmSafe, K: Judge> RwLock<T, K> {
    /// [`read`](Self::read) with a guard that borrows nothing: it has a clone of the handle's keeper.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_owned(&self) -> ReadResult<'static, T, K>
    where
        K: Clone,
    {
        self.read_owned_by(Deadline::NEVER)
    }

    /// As [`read_owned`](Self::read_owned), waiting for at most `wait`.
    ///
    /// # Errors
    ///
    /// As [`read_timeout`](Self::read_timeout).
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_owned_timeout(&self, wait: Duration) -> ReadResult<'static, T, K>
    where
        K: Clone,
    {
        self.read_owned_by(Deadline::after(wait))
    }

    /// As [`read_owned`](Self::read_owned), waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`read_deadline`](Self::read_deadline).
    ///
    /// # If a peer dies
    ///
    /// As with [`read`](Self::read).
    pub fn read_owned_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> ReadResult<'static, T, K>
    where
        K: Clone,
    {
        self.read_owned_by(deadline)
    }

    /// [`try_read`](Self::try_read) with a guard that borrows nothing.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    ///
    /// # If a peer dies
    ///
    /// As with [`try_read`](Self::try_read).
    pub fn try_read_owned(&self) -> ReadResult<'static, T, K>
    where
        K: Clone,
    {
        let me = self.me()?;
        let reading = self.raw.try_take_read(me, &self.keeper)?;
        self.admit_reader(me, reading, self.keeper.clone())
    }

    /// [`write`](Self::write) with a guard that borrows nothing: it has a clone of the handle's keeper.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # If a peer dies
    ///
    /// As with [`write`](Self::write).
    pub fn write_owned(&self) -> WriteResult<'static, T, K>
    where
        K: Clone,
    {
        self.write_owned_by(Deadline::NEVER)
    }

    /// As [`write_owned`](Self::write_owned), waiting for at most `wait`.
    ///
    /// # Errors
    ///
    /// As [`write_timeout`](Self::write_timeout).
    ///
    /// # If a peer dies
    ///
    /// As with [`write`](Self::write).
    pub fn write_owned_timeout(&self, wait: Duration) -> WriteResult<'static, T, K>
    where
        K: Clone,
    {
        self.write_owned_by(Deadline::after(wait))
    }

    /// As [`write_owned`](Self::write_owned), waiting until `deadline` at most, or for as long as a [`Patience`] lasts.
    ///
    /// # Errors
    ///
    /// As [`write_deadline`](Self::write_deadline).
    ///
    /// # If a peer dies
    ///
    /// As with [`write`](Self::write).
    pub fn write_owned_deadline<'p>(
        &self,
        deadline: impl Into<Patience<'p>>,
    ) -> WriteResult<'static, T, K>
    where
        K: Clone,
    {
        self.write_owned_by(deadline)
    }

    /// [`try_write`](Self::try_write) with a guard that borrows nothing.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    ///
    /// # If a peer dies
    ///
    /// As with [`try_write`](Self::try_write).
    pub fn try_write_owned(&self) -> WriteResult<'static, T, K>
    where
        K: Clone,
    {
        let me = self.me()?;
        let taken = self.raw.try_take_write(me, &self.keeper)?;
        self.admit_writer(me, taken, self.keeper.clone())
    }

    fn read_owned_by<'p>(&self, patience: impl Into<Patience<'p>>) -> ReadResult<'static, T, K>
    where
        K: Clone,
    {
        let me = self.me()?;
        let reading = self.raw.take_read(me, &self.keeper, patience)?;
        self.admit_reader(me, reading, self.keeper.clone())
    }

    fn write_owned_by<'p>(&self, patience: impl Into<Patience<'p>>) -> WriteResult<'static, T, K>
    where
        K: Clone,
    {
        let me = self.me()?;
        let taken = self.raw.take_write(me, &self.keeper, patience)?;
        self.admit_writer(me, taken, self.keeper.clone())
    }
}
