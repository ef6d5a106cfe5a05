//! How a value travels to another process of the same machine.
//!
//! A [`Parcel`] is bytes, descriptors and segments. Values are put in and taken out in order, by serde and
//! [postcard](https://postcard.jamesmunns.com/wire-format), whose format is documented and has no code in it. A
//! [`Descriptor`] is a value like others: while it is packed, its descriptor is put beside the bytes, which say how many-th it is. So is the
//! handle of an object in a segment, a `Value` or a `Queue`: its segment's descriptor goes along, once for all objects in it, and the
//! receiver joins it and has a handle of its own. Random number, entry, generation, kind and type are all looked at when it comes.
//! [`Outgoing`] and [`Incoming`] bring a parcel through a Unix socket, which need not block.
//!
//! ```
//! use std::fs::File;
//! use std::os::unix::net::UnixStream;
//!
//! use shmkit_parcel::{Descriptor, Incoming, Outgoing, Parcel};
//!
//! let mut parcel = Parcel::new();
//! parcel.add(&("three", vec![1_u64, 2, 3]))?;
//! parcel.add(&Descriptor::from(File::open("/dev/zero")?))?;
//!
//! let (here, there) = UnixStream::pair()?;
//! Outgoing::new(7, parcel).finish(&here)?;
//!
//! // In the process that has the other end:
//! let (kind, mut parcel) = Incoming::new(1 << 20).finish(&there)?;
//! let (name, numbers): (String, Vec<u64>) = parcel.take()?;
//! let zero: Descriptor<File> = parcel.take()?;
//! assert_eq!((kind, &*name, &*numbers), (7, "three", &[1, 2, 3][..]));
//! # assert!(zero.metadata().is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It does *not* say who may send what: whoever has the other end of the socket may. What comes is checked, so that no bytes do
//! more than be refused, and allocate no more than has come.

mod carrier;
mod descriptor;
mod error;
pub mod luggage;
mod parcel;
mod wire;

pub use crate::{
    descriptor::Descriptor,
    error::{CannotTravel, ParcelError},
    parcel::{Kept, Parcel},
    wire::{Incoming, MOST_FILES, Outgoing},
};
