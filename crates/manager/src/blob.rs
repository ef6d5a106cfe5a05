//! Values that a manager keeps as they are packed: what they are, only those who put them there and take them out know.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shmkit_parcel::{CannotTravel, luggage};

use crate::CallError;
use crate::call::{pack_alone, unpack_alone};
use crate::context::{Context, look};
use crate::objects::Held;
use crate::proxy::Proxy;
use crate::served::Known;

/// A value, as postcard encodes it, and the references in it: what they lead to is there as long as the value is.
///
/// Two are the same if their bytes are: that is how keys are looked for.
#[derive(Clone)]
pub struct Blob {
    bytes: Arc<[u8]>,
    objects: Objects,
}

#[derive(Clone)]
enum Objects {
    /// Of one who calls.
    Ours(Vec<Proxy>),
    /// In the manager.
    Held(Vec<Held>),
}

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    #[serde(serialize_with = "as_bytes")]
    bytes: &'a [u8],
    objects: Vec<u64>,
}

/// At once, and not one by one.
fn as_bytes<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// What errors say it was for.
static KEPT: Known = Known::new("shmkit_manager::Blob", "value", "", 0);

impl Blob {
    /// Packs a value for the manager of an object.
    pub(crate) fn of<T: Serialize>(at: &Proxy, value: &T) -> Result<Self, CallError> {
        let (bytes, objects) = pack_alone(at.link(), &KEPT, value)?;
        Ok(Self { bytes: bytes.into(), objects: Objects::Ours(objects) })
    }

    /// Unpacks the value.
    pub(crate) fn value<T: DeserializeOwned>(&self, at: &Proxy) -> Result<T, CallError> {
        let objects = match &self.objects {
            Objects::Ours(objects) => objects.clone(),
            Objects::Held(_) => Vec::new(),
        };
        unpack_alone(at.link(), &KEPT, &self.bytes, objects)
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let objects = match &self.objects {
            Objects::Ours(objects) => objects.iter().map(Proxy::object).collect(),
            Objects::Held(held) => {
                let is_counted = look(|context| match context {
                    Some(Context::Serving { objects, .. }) => {
                        objects.extend(held.iter().cloned());
                        true
                    }
                    _ => false,
                });
                if !is_counted {
                    let why = "it goes from its manager to who asks for it";
                    return Err(luggage::packing_failed(CannotTravel::new("a value", why)));
                }
                held.iter().map(|held| held.object().number).collect()
            }
        };
        Form { bytes: &self.bytes, objects }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Form { bytes, objects } = Form::deserialize(deserializer)?;
        let gone = || {
            let why = "an object in it is not there any more";
            luggage::unpacking_failed(CannotTravel::new("a value", why))
        };
        let come = look(|context| match context {
            Some(Context::Serving { link, .. }) => link.manager_here().map(Ok),
            Some(Context::Answered { link, .. }) => Some(Err(Arc::clone(link))),
            _ => None,
        });
        let objects = match come {
            Some(Ok(here)) => {
                let held: Option<Vec<Held>> =
                    objects.into_iter().map(|object| here.objects().find(object)).collect();
                Objects::Held(held.ok_or_else(gone)?)
            }
            Some(Err(link)) => {
                let come = |object| Proxy::come(Arc::clone(&link), object);
                let ours: Option<Vec<Proxy>> = objects.into_iter().map(come).collect();
                Objects::Ours(ours.ok_or_else(gone)?)
            }
            None => return Err(gone()),
        };
        Ok(Self { bytes: bytes.into(), objects })
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Blob {}

impl std::hash::Hash for Blob {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}
