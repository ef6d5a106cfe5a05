//! A map that other machines look into, change, and have copies of.

use std::sync::{Arc, Mutex, Weak};

use shmkit::{Item, MapError, ShmMap, TypeTag};

use super::feed::{Feed, Since};
use super::line::tag;
use super::pool::{is_among, remember};
use super::queue::MOST_ITEM;
use super::turn::{Asked, Inbox, start};
use crate::frame::{Decline, Kind, Pieces, Tag};
use crate::link::{Reply, Session};
use crate::node::Serve;
use crate::talk::{MapAsk, MapSaid, Why, encode};
use crate::{BridgeError, Node, Served};

/// The most bytes of a piece of what has changed, or of a part.
const PIECE: usize = 256 << 10;

impl Node {
    /// Serves a map: other machines look into it and change it, and have copies that follow it, by a [`RemoteMap`](crate::RemoteMap) of this
    /// name. Whoever uses it here goes on as before, and their changes are seen: it is looked for what has changed every few milliseconds,
    /// part by part, as long as somebody has a copy.
    ///
    /// It stays the map of this machine. There is no agreement between machines, and nothing in two of them changes together.
    ///
    /// # Errors
    ///
    /// [`BridgeError::Name`], [`BridgeError::Taken`], [`BridgeError::Zenoh`].
    ///
    /// # If a peer dies
    ///
    /// Nothing is locked for another machine. What one has asked for and got no answer to may have been done.
    pub fn serve_map<Q: Item + ?Sized + 'static, V: Item + ?Sized + 'static>(
        &self,
        name: &str,
        map: &ShmMap<Q, V>,
    ) -> Result<Served, BridgeError> {
        let map = map.__bytes();
        let served = MapOf {
            feed: Feed::new(map.clone()),
            map,
            is_key: |bytes| Q::copied(bytes).is_some(),
            is_value: |bytes| V::copied(bytes).is_some(),
        };
        let tag = TypeTag::pair(Q::TAG, V::TAG);
        let serve = ServeMap { served: Arc::new(served), tag, sessions: Mutex::default() };
        self.serve(Kind::Map, name, "1", Arc::new(serve))
    }
}

struct MapOf {
    map: ShmMap<[u8], [u8]>,
    feed: Arc<Feed>,
    is_key: fn(&[u8]) -> bool,
    is_value: fn(&[u8]) -> bool,
}

struct ServeMap {
    served: Arc<MapOf>,
    tag: TypeTag,
    sessions: Mutex<Vec<Weak<dyn Session>>>,
}

impl Serve for ServeMap {
    fn tag(&self) -> Option<Tag<'_>> {
        Some(tag(&self.tag))
    }

    fn enter(&self, _: &Reply) -> Result<(Arc<dyn Session>, Vec<u8>), String> {
        let served = self.served.clone();
        let session = start("map", move |inbox| served.answer_all(inbox))?;
        remember(&self.sessions, &session);
        Ok((session, Vec::new()))
    }

    fn owns(&self, session: &Arc<dyn Session>) -> bool {
        is_among(&self.sessions, session)
    }
}

impl MapOf {
    fn answer_all(&self, inbox: &Inbox) {
        // Who looks into it only makes nobody look for changes.
        let mut follower = None;
        while let Some(Asked { reply, body }) = inbox.next() {
            match postcard::from_bytes::<MapAsk<'_>>(&body) {
                Err(_) => {
                    reply.decline(Decline::Refused("that is no question to a map".into()));
                }
                Ok(MapAsk::Part(part)) => {
                    let _ = follower.get_or_insert_with(|| self.feed.follow());
                    self.part(part as usize, &reply);
                    reply.answer(&[]);
                }
                Ok(MapAsk::Changes { epoch, after, wait }) => {
                    let _ = follower.get_or_insert_with(|| self.feed.follow());
                    let hook = || inbox.until_over();
                    let found = self.feed.since(epoch, after, PIECE, wait, &hook);
                    reply.answer(&encode(&match &found {
                        Since::Gap => MapSaid::Gap,
                        &Since::Changes { version, ref changes } => {
                            MapSaid::Changes { version, changes }
                        }
                        Since::Failed(why) => MapSaid::No(Why::Other(why.clone())),
                    }));
                }
                Ok(ask) => {
                    reply.answer(&self.answer(&ask).unwrap_or_else(|why| encode(&MapSaid::No(why))))
                }
            }
        }
    }

    fn answer(&self, ask: &MapAsk<'_>) -> Result<Vec<u8>, Why> {
        let failed = |error: MapError| match error {
            MapError::Full { .. } => Why::Full,
            error => Why::Other(error.to_string()),
        };
        let value = |found: Option<Vec<u8>>| {
            let length = found.as_ref().map_or(0, Vec::len);
            if length > MOST_ITEM {
                return Err(Why::TooLong { length: length as u64, most: MOST_ITEM as u64 });
            }
            Ok(encode(&MapSaid::Value(found.as_deref())))
        };
        match *ask {
            MapAsk::Get(key) => value(self.map.get(key).map_err(failed)?),
            MapAsk::Insert { key, value: new } => {
                if !(self.is_key)(key) || !(self.is_value)(new) {
                    return Err(Why::NoSuchValue);
                }
                value(self.map.insert(key, new).map_err(failed)?)
            }
            MapAsk::Remove(key) => value(self.map.remove(key).map_err(failed)?),
            MapAsk::Len => Ok(encode(&MapSaid::Len(self.map.len()))),
            MapAsk::Part(_) | MapAsk::Changes { .. } => Err(Why::Other("asked elsewhere".into())),
        }
    }

    /// Sends what is in a part now, in pieces.
    fn part(&self, part: usize, reply: &Reply) {
        let copy = match self.feed.part(part) {
            Ok(copy) => copy,
            Err(why) => return reply.part(&encode(&MapSaid::No(Why::Other(why)))),
        };
        let (epoch, version, parts) = (copy.epoch, copy.version, self.map.parts() as u32);
        let say = |entries: &[u8]| {
            reply.part(&encode(&MapSaid::Part { epoch, version, parts, entries }));
        };
        let mut entries = Vec::new();
        for (key, value) in &copy.entries {
            if key.len() + value.len() > MOST_ITEM {
                let (length, most) = ((key.len() + value.len()) as u64, MOST_ITEM as u64);
                return reply.part(&encode(&MapSaid::No(Why::TooLong { length, most })));
            }
            if entries.len() + key.len() + value.len() > PIECE && !entries.is_empty() {
                say(&entries);
                entries.clear();
            }
            Pieces::push(&mut entries, key);
            Pieces::push(&mut entries, value);
        }
        say(&entries);
    }
}
