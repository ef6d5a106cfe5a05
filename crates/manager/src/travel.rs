//! How references travel, and ways to managers.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shmkit_connection::{Address, Key};
use shmkit_parcel::{CannotTravel, luggage};

use crate::CallError;
use crate::context::{Context, look};
use crate::link::Link;
use crate::proxy::{Counted, Proxy, Target};

/// Where a manager is, as it is written.
#[derive(Serialize, Deserialize)]
pub(crate) enum Place {
    Unix(Vec<u8>),
    Abstract(Vec<u8>),
    Tcp(SocketAddr),
}

impl Place {
    pub(crate) fn of(address: &Address) -> Option<Self> {
        Some(match address {
            Address::Unix(path) => Self::Unix(path.as_os_str().as_bytes().to_vec()),
            Address::Abstract(name) => Self::Abstract(name.clone()),
            Address::Tcp(address) => Self::Tcp(*address),
            // A kind that is new, and known to this crate by then.
            _ => return None,
        })
    }
}

impl From<Place> for Address {
    fn from(place: Place) -> Self {
        match place {
            Place::Unix(path) => Self::Unix(OsString::from_vec(path).into()),
            Place::Abstract(name) => Self::Abstract(name),
            Place::Tcp(address) => Self::Tcp(address),
        }
    }
}

/// A manager, as it is written for whoever does not speak with it now.
#[derive(Serialize, Deserialize)]
pub(crate) struct Whole {
    place: Place,
    manager: u64,
    /// To a process of this machine that is given it by its parent, and nowhere else.
    key: Option<Vec<u8>>,
}

impl Whole {
    pub(crate) fn of(link: &Link) -> Result<Self, CannotTravel> {
        let place = Place::of(&link.address).ok_or_else(|| {
            CannotTravel::new("a manager", "its address is of a kind that is not written")
        })?;
        let to_a_process = look(|context| context.is_none()) && luggage::is_packing();
        let key = link.key().filter(|_| to_a_process).map(|key| key.bytes().to_vec());
        Ok(Self { place, manager: link.manager, key })
    }

    pub(crate) fn link(self) -> Result<Arc<Link>, CallError> {
        Link::of(self.place.into(), self.key.map(Key::new), self.manager)
    }
}

/// A reference, as it is written.
#[derive(Serialize, Deserialize)]
enum Form {
    /// An object of the manager that is spoken with.
    Same(u64),
    Whole {
        manager: Whole,
        object: u64,
    },
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Target { link, object, counted } = &*self.target;
        let is_same = look(|context| match context {
            Some(Context::Calling { manager, objects }) if *manager == link.manager => {
                objects.push(self.clone());
                true
            }
            Some(Context::Serving { link: to, objects }) if to.manager == link.manager => {
                if let Counted::Here(held) = counted {
                    objects.push(held.clone());
                }
                matches!(counted, Counted::Here(_))
            }
            _ => false,
        });
        if is_same {
            return Form::Same(*object).serialize(serializer);
        }
        match (counted, link.manager_here()) {
            (Counted::Here(held), Some(here)) => here.keep_passed(held.clone()),
            (Counted::There { .. }, _) => link.pass(*object),
            _ => {}
        }
        let manager = Whole::of(link).map_err(luggage::packing_failed)?;
        Form::Whole { manager, object: *object }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let cannot = |why: &str| luggage::unpacking_failed(CannotTravel::new("a proxy", why));
        match Form::deserialize(deserializer)? {
            Form::Same(object) => {
                let come = look(|context| match context {
                    Some(Context::Answered { link, objects }) => {
                        let there = objects.iter().find(|proxy| proxy.object() == object);
                        Some(there.cloned().ok_or_else(|| Arc::clone(link)))
                    }
                    Some(Context::Serving { link, .. }) => Some(Err(Arc::clone(link))),
                    _ => None,
                });
                match come {
                    Some(Ok(proxy)) => Ok(proxy),
                    Some(Err(link)) => Self::come(link, object)
                        .ok_or_else(|| cannot("its object is not there any more")),
                    None => Err(cannot("it came without its manager")),
                }
            }
            Form::Whole { manager, object } => {
                let link = manager.link().map_err(|error| cannot(&error.to_string()))?;
                if let Some(here) = link.manager_here() {
                    let held = here.objects().find(object);
                    here.has_come(object);
                    let counted = held.map_or(Counted::Nowhere, Counted::Here);
                    return Ok(Self::of(link, object, counted));
                }
                // If it is not there any more, calls say so: whoever unpacks it need not use it.
                let counted = match link.hold(object) {
                    Ok(()) => Counted::There { pid: process::id() },
                    Err(_) => Counted::Nowhere,
                };
                Ok(Self::of(link, object, counted))
            }
        }
    }
}
