//! A manager, from the outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shmkit_connection::{Address, Key};
use shmkit_parcel::{CannotTravel, luggage};
use shmkit_process::Status;
use shmkit_sync::Patience;

use crate::call::{packed, unpacked};
use crate::link::{Link, error_of, take_answer};
use crate::own::Own;
use crate::protocol::{Answer, Ask};
use crate::proxy::{Proxy, Remote};
use crate::served::Known;
use crate::travel::Whole;
use crate::{Any, CallError};

/// How long a manager that is connected to may take to answer, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// A manager: a process that has objects, which others call by proxies. Python's `multiprocessing.managers`.
///
/// One that was started here ends when this is dropped; one that was connected to, goes on. It is a value: a task that has it
/// in its arguments is connected to the same manager.
///
/// ```no_run
/// use shmkit_manager::{Any, Manager};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = Manager::start()?;
/// let d = manager.dict::<Any, Any>()?;
/// d.insert(1, "1")?;
/// d.insert("2", 2)?;
/// d.insert(0.25, Any::Null)?;
/// assert_eq!(d.to_string(), "{1: '1', '2': 2, 0.25: None}");
/// # Ok(())
/// # }
/// ```
pub struct Manager {
    link: Arc<Link>,
    own: Option<Own>,
}

impl Manager {
    /// Connects to one that is there: on this machine, or another one.
    ///
    /// # Errors
    ///
    /// [`Gone`](CallError::Gone): nobody listens there; [`Refused`](CallError::Refused): another key, or another user;
    /// [`NotAManager`](CallError::NotAManager); [`Busy`](CallError::Busy); [`TimedOut`](CallError::TimedOut), after ten seconds.
    pub fn connect(
        address: impl Into<Address>,
        key: impl Into<Option<Key>>,
    ) -> Result<Self, CallError> {
        let link = Link::connect(address.into(), key.into(), Patience::from(PATIENCE))?;
        Ok(Self::of(link, None))
    }

    pub(crate) fn of(link: Arc<Link>, own: Option<Own>) -> Self {
        Self { link, own }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Returns where it listens.
    pub fn address(&self) -> &Address {
        &self.link.address
    }

    /// Returns the key that who connects must have.
    pub fn key(&self) -> Option<&Key> {
        self.link.key()
    }

    /// Returns the number of its process, if that was started here.
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().map(Own::pid)
    }

    /// Ends it, if it was started here, and returns how its process ended: *exited with 0*. Calls that are under way are cut off. Of
    /// one that was connected to, nothing is ended, and nothing returned.
    pub fn shutdown(mut self) -> Option<Status> {
        self.own.as_mut().map(Own::end)
    }

    /// Gives an object of this manager a name, by which others [find](Self::find) it: Python's `register`. It stays as long as
    /// it has the name. What had it before loses it.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); [`Gone`](CallError::Gone) if it is another manager's object.
    pub fn publish(&self, name: impl Into<String>, object: &impl Remote) -> Result<(), CallError> {
        let proxy = object.proxy();
        let name = name.into();
        if proxy.link().manager != self.link.manager {
            return Err(CallError::Gone { what: format!("{proxy:?}, among those of {self:?},") });
        }
        let ask = Ask::Publish { name, object: proxy.object() };
        match self.ask(&ask)? {
            Answer::Done => Ok(()),
            _ => Err(CallError::Gone { what: format!("{proxy:?}, or room for another name,") }),
        }
    }

    /// Finds what has a name; `None` if nothing has. What it is, who asks must know.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn find<R: Remote>(&self, name: impl Into<String>) -> Result<Option<R>, CallError> {
        Ok(match self.ask(&Ask::Find(name.into()))? {
            Answer::Object(object) => {
                Some(R::from_proxy(Proxy::counted(Arc::clone(&self.link), object)))
            }
            _ => None,
        })
    }

    /// Takes a name from what has it; returns whether something had.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn withdraw(&self, name: impl Into<String>) -> Result<bool, CallError> {
        Ok(matches!(self.ask(&Ask::Withdraw(name.into()))?, Answer::Done))
    }

    /// Returns all names.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn names(&self) -> Result<Vec<String>, CallError> {
        match self.ask(&Ask::Names)? {
            Answer::Names(names) => Ok(names),
            _ => Ok(Vec::new()),
        }
    }

    /// Returns how many objects it has.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn objects(&self) -> Result<u64, CallError> {
        match self.ask(&Ask::Count)? {
            Answer::Number(n) => Ok(n),
            _ => Ok(0),
        }
    }

    pub(crate) fn ask(&self, ask: &Ask) -> Result<Answer, CallError> {
        self.link.ask_for(ask, Patience::ENDLESS)
    }

    /// Makes an object.
    #[doc(hidden)]
    pub fn __make<A: Serialize>(&self, method: &Known, args: &A) -> Result<Proxy, CallError> {
        self.__may_make::<A, Any>(method, args)?.map_err(|_| CallError::Decode {
            method: method.text(),
            why: "the manager's program has another type of this name".into(),
        })
    }

    /// Makes an object, if its type does.
    #[doc(hidden)]
    pub fn __may_make<A: Serialize, E: DeserializeOwned>(
        &self,
        method: &Known,
        args: &A,
    ) -> Result<Result<Proxy, E>, CallError> {
        let link = &self.link;
        let ask = Ask::Make { kind: method.kind, method: method.print };
        let mut answer = link.ask(packed(link, &ask, method, args)?.bytes(), Patience::ENDLESS)?;
        match take_answer(&mut answer, method.name)? {
            Answer::Object(object) => Ok(Ok(Proxy::counted(Arc::clone(link), object))),
            Answer::NotMade => unpacked(link, &mut answer, method).map(Err),
            other => Err(error_of(other, method, link)),
        }
    }
}

impl Serialize for Manager {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Whole::of(&self.link).map_err(luggage::packing_failed)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Manager {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let link = Whole::deserialize(deserializer)?.link().map_err(|error| {
            luggage::unpacking_failed(CannotTravel::new("a manager", error.to_string()))
        })?;
        Ok(Self::of(link, None))
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("address", self.address())
            .field("pid", &self.pid())
            .finish()
    }
}
