//! What goes with the arguments or the answer of a call and is more than bytes, through the socket of the worker that runs it.
//!
//! Nobody knows which worker will run a call. So what goes with its arguments stays with the parent until a worker has begun, and
//! asks for it. What goes with an answer is sent before that is told of: whoever is told finds it in the socket, which outlives
//! its worker.

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
/// A worker brings what goes with an answer: its cell's number and generation, and which of the cell's calls it answers.
const BRINGS: u32 = 4;
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

/// The worker's side: sends what goes with an answer, before that is told of.
pub(crate) fn bring(
    socket: &UnixStream,
    answer: Answer,
    files: Vec<OwnedFd>,
) -> Result<(), ParcelError> {
    let mut note = Parcel::new();
    note.add(&answer)?;
    Outgoing::new(BRINGS, Parcel::from_parts(note.into_parts().0, files)).finish(socket)
}

/// The worker's side: says that it leaves after this task.
///
/// # Errors
///
/// The parent has shut the socket, or is dead.
pub(crate) fn leaves(socket: &UnixStream) -> Result<(), ParcelError> {
    Outgoing::new(LEAVES, Parcel::new()).finish(socket)
}

/// Which answer: a cell's number and generation, and the number of the call among the cell's.
pub(crate) type Answer = (u32, u32, u64);

/// What a worker says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It asks for what goes with a cell: its number and generation.
    Asks(u32, u32),
    /// It brings what goes with an answer.
    Brings(Answer, Vec<OwnedFd>),
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
        Some((BRINGS, mut parcel)) => {
            let files = parcel.take_files();
            parcel.take().map(|answer| Some(Said::Brings(answer, files)))?
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
