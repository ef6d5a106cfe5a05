//! What a map is made of.

/// How many bytes a map takes, and what becomes of an entry for which there is no room: a number of bytes alone converts into
/// this.
///
/// An entry takes 32 bytes beside its key and its value, rounded up to one of the sizes of a
/// [heap](shmkit_heap::Heap)'s blocks; of the map's bytes about an eighth is for buckets and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSpec {
    /// All that it may ever take.
    pub(super) bytes: u64,
    /// How many of them are to be there from the beginning, and more if its tables take more.
    pub(super) initial: u64,
    pub(super) evicting: bool,
}

impl MapSpec {
    /// Of so many bytes, all included.
    pub const fn bytes(bytes: u64) -> Self {
        Self::growing(bytes, bytes)
    }

    /// Of `initial` bytes at first, and of more when it would be full, up to `limit`: all included.
    ///
    /// Its buckets and tables, an eighth of the limit at most, are there from the beginning. Where the segment has all its memory
    /// from the beginning, so has the map. Where there is no memory for more, that is the error of the call that wanted it:
    /// nothing is lost, and nothing evicted.
    pub const fn growing(initial: u64, limit: u64) -> Self {
        let initial = if initial < limit { initial } else { limit };
        Self { bytes: limit, initial, evicting: false }
    }

    /// Where there is no room for an entry, one of its size makes room that nobody has asked for for long: a cache. It is the
    /// one asked for least recently of 32 in one part of the map, so about, and in a small map exactly.
    #[must_use]
    pub const fn evicting(mut self) -> Self {
        self.evicting = true;
        self
    }
}

impl From<u64> for MapSpec {
    fn from(bytes: u64) -> Self {
        Self::bytes(bytes)
    }
}
