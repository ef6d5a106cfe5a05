//! Bytes, and what goes with them.

use std::any::type_name;
use std::mem::take;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use shmkit_roster::Seat;
use shmkit_segment::Segment;

use crate::ParcelError;
use crate::carrier::{Sent, enable};
use crate::luggage::{self, Luggage};

/// Values on their way to another process of this machine: their bytes and descriptors.
///
/// Values are taken out in the order in which they were put in. What is taken out as another type is refused, or is another
/// value: the bytes do not say what they are.
#[derive(Debug, Default)]
pub struct Parcel {
    pub(crate) bytes: Vec<u8>,
    /// The first byte that is not taken out yet.
    at: usize,
    pub(crate) files: Vec<Option<OwnedFd>>,
    /// What its objects' handles keep: until it has come.
    pub(crate) kept: Vec<Seat>,
    /// The segments that are in it.
    sent: Vec<Sent>,
    /// Those of them that were taken out.
    joined: Vec<(u32, Segment)>,
}

impl Parcel {
    /// Makes one with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes one of what has come.
    pub(crate) fn of(bytes: Vec<u8>, files: Vec<OwnedFd>) -> Self {
        Self { bytes, files: files.into_iter().map(Some).collect(), ..Self::default() }
    }

    /// Makes one of bytes that another one had, all of them or from the begin of a value on, and of its descriptors.
    pub fn from_parts(bytes: Vec<u8>, files: Vec<OwnedFd>) -> Self {
        Self::of(bytes, files)
    }

    /// Returns its bytes, those included that were taken out, and the descriptors that were not.
    pub fn into_parts(self) -> (Vec<u8>, Vec<OwnedFd>) {
        (self.bytes, self.files.into_iter().flatten().collect())
    }

    /// Returns its bytes, those included that were taken out.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns whether there are descriptors in it.
    pub fn has_files(&self) -> bool {
        self.files.iter().any(Option::is_some)
    }

    /// Puts a value in, behind what is there.
    ///
    /// # Errors
    ///
    /// [`CannotTravel`](ParcelError::CannotTravel), [`Encode`](ParcelError::Encode): then the parcel is as before.
    pub fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ParcelError> {
        enable();
        let before = (self.bytes.len(), self.files.len(), self.kept.len(), self.sent.len());
        let mut luggage = Luggage::new(take(&mut self.files), true);
        (luggage.kept, luggage.sent) = (take(&mut self.kept), take(&mut self.sent));
        let mut writer = Writer(take(&mut self.bytes));
        let (result, luggage) = luggage::open(luggage, || {
            postcard::serialize_with_flavor::<T, &mut Writer, ()>(value, &mut writer)
        });
        let why = luggage.why;
        (self.bytes, self.files) = (writer.0, luggage.files);
        (self.kept, self.sent) = (luggage.kept, luggage.sent);
        match (result, why) {
            (Ok(()), None) => Ok(()),
            (result, why) => {
                self.bytes.truncate(before.0);
                self.files.truncate(before.1);
                self.kept.truncate(before.2);
                self.sent.truncate(before.3);
                let encode = || ParcelError::Encode {
                    of: type_name::<T>(),
                    why: result.err().map(|error| error.to_string()).unwrap_or_default(),
                };
                Err(why.map_or_else(encode, Into::into))
            }
        }
    }

    /// Takes the next value out.
    ///
    /// # Errors
    ///
    /// [`Decode`](ParcelError::Decode): what is there is no such value; [`CannotTravel`](ParcelError::CannotTravel): something in
    /// it cannot be used here. Then the parcel is as before, but for descriptors that were taken out.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, ParcelError> {
        enable();
        let mut luggage = Luggage::new(take(&mut self.files), false);
        luggage.joined = take(&mut self.joined);
        let left = &self.bytes[self.at..];
        let (result, luggage) = luggage::open(luggage, || postcard::take_from_bytes::<T>(left));
        let why = luggage.why;
        (self.files, self.joined) = (luggage.files, luggage.joined);
        match (result, why) {
            (Ok((value, left)), None) => {
                self.at = self.bytes.len() - left.len();
                Ok(value)
            }
            (_, Some(why)) => Err(why.into()),
            (Err(error), None) => {
                Err(ParcelError::Decode { of: type_name::<T>(), why: error.to_string() })
            }
        }
    }

    /// Takes what its objects' handles keep, to be dropped when the other side has taken them out.
    pub fn take_kept(&mut self) -> Kept {
        Kept(take(&mut self.kept))
    }

    /// Returns how many bytes are left to be taken out.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Returns whether all was taken out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What keeps the objects there that a parcel brings, until the other side does.
#[derive(Debug, Default)]
#[must_use = "what is dropped before the parcel has come may be gone by then"]
pub struct Kept(#[expect(dead_code, reason = "for its drop")] Vec<Seat>);

/// Where postcard writes to: behind what is there.
struct Writer(Vec<u8>);

impl postcard::ser_flavors::Flavor for &mut Writer {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::Descriptor;

    #[test]
    fn what_fails_leaves_the_parcel_as_it_was() {
        /// Packs a descriptor, and fails then.
        struct Fails(Descriptor<File>);
        impl Serialize for Fails {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)?;
                Err(serde::ser::Error::custom("no"))
            }
        }
        let mut parcel = Parcel::new();
        parcel.add(&5_u8).unwrap();
        let fails = Fails(File::open("/dev/null").unwrap().into());
        let error = parcel.add(&fails).unwrap_err();
        assert!(matches!(error, ParcelError::Encode { of, .. } if of.contains("Fails")));
        assert_eq!((parcel.len(), parcel.files.len()), (1, 0));
        assert!(matches!(parcel.take::<String>(), Err(ParcelError::Decode { .. })));
        assert_eq!(parcel.take::<u8>().unwrap(), 5);
    }

    #[test]
    fn a_descriptor_outside_of_a_parcel_says_why_it_cannot_travel() {
        let file = Descriptor::from(File::open("/dev/null").unwrap());
        assert!(postcard::to_allocvec(&file).is_err());
        assert!(
            luggage::put("a file", std::os::fd::AsFd::as_fd(&*file))
                .unwrap_err()
                .why()
                .contains("more than bytes")
        );
        let mut parcel = Parcel::new();
        parcel.add(&3_u32).unwrap();
        let error = parcel.take::<Descriptor<File>>().unwrap_err();
        assert!(
            error.to_string().contains("File cannot travel: the parcel has no descriptor 3"),
            "{error}"
        );
    }
}
