//! A descriptor as a value.

use std::any::type_name;
use std::fmt::Display;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{CannotTravel, luggage};

/// A file, a socket, an end of a pipe: whatever has a descriptor, as a value that can stand in a task's arguments or in its answer.
///
/// It is the thing itself (`Deref`). What is packed is a duplicate of its descriptor, which leads to the same open file.
///
/// ```
/// use std::os::unix::net::UnixStream;
///
/// use shmkit_parcel::{Descriptor, Parcel};
///
/// let (ours, theirs) = UnixStream::pair()?;
/// let mut parcel = Parcel::new();
/// parcel.add(&Descriptor::from(theirs))?;
/// let theirs: Descriptor<UnixStream> = parcel.take()?;
/// assert!(theirs.peer_addr()?.is_unnamed());
/// # drop(ours);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Descriptor<T = OwnedFd>(T);

impl<T> Descriptor<T> {
    /// Returns the thing alone.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsFd> From<T> for Descriptor<T> {
    fn from(thing: T) -> Self {
        Self(thing)
    }
}

impl<T: AsFd> AsFd for Descriptor<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<T> Deref for Descriptor<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Descriptor<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: AsFd> Serialize for Descriptor<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = luggage::put(type_name::<T>(), self.0.as_fd());
        number.map_err(luggage::packing_failed)?.serialize(serializer)
    }
}

impl<'de, T: TryFrom<OwnedFd, Error: Display>> Deserialize<'de> for Descriptor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        let file = luggage::take(type_name::<T>(), number).map_err(luggage::unpacking_failed)?;
        let refused = |error: T::Error| {
            luggage::unpacking_failed(CannotTravel::new(type_name::<T>(), error.to_string()))
        };
        file.try_into().map(Self).map_err(refused)
    }
}
