//! `End`: one end of a pipe of messages, whose bytes lie in shared memory, and of whose lives a socket tells.
//!
//! The socket is what the standard library's connection has: it is inherited, duplicated and closed as that is, and the kernel
//! says when nobody has the other end any more. Messages lie in a [`Ring`] for each direction; through the socket go single
//! bytes, that there is something in the ring for somebody who does not look there.
//!
//! An end may be used by any number of processes and threads at a time. What any of them sends is a message, whole and in one
//! piece, and each is received by one of them.

mod failure;
mod head;
mod object;
mod partial;
mod piece;
mod put;
mod right;
mod ring;
mod sleep;
mod socket;
mod stream;
mod take;
mod turn;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shmkit_atomic::Deadline;

use crate::made::make;
use crate::travel::{Packing, pack};
use crate::waiting::{Wait, wait};
use failure::Failure;
use object::Link;
use ring::Ring;
use sleep::Woken;
use take::Look;

/// One end of a pipe: what goes in at one comes out at the other. The numbers of descriptors that its methods are given are
/// the socket's.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct End {
    /// What others send to it.
    source: Option<Ring>,
    /// What it sends to others.
    sink: Option<Ring>,
    link: Link,
}

impl End {
    fn source(&self) -> PyResult<&Ring> {
        self.source.as_ref().ok_or_else(|| PyValueError::new_err("nothing comes out at this end"))
    }

    fn sink(&self) -> PyResult<&Ring> {
        self.sink.as_ref().ok_or_else(|| PyValueError::new_err("nothing goes in at this end"))
    }

    /// Waits without the interpreter; says what a signal handler has raised.
    fn wait<R: Send>(
        py: Python<'_>,
        how: Wait,
        run: impl FnOnce(shmkit::Patience<'_>) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        match wait(py, how, run) {
            // Nothing was sent or taken: a wait asks only before it has what it is for.
            (_, Some(raised)) => Err(raised),
            (result, None) => result.map_err(PyErr::from),
        }
    }
}

#[pymethods]
impl End {
    /// One of the two ends, 0 or 1, of a new pipe, of that of another end, or of one that was packed. If it is not `duplex`, the
    /// first one receives.
    #[new]
    #[pyo3(signature = (duplex=true, side=0, _other=None, _packed=None))]
    fn new(
        duplex: bool,
        side: usize,
        _other: Option<&Bound<'_, Self>>,
        _packed: Option<&[u8]>,
    ) -> PyResult<Self> {
        let link = match _other {
            Some(other) => other.get().link.clone(),
            None => make(_packed, duplex)?,
        };
        let [source, sink] = if side == 0 { [0, 1] } else { [1, 0] };
        Ok(Self { source: link.ring(source), sink: link.ring(sink), link })
    }

    /// Sends a message; waits for room.
    fn send(&self, py: Python<'_>, socket: i32, message: &[u8]) -> PyResult<()> {
        let ring = self.sink()?;
        if ring.try_put(socket, message)? {
            return Ok(());
        }
        Self::wait(py, Wait::Endless, |patience| ring.put(socket, message, patience))
    }

    /// Receives a message; waits for one. `None` if it has more bytes than `most`: then it stays.
    #[pyo3(signature = (socket, most=None))]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        socket: i32,
        most: Option<u64>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let ring = self.source()?;
        let is_too_long = |len| most.is_some_and(|most| len > most);
        loop {
            match ring.look(socket)? {
                Look::Whole(turn, piece) => {
                    if is_too_long(piece.len) {
                        return Ok(None);
                    }
                    // The interpreter is held for as long as the turn is: nobody who holds a turn ever waits for it.
                    let message = PyBytes::new_with(py, piece.len as usize, |to| {
                        ring.copy_out(&piece, to).map_err(PyErr::from)
                    })?;
                    turn.take(&piece, socket);
                    return Ok(Some(message));
                }
                Look::Streamed(len) => {
                    if len.is_some_and(is_too_long) {
                        return Ok(None);
                    }
                    let run = |patience: shmkit::Patience<'_>| ring.receive(socket, patience);
                    if let Some(message) = Self::wait(py, Wait::Endless, run)? {
                        return Ok(Some(PyBytes::new(py, &message)));
                    }
                }
                Look::Stopped => {
                    Self::wait(py, Wait::Endless, |patience| ring.turn_for(patience).map(drop))?;
                }
                Look::Empty => {
                    let run = |patience: shmkit::Patience<'_>| ring.sleep(socket, patience, true);
                    if Self::wait(py, Wait::Endless, run)? == Woken::AtEnd {
                        return Err(Failure::End.into());
                    }
                }
            }
        }
    }

    /// Returns whether there is something to receive, or the end of all, in time.
    #[pyo3(signature = (socket, timeout=None))]
    fn poll(&self, py: Python<'_>, socket: i32, timeout: Option<f64>) -> PyResult<bool> {
        let (ring, how) = (self.source()?, Wait::from(timeout));
        // Whoever asks in a loop is answered without giving the interpreter away.
        if ring.has_some() && ring.holds_message(socket)? == Some(true) {
            return Ok(true);
        }
        if how == Wait::No && !ring.has_some() {
            let heard = socket::listen(socket, Deadline::PASSED)?;
            if heard.hung_up || !heard.readable {
                return Ok(heard.hung_up || ring.has_some());
            }
        }
        Self::wait(py, how, |patience| {
            loop {
                if !ring.has_some() {
                    match ring.sleep(socket, patience, false)? {
                        Woken::Ready => {}
                        woken => return Ok(woken == Woken::AtEnd),
                    }
                }
                match ring.holds_message(socket)? {
                    Some(true) => return Ok(true),
                    Some(false) => {}
                    None if patience.says_stop() => return Err(Failure::Interrupted),
                    None if patience.deadline().has_passed() => return Ok(false),
                    None => {}
                }
            }
        })
    }

    /// Returns whether there is something; what is left of a message that nobody gets any more counts as well.
    fn has_some(&self) -> PyResult<bool> {
        Ok(self.source()?.has_some())
    }

    /// Gives up what this process has of a message that it has not received to its end.
    fn give_up(&self) {
        self.source.iter().for_each(Ring::give_up);
    }

    fn _pack<'py>(&self, py: Python<'py>) -> PyResult<Packing<'py>> {
        pack(py, &self.link)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.give_up();
    }
}
