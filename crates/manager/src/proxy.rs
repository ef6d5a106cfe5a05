//! A reference to an object of a manager.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shmkit_connection::{Address, Key};
use shmkit_parcel::{CannotTravel, Parcel, luggage};
use shmkit_sync::Patience;

use crate::CallError;
use crate::context::{Context, look, within};
use crate::link::{Link, error_of, frame, take_answer};
use crate::protocol::{Answer, Ask};
use crate::served::{Args, Known, NO_FILES, Returned};
use crate::server::Held;

/// What has a [`Proxy`] inside: what `#[manager]` makes, and the objects that every manager has.
pub trait Remote: Sized {
    /// Makes it of a reference to an object of its type.
    fn from_proxy(proxy: Proxy) -> Self;

    /// Returns the reference.
    fn proxy(&self) -> &Proxy;

    /// Returns one whose calls give up after `limit`, with [`TimedOut`](CallError::TimedOut). In a manager's own process nothing
    /// does.
    #[must_use]
    fn limited(&self, limit: Duration) -> Self {
        Self::from_proxy(Proxy { limit: Some(limit), ..self.proxy().clone() })
    }
}

/// A reference to an object of a manager, whatever its type is.
///
/// As long as it is there the object is, or until the manager ends. Clones are cheap, and one reference to the manager.
///
/// It is a value: in a task's arguments, in an answer, or in another object it leads to the same object. From the moment that
/// it is packed the object is kept for whoever it comes to, as long as the sender lives and a minute beyond.
#[derive(Clone)]
pub struct Proxy {
    target: Arc<Target>,
    limit: Option<Duration>,
}

/// What a reference leads to. The last one here tells the manager.
struct Target {
    link: Arc<Link>,
    object: u64,
    counted: Counted,
}

enum Counted {
    /// The manager has counted it for this process.
    There { pid: u32 },
    /// In the manager's own process.
    Here(Held),
    /// The object was gone when it came.
    Nowhere,
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Counted::There { pid } = self.counted {
            self.link.release(self.object, pid);
        }
    }
}

impl Proxy {
    /// Of an object that the manager has counted for this process.
    pub(crate) fn counted(link: Arc<Link>, object: u64) -> Self {
        Self::of(link, object, Counted::There { pid: process::id() })
    }

    /// Of an object that has come from its manager, which has counted the reference; or that is here, if it still is.
    pub(crate) fn come(link: Arc<Link>, object: u64) -> Option<Self> {
        match link.here.as_ref().and_then(Weak::upgrade) {
            None => Some(Self::counted(link, object)),
            Some(shared) => {
                let held = shared.objects.find(object)?;
                Some(Self::of(link, object, Counted::Here(held)))
            }
        }
    }

    fn of(link: Arc<Link>, object: u64, counted: Counted) -> Self {
        Self { target: Arc::new(Target { link, object, counted }), limit: None }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.target.link
    }

    pub(crate) fn object(&self) -> u64 {
        self.target.object
    }

    fn patience(&self) -> Patience<'static> {
        self.limit.map_or(Patience::ENDLESS, Patience::from)
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn call<A: Serialize, R: DeserializeOwned>(
        &self,
        method: &Known,
        args: &A,
    ) -> Result<R, CallError> {
        self.call_by(method, args, self.patience())
    }

    /// The same, for as long as the patience says.
    pub(crate) fn call_by<A: Serialize, R: DeserializeOwned>(
        &self,
        method: &Known,
        args: &A,
        patience: Patience<'_>,
    ) -> Result<R, CallError> {
        let Target { link, object, counted } = &*self.target;
        if let Counted::Here(held) = counted {
            return call_here(link, held, method, args);
        }
        let ask = Ask::Call { object: *object, method: method.print };
        let mut answer = link.ask(packed(link, &ask, method, args)?.bytes(), patience)?;
        match take_answer(&mut answer, method.name)? {
            Answer::Returned => unpacked(link, &mut answer, method),
            other => Err(error_of(other, method, link)),
        }
    }
}

/// Packs a question and what is behind it.
pub(crate) fn packed<A: Serialize>(
    link: &Link,
    ask: &Ask,
    method: &Known,
    args: &A,
) -> Result<Parcel, CallError> {
    let mut parcel = frame(ask);
    pack(link, &mut parcel, method, args)?;
    Ok(parcel)
}

/// Packs a value for a manager, and returns the references to its objects that are in the value.
fn pack<A: Serialize>(
    link: &Link,
    parcel: &mut Parcel,
    method: &Known,
    args: &A,
) -> Result<Vec<Proxy>, CallError> {
    let refuse = |why: String| CallError::Encode { method: method.text(), why };
    let context = Context::Calling { manager: link.manager, objects: Vec::new() };
    let (result, context) = within(context, || parcel.add(args));
    result.map_err(|error| refuse(error.to_string()))?;
    match context {
        _ if parcel.has_files() => Err(refuse(NO_FILES.into())),
        Some(Context::Calling { objects, .. }) => Ok(objects),
        _ => Ok(Vec::new()),
    }
}

/// Unpacks what a method has returned.
pub(crate) fn unpacked<R: DeserializeOwned>(
    link: &Arc<Link>,
    answer: &mut Parcel,
    method: &Known,
) -> Result<R, CallError> {
    unpacked_with(link, Vec::new(), answer, method)
}

fn unpacked_with<R: DeserializeOwned>(
    link: &Arc<Link>,
    objects: Vec<Proxy>,
    answer: &mut Parcel,
    method: &Known,
) -> Result<R, CallError> {
    let context = Context::Answered { link: Arc::clone(link), objects };
    let (result, _) = within(context, || answer.take());
    result.map_err(|error| CallError::Decode { method: method.text(), why: error.to_string() })
}

/// Packs a value by itself, for an object that keeps it as it is.
pub(crate) fn pack_alone<T: Serialize>(
    link: &Link,
    method: &Known,
    value: &T,
) -> Result<(Vec<u8>, Vec<Proxy>), CallError> {
    let mut parcel = Parcel::new();
    let objects = pack(link, &mut parcel, method, value)?;
    Ok((parcel.into_parts().0, objects))
}

/// Unpacks one, in which are references to these objects.
pub(crate) fn unpack_alone<T: DeserializeOwned>(
    link: &Arc<Link>,
    method: &Known,
    bytes: &[u8],
    objects: Vec<Proxy>,
) -> Result<T, CallError> {
    unpacked_with(link, objects, &mut Parcel::from_parts(bytes.to_vec(), Vec::new()), method)
}

/// Calls a method of an object of this very process.
fn call_here<A: Serialize, R: DeserializeOwned>(
    link: &Arc<Link>,
    held: &Held,
    method: &Known,
    args: &A,
) -> Result<R, CallError> {
    let shared = link.here.as_ref().and_then(Weak::upgrade).ok_or_else(|| link.gone())?;
    let mut parcel = Parcel::new();
    pack(link, &mut parcel, method, args)?;
    let called = shared.call(held, method.print, Args(parcel));
    // What is in the answer is held until it is unpacked.
    let (Returned(mut answer), _objects) =
        called.map_err(|answer| error_of(answer, method, link))?;
    match take_answer(&mut answer, method.name)? {
        Answer::Returned => unpacked(link, &mut answer, method),
        other => Err(error_of(other, method, link)),
    }
}

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
            Some(Context::Serving { shared, objects }) if shared.manager == link.manager => {
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
        match (counted, link.here.as_ref().and_then(Weak::upgrade)) {
            (Counted::Here(held), Some(shared)) => shared.keep_passed(held.clone()),
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
                    Some(Context::Serving { shared, .. }) => Some(Err(Arc::clone(shared.link()))),
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
                if let Some(shared) = link.here.as_ref().and_then(Weak::upgrade) {
                    let held = shared.objects.find(object);
                    drop(shared.passes.take(object));
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

impl Remote for Proxy {
    fn from_proxy(proxy: Proxy) -> Self {
        proxy
    }

    fn proxy(&self) -> &Proxy {
        self
    }
}

/// The same object of the same manager.
impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        (self.target.link.manager, self.target.object)
            == (other.target.link.manager, other.target.object)
    }
}

impl Eq for Proxy {}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {} of the manager at {}", self.target.object, self.target.link.address)
    }
}
