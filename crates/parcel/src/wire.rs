//! Through a Unix socket, in as many steps as it takes.
//!
//! ```text
//! at 0   magic   4 bytes, the last of them the version
//! at 4   kind    u32, whatever the two sides have agreed on; of the machine's byte order, as all of it stays on one machine
//! at 8   files   u64, how many descriptors come
//! at 16  length  u64, how many bytes follow
//! at 24  the bytes
//! ```
//!
//! The kernel takes 253 descriptors with one message: with each of the first bytes come so many, until all have come.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use crate::{Parcel, ParcelError};

const MAGIC: [u8; 4] = *b"skp\x01";
const HEAD: usize = 24;
/// How many descriptors the kernel takes with one message: `SCM_MAX_FD`.
const ROUND: usize = 253;
/// How many descriptors a parcel can have.
pub const MOST_FILES: usize = ROUND * HEAD;
/// How many bytes are made room for before they have come.
const STEP: usize = 64 << 10;

/// A parcel that is being sent.
#[derive(Debug)]
pub struct Outgoing {
    head: [u8; HEAD],
    parcel: Parcel,
    files: Vec<OwnedFd>,
    /// How many of them have been sent.
    sent: usize,
    /// How many bytes have been sent, those of the head included.
    done: usize,
}

impl Outgoing {
    /// Begins to send a parcel. What was taken out of it does not go.
    pub fn new(kind: u32, mut parcel: Parcel) -> Self {
        let files = parcel.take_files();
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&kind.to_ne_bytes());
        head[8..16].copy_from_slice(&(files.len() as u64).to_ne_bytes());
        head[16..].copy_from_slice(&(parcel.bytes.len() as u64).to_ne_bytes());
        Self { head, parcel, files, sent: 0, done: 0 }
    }

    /// Sends as much as the socket takes, and returns whether that was all.
    ///
    /// # Errors
    ///
    /// [`TooLong`](ParcelError::TooLong): more than [`MOST_FILES`] descriptors; nothing was sent then.
    /// [`Closed`](ParcelError::Closed), [`Os`](ParcelError::Os).
    pub fn advance(&mut self, socket: &impl AsFd) -> Result<bool, ParcelError> {
        if self.files.len() > MOST_FILES {
            let (found, most) = (self.files.len() as u64, MOST_FILES as u64);
            return Err(ParcelError::TooLong { found, most, what: "descriptors" });
        }
        let all = HEAD + self.parcel.bytes.len();
        while self.done < all {
            let round: Vec<RawFd> =
                self.files[self.sent..].iter().take(ROUND).map(AsRawFd::as_raw_fd).collect();
            let rights = [ControlMessage::ScmRights(&round)];
            let rights = if round.is_empty() { &rights[..0] } else { &rights[..] };
            let head = &self.head[self.done.min(HEAD)..];
            // As long as there are more than fit: a byte for each message.
            let more = self.sent + round.len() < self.files.len();
            let bytes = [
                IoSlice::new(if more { &head[..1] } else { head }),
                IoSlice::new(&self.parcel.bytes[self.done.saturating_sub(HEAD)..]),
            ];
            let bytes = if more { &bytes[..1] } else { &bytes[..] };
            let socket = socket.as_fd().as_raw_fd();
            match sendmsg::<()>(socket, bytes, rights, MsgFlags::MSG_NOSIGNAL, None) {
                Ok(n) => {
                    self.done += n;
                    self.sent += round.len();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ParcelError::Closed),
                Err(errno) => return Err(ParcelError::Os(errno.into())),
            }
        }
        // Whoever receives has its own by now.
        self.files.clear();
        Ok(true)
    }

    /// Sends all of it, through a socket that blocks.
    ///
    /// # Errors
    ///
    /// Those of [`advance`](Self::advance); [`Os`](ParcelError::Os) if it does not block, or has a time-out that has passed.
    pub fn finish(mut self, socket: &impl AsFd) -> Result<(), ParcelError> {
        match self.advance(socket)? {
            true => Ok(()),
            false => Err(ParcelError::Os(Errno::EAGAIN.into())),
        }
    }
}

/// A parcel that is being received.
#[derive(Debug)]
pub struct Incoming {
    most: u64,
    head: [u8; HEAD],
    bytes: Vec<u8>,
    files: Vec<OwnedFd>,
    /// How many bytes have come, those of the head included.
    done: usize,
}

impl Incoming {
    /// Begins to receive a parcel of so many bytes at most.
    pub fn new(most: u64) -> Self {
        Self { most, head: [0; HEAD], bytes: Vec::new(), files: Vec::new(), done: 0 }
    }

    /// Receives as much as has come, and returns the parcel, with its kind, if that was all of it. Nothing is taken from the
    /// socket that lies behind it. Then it is as new.
    ///
    /// # Errors
    ///
    /// All of [`ParcelError`] but `Encode` and `Decode`.
    pub fn advance(&mut self, socket: &impl AsFd) -> Result<Option<(u32, Parcel)>, ParcelError> {
        loop {
            let all = if self.done < HEAD { HEAD } else { HEAD + self.length()? };
            if self.done == all && all >= HEAD && (all > HEAD || self.length()? == 0) {
                let kind = self.number::<4>(4);
                let whole = std::mem::replace(self, Self::new(self.most));
                let expected = whole.number::<8>(8);
                if whole.files.len() as u64 != expected {
                    let (found, most) = (whole.files.len() as u64, expected);
                    return Err(ParcelError::TooLong { found, most, what: "descriptors" });
                }
                return Ok(Some((kind as u32, Parcel::of(whole.bytes, whole.files))));
            }
            if !self.receive(socket, all)? {
                return Ok(None);
            }
        }
    }

    /// Receives all of it, through a socket that blocks.
    ///
    /// # Errors
    ///
    /// Those of [`advance`](Self::advance); [`Os`](ParcelError::Os) if it does not block, or has a time-out that has passed.
    pub fn finish(mut self, socket: &impl AsFd) -> Result<(u32, Parcel), ParcelError> {
        self.advance(socket)?.ok_or_else(|| ParcelError::Os(Errno::EAGAIN.into()))
    }

    /// Receives once; returns whether anything came.
    fn receive(&mut self, socket: &impl AsFd, all: usize) -> Result<bool, ParcelError> {
        let at = self.done.saturating_sub(HEAD);
        let room = if self.done < HEAD {
            &mut self.head[self.done..]
        } else {
            let step = (all - self.done).min(STEP.max(at));
            self.bytes.resize(at + step, 0);
            &mut self.bytes[at..]
        };
        let mut slices = [IoSliceMut::new(room)];
        let mut space = cmsg_space!([RawFd; ROUND]);
        // Descriptors come with the head alone.
        let space = (self.done < HEAD).then_some(&mut space[..]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = match recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut slices, space, flags) {
            Ok(received) => received,
            Err(Errno::EINTR) => return self.forget_room(at, true),
            Err(Errno::EAGAIN) => return self.forget_room(at, false),
            Err(Errno::ECONNRESET) => return Err(self.closed()),
            Err(errno) => return Err(ParcelError::Os(errno.into())),
        };
        let mut came = Vec::new();
        if self.done < HEAD {
            for message in received.cmsgs().map_err(|errno| ParcelError::Os(errno.into()))? {
                if let ControlMessageOwned::ScmRights(rights) = message {
                    came.extend(rights);
                }
            }
        }
        let (n, flags) = (received.bytes, received.flags);
        // SAFETY: the kernel has made them for this process a moment ago, and nobody else knows of them.
        self.files.extend(came.into_iter().map(|file| unsafe { OwnedFd::from_raw_fd(file) }));
        if flags.contains(MsgFlags::MSG_CTRUNC) {
            return Err(ParcelError::TooManyFiles);
        }
        if self.done >= HEAD {
            self.bytes.truncate(at + n);
        }
        if n == 0 {
            return Err(self.closed());
        }
        self.done += n;
        self.check()?;
        Ok(true)
    }

    fn forget_room(&mut self, at: usize, again: bool) -> Result<bool, ParcelError> {
        self.bytes.truncate(at);
        Ok(again)
    }

    /// Checks as much of the head as has come.
    fn check(&self) -> Result<(), ParcelError> {
        let came = self.done.min(4);
        if self.head[..came] != MAGIC[..came] {
            let mut found = [0; 4];
            found.copy_from_slice(&self.head[..4]);
            return Err(ParcelError::NoParcel { found });
        }
        if self.done >= HEAD {
            self.length()?;
        }
        if self.files.len() > MOST_FILES {
            let (found, most) = (self.files.len() as u64, MOST_FILES as u64);
            return Err(ParcelError::TooLong { found, most, what: "descriptors" });
        }
        Ok(())
    }

    fn length(&self) -> Result<usize, ParcelError> {
        let found = self.number::<8>(16);
        let most = self.most;
        // 64 bits are a `usize` wherever this crate runs.
        if found > most {
            Err(ParcelError::TooLong { found, most, what: "bytes" })
        } else {
            Ok(found as usize)
        }
    }

    fn number<const N: usize>(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        let to = if cfg!(target_endian = "little") { 0 } else { 8 - N };
        bytes[to..to + N].copy_from_slice(&self.head[at..at + N]);
        u64::from_ne_bytes(bytes)
    }

    fn closed(&self) -> ParcelError {
        match self.done {
            0 => ParcelError::Closed,
            came => ParcelError::CutShort { came: came as u64 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::Descriptor;

    #[test]
    fn a_thousand_descriptors_arrive_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut parcel = Parcel::new();
        let files = tempfile::tempdir().unwrap();
        let file = |n: u32| {
            let path = files.path().join(n.to_string());
            std::fs::write(&path, n.to_string()).unwrap();
            File::open(path).unwrap()
        };
        let sent: Vec<Descriptor<File>> = (0..300).map(|n| file(n).into()).collect();
        parcel.add(&sent).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| Outgoing::new(1, parcel).finish(&here).unwrap());
            let (kind, mut parcel) = Incoming::new(1 << 20).finish(&there).unwrap();
            let came: Vec<Descriptor<File>> = parcel.take().unwrap();
            let texts =
                came.into_iter().map(|file| std::io::read_to_string(file.into_inner()).unwrap());
            assert!(kind == 1 && texts.eq((0..300).map(|n| n.to_string())));
        });
    }

    #[test]
    fn what_is_no_parcel_or_too_long_or_cut_short_is_refused() {
        let come = |bytes: &[u8]| {
            let (mut here, there) = UnixStream::pair().unwrap();
            here.write_all(bytes).unwrap();
            drop(here);
            Incoming::new(100).finish(&there).unwrap_err()
        };
        assert!(matches!(come(b""), ParcelError::Closed));
        assert!(matches!(come(b"GET /"), ParcelError::NoParcel { .. }));
        assert!(matches!(come(&MAGIC), ParcelError::CutShort { came: 4 }));
        let mut long = [MAGIC.as_slice(), &[0; 12], &[255; 8]].concat();
        assert!(matches!(come(&long), ParcelError::TooLong { found: u64::MAX, most: 100, .. }));
        long[16..].copy_from_slice(&[5, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(come(&long), ParcelError::CutShort { came: 24 }));
        long[8] = 3;
        long.extend([0; 5]);
        assert!(matches!(come(&long), ParcelError::TooLong { found: 0, most: 3, .. }));
    }

    #[test]
    fn a_socket_that_does_not_block_takes_and_gives_a_part_at_a_time() {
        let (here, there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        there.set_nonblocking(true).unwrap();
        let mut parcel = Parcel::new();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        parcel.add(&sent).unwrap();
        let (mut outgoing, mut incoming) = (Outgoing::new(2, parcel), Incoming::new(1 << 24));
        let (mut steps, mut is_sent) = (0, false);
        let (_, mut parcel) = loop {
            is_sent = is_sent || outgoing.advance(&here).unwrap();
            steps += 1;
            if let Some(whole) = incoming.advance(&there).unwrap() {
                break whole;
            }
        };
        assert!(is_sent && steps > 2, "{steps}");
        assert_eq!(parcel.take::<Vec<u8>>().unwrap(), sent);
    }
}
