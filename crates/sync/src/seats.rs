//! Seats: cells of which each participant has one, or each thread that waits.

#[cfg(not(loom))]
use shmkit_layout::{Region, ShapeError, Shared};
use shmkit_roster::OwnerId;

/// Most rows: as many as a word has bits.
const ROWS: u32 = 64;
/// Cells of a row are a multiple of this, so that rows share no cache lines: cells are of 8 bytes. A model has few.
const LINE: u32 = if cfg!(loom) { 1 } else { 16 };

/// What an object is made of, and how many may have a seat at it at a time.
///
/// Unless it is said, there are as many seats as its participants need: `T` alone converts into this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seated<T> {
    pub(crate) what: T,
    pub(crate) seats: Option<u32>,
}

impl<T> Seated<T> {
    /// With as many seats as all participants of the roster need.
    pub const fn new(what: T) -> Self {
        Self { what, seats: None }
    }

    /// With so many seats at least, 1 to [`Seating::MAX`].
    #[must_use]
    pub const fn seats(mut self, seats: u32) -> Self {
        self.seats = Some(seats);
        self
    }
}

#[cfg(not(loom))]
impl<T> Seated<T> {
    /// Returns how many seats were asked for, which are usually so many.
    pub(crate) fn or(&self, usual: u32) -> Result<u32, ShapeError> {
        self.seats.map_or(Ok(usual.clamp(1, Seating::MAX)), Seating::check)
    }
}

impl<T> From<T> for Seated<T> {
    fn from(what: T) -> Self {
        Self::new(what)
    }
}

/// How a number of seats is laid out.
///
/// ```text
/// cell[rows * depth]: row 0 | row 1 | …    each of whole cache lines, at most 64
/// ```
///
/// [Spread](Self::spread), each participant has a home: in a row of its own as long as there are no more participants than
/// rows, and for itself if there are as many seats as places in the roster. [Packed](Self::packed), whoever comes takes the
/// first free one. Either way a word with a bit for each row says which of them are, or were, used, so that nobody looks at
/// the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seating {
    /// How many seats were asked for.
    homes: u32,
    /// `homes - 1`, if that is a power of two; else 0. To divide takes longer than all else of a read lock.
    mask: u32,
    /// There are `1 << rows` rows.
    rows: u32,
    /// Cells of a row.
    depth: u32,
}

impl Seating {
    /// Most seats that can be asked for.
    pub const MAX: u32 = 1 << 20;

    /// Lays out so many seats, at least one and at most [`MAX`](Self::MAX), of which each belongs to a participant: in as
    /// many rows as there can be.
    pub const fn spread(seats: u32) -> Self {
        Self::of(seats, seats)
    }

    /// Lays out so many seats, at least one and at most [`MAX`](Self::MAX), that are given to whoever comes: in as few rows
    /// as they fill.
    pub const fn packed(seats: u32) -> Self {
        Self::of(seats, seats.div_ceil(LINE))
    }

    const fn of(seats: u32, rows: u32) -> Self {
        let homes = if seats == 0 {
            1
        } else if seats > Self::MAX {
            Self::MAX
        } else {
            seats
        };
        let rows = if rows > ROWS { ROWS } else { rows.next_power_of_two() };
        Self {
            homes,
            mask: if homes.is_power_of_two() { homes - 1 } else { 0 },
            rows: rows.trailing_zeros(),
            depth: homes.div_ceil(rows).next_multiple_of(LINE),
        }
    }

    /// Returns how many seats were asked for.
    pub const fn seats(self) -> u32 {
        self.homes
    }

    /// Returns how many cells there are: all of them are seats.
    pub const fn cells(self) -> usize {
        ((1 << self.rows) * self.depth) as usize
    }

    /// Returns the number of seats that somebody has asked for, or that an object says it has, if there can be so many.
    #[cfg(not(loom))]
    pub(crate) fn check(seats: u32) -> Result<u32, ShapeError> {
        if (1..=Self::MAX).contains(&seats) {
            return Ok(seats);
        }
        Err(ShapeError::Length { found: seats.into(), min: 1, max: Self::MAX.into() })
    }

    /// Returns the bytes of the cells.
    #[cfg(not(loom))]
    pub(crate) const fn bytes(self) -> u64 {
        self.cells() as u64 * 8
    }
}

/// The cells of an object.
#[derive(Debug)]
pub(crate) struct Seats<'a, C> {
    cells: &'a [C],
    seating: Seating,
}

impl<C> Clone for Seats<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Seats<'_, C> {}

impl<'a, C> Seats<'a, C> {
    /// # Panics
    ///
    /// If there are fewer cells than the seating says.
    pub(crate) fn new(cells: &'a [C], seating: Seating) -> Self {
        const { assert!(cfg!(loom) || size_of::<C>() == 8, "a row of whole cache lines") };
        Self { cells: &cells[..seating.cells()], seating }
    }

    /// Finds them at byte `at` of a region.
    #[cfg(not(loom))]
    pub(crate) fn place(region: Region<'a>, at: u64, seating: Seating) -> Result<Self, ShapeError>
    where
        C: Shared,
    {
        let at = shmkit_layout::Offset::new(at)?;
        Ok(Self { cells: region.slice(at, seating.cells())?, seating })
    }

    /// Returns how many there are.
    pub(crate) fn count(self) -> u32 {
        self.cells.len() as u32
    }

    #[inline]
    pub(crate) fn get(self, at: usize) -> Option<&'a C> {
        self.cells.get(at)
    }

    /// Returns the cell that `me` looks at first, and its number.
    #[inline]
    pub(crate) fn home(self, me: OwnerId) -> (usize, &'a C) {
        let Seating { homes, mask, rows, depth } = self.seating;
        let home = if mask != 0 { (me.get() - 1) & mask } else { me.home(homes as usize) as u32 };
        let row = home & ((1 << rows) - 1);
        let at = (row * depth + (home >> rows)) as usize;
        (at, &self.cells[at])
    }

    /// Returns all cells with their numbers, from the one after `first` on to that one.
    pub(crate) fn after(self, first: usize) -> impl Iterator<Item = (usize, &'a C)> {
        let cells = self.cells;
        let rest = (first + 1..cells.len()).chain(0..=first);
        rest.map(move |at| (at, &cells[at]))
    }

    /// Returns the bit of the row that a cell is in.
    #[inline]
    pub(crate) fn row(self, at: usize) -> u64 {
        1 << (at as u32 / self.seating.depth)
    }

    /// Returns the cells, with their numbers, of the rows of these bits.
    pub(crate) fn of(self, rows: u64) -> impl Iterator<Item = (usize, &'a C)> + use<'a, C> {
        let (cells, depth) = (self.cells, self.seating.depth as usize);
        bits(rows & self.all())
            .flat_map(move |row| (row * depth..(row + 1) * depth).map(move |at| (at, &cells[at])))
    }

    /// Returns the rows of these bits, one by one, with their cells.
    pub(crate) fn rows(self, rows: u64) -> impl Iterator<Item = (u64, &'a [C])> + use<'a, C> {
        let (cells, depth) = (self.cells, self.seating.depth as usize);
        bits(rows & self.all()).map(move |row| (1 << row, &cells[row * depth..(row + 1) * depth]))
    }

    /// The bits of all rows.
    fn all(self) -> u64 {
        u64::MAX >> (ROWS - (1 << self.seating.rows))
    }
}

/// Returns the numbers of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_has_a_home_and_the_first_ones_a_line_of_their_own() {
        for seats in [1, 2, 3, 5, 16, 63, 64, 65, 100, 1000, 1024, 1025, 16_384] {
            let seating = Seating::spread(seats);
            let cells = vec![0_u64; seating.cells()];
            let all = Seats::new(&cells, seating);
            let homes: Vec<_> = (1..=seats).map(|n| all.home(OwnerId::new(n).unwrap()).0).collect();
            let different: BTreeSet<_> = homes.iter().collect();
            assert_eq!(different.len(), seats as usize, "{seats}");
            let lines: BTreeSet<_> = homes.iter().take(64).map(|at| at / 16).collect();
            assert_eq!(lines.len(), (seats as usize).min(64), "{seats}");
            // Whoever has the place next has the same home.
            let next = OwnerId::new(seats + 1).unwrap();
            assert_eq!(all.home(next).0, homes[0], "{seats}");
            assert!(all.count() >= seats && (seats < 64 || all.count() < seats + 1024), "{seats}");
            let everywhere: Vec<_> = all.of(u64::MAX).map(|(at, _)| at).collect();
            assert!(everywhere.into_iter().eq(0..cells.len()), "{seats}");
            for at in [homes[0], cells.len() - 1] {
                assert!(all.of(all.row(at)).any(|(n, _)| n == at), "{seats}");
                assert_eq!(all.after(at).count(), cells.len());
                assert_eq!(all.after(at).last().unwrap().0, at);
            }
        }
    }

    #[test]
    fn no_number_of_seats_overflows() {
        for lay_out in [Seating::spread, Seating::packed] {
            assert_eq!(lay_out(0), lay_out(1));
            assert_eq!(lay_out(u32::MAX), lay_out(Seating::MAX));
            assert_eq!(lay_out(1024).bytes(), 8192);
        }
        assert!(Seating::check(0).is_err() && Seating::check(u32::MAX).is_err());
        assert_eq!((Seating::spread(2).bytes(), Seating::packed(2).bytes()), (256, 128));
        assert_eq!((Seating::spread(64).bytes(), Seating::packed(64).bytes()), (8192, 512));
    }
}
