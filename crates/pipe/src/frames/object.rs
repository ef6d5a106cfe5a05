//! The framed pipe as an object of a region.

use core::fmt;

use shmkit_layout::{Kind, Object, Offset, OffsetError, Region, Shape, ShapeError, TypeTag};
use shmkit_roster::{Judge, OwnerId, Seat};

use super::{FrameReceiver, FrameSender};
use crate::places::Places;
use crate::{ClaimError, RawEnd, RawRing};

/// Bytes of a word, of which the ring consists.
pub(super) const WORD: usize = 8;
/// Least words of a ring.
const MIN_WORDS: u64 = 16;
/// Most words of a ring.
const MAX_WORDS: u64 = 1 << 32;

/// A pipe of messages, each of as many bytes as it has, from one sender to one receiver.
///
/// This handle claims the two ends, [`FrameSender`] and [`FrameReceiver`]; it is not an end itself, and any number of
/// participants may have one. Each end has one holder at a time. Whoever comes after it was closed, or after its holder died,
/// goes on where its predecessor stopped: messages that were sent and not received stay in the pipe.
///
/// The length in its [`Shape`] is the capacity in words of 8 bytes: what was asked for, rounded up to a power of two. Each
/// message takes its own bytes, rounded up to whole words, and 8 more.
///
/// A message of up to [half of the capacity](Self::most_in_place) lies there in one piece. A longer one is *streamed*: sent in
/// pieces while the other side receives, so that there is no largest one.
pub struct Frames<K = Seat> {
    ring: &'static RawRing,
    places: Places<'static, u64>,
    /// Keeps mapped what the others lead to; so it is dropped last.
    keeper: K,
}

impl<K> Frames<K> {
    pub(crate) fn of(ring: &'static RawRing, places: Places<'static, u64>, keeper: K) -> Self {
        Self { ring, places, keeper }
    }
}

impl<K: Judge + Clone> Frames<K> {
    /// Claims the sender's end.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] if a living participant holds it, this one included; if that cannot be told; if this process has
    /// not joined; or if the pipe is corrupt.
    ///
    /// # If a peer dies
    ///
    /// What a dead predecessor has sent stays in the pipe. A streamed message that it has not sent to its end is discarded, and
    /// the receiver is told: [`PipeError::Torn`](crate::PipeError::Torn).
    pub fn sender(&self) -> Result<FrameSender<K>, ClaimError> {
        let end = RawEnd::claim(self.ring, self.places.count() as u64, &self.keeper, false)?;
        Ok(FrameSender::new(end, self.places, self.keeper.clone()))
    }

    /// Claims the receiver's end.
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender).
    ///
    /// # If a peer dies
    ///
    /// The successor of a dead receiver gets the first message that its predecessor had not released. What is left of a streamed
    /// one whose beginning that one had is discarded, and told: [`PipeError::Torn`](crate::PipeError::Torn).
    pub fn receiver(&self) -> Result<FrameReceiver<K>, ClaimError> {
        let end = RawEnd::claim(self.ring, self.places.count() as u64, &self.keeper, false)?;
        Ok(FrameReceiver::new(end, self.places, self.keeper.clone()))
    }

    /// Claims the sender's end from this very participant, which has it and has forgotten it
    /// ([`mem::forget`](core::mem::forget)); otherwise as [`sender`](Self::sender).
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender), except that this participant does not count.
    ///
    /// # Safety
    ///
    /// No sender of this pipe that this process has claimed may be used, or dropped, from now on: two would write to the
    /// same places.
    pub unsafe fn reclaim_sender(&self) -> Result<FrameSender<K>, ClaimError> {
        let end = RawEnd::claim(self.ring, self.places.count() as u64, &self.keeper, true)?;
        Ok(FrameSender::new(end, self.places, self.keeper.clone()))
    }

    /// Claims the receiver's end from this very participant, as [`reclaim_sender`](Self::reclaim_sender) does the other.
    ///
    /// # Errors
    ///
    /// As [`receiver`](Self::receiver), except that this participant does not count.
    ///
    /// # Safety
    ///
    /// No receiver of this pipe that this process has claimed may be used, or dropped, from now on.
    pub unsafe fn reclaim_receiver(&self) -> Result<FrameReceiver<K>, ClaimError> {
        let end = RawEnd::claim(self.ring, self.places.count() as u64, &self.keeper, true)?;
        Ok(FrameReceiver::new(end, self.places, self.keeper.clone()))
    }

    /// Returns the capacity in bytes, a power of two.
    pub fn capacity(&self) -> usize {
        self.places.count() * WORD
    }

    /// Returns the most bytes of a message that lies in the pipe in one piece, and that can be lent.
    pub fn most_in_place(&self) -> usize {
        self.capacity() / 2 - WORD
    }

    /// Returns whether nothing is to be received: at a moment that is over when this returns.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Returns who holds the sender's end, dead or alive, or `None` if nobody does or it was closed.
    pub fn sending(&self) -> Option<OwnerId> {
        self.ring.sender()
    }

    /// Returns who holds the receiver's end, dead or alive, or `None` if nobody does or it was closed.
    pub fn receiving(&self) -> Option<OwnerId> {
        self.ring.receiver()
    }

    /// Returns the handle of a ring of so many words in `region`.
    ///
    /// # Safety
    ///
    /// As for [`Object::attach`], and the number is a power of two.
    unsafe fn place(region: Region<'_>, words: u64, keeper: K) -> Result<Self, OffsetError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them, here and in the ends.
        let region = unsafe { region.kept() };
        let ring = region.get::<RawRing>(Offset::ZERO)?;
        // At most `MAX_WORDS`, on 64 bits.
        let count = words as usize;
        let first = region.place(Offset::<u64>::new(size_of::<RawRing>() as u64)?, count)?;
        // SAFETY: `place` has checked bounds and alignment of `count` values; the bytes live as long as `keeper`; the
        // number is a power of two (caller).
        let places = unsafe { Places::new(first, count) };
        Ok(Self { ring, places, keeper })
    }
}

impl<K: Clone> Clone for Frames<K> {
    fn clone(&self) -> Self {
        Self { ring: self.ring, places: self.places, keeper: self.keeper.clone() }
    }
}

impl<K: Copy> Copy for Frames<K> {}

impl<K: Judge + Clone> fmt::Debug for Frames<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("capacity", &self.capacity())
            .field("empty", &self.is_empty())
            .field("sending", &self.sending())
            .field("receiving", &self.receiving())
            .finish()
    }
}

#[cfg(feature = "serde")]
shmkit_roster::travels!([] Frames, |it| &it.keeper);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<K: Judge + Clone> Object<K> for Frames<K> {
    const KIND: Kind = Kind::new("frames");
    const TAG: TypeTag = TypeTag::named("[u8]");

    /// The least number of bytes that it must be able to hold.
    type Spec = u64;

    fn shape(&spec: &u64, _: u32) -> Result<Shape, ShapeError> {
        let max = MAX_WORDS * WORD as u64;
        if spec == 0 || spec > max {
            return Err(ShapeError::Length { found: spec, min: 1, max });
        }
        // The most is a power of two, so that rounding up does not pass it.
        let len = spec.div_ceil(WORD as u64).next_power_of_two().max(MIN_WORDS);
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len,
            bytes: size_of::<RawRing>() as u64 + len * WORD as u64,
            align: align_of::<RawRing>() as u64,
            names: RawRing::NAMES,
        })
    }

    unsafe fn init(region: Region<'_>, spec: u64, keeper: K) -> Result<Self, ShapeError> {
        let shape = Self::shape(&spec, keeper.places())?;
        // SAFETY: the caller's promises, and `shape`.
        let frames = unsafe { Self::place(region, shape.len, keeper) }?;
        frames.ring.set_capacity(shape.len);
        Ok(frames)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError> {
        if !len.is_power_of_two() || !(MIN_WORDS..=MAX_WORDS).contains(&len) {
            return Err(ShapeError::Length { found: len, min: MIN_WORDS, max: MAX_WORDS });
        }
        // SAFETY: the caller's promises, and the look above.
        let frames = unsafe { Self::place(region, len, keeper) }?;
        match frames.ring.capacity() {
            capacity if capacity == len => Ok(frames),
            found => Err(ShapeError::Corrupt { field: "capacity", found }),
        }
    }
}
