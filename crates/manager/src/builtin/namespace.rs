//! Names with values.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::places::PlacesProxy;
use crate::manager::Manager;
use crate::proxy::{Proxy, Remote};
use crate::{Any, CallError};

/// Names with values, in a manager: Python's `Manager().Namespace()`.
///
/// A name that begins with `_` stays in this process: it is seen by clones of this proxy, and not sent anywhere.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Namespace {
    places: PlacesProxy,
    #[serde(skip)]
    own: Arc<Mutex<BTreeMap<String, Any>>>,
}

impl Namespace {
    /// Makes one without names.
    ///
    /// # Errors
    ///
    /// [`CallError`]; as all others here.
    pub fn new(manager: &Manager) -> Result<Self, CallError> {
        Ok(Self { places: PlacesProxy::new(manager)?, own: Arc::default() })
    }

    fn with_own<R>(&self, with: impl FnOnce(&mut BTreeMap<String, Any>) -> R) -> R {
        with(&mut self.own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives a name a value.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn set(&self, name: &str, value: impl Into<Any>) -> Result<(), CallError> {
        let value = value.into();
        if name.starts_with('_') {
            self.with_own(|own| own.insert(name.into(), value));
            return Ok(());
        }
        self.places.set(name, value)
    }

    /// Returns the value of a name; `None` if it has none.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn get(&self, name: &str) -> Result<Option<Any>, CallError> {
        if name.starts_with('_') {
            return Ok(self.with_own(|own| own.get(name).cloned()));
        }
        self.places.get(name)
    }

    /// Removes a name, and returns its value.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn remove(&self, name: &str) -> Result<Option<Any>, CallError> {
        if name.starts_with('_') {
            return Ok(self.with_own(|own| own.remove(name)));
        }
        self.places.remove(name)
    }
}

impl Remote for Namespace {
    fn from_proxy(proxy: Proxy) -> Self {
        Self { places: PlacesProxy::from_proxy(proxy), own: Arc::default() }
    }

    fn proxy(&self) -> &Proxy {
        self.places.proxy()
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespace").field(self.proxy()).finish()
    }
}

/// The names that are not this process's own, and their values, as Python shows them; or why that cannot be told.
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.places.all() {
            Ok(all) => {
                let all: Vec<_> =
                    all.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "Namespace({})", all.join(", "))
            }
            Err(error) => write!(f, "<{error}>"),
        }
    }
}
