//! Handles that say where they are, so that another process can open them from what it is told.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use shmkit_layout::Object;
use shmkit_roster::Seat;

use crate::{ObjectError, OpenOptions, Segment, SegmentError};

/// Where an object is: its segment, by folder, name and cookie, its own name, and what it is.
///
/// It is plain data, to be sent to another process of this machine and [opened](Self::open) there. The cookie tells the
/// segment from every other one that has had, or will have, its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Locator {
    /// The folder of the segment's file.
    pub directory: PathBuf,
    /// The segment's name.
    pub segment: String,
    /// The random number that the segment got when it was made.
    pub cookie: u64,
    /// The object's name.
    pub object: String,
    /// The how many-th object of its segment it is: what is made later under its name is another one.
    pub generation: u64,
    /// What it is: the name of its kind.
    pub kind: String,
    /// What it holds: the name of its type tag.
    pub tag: String,
}

impl Locator {
    /// Joins the segment, or shares it if this process has joined it, and finds the object.
    ///
    /// # Errors
    ///
    /// [`LocateError`]: segment or object has gone, another one has its name, or the object is of another kind or type.
    ///
    /// # If a peer dies
    ///
    /// and was the last one that took part, there is no such segment any more, or the next visitor removes it. One that was
    /// sent and is still on its way keeps nothing alive: keep the handle until the other side has opened its own.
    pub fn open<O: Object<Seat>>(&self) -> Result<Located<O>, LocateError> {
        self.check_type::<O>()?;
        let open = OpenOptions::new().directory(&self.directory).open(&self.segment);
        let segment = open.map_err(LocateError::Segment)?;
        if segment.header().cookie != self.cookie {
            return Err(LocateError::Reused { name: self.segment.clone() });
        }
        self.find_in(&segment)
    }

    /// Checks that what was sent is what is asked for.
    pub(crate) fn check_type<O: Object<Seat>>(&self) -> Result<(), LocateError> {
        let asked = (O::KIND.name(), O::TAG.name());
        if (self.kind.as_str(), self.tag.as_str()) != asked {
            let (kind, tag) = asked;
            return Err(LocateError::WrongType {
                sent: Box::new(self.clone()),
                kind: kind.to_owned(),
                tag: tag.to_owned(),
            });
        }
        Ok(())
    }

    /// Finds the object in its segment.
    pub(crate) fn find_in<O: Object<Seat>>(
        &self,
        segment: &Segment,
    ) -> Result<Located<O>, LocateError> {
        let there = segment.located(&self.object).map_err(LocateError::Object)?;
        if there.generation != self.generation {
            return Err(LocateError::Replaced { object: self.object.clone() });
        }
        Ok(there)
    }
}

/// An object that knows where it is: in which segment, and under which name.
///
/// It is the handle itself (`Deref`), with a share in the segment. With the feature `serde` it is serialised as its
/// [`Locator`], and deserialised by opening it.
pub struct Located<O> {
    object: O,
    name: String,
    pub(crate) generation: u64,
    segment: Segment,
}

impl<O> Located<O> {
    /// Returns the segment that the object is in.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Returns the object's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the object alone.
    pub fn into_inner(self) -> O {
        self.object
    }

    /// Returns where the object is.
    ///
    /// # Errors
    ///
    /// [`LocateError::NoName`] if its segment was not made or opened by a name, by which others could open it.
    pub fn locator(&self) -> Result<Locator, LocateError>
    where
        O: Object<Seat>,
    {
        let path = self.segment.path().and_then(Path::parent);
        let (Some(directory), Some(segment)) = (path, self.segment.name()) else {
            return Err(LocateError::NoName);
        };
        Ok(Locator {
            directory: directory.to_owned(),
            segment: segment.to_owned(),
            cookie: self.segment.header().cookie,
            object: self.name.clone(),
            generation: self.generation,
            kind: O::KIND.name().to_owned(),
            tag: O::TAG.name().to_owned(),
        })
    }
}

impl Segment {
    /// Finds the object called `name`, with a handle that can say to another process where it is.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find).
    ///
    /// # Examples
    ///
    /// ```
    /// # use shmkit_segment::{Locator, Options};
    /// # use shmkit_sync::Mutex;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = &format!("doc-locate-{}", std::process::id());
    /// let segment = Options::new(4096).create(name)?;
    /// segment.make::<Mutex<u64>>("total", 5)?;
    /// let total = segment.located::<Mutex<u64>>("total")?;
    /// let locator: Locator = total.locator()?; // send it, with the feature `serde` also as `total` itself
    ///
    /// // In any other process of this machine and user:
    /// let total = locator.open::<Mutex<u64>>()?;
    /// assert_eq!(*total.lock().unwrap(), 5);
    /// assert!(locator.open::<Mutex<i8>>().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn located<O: Object<Seat>>(&self, name: &str) -> Result<Located<O>, ObjectError> {
        let (object, generation) = self.find_numbered(name)?;
        Ok(Located { object, name: name.to_owned(), generation, segment: self.clone() })
    }
}

impl<O> Deref for Located<O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.object
    }
}

impl<O: Clone> Clone for Located<O> {
    fn clone(&self) -> Self {
        let Self { object, name, generation, segment } = self;
        Self {
            object: object.clone(),
            name: name.clone(),
            generation: *generation,
            segment: segment.clone(),
        }
    }
}

impl<O: fmt::Debug> fmt::Debug for Located<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Located")
            .field("object", &self.object)
            .field("name", &self.name)
            .field("segment", &self.segment.name())
            .finish()
    }
}

#[cfg(feature = "serde")]
impl<O: Object<Seat>> serde::Serialize for Located<O> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.locator().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de, O: Object<Seat>> serde::Deserialize<'de> for Located<O> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let locator = <Locator as serde::Deserialize>::deserialize(deserializer)?;
        locator.open().map_err(|error| {
            // An error of a format is a text alone: the whole chain goes into it.
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            serde::de::Error::custom(text)
        })
    }
}

/// Why an object is not where a [`Locator`] says, or has none.
#[derive(Debug)]
#[non_exhaustive]
pub enum LocateError {
    /// The object's segment has no name: it is handed to children only.
    NoName,
    /// The object that was sent is of another kind or type than what it is to be opened as.
    WrongType {
        /// What was sent.
        sent: Box<Locator>,
        /// The kind that was asked for.
        kind: String,
        /// The type that was asked for.
        tag: String,
    },
    /// The segment was not opened: as a rule it has gone, because everybody has left it.
    Segment(SegmentError),
    /// Another segment has the name by now; the one that was sent has gone.
    Reused {
        /// The name of both.
        name: String,
    },
    /// The segment is there, and the object is not what was sent.
    Object(ObjectError),
    /// Another object has the name by now; the one that was sent was removed.
    Replaced {
        /// The name of both.
        object: String,
    },
}

impl LocateError {
    /// Returns the number of the system's error, if the system gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Segment(error) => error.errno(),
            _ => None,
        }
    }
}

/// With this error as the inner one, whose sources say everything.
impl From<LocateError> for io::Error {
    fn from(error: LocateError) -> Self {
        let kind = match &error {
            LocateError::NoName => io::ErrorKind::InvalidInput,
            LocateError::WrongType { .. } => io::ErrorKind::InvalidData,
            LocateError::Segment(error) => error.io_kind(),
            LocateError::Reused { .. } | LocateError::Replaced { .. } => io::ErrorKind::NotFound,
            LocateError::Object(error) => error.io_kind(),
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for LocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str(
                "the object's segment has no name by which another process could open it; share it with a child, or make it by a name",
            ),
            Self::WrongType { sent, kind, tag } => write!(
                f,
                "object {:?} was sent as {} of {:?}, and is asked for as {kind} of {tag:?}",
                sent.object, sent.kind, sent.tag
            ),
            Self::Segment(_) => f.write_str("the segment of the object was not opened"),
            Self::Reused { name } => write!(
                f,
                "segment {name:?} is another one than that which was sent, which has gone; keep a handle until the other side has opened its own"
            ),
            Self::Object(_) => f.write_str("the object was not found in its segment"),
            Self::Replaced { object } => write!(
                f,
                "object {object:?} is another one than that which was sent, which was removed; keep a handle until the other side has opened its own"
            ),
        }
    }
}

impl Error for LocateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Segment(error) => Some(error),
            Self::Object(error) => Some(error),
            _ => None,
        }
    }
}
