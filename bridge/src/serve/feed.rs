//! What changes in a map, numbered, for those who have copies of it.
//!
//! The map knows nothing of it: whoever changes it, in whatever process, does so as always. A thread looks every few milliseconds which parts
//! have another count of changes, copies those, and compares them with what it knew. Each difference has a number, and the last of them are
//! kept, so that whoever has a copy of some version gets what came after it; or is told that this is not known any more, and copies again.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use shmkit::ShmMap;
use shmkit::collections::Seen;

use super::queue::MOST_ITEM;
use crate::frame::Pieces;
use crate::talk::Wait;

/// How often it is looked for changes.
const LOOK: Duration = Duration::from_millis(5);
/// How many bytes of changes are kept.
const MOST_KEPT: usize = 16 << 20;
/// What a change takes beside its key and value.
const BESIDE: usize = 64;
/// How long a wait sleeps, unless something comes, before it looks whether it is to go on.
const SLICE: Duration = Duration::from_millis(50);

type Entries = HashMap<Vec<u8>, Vec<u8>>;

/// What changes in a map.
pub(super) struct Feed {
    map: ShmMap<[u8], [u8]>,
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    /// Of versions that have to do with each other; 0: nobody follows it, and nothing is known.
    epoch: u64,
    /// How many changes there were.
    version: u64,
    parts: Vec<Entries>,
    /// The last changes: their keys, and the new values, if there are.
    log: VecDeque<(Vec<u8>, Option<Vec<u8>>)>,
    log_bytes: usize,
    followers: usize,
    failed: Option<String>,
}

/// What came after a version.
pub(super) enum Since {
    Changes { version: u64, changes: Vec<u8> },
    Gap,
    Failed(String),
}

/// A part, at some version of the whole.
pub(super) struct Part {
    pub(super) epoch: u64,
    pub(super) version: u64,
    pub(super) entries: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Somebody who has a copy, or makes one. While there is one, changes are looked for.
pub(super) struct Follower(Arc<Feed>);

impl Drop for Follower {
    fn drop(&mut self) {
        let mut known = self.0.known();
        known.followers -= 1;
        if known.followers == 0 && known.failed.is_some() {
            // Whoever comes next may have more luck.
            *known = Known { version: known.version, ..Known::default() };
        }
        drop(known);
        self.0.changed.notify_all();
    }
}

impl Known {
    fn log(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.version += 1;
        self.log_bytes += key.len() + value.map_or(0, <[u8]>::len) + BESIDE;
        self.log.push_back((key.to_vec(), value.map(<[u8]>::to_vec)));
        while self.log_bytes > MOST_KEPT
            && let Some((key, value)) = self.log.pop_front()
        {
            self.log_bytes -= key.len() + value.map_or(0, |value| value.len()) + BESIDE;
        }
    }

    /// Takes note of what is in a part now.
    fn compare(&mut self, at: usize, now: Entries) {
        if self.parts.len() <= at {
            self.parts.resize_with(at + 1, Entries::new);
        }
        let before = std::mem::take(&mut self.parts[at]);
        for (key, value) in &now {
            if before.get(key) != Some(value) {
                self.log(key, Some(value));
            }
        }
        for key in before.keys().filter(|key| !now.contains_key(*key)) {
            self.log(key, None);
        }
        self.parts[at] = now;
    }
}

impl Feed {
    pub(super) fn new(map: ShmMap<[u8], [u8]>) -> Arc<Self> {
        Arc::new(Self { map, known: Mutex::default(), changed: Condvar::new() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has changes be looked for, for as long as what is returned lives.
    pub(super) fn follow(self: &Arc<Self>) -> Follower {
        let mut known = self.known();
        known.followers += 1;
        if known.followers == 1 && known.epoch == 0 {
            known.epoch = crate::node::random() | 1;
            let weak = Arc::downgrade(self);
            let epoch = known.epoch;
            let thread = std::thread::Builder::new().name("shmkit-feed".into());
            if let Err(error) = thread.spawn(move || look(&weak, epoch)) {
                known.failed = Some(format!("there is no thread to look for changes: {error}"));
            }
        }
        drop(known);
        Follower(self.clone())
    }

    /// Waits until what is there is known.
    fn ready(&self) -> Result<MutexGuard<'_, Known>, String> {
        let mut known = self.known();
        loop {
            if let Some(why) = &known.failed {
                return Err(why.clone());
            }
            if !known.parts.is_empty() {
                return Ok(known);
            }
            known = self.changed.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns a copy of a part.
    pub(super) fn part(&self, at: usize) -> Result<Part, String> {
        let known = self.ready()?;
        let entries = known.parts.get(at).ok_or("there is no such part")?;
        let entries = entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Part { epoch: known.epoch, version: known.version, entries })
    }

    /// Returns what came after a version, up to so many bytes; waits for something.
    pub(super) fn since(
        &self,
        epoch: u64,
        after: u64,
        most: usize,
        wait: Wait,
        goes_on: &dyn Fn() -> ControlFlow<()>,
    ) -> Since {
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        let mut known = match self.ready() {
            Ok(known) => known,
            Err(why) => return Since::Failed(why),
        };
        while known.epoch == epoch && known.version == after && goes_on().is_continue() {
            let left = until.map_or(SLICE, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(known, left.min(SLICE));
            known = waited.unwrap_or_else(PoisonError::into_inner).0;
            if let Some(why) = &known.failed {
                return Since::Failed(why.clone());
            }
        }
        let oldest = known.version - known.log.len() as u64;
        if known.epoch != epoch || after < oldest || after > known.version {
            return Since::Gap;
        }
        let (mut version, mut changes) = (after, Vec::new());
        // As many as are kept.
        for (key, value) in known.log.iter().skip((after - oldest) as usize) {
            let length = key.len() + value.as_ref().map_or(0, Vec::len);
            if length > MOST_ITEM {
                return Since::Failed(format!(
                    "an entry has {length} bytes, and {MOST_ITEM} are the most that go to another machine"
                ));
            }
            if version > after && changes.len() + length > most {
                break;
            }
            Pieces::push(&mut changes, key);
            let value = value.as_ref().map_or(vec![0], |value| [&[1], &value[..]].concat());
            Pieces::push(&mut changes, &value);
            version += 1;
        }
        Since::Changes { version, changes }
    }
}

/// The life of the thread that looks for changes, as long as somebody follows them.
fn look(feed: &Weak<Feed>, epoch: u64) {
    let mut seen = Seen::default();
    while let Some(feed) = feed.upgrade() {
        let changed = feed.map.changed(&mut seen);
        let mut known = feed.known();
        if known.epoch != epoch {
            return;
        }
        if known.followers == 0 {
            // What comes later begins anew.
            let (followers, version) = (known.followers, known.version);
            *known = Known { followers, version, ..Known::default() };
            return;
        }
        match changed {
            Ok(parts) => {
                let before = known.version;
                let is_first = known.parts.is_empty();
                for (at, entries) in parts {
                    known.compare(at, entries.into_iter().collect());
                }
                if known.version != before || is_first {
                    feed.changed.notify_all();
                }
            }
            Err(error) => {
                known.failed = Some(format!("the map cannot be read: {error}"));
                feed.changed.notify_all();
                return;
            }
        }
        let waited = feed.changed.wait_timeout_while(known, LOOK, |known| known.followers > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(entries: &[(&str, &str)]) -> Entries {
        entries
            .iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn what_differs_is_a_change_and_nothing_else_is() {
        let mut all = Known::default();
        all.compare(1, known(&[("a", "1"), ("b", "2")]));
        assert_eq!((all.version, all.parts.len()), (2, 2));
        all.compare(1, known(&[("a", "1"), ("b", "2")]));
        assert_eq!(all.version, 2);
        all.compare(1, known(&[("a", "3")]));
        let log: Vec<_> = all.log.iter().skip(2).cloned().collect();
        let (a, b) = (b"a".to_vec(), b"b".to_vec());
        assert_eq!(log, [(a, Some(b"3".to_vec())), (b, None)]);
    }

    #[test]
    fn only_so_many_bytes_of_changes_are_kept() {
        let mut all = Known::default();
        for n in 0..40_u8 {
            all.log(&[n], Some(&vec![n; 1 << 20]));
        }
        assert!(all.log_bytes <= MOST_KEPT && all.log.len() < 16, "{}", all.log.len());
        assert_eq!(all.version, 40);
    }
}
