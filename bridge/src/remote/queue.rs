//! A queue of another machine.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use shmkit::{Item, TypeTag};

use super::lease::{RemoteLease, yes};
use super::side::{Side, say};
use crate::frame::{Kind, Pieces};
use crate::serve::{line::tag, queue::MOST_ITEM};
use crate::talk::{QueueAsk, QueueSaid, Wait, encode};
use crate::{BridgeError, Node, RemoteError};

/// How long it is waited for who serves it.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Not at all.
const NOW: Wait = Some(Duration::ZERO);

/// A queue that another machine [serves](Node::serve_queue): of values, as `RemoteQueue<u64>`, or of messages, as `RemoteQueue<[u8]>`.
///
/// It has a queue's methods. An item that was got is done with a moment later; one that was [taken](Self::take) is, when its lease says so.
///
/// # If a peer dies
///
/// This process, or its link: what it had taken, and was not known there to be done with, goes to another, or is lost, as the queue was made.
/// So of a queue that delivers at least once, an item that was got just before may come to another again.
/// The host, or who serves the queue there: [`Gone`](RemoteError::Gone). A put that has no answer may have been done.
pub struct RemoteQueue<T: Item + ?Sized> {
    /// Whoever waits to put holds up nobody who takes.
    puts: Side,
    takes: Side,
    item: PhantomData<fn(&T)>,
}

impl<T: Item + ?Sized> RemoteQueue<T> {
    /// Connects to the queue of this name; `name@host`, if several hosts serve one. Waits for it, up to 10 s.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Nobody`], [`BridgeError::Several`]; [`BridgeError::Refused`]: it is of another type.
    pub fn connect(node: &Node, name: &str) -> Result<Self, BridgeError> {
        let until = Instant::now() + PATIENCE;
        let (offer, name) = node.inner().find(Kind::Queue, name, until)?;
        let of = T::TAG;
        // A queue of bytes is one of messages.
        let tag = (of != TypeTag::named("[u8]")).then(|| tag(&of));
        let enter = || Side::enter(node, &offer, Kind::Queue, &name, tag, until);
        Ok(Self { puts: enter()?, takes: enter()?, item: PhantomData })
    }

    /// Returns the name of its host.
    pub fn host(&self) -> String {
        self.puts.link.host()
    }

    /// Puts a value; waits for room.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]: `Closed`, `TooLong`, `Gone`.
    ///
    /// # If a peer dies
    ///
    /// See [the type](Self#if-a-peer-dies); so with all operations.
    pub fn put(&self, value: &T) -> Result<(), RemoteError> {
        self.put_by(value, None)
    }

    /// Puts a value if there is room now.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and `Full`.
    pub fn try_put(&self, value: &T) -> Result<(), RemoteError> {
        self.put_by(value, NOW)
    }

    /// Puts a value; waits for room at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and `TimedOut`.
    pub fn put_timeout(&self, value: &T, wait: Duration) -> Result<(), RemoteError> {
        self.put_by(value, Some(wait))
    }

    fn put_by(&self, value: &T, wait: Wait) -> Result<(), RemoteError> {
        let mut items = Vec::new();
        push(&mut items, value)?;
        self.put_pieces(&items, wait).1
    }

    /// Puts several values, in one message as long as they fit; waits for room.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put); with how many were put before.
    pub fn put_all<'v>(
        &self,
        values: impl IntoIterator<Item = &'v T>,
    ) -> Result<(), (usize, RemoteError)>
    where
        T: 'v,
    {
        let (mut items, mut put) = (Vec::new(), 0);
        let send = |items: &mut Vec<u8>, put: &mut usize| {
            let (count, done) = self.put_pieces(items, None);
            items.clear();
            *put += count;
            done.map_err(|error| (*put, error))
        };
        for value in values {
            let before = items.len();
            push(&mut items, value).map_err(|error| (put, error))?;
            if items.len() > MOST_ITEM {
                let last = items.split_off(before);
                send(&mut items, &mut put)?;
                items = last;
            }
        }
        if items.is_empty() { Ok(()) } else { send(&mut items, &mut put) }
    }

    fn put_pieces(&self, items: &[u8], wait: Wait) -> (usize, Result<(), RemoteError>) {
        let ask = encode(&QueueAsk::Put { wait, items });
        let answer = match self.puts.ask_all(&ask, wait, None) {
            Ok((_, answer)) => answer,
            Err(error) => return (0, Err(error)),
        };
        match postcard::from_bytes(&answer) {
            Ok(QueueSaid::Put { count, why: None }) => (count as usize, Ok(())),
            Ok(QueueSaid::Put { count, why: Some(why) }) => (count as usize, Err(why.into())),
            _ => (0, Err(RemoteError::Decode)),
        }
    }

    /// Takes a value, and is done with it; waits for one.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]: `Closed` if it is, and nothing is left; `TooLong`, `Decode`, `Gone`.
    pub fn get(&self) -> Result<T::Owned, RemoteError> {
        self.get_by(None)
    }

    /// Takes a value if there is one now.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and `Empty`.
    pub fn try_get(&self) -> Result<T::Owned, RemoteError> {
        self.get_by(NOW)
    }

    /// Takes a value; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and `TimedOut`.
    pub fn get_timeout(&self, wait: Duration) -> Result<T::Owned, RemoteError> {
        self.get_by(Some(wait))
    }

    fn get_by(&self, wait: Wait) -> Result<T::Owned, RemoteError> {
        let (first, mut items) = self.take_by(wait, 1)?;
        self.takes.say(&encode(&QueueAsk::Done { leases: vec![first] }));
        items.pop().ok_or(RemoteError::Decode)
    }

    /// Takes as many values as are there, up to `most`; waits for the first.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_batch(&self, most: usize) -> Result<Vec<T::Owned>, RemoteError> {
        let (first, items) = self.take_by(None, most)?;
        let leases = (first..first + items.len() as u64).collect();
        self.takes.say(&encode(&QueueAsk::Done { leases }));
        Ok(items)
    }

    /// Takes a value with a receipt; waits for one. Who is killed, or cut off, before it is done leaves it to another.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn take(&self) -> Result<RemoteLease<'_, T>, RemoteError> {
        self.lease_by(None)
    }

    /// Takes a value with a receipt, if there is one now.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and `Empty`.
    pub fn try_take(&self) -> Result<RemoteLease<'_, T>, RemoteError> {
        self.lease_by(NOW)
    }

    /// Takes a value with a receipt; waits for one at most for `wait`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and `TimedOut`.
    pub fn take_timeout(&self, wait: Duration) -> Result<RemoteLease<'_, T>, RemoteError> {
        self.lease_by(Some(wait))
    }

    fn lease_by(&self, wait: Wait) -> Result<RemoteLease<'_, T>, RemoteError> {
        let (lease, mut items) = self.take_by(wait, 1)?;
        let value = items.pop().ok_or(RemoteError::Decode)?;
        Ok(RemoteLease::new(&self.takes, lease, value))
    }

    /// Takes items; returns the first one's lease, and the others have those that follow.
    fn take_by(&self, wait: Wait, most: usize) -> Result<(u64, Vec<T::Owned>), RemoteError> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let ask = encode(&QueueAsk::Take { wait, most });
        let (link, session) = self.takes.place();
        // What comes too late goes back.
        let late = move |answer: &[u8]| {
            if let Ok(QueueSaid::Taken { first, items }) = postcard::from_bytes(answer) {
                let leases = (first..).zip(Pieces::of(items)).map(|(lease, _)| lease).collect();
                say(&link, session, &encode(&QueueAsk::Back { leases }));
            }
        };
        let (_, answer) = self.takes.ask_all(&ask, wait, Some(Box::new(late)))?;
        match postcard::from_bytes(&answer) {
            Ok(QueueSaid::Taken { first, items }) => {
                let items: Option<Vec<_>> =
                    Pieces::of(items).map(|item| T::copied(item.ok()?)).collect();
                match items {
                    Some(items) if !items.is_empty() => Ok((first, items)),
                    // Nobody else could make anything of it.
                    _ => Err(RemoteError::Decode),
                }
            }
            Ok(QueueSaid::No(why)) => Err(why.into()),
            _ => Err(RemoteError::Decode),
        }
    }

    /// Closes the queue, for all and for good: nothing can be put any more.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn close(&self) -> Result<(), RemoteError> {
        yes(&self.puts.ask(&encode(&QueueAsk::Close))?)
    }

    /// Returns how many items are in it to be taken, at a moment that is over when this returns.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn len(&self) -> Result<usize, RemoteError> {
        self.facts().map(|facts| facts.0)
    }

    /// Returns whether there is nothing to take, as [`len`](Self::len) does.
    ///
    /// # Errors
    ///
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> Result<bool, RemoteError> {
        self.len().map(|len| len == 0)
    }

    /// Returns how many items it can hold.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn capacity(&self) -> Result<usize, RemoteError> {
        self.facts().map(|facts| facts.1)
    }

    /// Returns whether somebody has closed it.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn is_closed(&self) -> Result<bool, RemoteError> {
        self.facts().map(|facts| facts.2)
    }

    fn facts(&self) -> Result<(usize, usize, bool), RemoteError> {
        let answer = self.puts.ask(&encode(&QueueAsk::Facts))?;
        match postcard::from_bytes(&answer) {
            Ok(QueueSaid::Facts { len, capacity, is_closed }) => {
                Ok((len as usize, capacity as usize, is_closed))
            }
            Ok(QueueSaid::No(why)) => Err(why.into()),
            _ => Err(RemoteError::Decode),
        }
    }
}

/// Puts a value behind others.
pub(super) fn push<T: Item + ?Sized>(to: &mut Vec<u8>, value: &T) -> Result<(), RemoteError> {
    let bytes = value.bytes().map_err(|error| RemoteError::Refused(error.to_string()))?;
    let bytes = bytes.as_ref();
    if bytes.len() + 4 > MOST_ITEM {
        return Err(RemoteError::TooLong { length: bytes.len(), most: MOST_ITEM - 4 });
    }
    Pieces::push(to, bytes);
    Ok(())
}

impl<T: Item + ?Sized> fmt::Debug for RemoteQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteQueue").field("host", &self.host()).finish_non_exhaustive()
    }
}
