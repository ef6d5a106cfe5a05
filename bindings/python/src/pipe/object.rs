//! The memory of a pipe: a ring for each direction, as an object of a segment.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shmkit::layout::{Commit, Kind, NameWords, Offset};
use shmkit::{Judge, Object, Region, Seat, Shape, ShapeError, TypeTag};
use shmkit_roster::travel;

use super::head::Head;
use super::ring::{BYTES, Ring};

/// Bytes of a head.
const HEAD: u64 = size_of::<Head>() as u64;
/// Of all of it, those that are there from the beginning: both heads, and some of what comes first.
const AT_FIRST: u64 = 2 * HEAD;

/// One ring, or two.
///
/// ```text
/// 0 head | 128 head | 256 bytes of the first ring | bytes of the second
/// ```
#[derive(Clone)]
pub(crate) struct Link<K: Judge = Seat> {
    region: Region<'static>,
    rings: u64,
    /// Keeps them mapped.
    keeper: K,
}

impl Link {
    /// Returns one of its rings, if it has so many.
    pub(super) fn ring(&self, number: u64) -> Option<Ring> {
        if number >= self.rings {
            return None;
        }
        let head = Offset::new(number * HEAD).ok()?;
        let head = self.region.get::<Head>(head).ok()?;
        let bytes = self.region.sub(2 * HEAD + number * BYTES, BYTES).ok()?;
        Some(Ring::new(head, bytes, self.keeper.clone()))
    }
}

// SAFETY: the kind is this layout's alone. Participants are named by the locks of both heads, which are as many words as `shape` says
// (of one ring, the second head is nobody's).
unsafe impl<K: Judge + Commit> Object<K> for Link<K> {
    const KIND: Kind = Kind::new("pypipe");
    const TAG: TypeTag = TypeTag::NONE;

    /// Whether messages go in both directions.
    type Spec = bool;

    fn shape(&duplex: &bool, _: u32) -> Result<Shape, ShapeError> {
        let rings = 1 + u64::from(duplex);
        let locks = NameWords::many(0, 16, 3);
        let names = [locks, locks.moved(HEAD as u32), NameWords::NONE, NameWords::NONE];
        let bytes = 2 * HEAD + rings * BYTES;
        Ok(Shape { kind: Self::KIND, tag: Self::TAG, len: rings, bytes, align: HEAD, names })
    }

    fn committed(_: &bool, _: &Shape) -> u64 {
        AT_FIRST
    }

    unsafe fn init(region: Region<'_>, duplex: bool, keeper: K) -> Result<Self, ShapeError> {
        // Zeros are empty rings.
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        Ok(Self { region: unsafe { region.kept() }, rings: 1 + u64::from(duplex), keeper })
    }

    unsafe fn attach(region: Region<'_>, rings: u64, keeper: K) -> Result<Self, ShapeError> {
        if !(1..=2).contains(&rings) {
            return Err(ShapeError::Length { found: rings, min: 1, max: 2 });
        }
        region.sub(0, 2 * HEAD + rings * BYTES)?;
        // SAFETY: as above.
        Ok(Self { region: unsafe { region.kept() }, rings, keeper })
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        travel::serialize::<Self, S>(&self.keeper, to)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        travel::deserialize(from)
    }
}
