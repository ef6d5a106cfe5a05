//! Anything that `serde` knows, as an item.

use core::ops::{Deref, DerefMut};

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_layout::TypeTag;

use crate::{Item, MapError};

/// A key or a value of any type that `serde` knows: texts, lists and maps in it included. In shared memory are its bytes in
/// [postcard](https://postcard.jamesmunns.com/wire-format)'s format, so that each time it is read, it is made anew.
///
/// Whoever uses the map must mean the same `T`: the bytes do not say what they are, and the directory keeps no more than that they
/// are postcard's. Bytes that are no `T` are [`MapError::Corrupt`].
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// use serde::{Deserialize, Serialize};
/// use shmkit_collections::{Postcard, ShmMap};
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(1 << 20)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # let participant = &judges[0];
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct User {
///     name: String,
///     groups: Vec<String>,
/// }
///
/// // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// let users =
///     unsafe { ShmMap::<u32, Postcard<User>, _>::init(region, (1 << 20).into(), participant) }?;
/// users.insert(&7, &Postcard(User { name: "ann".into(), groups: vec![] }))?;
/// let user = users.entry(&7)?.and_modify(|user| user.groups.push("wheel".into()))?.get()?;
/// assert_eq!(user.unwrap().groups, ["wheel"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Postcard<T>(pub T);

impl<T> Deref for Postcard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Postcard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Postcard<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Serialize + DeserializeOwned> Item for Postcard<T> {
    type Owned = Self;
    type Bytes<'a>
        = Vec<u8>
    where
        T: 'a;

    const TAG: TypeTag = TypeTag::named("postcard");

    fn bytes(&self) -> Result<Vec<u8>, MapError> {
        shmkit_value::encode(&self.0).map_err(|_: shmkit_value::ValueError<()>| MapError::Serialize)
    }

    fn copied(bytes: &[u8]) -> Option<Self> {
        shmkit_value::from_bytes(bytes).ok().map(Self)
    }
}
