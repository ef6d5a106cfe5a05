//! What is behind a namespace.

use std::collections::BTreeMap;

use shmkit_derive::manager;

use crate::Any;

pub struct Places(BTreeMap<String, Any>);

#[manager(crate = crate, proxy = PlacesProxy)]
impl Places {
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub fn set(&mut self, name: &str, value: Any) {
        self.0.insert(name.into(), value);
    }

    pub fn get(&self, name: &str) -> Option<Any> {
        self.0.get(name).cloned()
    }

    pub fn remove(&mut self, name: &str) -> Option<Any> {
        self.0.remove(name)
    }

    pub fn all(&self) -> BTreeMap<String, Any> {
        self.0.clone()
    }
}
