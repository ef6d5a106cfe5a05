//! A map of another machine.

use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

use shmkit::{Item, TypeTag};

use super::queue::PATIENCE;
use super::replica::{Items, MapReplica, bytes};
use super::side::Side;
use crate::frame::Kind;
use crate::serve::{line::tag, queue::MOST_ITEM};
use crate::talk::{MapAsk, MapSaid, encode};
use crate::{BridgeError, Node, RemoteError};

/// A map that another machine [serves](Node::serve_map): `RemoteMap<str, u64>` for a `ShmMap<str, u64>`.
///
/// Each operation is done there, at once and whole, and costs a message there and back. Who looks often has a [copy](Self::replica).
///
/// # What is not promised
///
/// It is one machine's map. Two operations are not one: between a look and a change somebody else may change it, and there is no lock across
/// machines, nor anything that changes two maps together. A change that has no answer may have been done.
///
/// # If a peer dies
///
/// The host, or who serves the map there: [`Gone`](RemoteError::Gone). This process: nothing is locked there.
pub struct RemoteMap<Q: Item + ?Sized, V: Item + ?Sized> {
    node: Node,
    /// `name@host`, that of the one it is connected to.
    place: String,
    side: Side,
    items: Items<Q, V>,
}

impl<Q: Item + ?Sized, V: Item + ?Sized> RemoteMap<Q, V> {
    /// Connects to the map of this name; `name@host`, if several hosts serve one. Waits for it, up to 10 s.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Nobody`], [`BridgeError::Several`]; [`BridgeError::Refused`]: it is of other types.
    pub fn connect(node: &Node, name: &str) -> Result<Self, BridgeError> {
        let (side, place) = enter::<Q, V>(node, name)?;
        Ok(Self { node: node.clone(), place, side, items: PhantomData })
    }

    /// Returns the name of its host.
    pub fn host(&self) -> String {
        self.side.link.host()
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn get(&self, key: &Q) -> Result<Option<V::Owned>, RemoteError> {
        let key = bytes(key)?;
        self.value(&MapAsk::Get(&key))
    }

    /// Puts a value in for a key, and returns the one that was there.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]: `Full`, `TooLong`, `Gone` among others.
    pub fn insert(&self, key: &Q, value: &V) -> Result<Option<V::Owned>, RemoteError> {
        let (key, value) = (bytes(key)?, bytes(value)?);
        if key.len() + value.len() > MOST_ITEM {
            return Err(RemoteError::TooLong { length: key.len() + value.len(), most: MOST_ITEM });
        }
        self.value(&MapAsk::Insert { key: &key, value: &value })
    }

    /// Takes a key out, and returns its value.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn remove(&self, key: &Q) -> Result<Option<V::Owned>, RemoteError> {
        let key = bytes(key)?;
        self.value(&MapAsk::Remove(&key))
    }

    /// Returns whether there is such a key.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn contains_key(&self, key: &Q) -> Result<bool, RemoteError> {
        self.get(key).map(|value| value.is_some())
    }

    /// Returns how many entries there are, at a moment that is over when this returns.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn len(&self) -> Result<u64, RemoteError> {
        let answer = self.side.ask(&encode(&MapAsk::Len))?;
        match postcard::from_bytes(&answer) {
            Ok(MapSaid::Len(len)) => Ok(len),
            Ok(MapSaid::No(why)) => Err(why.into()),
            _ => Err(RemoteError::Decode),
        }
    }

    /// Returns whether there are none, as [`len`](Self::len) does.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, RemoteError> {
        self.len().map(|len| len == 0)
    }

    /// Makes a copy of it here, which follows its changes.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn replica(&self) -> Result<MapReplica<Q, V>, BridgeError> {
        let (side, _) = enter::<Q, V>(&self.node, &self.place)?;
        MapReplica::start(side)
    }

    fn value(&self, ask: &MapAsk<'_>) -> Result<Option<V::Owned>, RemoteError> {
        let answer = self.side.ask(&encode(ask))?;
        match postcard::from_bytes(&answer) {
            Ok(MapSaid::Value(None)) => Ok(None),
            Ok(MapSaid::Value(Some(value))) => {
                V::copied(value).map(Some).ok_or(RemoteError::Decode)
            }
            Ok(MapSaid::No(why)) => Err(why.into()),
            _ => Err(RemoteError::Decode),
        }
    }
}

fn enter<Q: Item + ?Sized, V: Item + ?Sized>(
    node: &Node,
    place: &str,
) -> Result<(Side, String), BridgeError> {
    let until = Instant::now() + PATIENCE;
    let (offer, name) = node.inner().find(Kind::Map, place, until)?;
    let of = TypeTag::pair(Q::TAG, V::TAG);
    let side = Side::enter(node, &offer, Kind::Map, &name, Some(tag(&of)), until)?;
    Ok((side, format!("{name}@{}", offer.host)))
}

impl<Q: Item + ?Sized, V: Item + ?Sized> fmt::Debug for RemoteMap<Q, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteMap").field("place", &self.place).finish_non_exhaustive()
    }
}
