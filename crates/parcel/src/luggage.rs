//! What goes with the bytes of a value while it is packed, and comes with them when it is unpacked.
//!
//! The luggage is the thread's, and open only while a value is packed or unpacked by a [`Parcel`](crate::Parcel). The
//! `Serialize` of what is more than bytes puts it there and writes the number that it gets; its `Deserialize` reads the number
//! and takes it out. Elsewhere, when such a value is written to a file or to another machine, there is none.

use std::cell::Cell;
use std::os::fd::{BorrowedFd, OwnedFd};

use shmkit_roster::Seat;
use shmkit_roster::travel::Packed;
use shmkit_segment::Segment;

use crate::CannotTravel;

/// What goes with a parcel's bytes. Most parcels have none.
#[derive(Debug, Default)]
pub(crate) struct Luggage {
    pub(crate) files: Vec<Option<OwnedFd>>,
    /// Why the value could not travel: a format's own error keeps no text.
    pub(crate) why: Option<CannotTravel>,
    /// What is used here until the other side uses it.
    pub(crate) kept: Vec<Seat>,
    /// The segments that are being packed, which have been put in already.
    pub(crate) sent: Vec<Packed>,
    /// The segments that have come and are joined, by the numbers of their descriptors.
    pub(crate) joined: Vec<(u32, Segment)>,
}

impl Luggage {
    /// Makes that of a parcel that has come with these; `None` if there are none.
    pub(crate) fn of(files: Vec<OwnedFd>) -> Option<Box<Self>> {
        let files: Vec<_> = files.into_iter().map(Some).collect();
        (!files.is_empty()).then(|| Box::new(Self { files, ..Self::default() }))
    }

    /// Puts a descriptor in, and returns its number.
    pub(crate) fn add(&mut self, file: OwnedFd) -> u32 {
        self.files.push(Some(file));
        self.files.len() as u32 - 1
    }

    /// Takes a descriptor out.
    pub(crate) fn remove(&mut self, number: u32) -> Option<OwnedFd> {
        self.files.get_mut(number as usize)?.take()
    }

    /// How much is in it.
    pub(crate) fn marks(&self) -> [usize; 3] {
        [self.files.len(), self.kept.len(), self.sent.len()]
    }

    /// Takes out what was put in since it had so much.
    pub(crate) fn cut(&mut self, marks: [usize; 3]) {
        self.files.truncate(marks[0]);
        self.kept.truncate(marks[1]);
        self.sent.truncate(marks[2]);
    }
}

/// Nothing is open.
const SHUT: u8 = 0;
/// A value is being packed.
const PACKING: u8 = 1;
/// A value is being unpacked.
const UNPACKING: u8 = 2;
/// Beside one of these: something is in [`LUGGAGE`].
const FULL: u8 = 4;

thread_local! {
    /// What is open: to open and shut it is all that a number or a text costs, which need no luggage.
    static OPEN: Cell<u8> = const { Cell::new(SHUT) };
    /// The luggage of the parcel that is open; made when something is to be put there.
    static LUGGAGE: Cell<Option<Box<Luggage>>> = const { Cell::new(None) };
}

/// Opens a luggage, or none, as that of the parcel that is open.
#[inline]
fn set(how: u8, luggage: Option<Box<Luggage>>) {
    match luggage {
        None => OPEN.set(how),
        some => {
            OPEN.set(how | FULL);
            LUGGAGE.set(some);
        }
    }
}

/// Takes out what is open, and leaves it shut.
#[inline]
fn unset() -> (u8, Option<Box<Luggage>>) {
    let how = OPEN.replace(SHUT);
    let luggage = if how & FULL == 0 { None } else { LUGGAGE.take() };
    (how & !FULL, luggage)
}

/// Runs `with` while the luggage is open, and puts what is in it then back. A panic in between loses it, and no more.
#[inline]
pub(crate) fn open<R>(
    luggage: &mut Option<Box<Luggage>>,
    packing: bool,
    with: impl FnOnce() -> R,
) -> R {
    /// Puts back what was open before: a value's `Serialize` may pack another parcel.
    struct Outer(u8, Option<Box<Luggage>>);
    impl Drop for Outer {
        #[inline]
        fn drop(&mut self) {
            // Dropped, if there was a panic.
            let _ = unset();
            set(self.0, self.1.take());
        }
    }
    let (how, outer) = unset();
    let outer = Outer(how, outer);
    set(if packing { PACKING } else { UNPACKING }, luggage.take());
    let result = with();
    // Whoever packs inside puts back what it found.
    *luggage = unset().1;
    drop(outer);
    result
}

/// Lends what is open in this thread, if anything is. What `run` packs itself finds nothing open.
fn lend<R>(run: impl FnOnce(bool, &mut Option<Box<Luggage>>) -> R) -> Option<R> {
    let (how, mut luggage) = unset();
    if how == SHUT {
        return None;
    }
    let result = run(how == PACKING, &mut luggage);
    set(how, luggage);
    Some(result)
}

/// Returns whether a value is being packed in this thread to go to another process of this machine.
pub fn is_packing() -> bool {
    lend(|packing, _| packing).unwrap_or(false)
}

/// Puts a duplicate of a descriptor into the luggage of this thread, and returns its number there.
///
/// # Errors
///
/// [`CannotTravel`]: no parcel is being packed, or no descriptor is free.
pub fn put(what: &str, file: BorrowedFd<'_>) -> Result<u32, CannotTravel> {
    let no_number =
        |error| CannotTravel::new(what, format!("its descriptor was not duplicated: {error}"));
    with(what, true, |luggage| Ok(luggage.add(file.try_clone_to_owned().map_err(no_number)?)))
}

/// Takes a descriptor out of the luggage of this thread, by its number there.
///
/// # Errors
///
/// [`CannotTravel`]: no parcel is being unpacked, or it has no such descriptor, or that was taken out before.
pub fn take(what: &str, number: u32) -> Result<OwnedFd, CannotTravel> {
    with(what, false, |luggage| {
        luggage.remove(number).ok_or_else(|| {
            let why =
                format!("the parcel has no descriptor {number}, or had it and it was taken out");
            CannotTravel::new(what, why)
        })
    })
}

/// Remembers why, and returns an error of the format.
pub(crate) fn say<E>(why: CannotTravel, custom: impl FnOnce(String) -> E) -> E {
    let text = why.to_string();
    lend(|_, luggage| luggage.get_or_insert_default().why = Some(why));
    custom(text)
}

/// The error of a format that a `Serialize` of something more than bytes has failed with: the parcel's error says why.
pub fn packing_failed<E: serde::ser::Error>(why: CannotTravel) -> E {
    say(why, E::custom)
}

/// The same of a `Deserialize`.
pub fn unpacking_failed<E: serde::de::Error>(why: CannotTravel) -> E {
    say(why, E::custom)
}

pub(crate) fn with<R>(
    what: &str,
    packing: bool,
    run: impl FnOnce(&mut Luggage) -> Result<R, CannotTravel>,
) -> Result<R, CannotTravel> {
    let lent = lend(|is_packing, luggage| {
        (is_packing == packing).then(|| run(luggage.get_or_insert_default()))
    });
    lent.flatten().unwrap_or_else(|| {
        Err(CannotTravel::new(
            what,
            "it is more than bytes, and goes only into a parcel to another process of this machine",
        ))
    })
}
