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
/// The most bytes of either.
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

/// The parent's side: returns for which cell the worker asks, if it does.
///
/// # Errors
///
/// Nothing more will come.
pub(crate) fn asked(
    socket: &UnixStream,
    incoming: &mut Incoming,
) -> Result<Option<(u32, u32)>, ParcelError> {
    match incoming.advance(socket)? {
        Some((ASK, mut parcel)) => parcel.take().map(Some),
        _ => Ok(None),
    }
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
