//! What two nodes say to each other, as bytes.
//!
//! ```text
//! message   link u64 | seq u64 | ack u64 | frame | frame | …       each number little-endian, each frame postcard's
//! ```
//!
//! `seq` counts the messages of one side of a link, from 0; `ack` is how many of the other side's have come. What comes is checked,
//! and borrowed from the message: no frame allocates anything when it is decoded.

use serde::{Deserialize, Serialize, Serializer};

/// The version of all this.
pub(crate) const PROTOCOL: u32 = 1;
/// Bytes of a message's numbers.
pub(crate) const HEAD: usize = 24;
/// The most bytes of what one frame brings, and of one call's arguments or answer.
pub(crate) const MOST_BODY: usize = 1 << 20;
/// The most bytes of a message that is not refused: a frame of the longest body, and what is put beside it.
pub(crate) const MOST_MESSAGE: usize = 2 * MOST_BODY;

/// The numbers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) link: u64,
    pub(crate) seq: u64,
    pub(crate) ack: u64,
}

/// What can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    Pool,
    Queue,
    Broadcast,
    Map,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Queue => "queue",
            Self::Broadcast => "broadcast",
            Self::Map => "map",
        }
    }
}

/// Why a question has no answer. Nothing was done for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Decline {
    /// There is no room for it now.
    Busy,
    /// It is none that can be answered, for this reason.
    Refused(String),
    /// The link is no more, for this reason; it may have been done. Never sent.
    Gone(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Frame<'a> {
    /// The first one of a link, from who opens it.
    Open { protocol: u32, is_little: bool, width: u8, host: &'a str },
    /// The answer to it.
    Opened { host: &'a str },
    /// The link is no more, or there is none.
    Broken { why: &'a str },
    /// Begins to use what is served under a name; the answer says more of it.
    Enter {
        ticket: u64,
        session: u32,
        kind: Kind,
        name: &'a str,
        #[serde(borrow)]
        tag: Option<Tag<'a>>,
    },
    /// Uses it no more.
    Leave { session: u32 },
    /// A question to what is served.
    Ask {
        session: u32,
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        body: &'a [u8],
    },
    /// A part of an answer.
    Part {
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        body: &'a [u8],
    },
    /// The answer, or the last part of it.
    Answer {
        ticket: u64,
        #[serde(serialize_with = "as_bytes")]
        body: &'a [u8],
    },
    /// There is none.
    Declined { ticket: u64, why: Decline },
    /// Asks whether all that was sent has come: if not, its number shows it.
    Ping,
    /// The same the other way.
    Pong,
}

/// A type that values in shared memory have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a str,
    pub(crate) size: u32,
    pub(crate) align: u32,
    pub(crate) hash: u64,
}

/// As one piece, not byte by byte.
pub(crate) fn as_bytes<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// A list of byte strings, which are items, keys or values: each behind its length.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Puts a piece behind others.
    pub(crate) fn push(to: &mut Vec<u8>, piece: &[u8]) {
        // Shorter than a message.
        to.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        to.extend_from_slice(piece);
    }
}

/// Ends early where what is left is no piece; `Err` once, then.
impl<'a> Iterator for Pieces<'a> {
    type Item = Result<&'a [u8], CutOff>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let piece = self
            .0
            .split_first_chunk::<4>()
            .and_then(|(len, rest)| rest.split_at_checked(u32::from_le_bytes(*len) as usize));
        let Some((piece, rest)) = piece else {
            self.0 = &[];
            return Some(Err(CutOff));
        };
        self.0 = rest;
        Some(Ok(piece))
    }
}

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutOff;

impl std::fmt::Display for CutOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is cut off, or of another version")
    }
}

impl Head {
    pub(crate) fn write(self, to: &mut [u8]) {
        for (place, number) in to.chunks_exact_mut(8).zip([self.link, self.seq, self.ack]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
    }
}

/// Returns a message's numbers, and its frames.
pub(crate) fn open(message: &[u8]) -> Result<(Head, &[u8]), CutOff> {
    if message.len() > MOST_MESSAGE {
        return Err(CutOff);
    }
    let (head, frames) = message.split_first_chunk::<HEAD>().ok_or(CutOff)?;
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    Ok((Head { link: number(0), seq: number(8), ack: number(16) }, frames))
}

/// Goes through the frames of a message; `Err` once where what is left is none.
pub(crate) fn frames(mut bytes: &[u8]) -> impl Iterator<Item = Result<Frame<'_>, CutOff>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        match postcard::take_from_bytes(bytes) {
            Ok((frame, rest)) => {
                bytes = rest;
                Some(Ok(frame))
            }
            Err(_) => {
                bytes = &[];
                Some(Err(CutOff))
            }
        }
    })
}

/// Puts a frame, or an outcome, behind others.
pub(crate) fn push<T: Serialize>(to: &mut Vec<u8>, frame: &T) {
    // It has texts, bytes and numbers only, and a `Vec` takes them all.
    *to = postcard::to_extend(frame, std::mem::take(to)).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::super::talk::Order;
    use super::*;

    fn all() -> Vec<Frame<'static>> {
        let tag = Some(Tag { name: "u64", size: 8, align: 8, hash: 5 });
        vec![
            Frame::Open { protocol: PROTOCOL, is_little: true, width: 64, host: "one" },
            Frame::Opened { host: "two" },
            Frame::Broken { why: "so" },
            Frame::Enter { ticket: 0, session: 1, kind: Kind::Queue, name: "jobs", tag },
            Frame::Leave { session: 1 },
            Frame::Ask { session: 1, ticket: 300, body: b"what?" },
            Frame::Part { ticket: 300, body: b"" },
            Frame::Answer { ticket: 300, body: &[7; 1000] },
            Frame::Declined { ticket: 3, why: Decline::Refused("no".into()) },
            Frame::Ping,
            Frame::Pong,
        ]
    }

    fn message() -> Vec<u8> {
        let mut message = vec![0; HEAD];
        Head { link: 1, seq: 2, ack: u64::MAX }.write(&mut message);
        all().iter().for_each(|frame| push(&mut message, frame));
        message
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let message = message();
        let (head, rest) = open(&message).unwrap();
        assert_eq!(head, Head { link: 1, seq: 2, ack: u64::MAX });
        let found: Vec<_> = frames(rest).map(Result::unwrap).collect();
        assert_eq!(found, all());
    }

    #[test]
    fn whatever_bytes_come_each_frame_is_one_or_refused() {
        let good = message();
        // Every cut.
        for len in 0..good.len() {
            match open(&good[..len]) {
                Ok((_, rest)) => assert!(frames(rest).filter(Result::is_err).count() <= 1),
                Err(CutOff) => assert!(len < HEAD),
            }
        }
        // Changed at random, by a generator of its own so that a failure comes again.
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize
        };
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..1 + next() % 8 {
                let at = HEAD + next() % (bytes.len() - HEAD);
                bytes[at] = next() as u8;
            }
            bytes.truncate(HEAD + next() % (bytes.len() - HEAD));
            let (_, rest) = open(&bytes).unwrap();
            for frame in frames(rest) {
                if let Ok(Frame::Ask { body, .. }) = frame {
                    let _ = postcard::from_bytes::<Order<'_>>(body);
                    assert!(Pieces::of(body).filter(Result::is_err).count() <= 1);
                }
            }
        }
        assert_eq!(open(&vec![0; MOST_MESSAGE + 1]).unwrap_err(), CutOff);
    }

    #[test]
    fn a_length_that_is_not_there_allocates_nothing() {
        // An order that says it has 2^32 ends.
        let bytes = [&[5_u8][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
        assert!(postcard::from_bytes::<Order<'_>>(&bytes).is_err());
        let long = [0xff_u8; 4];
        assert_eq!(Pieces::of(&long).next(), Some(Err(CutOff)));
        let mut two = Vec::new();
        Pieces::push(&mut two, b"ab");
        Pieces::push(&mut two, b"");
        let found: Vec<_> = Pieces::of(&two).map(Result::unwrap).collect();
        assert_eq!(found, [&b"ab"[..], b""]);
    }
}
