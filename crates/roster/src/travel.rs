//! Handles as values: how a handle says to another process which object it is of.
//!
//! A handle's `Serialize` hands its seat to the [`Carrier`] and writes what that says; its `Deserialize` reads that, and has the carrier
//! find the object. What the carrier does with descriptors and segments is its own business; there is one in a process.

use std::sync::OnceLock;

#[doc(hidden)]
pub use serde;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shmkit_layout::{Kind, Object, Region, TypeTag};

use crate::Seat;

/// What stands for an object, or for the memory that all objects of a seat lie in, in the bytes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// The random number that the memory got when it was made.
    pub cookie: u64,
    /// The device of its file.
    pub device: u64,
    /// The number of its file there.
    pub inode: u64,
    /// How many-th of the descriptors that come along leads to it.
    pub file: u32,
    /// And which of them takes part, if one of them does.
    pub ticket: Option<u32>,
    /// The object's place in the directory, and the how many-th object of its segment it is; none for the memory.
    pub object: Option<(u32, u64)>,
}

/// An object that was found.
#[derive(Debug)]
pub struct Arrived {
    /// Its bytes, which stay mapped as long as the seat, or a clone of it, lives.
    pub region: Region<'static>,
    /// The length in its shape.
    pub len: u64,
    /// What keeps them.
    pub seat: Seat,
}

/// Brings objects from one process to another.
///
/// # Safety
///
/// What [`find`](Self::find) returns is an object of the kind and the tag that were asked for, which nobody uses as anything else, and its
/// region stays mapped as long as the seat, or a clone of it, lives.
pub unsafe trait Carrier: Sync {
    /// Packs what the seat keeps, and says what stands for it. `what` is for people.
    ///
    /// # Errors
    ///
    /// Why it cannot travel.
    fn pack(&self, what: &str, seat: &Seat) -> Result<Packed, String>;

    /// Finds an object that has come.
    ///
    /// # Errors
    ///
    /// Why it is not there, or not what was asked for.
    fn find(&self, packed: &Packed, kind: Kind, tag: TypeTag) -> Result<Arrived, String>;

    /// Joins the memory that has come.
    ///
    /// # Errors
    ///
    /// Why it is not there.
    fn join(&self, packed: &Packed) -> Result<Seat, String>;
}

static CARRIER: OnceLock<&'static dyn Carrier> = OnceLock::new();

/// Sets the carrier of this process, unless it has one.
pub fn set_carrier(carrier: &'static dyn Carrier) {
    // The first one stays.
    let _ = CARRIER.set(carrier);
}

fn carrier() -> Result<&'static dyn Carrier, String> {
    CARRIER.get().copied().ok_or_else(|| {
        "it lies in shared memory, and goes only into a parcel to another process of this machine".to_owned()
    })
}

/// Serialises the handle of an object, of which it is given the keeper.
///
/// # Errors
///
/// The format's own, or why the object cannot travel.
pub fn serialize<O: Object<Seat>, S: Serializer>(seat: &Seat, to: S) -> Result<S::Ok, S::Error> {
    let packed = carrier().and_then(|carrier| carrier.pack(&O::KIND.to_string(), seat));
    packed.map_err(serde::ser::Error::custom)?.serialize(to)
}

/// Deserialises the handle of an object: finds it.
///
/// # Errors
///
/// The format's own, or why the object is not there.
pub fn deserialize<'de, O: Object<Seat>, D: Deserializer<'de>>(from: D) -> Result<O, D::Error> {
    let packed = Packed::deserialize(from)?;
    let run = || {
        let Arrived { region, len, seat } = carrier()?.find(&packed, O::KIND, O::TAG)?;
        // SAFETY: it was made as such an object, and stays mapped as long as the seat lives (`Carrier`).
        unsafe { O::attach(region, len, seat) }.map_err(|error| error.to_string())
    };
    run().map_err(serde::de::Error::custom)
}

/// Serialises what a seat keeps.
///
/// # Errors
///
/// The format's own, or why it cannot travel.
pub fn serialize_seat<S: Serializer>(what: &str, seat: &Seat, to: S) -> Result<S::Ok, S::Error> {
    let packed = carrier().and_then(|carrier| carrier.pack(what, seat));
    packed.map_err(serde::ser::Error::custom)?.serialize(to)
}

/// Deserialises a seat: joins what it keeps.
///
/// # Errors
///
/// The format's own, or why it is not there.
pub fn deserialize_seat<'de, D: Deserializer<'de>>(from: D) -> Result<Seat, D::Error> {
    let packed = Packed::deserialize(from)?;
    carrier().and_then(|carrier| carrier.join(&packed)).map_err(serde::de::Error::custom)
}

/// Has handles be values that travel: `travels!([T: ShmSafe] Value<T>, |it| &it.keeper);`. Where the feature `serde` of the crate that
/// says so is off, it says nothing.
#[macro_export]
macro_rules! travels {
    ([$($generics:tt)*] $Handle:ty, |$it:ident| $seat:expr) => {
        impl<$($generics)*> $crate::travel::serde::Serialize for $Handle {
            fn serialize<__S: $crate::travel::serde::Serializer>(
                &self,
                to: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                let $it = self;
                $crate::travel::serialize::<Self, __S>($seat, to)
            }
        }

        impl<'de, $($generics)*> $crate::travel::serde::Deserialize<'de> for $Handle {
            fn deserialize<__D: $crate::travel::serde::Deserializer<'de>>(
                from: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                $crate::travel::deserialize::<Self, __D>(from)
            }
        }
    };
}
