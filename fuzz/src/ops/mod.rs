//! Operations in any order by any participant, deaths among them, against a simple model of each primitive.
//!
//! One process and one thread: nobody ever waits, so that every answer can be foretold. What depends on who runs when
//! is loom's part, and what happens in the middle of an operation the kill harness's.

mod counting;
mod event;
mod lock;
mod mutex;
mod reentrant;
mod rwlock;
mod semaphore;
mod value;

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use shmkit_layout::{Object, Region};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// Participants.
const ALL: usize = 4;
/// Groups of primitives.
const SUBJECTS: usize = 8;
/// Bytes of each object's region.
const BYTES: usize = 4096;

/// A primitive that all participants use, and what is foretold of it.
trait Subject {
    /// Participant `who` does what the input says.
    fn step(&mut self, who: usize, input: &mut Input<'_>);

    /// Participant `who` has died, with all that it holds.
    fn die(&mut self, who: usize);
}

/// Runs one input.
///
/// # Panics
///
/// If a primitive answers otherwise than its model.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(ALL as u32);
    let memory: Vec<Memory> = (0..SUBJECTS).map(|_| Memory::new()).collect();
    let place = |n: usize| Place { region: memory[n].region(), judges: &judges };
    let mut subjects: [Box<dyn Subject + '_>; SUBJECTS] = [
        Box::new(mutex::Subject::new(place(0))),
        Box::new(reentrant::Subject::new(place(1))),
        Box::new(lock::Subject::new(place(2))),
        Box::new(rwlock::Subject::new(place(3))),
        Box::new(semaphore::Subject::new(place(4))),
        Box::new(event::Subject::new(place(5))),
        Box::new(value::Subject::new(place(6))),
        Box::new(counting::Subject::new(place(7))),
    ];
    let mut alive = [true; ALL];
    while !input.is_empty() {
        let byte = input.byte();
        let who = usize::from(byte) % ALL;
        if !alive[who] {
            continue;
        }
        if byte >> 2 == 0 {
            // Somebody is left to see what becomes of it.
            if alive.iter().filter(|alive| **alive).count() > 1 {
                judges[who].die();
                alive[who] = false;
                subjects.iter_mut().for_each(|subject| subject.die(who));
            }
            continue;
        }
        let subject = usize::from(byte >> 2) % subjects.len();
        subjects[subject].step(who, &mut input);
    }
}

/// Zeroed memory for one object.
#[repr(align(128))]
struct Aligned(#[expect(dead_code, reason = "read through regions")] [MaybeUninit<u8>; BYTES]);

struct Memory(NonNull<Aligned>);

impl Memory {
    fn new() -> Self {
        let zeros = Box::new(Aligned([MaybeUninit::new(0); BYTES]));
        Self(NonNull::from(Box::leak(zeros)))
    }

    fn region(&self) -> Region<'_> {
        // SAFETY: the block lives as long as `self`, and is used through regions only.
        unsafe { Region::from_raw_parts(self.0.cast(), BYTES) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: leaked in `new`; every region of it borrows `self`.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Where an object lies, and who uses it.
#[derive(Clone, Copy)]
struct Place<'a> {
    region: Region<'a>,
    judges: &'a [ModelJudge],
}

impl<'a> Place<'a> {
    /// Makes an object, and a handle to it for each participant.
    fn make<O: Object<&'a ModelJudge>>(self, len: u64, spec: O::Spec) -> Vec<O> {
        // SAFETY: the bytes are zero, and nobody else has them.
        let first = unsafe { O::init(self.region, spec, &self.judges[0]) };
        let mut handles = vec![first.expect("room")];
        for judge in &self.judges[1..] {
            // SAFETY: made above, of the same type, for judges of one roster.
            handles.push(unsafe { O::attach(self.region, len, judge) }.expect("made above"));
        }
        handles
    }
}

/// Who has something that one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Nobody,
    Alive(usize),
    Dead,
}

impl Owner {
    fn die(&mut self, who: usize) {
        if *self == Self::Alive(who) {
            *self = Self::Dead;
        }
    }
}

/// In which condition data is, of which owners die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Clean,
    Inconsistent,
    Unrecoverable,
}

impl Data {
    /// An owner died.
    fn inherit(&mut self) {
        if *self == Self::Clean {
            *self = Self::Inconsistent;
        }
    }

    /// An owner leaves.
    fn leave(&mut self) {
        if *self == Self::Inconsistent {
            *self = Self::Unrecoverable;
        }
    }
}
