//! A copy of a map of another machine, which follows it.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shmkit::Item;

use super::side::Side;
use crate::frame::Pieces;
use crate::serve::queue::MOST_ITEM;
use crate::talk::{MapAsk, MapSaid, encode};
use crate::{BridgeError, RemoteError};

/// For how long a thread that follows a map waits for a change before it looks whether anybody still wants it to.
const SLICE: Duration = Duration::from_secs(1);

/// A map has no keys and values in this process.
pub(super) type Items<Q, V> = PhantomData<(fn(&Q), fn(&V))>;

/// A copy of a map of another machine, which follows its changes: [`RemoteMap::replica`](crate::RemoteMap::replica).
///
/// Looking into it costs no message. It has a [version](Self::version), which grows with each change. It begins as a whole copy; then changes
/// come, each with its number. If those are not there any more that come next, because this process, or the link, was too slow, it is
/// copied again as a whole: until then it stays as it is.
///
/// # What is not promised
///
/// It lags behind: by a look there, 5 ms, and by the way. Of two changes of one entry between two looks, the last is seen; and two
/// changes of different keys may be seen in another order. Whoever looks into two copies may find two versions.
///
/// # If a peer dies
///
/// The host, or who serves the map there: it stays as it was, and [`error`](Self::error) says so.
pub struct MapReplica<Q: Item + ?Sized, V: Item + ?Sized> {
    copy: Arc<Copy>,
    items: Items<Q, V>,
}

struct Copy {
    state: Mutex<State>,
    changed: Condvar,
}

type Entries = HashMap<Vec<u8>, Vec<u8>>;

/// Copies of keys and of their values.
type Pairs<Q, V> = Vec<(<Q as Item>::Owned, <V as Item>::Owned)>;

#[derive(Default)]
struct State {
    entries: Entries,
    version: u64,
    /// How often it was copied as a whole.
    copies: u64,
    error: Option<RemoteError>,
    /// Nobody looks any more.
    is_left: bool,
}

impl Copy {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of the thread that follows the map.
    fn follow(&self, side: &Side) -> Result<(), RemoteError> {
        // Since another whole copy may be needed before the first is as new as its newest part.
        'copies: loop {
            let (epoch, mut version, newest, mut entries) = whole(side)?;
            while version < newest {
                match changes(side, epoch, version)? {
                    Some((next, bytes)) => {
                        apply(&mut entries, &bytes)?;
                        version = next;
                    }
                    None => continue 'copies,
                }
            }
            let mut state = self.state();
            (state.entries, state.version) = (entries, version);
            state.copies += 1;
            self.changed.notify_all();
            while !state.is_left {
                drop(state);
                let Some((next, bytes)) = changes(side, epoch, version)? else { continue 'copies };
                state = self.state();
                if next != version {
                    apply(&mut state.entries, &bytes)?;
                    (state.version, version) = (next, next);
                    self.changed.notify_all();
                }
            }
            return Ok(());
        }
    }
}

/// Copies all parts, one after the other. Returns the version of the oldest, from which on all changes count, and that of the newest.
fn whole(side: &Side) -> Result<(u64, u64, u64, Entries), RemoteError> {
    let (mut entries, mut parts, mut at) = (Entries::new(), 1, 0);
    let mut versions = None;
    while at < parts {
        let (pieces, _) = side.ask_all(&encode(&MapAsk::Part(at)), None, None)?;
        for piece in pieces {
            match postcard::from_bytes(&piece) {
                Ok(MapSaid::Part { epoch, version, parts: all, entries: bytes }) => {
                    let (first, oldest, _) = *versions.get_or_insert((epoch, version, version));
                    if first != epoch {
                        let why = "the map's host has begun to count anew".to_owned();
                        return Err(RemoteError::There(why));
                    }
                    versions = Some((epoch, oldest, version));
                    parts = all;
                    let mut pieces = Pieces::of(bytes);
                    while let (Some(key), Some(value)) = (pieces.next(), pieces.next()) {
                        let (Ok(key), Ok(value)) = (key, value) else {
                            return Err(RemoteError::Decode);
                        };
                        entries.insert(key.to_vec(), value.to_vec());
                    }
                }
                Ok(MapSaid::No(why)) => return Err(why.into()),
                _ => return Err(RemoteError::Decode),
            }
        }
        at += 1;
    }
    let (epoch, oldest, newest) = versions.ok_or(RemoteError::Decode)?;
    Ok((epoch, oldest, newest, entries))
}

/// Asks for what came after a version: up to which, and what. `None`: that is not known any more.
fn changes(side: &Side, epoch: u64, after: u64) -> Result<Option<(u64, Vec<u8>)>, RemoteError> {
    let answer = side.ask(&encode(&MapAsk::Changes { epoch, after, wait: Some(SLICE) }))?;
    match postcard::from_bytes(&answer) {
        Ok(MapSaid::Changes { version, changes }) => Ok(Some((version, changes.to_vec()))),
        Ok(MapSaid::Gap) => Ok(None),
        Ok(MapSaid::No(why)) => Err(why.into()),
        _ => Err(RemoteError::Decode),
    }
}

fn apply(entries: &mut Entries, changes: &[u8]) -> Result<(), RemoteError> {
    let mut pieces = Pieces::of(changes);
    while let (Some(key), Some(value)) = (pieces.next(), pieces.next()) {
        let (Ok(key), Ok(value)) = (key, value) else { return Err(RemoteError::Decode) };
        match value.split_first() {
            Some((1, value)) => drop(entries.insert(key.to_vec(), value.to_vec())),
            Some((0, [])) => drop(entries.remove(key)),
            _ => return Err(RemoteError::Decode),
        }
    }
    Ok(())
}

impl<Q: Item + ?Sized, V: Item + ?Sized> MapReplica<Q, V> {
    pub(super) fn start(side: Side) -> Result<Self, BridgeError> {
        let copy = Arc::new(Copy { state: Mutex::default(), changed: Condvar::new() });
        let own = copy.clone();
        let thread = std::thread::Builder::new().name("shmkit-replica".into());
        let run = move || {
            if let Err(error) = own.follow(&side) {
                own.state().error = Some(error);
                own.changed.notify_all();
            }
        };
        thread.spawn(run).map_err(BridgeError::Os)?;
        let state = copy.state();
        let waits = |state: &mut State| state.copies == 0 && state.error.is_none();
        let state = copy.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        if let (0, Some(error)) = (state.copies, &state.error) {
            return Err(BridgeError::Gone(error.to_string()));
        }
        drop(state);
        Ok(Self { copy, items: PhantomData })
    }

    /// Returns the value of a key, as it is known here.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Decode`].
    pub fn get(&self, key: &Q) -> Result<Option<V::Owned>, RemoteError> {
        let key = bytes(key)?;
        let state = self.copy.state();
        let value = state.entries.get(&key);
        value.map(|value| V::copied(value).ok_or(RemoteError::Decode)).transpose()
    }

    /// Returns all entries, as they are known here, in no order.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Decode`].
    pub fn entries(&self) -> Result<Pairs<Q, V>, RemoteError> {
        let state = self.copy.state();
        let both = |(key, value): (&Vec<u8>, &Vec<u8>)| Some((Q::copied(key)?, V::copied(value)?));
        state.entries.iter().map(both).collect::<Option<_>>().ok_or(RemoteError::Decode)
    }

    /// Returns how many entries there are, as it is known here.
    pub fn len(&self) -> usize {
        self.copy.state().entries.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns its version: how many changes its host had seen by then.
    pub fn version(&self) -> u64 {
        self.copy.state().version
    }

    /// Returns how often it was copied as a whole, the first time included: more than once, if changes were missed.
    pub fn copies(&self) -> u64 {
        self.copy.state().copies
    }

    /// Returns why it follows no more, if it does not.
    pub fn error(&self) -> Option<RemoteError> {
        self.copy.state().error.clone()
    }

    /// Waits for a later version than this one, and returns it.
    ///
    /// # Errors
    ///
    /// [`RemoteError::TimedOut`]; [`RemoteError::Gone`] and others: it follows no more.
    ///
    /// # If a peer dies
    ///
    /// The host: it is told so.
    pub fn wait_beyond(&self, version: u64, wait: Duration) -> Result<u64, RemoteError> {
        let until = Instant::now().checked_add(wait);
        let mut state = self.copy.state();
        loop {
            if state.version > version {
                return Ok(state.version);
            }
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            let left = until.map_or(SLICE, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(RemoteError::TimedOut);
            }
            let waited = self.copy.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A key or a value, as it goes.
pub(super) fn bytes<T: Item + ?Sized>(value: &T) -> Result<Vec<u8>, RemoteError> {
    let bytes = value.bytes().map_err(|error| RemoteError::Refused(error.to_string()))?;
    let bytes = bytes.as_ref();
    if bytes.len() > MOST_ITEM {
        return Err(RemoteError::TooLong { length: bytes.len(), most: MOST_ITEM });
    }
    Ok(bytes.to_vec())
}

impl<Q: Item + ?Sized, V: Item + ?Sized> Drop for MapReplica<Q, V> {
    fn drop(&mut self) {
        self.copy.state().is_left = true;
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized> fmt::Debug for MapReplica<Q, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.copy.state();
        f.debug_struct("MapReplica")
            .field("version", &state.version)
            .field("len", &state.entries.len())
            .field("copies", &state.copies)
            .field("error", &state.error)
            .finish()
    }
}
