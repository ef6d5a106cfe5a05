//! Messages of any length in a ring whose items are words.

use shmkit_roster::Judge;
use shmkit_sync::Patience;

use super::RawEnd;
use crate::PipeError;

/// Bytes of a word.
const WORD: u64 = 8;
/// Bits of a length, in bytes.
const LENGTH: u32 = 48;
/// In a header: the sender has begun a message before this one, and given it up.
const GIVEN_UP: u64 = 1 << 55;
/// Where the kind of a piece stands in its header.
const KIND: u32 = 56;
/// A header that says: the next one is at the beginning of the ring.
const SKIP: u64 = 4 << KIND;
/// Fewest words that a piece of a long message is put into, header included.
const LEAST: u64 = 4;
/// Most words of it: it is copied while the other side copies the one before, and whoever waits for it meanwhile does not fall asleep.
const MOST: u64 = 2048;
/// What a header is called in errors.
const HEADER: &str = "header of a message";

/// The words of a ring, as its two ends use them: in shared memory, or in a model.
///
/// `at` is always less than the capacity.
pub trait Words {
    /// Loads a word once.
    fn load(&self, at: u64) -> u64;
    /// Stores a word at a place that is the sender's.
    fn store(&self, at: u64, word: u64);
}

/// How much of its message a piece is.
///
/// Closed: another one would be another format, and whoever reads it must not forget one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The beginning of a message that is larger than half of the ring.
    First,
    /// What comes after the piece before it.
    Next,
}

/// A piece of a message in a ring: what its header says, checked.
///
/// ```text
/// word 0   63 .. 56          | 55       | 54 .. 48 | 47 .. 0
///          1 Whole, 2 First, | given up | 0        | bytes in this piece
///          3 Next, 4 skip
///      1   of First and Next: bytes of the message that come after this piece
///      …   the bytes, up to a whole word
/// ```
///
/// A piece lies in the ring without a break. Where one does not fit before the end of the ring, a word says *skip* there, and
/// the piece lies at the beginning; both are published at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How much of its message it is.
    pub part: Part,
    /// The sender has begun a message before this one, and given it up.
    pub given_up: bool,
    /// The place of the first word of its bytes: `at + len / 8`, rounded up, is at most the capacity.
    pub at: u64,
    /// How many bytes it has.
    pub len: u64,
    /// How many bytes of the message come after it.
    pub left: u64,
    /// All words that it takes, skipped ones included: to be published when it has been read.
    pub words: u64,
}

/// Room for a piece, not published yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "nothing is sent before it is put"]
pub struct Place {
    part: Part,
    /// The place of the first word of its bytes.
    pub at: u64,
    /// How many bytes it has.
    pub len: u64,
    /// Words to the end of the ring that are left out before it.
    skipped: u64,
}

impl Part {
    /// Words of the header.
    fn header(self) -> u64 {
        if self == Self::Whole { 1 } else { 2 }
    }

    fn code(self) -> u64 {
        match self {
            Self::Whole => 1 << KIND,
            Self::First => 2 << KIND,
            Self::Next => 3 << KIND,
        }
    }
}

impl RawEnd<'_, true> {
    /// Returns the most bytes of a message that lies in the ring in one piece.
    #[inline]
    pub fn most_in_place(&self) -> u64 {
        // So that it fits with what may have to be skipped, wherever the ring stands.
        (self.capacity() / 2 - 1) * WORD
    }

    /// Returns how many words must be free for a message of `len` bytes, or for the first piece of one that is too long for the
    /// ring.
    pub fn words_for(&self, len: u64) -> u64 {
        let want = 1 + len.div_ceil(WORD);
        let to_end = self.capacity() - self.index();
        if len > self.most_in_place() {
            let (skipped, want) = self.words_for_part(Part::First, len);
            return skipped + want;
        }
        if want > to_end { to_end + want } else { want }
    }

    /// Returns how many words to leave out, and how many to take then, for a piece of a message of which so many bytes are
    /// left: it may end at the end of the ring, and takes a quarter of that at most, and 16 KiB.
    fn words_for_part(&self, part: Part, left: u64) -> (u64, u64) {
        let to_end = self.capacity() - self.index();
        let (skipped, room) = if to_end < LEAST { (to_end, self.capacity()) } else { (0, to_end) };
        let most = (self.capacity() / 4).clamp(LEAST, MOST).min(room);
        (skipped, (part.header() + left.div_ceil(WORD)).min(most))
    }

    /// Waits until a message of `len` bytes has room in one piece.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`PipeError::TooMany`] if there never is.
    #[inline]
    pub fn place<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        len: u64,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Place, PipeError> {
        let capacity = self.most_in_place();
        if len > capacity {
            return Err(PipeError::TooMany { wanted: len as usize, capacity: capacity as usize });
        }
        let index = self.index();
        let want = 1 + len.div_ceil(WORD);
        let to_end = self.capacity() - index;
        if want <= to_end {
            self.wait(judge, want, patience)?;
            return Ok(Place { part: Part::Whole, at: index + 1, len, skipped: 0 });
        }
        self.wait(judge, to_end + want, patience)?;
        Ok(Place { part: Part::Whole, at: 1, len, skipped: to_end })
    }

    /// Waits until the next piece of a long message has room, of which `left` bytes are still to be sent; `part` is
    /// [`First`](Part::First) or [`Next`](Part::Next). It is at most a quarter of the ring, and 16 KiB.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn place_part<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        part: Part,
        left: u64,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Place, PipeError> {
        let (skipped, want) = self.words_for_part(part, left);
        self.hurry(true);
        let waited = self.wait(judge, skipped + want, patience);
        self.hurry(false);
        waited?;
        let head = if skipped == 0 { self.index() } else { 0 };
        let len = left.min((want - part.header()) * WORD);
        Ok(Place { part, at: head + part.header(), len, skipped })
    }

    /// Publishes the first `len` bytes of a place, which have been written; `left` bytes of the message come after them.
    ///
    /// One store: killed before it, nothing was sent.
    ///
    /// # Panics
    ///
    /// If the place has fewer.
    #[inline]
    pub fn put<W: Words>(&mut self, words: &W, place: Place, len: u64, left: u64, given_up: bool) {
        assert!(len <= place.len, "{len} bytes of {} were sent", place.len);
        if place.skipped != 0 {
            words.store(self.index(), SKIP);
        }
        let header = place.part.header();
        let given_up = if given_up { GIVEN_UP } else { 0 };
        words.store(place.at - header, place.part.code() | given_up | len);
        if place.part != Part::Whole {
            words.store(place.at - 1, left);
        }
        self.publish(place.skipped + header + len.div_ceil(WORD));
    }
}

impl RawEnd<'_, true> {
    /// Returns how many whole messages there are in the last `left` words that were published: what a receiver that died has not
    /// received. Of one whose beginning it has, and of one that is not all sent, nothing counts.
    #[cold]
    pub fn messages_in<W: Words>(&self, words: &W, left: u64) -> u64 {
        let (mut at, mut left) = ((self.index() + self.capacity() - left) % self.capacity(), left);
        let (mut count, mut begun) = (0, false);
        while left > 0 {
            let (header, to_end) = (words.load(at), self.capacity() - at);
            let taken = if header == SKIP && at != 0 {
                to_end
            } else {
                // A number that no sender puts ends the count.
                let Ok(piece) = piece(words, header, at, left.min(to_end), 0) else { break };
                begun |= piece.part != Part::Next;
                if piece.left == 0 {
                    count += u64::from(begun);
                    begun = false;
                }
                piece.words
            };
            (at, left) = ((at + taken) % self.capacity(), left.saturating_sub(taken));
        }
        count
    }
}

impl RawEnd<'_, false> {
    /// Waits for the next piece, and returns it; it stays in the ring until its words are [published](Self::publish).
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`PipeError::Corrupt`] if it is none that a sender puts.
    #[inline]
    pub fn front<'p, J: Judge + ?Sized, W: Words>(
        &mut self,
        words: &W,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<Piece, PipeError> {
        let ready = self.wait(judge, 1, patience)?;
        let index = self.index();
        let header = words.load(index);
        if header == SKIP && index != 0 {
            let skipped = self.capacity() - index;
            if ready <= skipped {
                return Err(corrupt(header)); // It is published with what comes after it.
            }
            return piece(words, words.load(0), 0, ready - skipped, skipped);
        }
        piece(words, header, index, ready.min(self.capacity() - index), 0)
    }
}

/// Checks the piece with this header at `head`, of which no more than `room` words can lie there.
#[inline(always)]
fn piece<W: Words>(
    words: &W,
    header: u64,
    head: u64,
    room: u64,
    skipped: u64,
) -> Result<Piece, PipeError> {
    let len = header & ((1 << LENGTH) - 1);
    let part = match header & !GIVEN_UP & !((1 << LENGTH) - 1) {
        code if code == Part::Whole.code() => Part::Whole,
        code if code == Part::First.code() => Part::First,
        code if code == Part::Next.code() => Part::Next,
        _ => return Err(corrupt(header)),
    };
    let taken = part.header() + len.div_ceil(WORD);
    if taken > room {
        return Err(corrupt(header));
    }
    let at = head + part.header();
    let mut left = 0;
    if part != Part::Whole {
        left = words.load(at - 1);
        // A message that has no more is whole, and each piece brings something.
        let first = part == Part::First;
        if left >> LENGTH != 0 || len == 0 || first && left == 0 {
            return Err(PipeError::Corrupt { field: "rest of a message", found: left });
        }
    }
    let given_up = header & GIVEN_UP != 0;
    Ok(Piece { part, given_up, at, len, left, words: skipped + taken })
}

#[cold]
fn corrupt(found: u64) -> PipeError {
    PipeError::Corrupt { field: HEADER, found }
}
