//! What the director and the workers share beside the segment: who lives, who is inside, and what went wrong.

use std::ptr::NonNull;
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU8, AtomicU32, AtomicU64};

/// Most processes at a time.
pub(crate) const SEATS: usize = 16;
/// Most primitives.
pub(crate) const TOYS: usize = 64;

/// The page. All-zero is fresh.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Page {
    seats: [Seat; SEATS],
    /// One for each primitive that only one may use at a time: `life << 8 | seat + 1` of who is inside.
    inside: [AtomicU64; TOYS],
    /// How often each primitive was used.
    uses: [AtomicU64; TOYS],
    /// How often somebody was told of a death by each primitive.
    told: [AtomicU64; TOYS],
    /// The longest that a use of each took, in nanoseconds.
    slowest: [AtomicU64; TOYS],
}

#[repr(C)]
#[derive(Debug)]
struct Seat {
    /// How many have had the seat before.
    life: AtomicU64,
    /// 1 from just before its process is killed.
    fallen: AtomicU32,
    /// 1 + the primitive that it uses now.
    at: AtomicU32,
    /// When it began to, in milliseconds of the director's clock.
    since: AtomicU64,
    /// Bytes of `text`, after it was written.
    text_len: AtomicU32,
    /// What went wrong.
    text: [AtomicU8; 508],
}

/// The mapping of the page.
#[derive(Debug)]
pub(crate) struct Witness {
    page: NonNull<Page>,
}

impl Witness {
    pub(crate) fn new() -> nix::Result<Self> {
        let len = size_of::<Page>().try_into().expect("a page has bytes");
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice aliases nothing.
        let page = unsafe { mmap_anonymous(None, len, prot, MapFlags::MAP_SHARED) }?;
        Ok(Self { page: page.cast() })
    }

    fn page(&self) -> &Page {
        // SAFETY: mapped, aligned and zero since `new`, until `drop`; all of it is atomics.
        unsafe { self.page.as_ref() }
    }

    /// Returns how often a primitive was used.
    pub(crate) fn uses(&self, toy: usize) -> u64 {
        self.page().uses[toy].load(Relaxed)
    }

    /// Returns how often somebody was told of a death.
    pub(crate) fn told(&self, toy: usize) -> u64 {
        self.page().told[toy].load(Relaxed)
    }

    /// Returns the longest use.
    pub(crate) fn slowest(&self, toy: usize) -> Duration {
        Duration::from_nanos(self.page().slowest[toy].load(Relaxed))
    }

    /// The process in a seat is about to be killed: what it holds may be somebody else's from here on.
    pub(crate) fn fall(&self, seat: usize) {
        // Release: pairs with the Acquire in `enter`.
        self.page().seats[seat].fallen.store(1, Release);
    }

    /// The process in a seat is gone, and another will have it.
    pub(crate) fn bury(&self, seat: usize) {
        let seat = &self.page().seats[seat];
        seat.at.store(0, Relaxed);
        seat.life.fetch_add(1, Relaxed);
        // Release: pairs with the Acquire in `enter`: who sees it stand again sees its new life.
        seat.fallen.store(0, Release);
    }

    /// Returns what the process in a seat complained of.
    pub(crate) fn complaint(&self, seat: usize) -> Option<String> {
        let seat = &self.page().seats[seat];
        // Acquire: pairs with the Release in `complain`.
        let len = seat.text_len.load(Acquire) as usize;
        let bytes: Vec<u8> = seat.text.iter().take(len).map(|byte| byte.load(Relaxed)).collect();
        (len > 0).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns what the process in a seat uses, and since when, in milliseconds.
    pub(crate) fn at(&self, seat: usize) -> Option<(usize, u64)> {
        let seat = &self.page().seats[seat];
        let since = seat.since.load(Relaxed);
        // Acquire: pairs with the Release in `begin`.
        let at = seat.at.load(Acquire) as usize;
        (seat.fallen.load(Relaxed) == 0).then_some((at.checked_sub(1)?, since))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; `&mut self` means that nobody borrows it.
        let unmapped = unsafe { munmap(self.page.cast(), size_of::<Page>()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// A worker's view of the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Me<'w> {
    witness: &'w Witness,
    pub(crate) seat: usize,
    life: u64,
}

impl<'w> Me<'w> {
    pub(crate) fn new(witness: &'w Witness, seat: usize) -> Self {
        let life = witness.page().seats[seat].life.load(Relaxed);
        Self { witness, seat, life }
    }

    /// Returns a number that nobody else has, before or after.
    pub(crate) fn number(self) -> u64 {
        self.life << 8 | (self.seat as u64 + 1)
    }

    /// Says that it uses a primitive from now on.
    pub(crate) fn begin(self, toy: usize, now: u64) {
        let seat = &self.witness.page().seats[self.seat];
        seat.since.store(now, Relaxed);
        // Release: pairs with the Acquire in `at`.
        seat.at.store(toy as u32 + 1, Release);
    }

    /// Says that it has used a primitive, for so long.
    pub(crate) fn end(self, toy: usize, took: Duration) {
        let page = self.witness.page();
        page.seats[self.seat].at.store(0, Relaxed);
        page.uses[toy].fetch_add(1, Relaxed);
        page.slowest[toy].fetch_max(took.as_nanos() as u64, Relaxed);
    }

    /// Says what went wrong; the director hears of it when this process ends.
    pub(crate) fn complain(self, what: &str) {
        let seat = &self.witness.page().seats[self.seat];
        let len = what.len().min(seat.text.len());
        for (place, byte) in seat.text.iter().zip(what.as_bytes()) {
            place.store(*byte, Relaxed);
        }
        // Release: pairs with the Acquire in `complaint`.
        seat.text_len.store(len as u32, Release);
    }

    /// Is inside what one process may be in. `told`: whether it was told of a death; `None` where nobody is.
    pub(crate) fn enter(self, toy: usize, told: Option<bool>) -> Result<(), String> {
        let page = self.witness.page();
        if told == Some(true) {
            page.told[toy].fetch_add(1, Relaxed);
        }
        // AcqRel: pairs with itself here and in `leave`, so that `fallen` is read after who was inside.
        let before = page.inside[toy].swap(self.number(), AcqRel);
        if before == 0 {
            return Ok(());
        }
        let (seat, life) = ((before & 0xff) as usize - 1, before >> 8);
        let other = &page.seats[seat];
        // Acquire: pairs with the Release in `fall` and `bury`.
        let alive = other.fallen.load(Acquire) == 0 && other.life.load(Relaxed) == life;
        if alive {
            return Err(format!("two owners: seat {} got in while seat {seat} was", self.seat));
        }
        if told == Some(false) {
            return Err(format!("seat {seat} died inside, and seat {} was not told", self.seat));
        }
        Ok(())
    }

    /// Is no longer inside.
    pub(crate) fn leave(self, toy: usize) -> Result<(), String> {
        // AcqRel: as in `enter`.
        match self.witness.page().inside[toy].compare_exchange(self.number(), 0, AcqRel, Acquire) {
            Ok(_) => Ok(()),
            Err(other) => {
                Err(format!("two owners: seat {} was inside, and so was {other:#x}", self.seat))
            }
        }
    }
}
