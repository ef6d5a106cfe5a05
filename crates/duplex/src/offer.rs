//! What the two say to each other before they talk through the rings.
//!
//! ```text
//! client                        listener
//! shmkit duplex 1       ->
//!                       <-      +, and a segment; or - and why not
//! joined                ->
//! ```

use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::{TimeVal, TimeValLike};
use shmkit_connection::{Connection, ConnectionError};
use shmkit_pipe::{FrameReceiver, FrameSender, Frames};
use shmkit_segment::{OpenOptions, Segment};
use shmkit_sync::Patience;

use crate::{Duplex, MeetError};

const HELLO: &[u8] = b"shmkit duplex 1";
const JOINED: &[u8] = b"joined";

/// The longest of these messages, in bytes.
const MOST: usize = 1024;

/// The ring that the listener sends through, and the other one.
const RINGS: [&str; 2] = ["to the client", "to the listener"];

/// What a segment has beside its rings, in bytes.
const BESIDE: u64 = 64 << 10;

/// The memory for two, and the listener's ends.
#[derive(Debug)]
pub(crate) struct Offer {
    segment: Segment,
    send: FrameSender,
    recv: FrameReceiver,
}

impl Offer {
    fn make(capacity: u64) -> Result<Self, MeetError> {
        let size = capacity.checked_next_power_of_two().and_then(|bytes| bytes.checked_mul(2));
        let size = size.and_then(|bytes| bytes.checked_add(BESIDE)).unwrap_or(u64::MAX);
        let options = shmkit_segment::Options::new(size).participants(4).objects(4);
        let segment = options.anonymous().map_err(MeetError::Segment)?;
        let ring = |name| segment.make::<Frames>(name, capacity).map_err(MeetError::Rings);
        let [there, back] = [ring(RINGS[0])?, ring(RINGS[1])?];
        let send = there.sender().map_err(MeetError::Ends)?;
        let recv = back.receiver().map_err(MeetError::Ends)?;
        Ok(Self { segment, send, recv })
    }
}

/// A client that is not connected yet, as the listener sees it.
#[derive(Debug)]
pub(crate) struct Guest {
    socket: Connection,
    /// After it has said what it wants.
    offer: Option<Offer>,
    /// The cap that the socket has afterwards.
    most: usize,
}

impl Guest {
    pub(crate) fn new(mut socket: Connection) -> Self {
        let most = socket.max_len();
        socket.set_max_len(MOST);
        Self { socket, offer: None, most }
    }

    pub(crate) fn socket(&self) -> &Connection {
        &self.socket
    }

    /// Goes on as far as it can without waiting; returns whether the client has joined.
    pub(crate) fn go(&mut self, capacity: u64) -> Result<bool, MeetError> {
        loop {
            let said = match self.socket.try_recv_bytes() {
                Err(ConnectionError::WouldBlock) => return Ok(false),
                said => said?,
            };
            match (&self.offer, &*said) {
                (None, HELLO) => {
                    let made = Offer::make(capacity);
                    let answer =
                        made.as_ref().map_or_else(|error| format!("-{error}"), |_| "+".into());
                    self.socket.try_send_bytes(answer.as_bytes())?;
                    let offer = made?;
                    offer.segment.send(&self.socket).map_err(MeetError::Segment)?;
                    self.offer = Some(offer);
                }
                (Some(_), JOINED) => return Ok(true),
                _ => {
                    // One line for who speaks something else.
                    let _ = self.socket.try_send_bytes(b"-shmkit duplex 1 is spoken here\n");
                    return Err(MeetError::NotSpoken);
                }
            }
        }
    }

    /// After it has joined.
    pub(crate) fn into_duplex(mut self) -> Option<Duplex> {
        self.socket.set_max_len(self.most);
        let Offer { send, recv, .. } = self.offer?;
        Some(Duplex::new(send, recv, self.socket))
    }
}

/// The client's part.
pub(crate) fn join(
    mut socket: Connection,
    patience: Patience<'_>,
    limit: Duration,
) -> Result<Duplex, MeetError> {
    let most = socket.max_len();
    socket.set_max_len(MOST);
    socket.send_bytes_deadline(HELLO, patience)?;
    let answer = socket.recv_bytes_deadline(patience)?;
    match answer.split_first() {
        Some((b'+', [])) => {}
        Some((b'-', why)) => {
            return Err(MeetError::Refused(String::from_utf8_lossy(why).trim_end().to_owned()));
        }
        _ => return Err(MeetError::NotSpoken),
    }
    // It comes with the answer, or not at all: the limit is for who sends half of it.
    limit_receives(&socket, limit)?;
    let segment = OpenOptions::new().receive(&socket).map_err(MeetError::Segment)?;
    limit_receives(&socket, Duration::ZERO)?;
    let ring = |name| segment.find::<Frames>(name).map_err(MeetError::Rings);
    let [back, there] = [ring(RINGS[0])?, ring(RINGS[1])?];
    let recv = back.receiver().map_err(MeetError::Ends)?;
    let send = there.sender().map_err(MeetError::Ends)?;
    socket.send_bytes_deadline(JOINED, patience)?;
    socket.set_max_len(most);
    Ok(Duplex::new(send, recv, socket))
}

/// Sets how long a receive of the kernel's may take; nothing is for ever.
fn limit_receives(socket: &Connection, limit: Duration) -> Result<(), ConnectionError> {
    let limit = TimeVal::microseconds(i64::try_from(limit.as_micros()).unwrap_or(i64::MAX));
    setsockopt(&socket.as_fd(), ReceiveTimeout, &limit)
        .map_err(|errno| ConnectionError::System(errno.into()))
}
