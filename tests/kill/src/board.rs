//! The shared page on which the director and the actors of a scene speak with each other.
//!
//! It is no part of what is tested: an anonymous shared mapping that the director makes before it forks.

use std::ops::Deref;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU8, AtomicU32, AtomicU64, Deadline, futex};

use crate::{Fault, Kind};

/// Most actors of a scene.
pub const SEATS: usize = 8;

/// The phase of an actor that has finished, well or not.
pub(crate) const DONE: u32 = 1000;

/// One actor's place on the board. All-zero is fresh.
#[repr(C)]
#[derive(Debug)]
pub struct Seat {
    /// How far the actor may go. Written by the director only.
    cue: AtomicU32,
    /// How far the actor got. Written by the actor only.
    phase: AtomicU32,
    /// The [`Kind`] of what the actor found wrong; 0 is nothing.
    kind: AtomicU32,
    /// Length of `text`, in bytes.
    text_len: AtomicU32,
    /// When the actor was through, in nanoseconds of `CLOCK_MONOTONIC`.
    through: AtomicU64,
    /// What the actor found wrong, in words.
    text: [AtomicU8; 488],
}

impl Seat {
    /// Lets the actor go on to `cue`.
    pub(crate) fn set_cue(&self, cue: u32) {
        announce(&self.cue, cue);
    }

    /// Returns how far the actor may go.
    pub(crate) fn cue(&self) -> u32 {
        // Acquire: pairs with the Release in `announce`.
        self.cue.load(Acquire)
    }

    /// Says that the actor got to `phase`.
    pub(crate) fn set_phase(&self, phase: u32) {
        announce(&self.phase, phase);
    }

    /// Waits until the director lets the actor go on to `cue`; `false` after a minute.
    pub(crate) fn await_cue(&self, cue: u32) -> bool {
        await_word(&self.cue, cue, Duration::from_secs(60))
    }

    /// Waits until the actor got to `phase`, at most for `limit`.
    pub(crate) fn await_phase(&self, phase: u32, limit: Duration) -> bool {
        await_word(&self.phase, phase, limit)
    }

    /// Returns how far the actor got.
    pub(crate) fn phase(&self) -> u32 {
        // Acquire: pairs with the Release in `announce`.
        self.phase.load(Acquire)
    }

    /// Records what the actor found; `set_phase` publishes it.
    pub(crate) fn record(&self, fault: &Fault) {
        let text = fault.what.as_bytes();
        let len = text.len().min(self.text.len());
        for (place, byte) in self.text.iter().zip(&text[..len]) {
            place.store(*byte, Relaxed);
        }
        self.text_len.store(len as u32, Relaxed);
        self.kind.store(fault.kind as u32, Relaxed);
    }

    /// Returns what the actor found wrong.
    pub(crate) fn recorded(&self) -> Option<Fault> {
        let kind = self.kind.load(Relaxed);
        if kind == 0 {
            return None;
        }
        let len = self.text_len.load(Relaxed) as usize;
        let text: Vec<u8> = self.text.iter().take(len).map(|byte| byte.load(Relaxed)).collect();
        Some(Fault {
            kind: Kind::from_code(kind),
            what: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// Makes the seat of who is gone fit for another.
    pub(crate) fn clear(&self) {
        for word in [&self.cue, &self.phase, &self.kind, &self.text_len] {
            word.store(0, Relaxed);
        }
        self.through.store(0, Relaxed);
    }

    /// Records that the actor is through now.
    pub(crate) fn stamp(&self) {
        self.through.store(now(), Relaxed);
    }

    /// Returns when the actor was through.
    pub(crate) fn through(&self) -> u64 {
        self.through.load(Relaxed)
    }
}

/// What all actors and the director share. All-zero is fresh.
#[repr(C)]
#[derive(Debug)]
pub struct Sheet {
    pub(crate) seats: [Seat; SEATS],
    /// The witness: 1 + the seat of who is inside what one may be inside only; 0 is nobody.
    inside: AtomicU32,
    /// Bit n: the actor of seat n is dead, or is about to be killed and will not run again.
    fallen: AtomicU32,
    /// For the scene's own use.
    pub words: [AtomicU64; 8],
}

impl Sheet {
    /// Records that `seat` enters. `told`: whether it was told that the owner died, `None` if its lock tells nobody.
    ///
    /// # Errors
    ///
    /// [`Kind::DoubleOwner`] if somebody alive is inside; [`Kind::Torn`] if somebody died inside and `seat` was not
    /// told.
    pub fn enter(&self, seat: usize, told: Option<bool>) -> Result<(), Fault> {
        // AcqRel: pairs with itself in `exit` and here, so that `fallen` is read after what was entered.
        let before = self.inside.swap(seat as u32 + 1, AcqRel);
        let Some(other) = before.checked_sub(1) else { return Ok(()) };
        // Acquire: pairs with the Release in `fall`.
        if self.fallen.load(Acquire) & (1 << other) == 0 {
            return Err(Fault::double_owner(format!(
                "actor {seat} got in while actor {other}, alive, was inside"
            )));
        }
        if told == Some(false) {
            // Who finds this ends inside: the next one is not to take it for a second owner.
            self.fall(seat);
            return Err(Fault::torn(format!(
                "actor {other} died inside and actor {seat} was not told"
            )));
        }
        Ok(())
    }

    /// Records that `seat` leaves.
    ///
    /// # Errors
    ///
    /// [`Kind::DoubleOwner`] if somebody else got in meanwhile.
    pub fn exit(&self, seat: usize) -> Result<(), Fault> {
        // AcqRel: as in `enter`.
        match self.inside.compare_exchange(seat as u32 + 1, 0, AcqRel, Acquire) {
            Ok(_) => Ok(()),
            Err(other) => Err(Fault::double_owner(format!(
                "actor {seat} was inside and found that the witness says {other}"
            ))),
        }
    }

    /// Records that the actor of `seat` never runs again. To be called while it is stopped, before it is killed.
    pub(crate) fn fall(&self, seat: usize) {
        // Release: pairs with the Acquire in `enter`.
        self.fallen.fetch_or(1 << seat, Release);
    }
}

/// The mapping of a [`Sheet`].
#[derive(Debug)]
pub struct Board {
    sheet: NonNull<Sheet>,
}

impl Board {
    /// Maps a fresh board.
    ///
    /// # Errors
    ///
    /// That of `mmap`.
    pub fn new() -> Result<Self, Fault> {
        let len = size_of::<Sheet>().try_into().expect("a sheet has bytes");
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe { mmap_anonymous(None, len, prot, MapFlags::MAP_SHARED) }?;
        Ok(Self { sheet: base.cast() })
    }
}

impl Deref for Board {
    type Target = Sheet;

    fn deref(&self) -> &Sheet {
        // SAFETY: mapped, page-aligned and zero since `new`, until `drop`; a sheet is atomics only.
        unsafe { self.sheet.as_ref() }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; `&mut self` means that no sheet is borrowed.
        let unmapped = unsafe { munmap(self.sheet.cast(), size_of::<Sheet>()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// Returns the nanoseconds of `CLOCK_MONOTONIC`, which all processes share.
pub fn now() -> u64 {
    // A deadline in the least time from now is what the crate under test says the time is.
    Deadline::after(Duration::from_nanos(1)).as_nanos().unwrap_or(0)
}

fn announce(word: &AtomicU32, to: u32) {
    // Release: pairs with the Acquire in `await_word` and `phase`.
    word.store(to, Release);
    futex::wake(word, futex::ALL);
}

fn await_word(word: &AtomicU32, least: u32, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        // Acquire: pairs with the Release in `announce`.
        let found = word.load(Acquire);
        if found >= least {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        futex::wait(word, found, Deadline::at(end));
    }
}
