//! Passing segments, and objects in them, to another process through a Unix socket.
//!
//! ```text
//! at 0   magic    8 bytes, the last of them the version
//! at 8   cookie   u64, of the machine's byte order, as all of it stays on one machine
//! at 16  device   u64
//! at 24  inode    u64
//! at 32  length   u64, of the text: nothing for a segment; for an object its name, generation, kind and tag, a
//!        NUL between them
//! at 40  the text
//! ```
//!
//! With the first byte comes the descriptor of the segment's file, and where that could be made a second one, the ticket.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::vec;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, recv, recvmsg, send, sendmsg,
};
use shmkit_layout::Object;
use shmkit_roster::Seat;

use crate::attach::{self, Source};
use crate::error::{ErrorKind, Failure};
use crate::file::retry;
use crate::inspect;
use crate::locate::{LocateError, Located, Locator};
use crate::status::{Identity, Status};
use crate::{OpenOptions, Segment, SegmentError};

const MAGIC: [u8; 8] = *b"shmkit>\x01";
const HEAD: usize = 40;
/// A name of 255 bytes, a kind, a tag, and room for what a later version may say.
const MOST_TEXT: u64 = 4096;

impl Segment {
    /// Sends the segment through a Unix socket to a process that [receives](Self::receive) it: descriptor and
    /// [ticket](Self::ticket) in one message, so that it can join also as another user, in a sandbox, or without `/proc`. The
    /// segment need not have a name.
    ///
    /// What was sent and is on its way keeps nobody alive: stay until the other side has joined.
    ///
    /// # Errors
    ///
    /// [`NoDescriptor`](ErrorKind::NoDescriptor), and what the socket says. One with a time-out
    /// ([`set_write_timeout`](std::os::unix::net::UnixStream::set_write_timeout)) that has passed: [`TimedOut`](ErrorKind::TimedOut).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use shmkit_segment::{Options, Segment};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (here, there) = UnixStream::pair()?;
    /// let segment = Options::new(4096).anonymous()?;
    /// segment.send(&here)?;
    /// // As a rule, in the process that has the other end:
    /// let received = Segment::receive(&there)?;
    /// assert_eq!(received.header().cookie, segment.header().cookie);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, socket: impl AsFd) -> Result<(), SegmentError> {
        pass(self, socket.as_fd(), "")
            .map_err(|failure| failure.during(format!("send {self} through a socket")))
    }

    /// Joins the segment that another process [sends](Self::send); see [`OpenOptions::receive`].
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::receive`].
    pub fn receive(socket: impl AsFd) -> Result<Self, SegmentError> {
        OpenOptions::new().receive(socket)
    }
}

impl OpenOptions {
    /// Waits for a segment that another process [sends](Segment::send), and joins it.
    ///
    /// # Errors
    ///
    /// Those of [`from_owned_fd`](Self::from_owned_fd): a segment that everybody has left and that had a name is
    /// [`Unlinked`](ErrorKind::Unlinked). [`NotInherited`](ErrorKind::NotInherited) if what comes is no segment, or
    /// another one than the message says, or nothing, because the other side has closed the socket.
    /// [`TimedOut`](ErrorKind::TimedOut) if the socket has a time-out
    /// ([`set_read_timeout`](std::os::unix::net::UnixStream::set_read_timeout)) and it has passed.
    ///
    /// # If a peer dies
    ///
    /// before it has sent all: `NotInherited`.
    pub fn receive(&self, socket: impl AsFd) -> Result<Segment, SegmentError> {
        let run = || {
            let (segment, text) = take(socket.as_fd(), self)?;
            match text.is_empty() {
                true => Ok(segment),
                false => Err(not_ours("an object in a segment was sent: receive it as `Located`")),
            }
        };
        run().map_err(|failure| failure.during("receive a segment through a socket"))
    }
}

impl<O: Object<Seat>> Located<O> {
    /// Sends the object through a Unix socket, with its segment, which need not have a name: what a
    /// [`Locator`] is for those that have one. See [`Segment::send`].
    ///
    /// # Errors
    ///
    /// Those of [`Segment::send`].
    pub fn send(&self, socket: impl AsFd) -> Result<(), LocateError> {
        let generation = self.generation.to_string();
        let text = [self.name(), &generation, O::KIND.name(), O::TAG.name()].join("\0");
        pass(self.segment(), socket.as_fd(), &text).map_err(|failure| {
            LocateError::Segment(failure.during(format!("send object {:?}", self.name())))
        })
    }

    /// Waits for an object that another process [sends](Self::send), joins its segment, and finds it.
    ///
    /// # Errors
    ///
    /// [`LocateError`]: no segment comes or it has gone, or the object is of another kind or type.
    pub fn receive(socket: impl AsFd) -> Result<Self, LocateError> {
        let taken = take(socket.as_fd(), &OpenOptions::new());
        let taken = taken.and_then(|(segment, text)| match locator(&segment, &text) {
            Some(locator) => Ok((segment, locator)),
            None => Err(not_ours("a segment was sent without an object: receive it as `Segment`")),
        });
        let during = |failure: Failure| failure.during("receive an object through a socket");
        let (segment, locator) = taken.map_err(|failure| LocateError::Segment(during(failure)))?;
        locator.check_type::<O>()?;
        locator.find_in(&segment)
    }
}

/// What a text says of an object. Where its segment is need not be said: that has come, too.
fn locator(segment: &Segment, text: &str) -> Option<Locator> {
    let mut parts = text.split('\0');
    let mut part = || parts.next().map(str::to_owned);
    let (object, generation) = (part()?, part()?.parse().ok()?);
    let (kind, tag) = (part()?, part()?);
    let cookie = segment.header().cookie;
    let (directory, segment) = (PathBuf::new(), String::new());
    let is_all = parts.next().is_none();
    is_all.then_some(Locator { directory, segment, cookie, object, generation, kind, tag })
}

fn pass(segment: &Segment, socket: BorrowedFd<'_>, text: &str) -> Result<(), Failure> {
    let file = attach::own_file(segment.participant())?;
    // Who cannot make one, having dropped its privileges, leaves it to the other side to open the file.
    let ticket = attach::reopen(file).ok();
    let Identity { device, inode, cookie } = segment.shared().identity();
    let mut message = MAGIC.to_vec();
    for number in [cookie, device, inode, text.len() as u64] {
        message.extend(number.to_ne_bytes());
    }
    message.extend(text.as_bytes());
    let files: Vec<RawFd> = [Some(file), ticket.as_ref().map(AsFd::as_fd)]
        .iter()
        .flatten()
        .map(|f| f.as_raw_fd())
        .collect();
    let rights = [ControlMessage::ScmRights(&files)];
    let bytes = [IoSlice::new(&message)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    let sent = retry(|| sendmsg::<()>(socket.as_raw_fd(), &bytes, &rights, flags, None));
    let mut done = sent.map_err(socket_failed)?;
    // Here it is closed: the message keeps it.
    drop(ticket);
    while done < message.len() {
        done +=
            retry(|| send(socket.as_raw_fd(), &message[done..], flags)).map_err(socket_failed)?;
    }
    Ok(())
}

/// Takes one message, and joins its segment.
fn take(socket: BorrowedFd<'_>, open: &OpenOptions) -> Result<(Segment, String), Failure> {
    let mut head = [0; HEAD];
    let (mut done, mut files) = first(socket, &mut head)?;
    fill(socket, &mut head, &mut done)?;
    if head[..8] != MAGIC {
        return Err(not_ours(
            "what was received is no segment, or of another version of this crate",
        ));
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    let sent = Identity { cookie: number(8), device: number(16), inode: number(24) };
    if number(32) > MOST_TEXT {
        return Err(not_ours("what was received says more of its object than there is to say"));
    }
    // At most `MOST_TEXT`.
    let mut text = vec![0; number(32) as usize];
    fill(socket, &mut text, &mut 0)?;
    let text = String::from_utf8(text).map_err(|_| not_ours("the object's name is no text"))?;

    let file = files.next().ok_or_else(|| not_ours("no descriptor came with the message"))?;
    let source = files.next().map_or(Source::Descriptor, Source::Ticket);
    Ok((join_sent(file, source, sent, open)?, text))
}

/// Joins the segment of a descriptor that came, if it is the one that was said to come.
pub(crate) fn join_sent(
    file: OwnedFd,
    source: Source,
    sent: Identity,
    open: &OpenOptions,
) -> Result<Segment, Failure> {
    let status = Status::of(file.as_fd()).map_err(|errno| Failure::os(errno, "fstat"))?;
    let header = inspect::header(file.as_fd(), &status, &open.expected()?)?;
    if Identity::new(&status, &header) != sent {
        return Err(not_ours("the descriptor leads to another segment than the message says"));
    }
    let shared = attach::by_descriptor(file, source, &open.expected()?)?;
    Ok(Segment::from_shared(shared))
}

/// Receives the first bytes of a message, and the descriptors that come with them.
fn first(
    socket: BorrowedFd<'_>,
    head: &mut [u8],
) -> Result<(usize, vec::IntoIter<OwnedFd>), Failure> {
    let mut bytes = [IoSliceMut::new(head)];
    let mut space = cmsg_space!([RawFd; 2]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut bytes, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            other => break other.map_err(socket_failed)?,
        }
    };
    let mut files = Vec::new();
    for message in received.cmsgs().map_err(socket_failed)? {
        if let ControlMessageOwned::ScmRights(rights) = message {
            // SAFETY: the kernel has made them for this process a moment ago, and nobody else knows of them.
            files.extend(rights.into_iter().map(|file| unsafe { OwnedFd::from_raw_fd(file) }));
        }
    }
    if received.flags.contains(MsgFlags::MSG_CTRUNC) && files.len() < 2 {
        return Err(Failure::new(
            ErrorKind::TooManyFiles,
            "this process has no descriptor free for what was sent: close some, or raise the limit \
             (`ulimit -n`)",
        ));
    }
    Ok((received.bytes, files.into_iter()))
}

/// Receives the rest of what `to` has room for.
fn fill(socket: BorrowedFd<'_>, to: &mut [u8], done: &mut usize) -> Result<(), Failure> {
    while *done < to.len() {
        match retry(|| recv(socket.as_raw_fd(), &mut to[*done..], MsgFlags::empty())) {
            Ok(0) => return Err(closed()),
            Ok(n) => *done += n,
            Err(errno) => return Err(socket_failed(errno)),
        }
    }
    Ok(())
}

fn socket_failed(errno: Errno) -> Failure {
    match errno {
        Errno::EAGAIN => Failure::new(
            ErrorKind::TimedOut,
            "the other side did nothing for as long as the socket's time-out says: try again",
        )
        .caused_by(errno),
        Errno::EPIPE | Errno::ECONNRESET => closed().caused_by(errno),
        errno => Failure::os(errno, "passing descriptors through the socket"),
    }
}

fn closed() -> Failure {
    not_ours("the other side has closed the socket before all of it came")
}

fn not_ours(found: &str) -> Failure {
    let detail = format!("{found}; have it sent by `Segment::send` or `Located::send`");
    Failure::new(ErrorKind::NotInherited, detail)
}
