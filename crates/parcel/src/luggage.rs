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

/// A parcel's luggage while a value is packed or unpacked: made when something is to be put there, since a number or a text
/// needs none.
struct Open {
    packing: bool,
    luggage: Option<Box<Luggage>>,
}

thread_local! {
    static OPEN: Cell<Option<Open>> = const { Cell::new(None) };
}

/// Runs `with` while the luggage is open, and hands back what is in it then. A panic in between loses it, and no more.
#[inline]
pub(crate) fn open<R>(
    luggage: Option<Box<Luggage>>,
    packing: bool,
    with: impl FnOnce() -> R,
) -> (R, Option<Box<Luggage>>) {
    /// Puts back what was open before: a value's `Serialize` may pack another parcel.
    struct Outer(Option<Open>);
    impl Drop for Outer {
        fn drop(&mut self) {
            OPEN.set(self.0.take());
        }
    }
    let outer = Outer(OPEN.replace(Some(Open { packing, luggage })));
    let result = with();
    let open = OPEN.take();
    drop(outer);
    // Whoever packs inside puts back what it found.
    (result, open.and_then(|open| open.luggage))
}

/// Lends what is open in this thread, if anything is. What `run` packs itself finds nothing open.
fn lend<R>(run: impl FnOnce(&mut Open) -> R) -> Option<R> {
    let mut open = OPEN.take()?;
    let result = run(&mut open);
    OPEN.set(Some(open));
    Some(result)
}

/// Returns whether a value is being packed in this thread to go to another process of this machine.
pub fn is_packing() -> bool {
    lend(|open| open.packing).unwrap_or(false)
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
    lend(|open| open.luggage.get_or_insert_default().why = Some(why));
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
    let lent = lend(|open| {
        let is_it = open.packing == packing;
        is_it.then(|| run(open.luggage.get_or_insert_default()))
    });
    lent.flatten().unwrap_or_else(|| {
        Err(CannotTravel::new(
            what,
            "it is more than bytes, and goes only into a parcel to another process of this machine",
        ))
    })
}
