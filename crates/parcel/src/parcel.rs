//! Bytes, and what goes with them.

use std::any::type_name;
use std::mem::take;
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use shmkit_roster::Seat;

use crate::carrier::enable;
use crate::luggage::{self, Luggage};
use crate::{CannotTravel, ParcelError};

/// Values on their way to another process of this machine: their bytes and descriptors.
///
/// Values are taken out in the order in which they were put in. What is taken out as another type is refused, or is another
/// value: the bytes do not say what they are.
#[derive(Debug, Default)]
pub struct Parcel {
    pub(crate) bytes: Vec<u8>,
    /// The first byte that is not taken out yet.
    at: usize,
    /// What goes with the bytes.
    luggage: Option<Box<Luggage>>,
    /// Nothing goes with the bytes.
    is_bare: bool,
}

impl Parcel {
    /// Makes one with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes one with nothing in it, and room for so many bytes before it takes more memory.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Makes one that takes bytes and nothing else, to go to another machine: a value with a descriptor or a handle in it is refused.
    pub fn bare() -> Self {
        Self { is_bare: true, ..Self::default() }
    }

    /// Takes out the values that were put in behind so many bytes; descriptors that belong to them stay.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Makes one of what has come.
    pub(crate) fn of(bytes: Vec<u8>, files: Vec<OwnedFd>) -> Self {
        Self { bytes, at: 0, luggage: Luggage::of(files), is_bare: false }
    }

    /// Makes one of bytes that another one had, all of them or from the begin of a value on, and of its descriptors.
    pub fn from_parts(bytes: Vec<u8>, files: Vec<OwnedFd>) -> Self {
        Self::of(bytes, files)
    }

    /// Returns its bytes, those included that were taken out, and the descriptors that were not.
    pub fn into_parts(mut self) -> (Vec<u8>, Vec<OwnedFd>) {
        let files = self.take_files();
        (self.bytes, files)
    }

    /// Takes the descriptors that were not taken out yet.
    pub fn take_files(&mut self) -> Vec<OwnedFd> {
        let files = self.luggage.as_mut().map(|luggage| take(&mut luggage.files));
        files.into_iter().flatten().flatten().collect()
    }

    /// Empties it, and puts these bytes in, which another one had: it keeps its memory for them.
    #[inline]
    pub fn refill(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        (self.at, self.luggage) = (0, None);
    }

    /// Returns its bytes, those included that were taken out.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lends its bytes, to be changed where they are.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Returns whether there are descriptors in it.
    #[inline]
    pub fn has_files(&self) -> bool {
        self.luggage.as_ref().is_some_and(|luggage| luggage.files.iter().any(Option::is_some))
    }

    /// Puts a value in, behind what is there.
    ///
    /// # Errors
    ///
    /// [`CannotTravel`](ParcelError::CannotTravel), [`Encode`](ParcelError::Encode): then the parcel is as before.
    /// [Bare](Self::bare), it refuses what is more than bytes.
    #[inline]
    pub fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ParcelError> {
        enable();
        let before = self.bytes.len();
        let marks = self.luggage.as_ref().map_or([0; 3], |luggage| luggage.marks());
        let mut writer = Writer(&mut self.bytes);
        let result = luggage::open(&mut self.luggage, !self.is_bare, || {
            postcard::serialize_with_flavor::<T, &mut Writer<'_>, ()>(value, &mut writer)
        });
        if result.is_ok() && self.luggage.is_none() {
            return Ok(());
        }
        self.added(type_name::<T>(), before, marks, result)
    }

    /// Looks whether a value was put in that is more than bytes, or was not, and says why.
    #[cold]
    fn added(
        &mut self,
        of: &'static str,
        before: usize,
        marks: [usize; 3],
        result: postcard::Result<()>,
    ) -> Result<(), ParcelError> {
        match (result, self.why()) {
            (Ok(()), None) => Ok(()),
            (result, why) => {
                self.bytes.truncate(before);
                if let Some(luggage) = &mut self.luggage {
                    luggage.cut(marks);
                }
                let encode = || ParcelError::Encode {
                    of,
                    why: result.err().map(|error| error.to_string()).unwrap_or_default(),
                };
                Err(why.map_or_else(encode, Into::into))
            }
        }
    }

    /// Takes out why something could not travel.
    #[inline]
    fn why(&mut self) -> Option<CannotTravel> {
        self.luggage.as_mut().and_then(|luggage| luggage.why.take())
    }

    /// Takes the next value out.
    ///
    /// # Errors
    ///
    /// [`Decode`](ParcelError::Decode): what is there is no such value; [`CannotTravel`](ParcelError::CannotTravel): something in
    /// it cannot be used here. Then the parcel is as before, but for descriptors that were taken out.
    #[inline]
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, ParcelError> {
        enable();
        let left = &self.bytes[self.at..];
        let result =
            luggage::open(&mut self.luggage, false, || postcard::take_from_bytes::<T>(left));
        match (result.map(|(value, left)| (value, left.len())), self.why()) {
            (Ok((value, left)), None) => {
                self.at = self.bytes.len() - left;
                Ok(value)
            }
            (Ok(_), Some(why)) => Err(why.into()),
            (Err(error), why) => Err(not_taken(type_name::<T>(), error, why)),
        }
    }

    /// Takes a value out of bytes that another one had, with which nothing went.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    #[inline]
    pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ParcelError> {
        enable();
        let mut none = None;
        let result = luggage::open(&mut none, false, || postcard::take_from_bytes::<T>(bytes));
        result.map(|(value, _)| value).map_err(|error| {
            not_taken(type_name::<T>(), error, none.and_then(|mut luggage| luggage.why.take()))
        })
    }

    /// Takes what its objects' handles keep, to be dropped when the other side has taken them out.
    pub fn take_kept(&mut self) -> Kept {
        Kept(self.luggage.as_mut().map(|luggage| take(&mut luggage.kept)).unwrap_or_default())
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

#[cold]
fn not_taken(of: &'static str, error: postcard::Error, why: Option<CannotTravel>) -> ParcelError {
    match why {
        Some(why) => why.into(),
        None => ParcelError::Decode { of, why: error.to_string() },
    }
}

/// What keeps the objects there that a parcel brings, until the other side does.
#[derive(Debug, Default)]
#[must_use = "what is dropped before the parcel has come may be gone by then"]
pub struct Kept(#[expect(dead_code, reason = "for its drop")] Vec<Seat>);

/// Where postcard writes to: behind what is there.
struct Writer<'b>(&'b mut Vec<u8>);

impl postcard::ser_flavors::Flavor for &mut Writer<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    #[inline]
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
        assert_eq!((parcel.len(), parcel.has_files()), (1, false));
        assert!(matches!(parcel.take::<String>(), Err(ParcelError::Decode { .. })));
        assert_eq!(parcel.take::<u8>().unwrap(), 5);
    }

    #[test]
    fn a_value_that_packs_another_parcel_leaves_its_own_open() {
        /// Packs a descriptor, another parcel with one, one that panics, and a descriptor.
        struct Nests(Descriptor<File>);
        impl Serialize for Nests {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                struct Panics;
                impl Serialize for Panics {
                    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                        assert!(luggage::is_packing());
                        std::panic::resume_unwind(Box::new(()))
                    }
                }
                let mut inner = Parcel::new();
                inner.add(&self.0).unwrap();
                assert_eq!(inner.take_files().len(), 1);
                let pack = std::panic::AssertUnwindSafe(|| inner.add(&(&self.0, Panics)));
                assert!(std::panic::catch_unwind(pack).is_err());
                (&self.0, &self.0).serialize(serializer)
            }
        }
        let file = Descriptor::from(File::open("/dev/null").unwrap());
        let mut parcel = Parcel::new();
        parcel.add(&(&file, Nests(file.try_clone().unwrap().into()))).unwrap();
        parcel.add(&1_u8).unwrap();
        assert!(!luggage::is_packing());
        let (bytes, files) = parcel.into_parts();
        assert_eq!(files.len(), 3);
        type All = (Descriptor<File>, (Descriptor<File>, Descriptor<File>));
        let mut parcel = Parcel::from_parts(bytes, files);
        parcel.take::<All>().unwrap();
        assert_eq!(parcel.take::<u8>().unwrap(), 1);
    }

    #[test]
    fn a_bare_parcel_refuses_what_is_more_than_bytes_and_says_why() {
        let segment = shmkit_segment::Options::new(1 << 16).anonymous().unwrap();
        let value = segment.make::<shmkit_cell::Value<u64>>("v", 5).unwrap();
        let file = Descriptor::from(File::open("/dev/null").unwrap());
        let mut parcel = Parcel::bare();
        parcel.add(&7_u8).unwrap();
        for error in [parcel.add(&value), parcel.add(&(1_u8, file))] {
            let error = error.unwrap_err();
            assert!(matches!(error, ParcelError::CannotTravel(_)), "{error:?}");
            assert!(error.to_string().contains("of this machine"), "{error}");
        }
        assert_eq!((parcel.len(), parcel.has_files()), (1, false));
        assert_eq!(parcel.take::<u8>().unwrap(), 7);
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
