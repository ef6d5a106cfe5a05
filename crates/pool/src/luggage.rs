//! What goes with the arguments of a call and is more than bytes: the worker that runs it asks its parent for it.
//!
//! Nobody knows which worker will run a call, and a descriptor goes through a socket. So it stays with the parent until a worker
//! has begun, and that worker's own socket brings it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use shmkit_parcel::{Incoming, Kept, Outgoing, Parcel, ParcelError};

/// A worker asks for what goes with a cell: its number and generation.
const ASK: u32 = 1;
/// It comes.
const COMES: u32 = 2;
/// A worker has begun its last task: somebody is to come in its place.
const LEAVES: u32 = 3;
/// The most bytes of any.
const MOST: u64 = 64;

/// What goes with calls, and what keeps it there.
#[derive(Debug)]
pub(crate) struct Luggage {
    files: Vec<OwnedFd>,
    _kept: Kept,
}

impl Luggage {
    /// Takes calls' bytes and their luggage apart.
    pub(crate) fn of(mut parcel: Parcel) -> (Vec<u8>, Option<Self>) {
        let kept = parcel.take_kept();
        let (bytes, files) = parcel.into_parts();
        let luggage = (!files.is_empty()).then_some(Self { files, _kept: kept });
        (bytes, luggage)
    }

    pub(crate) fn copy(&self) -> io::Result<Vec<OwnedFd>> {
        self.files.iter().map(OwnedFd::try_clone).collect()
    }
}

/// The worker's side: asks for what goes with a cell, and waits for it.
pub(crate) fn ask(
    socket: &UnixStream,
    number: u32,
    generation: u32,
) -> Result<Vec<OwnedFd>, ParcelError> {
    let mut question = Parcel::new();
    question.add(&(number, generation))?;
    Outgoing::new(ASK, question).finish(socket)?;
    let (_, parcel) = Incoming::new(MOST).finish(socket)?;
    Ok(parcel.into_parts().1)
}

/// The worker's side: says that it leaves after this task.
///
/// # Errors
///
/// The parent has shut the socket, or is dead.
pub(crate) fn leaves(socket: &UnixStream) -> Result<(), ParcelError> {
    Outgoing::new(LEAVES, Parcel::new()).finish(socket)
}

/// What a worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It asks for what goes with a cell: its number and generation.
    Asks(u32, u32),
    /// It leaves after its task.
    Leaves,
}

/// The parent's side: returns what the worker says, if it has.
///
/// # Errors
///
/// Nothing more will come.
pub(crate) fn said(
    socket: &UnixStream,
    incoming: &mut Incoming,
) -> Result<Option<Said>, ParcelError> {
    Ok(match incoming.advance(socket)? {
        Some((ASK, mut parcel)) => {
            parcel.take().map(|(cell, task)| Some(Said::Asks(cell, task)))?
        }
        Some((LEAVES, _)) => Some(Said::Leaves),
        _ => None,
    })
}

/// Makes what the parent receives questions with.
pub(crate) fn incoming() -> Incoming {
    Incoming::new(MOST)
}

/// Sends what was asked for; nothing, if it is not there any more.
///
/// # Errors
///
/// The socket does not take it, or no descriptor is free.
pub(crate) fn send(socket: &UnixStream, luggage: Option<&Luggage>) -> Result<(), ParcelError> {
    let files = luggage.map_or(Ok(Vec::new()), Luggage::copy).map_err(ParcelError::Os)?;
    Outgoing::new(COMES, Parcel::from_parts(Vec::new(), files)).finish(socket)
}
