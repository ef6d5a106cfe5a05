//! What is seen of one moment, and how one compares with the next: how much went through, who holds what, who waits.
//!
//! No object counts for this. How much went through a pipe or a queue its own positions say. Of locks there is what a look shows:
//! their words, and what the kernel says that threads sleep on. So *held* and *waited for* are shares of looks, and how long is how
//! long looks have found the same.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use shmkit::layout::{Facts, Shape};
use shmkit::pool::look::Look;
use shmkit::tracker::{Entry, InspectError, Inspection, ListError, Waits, waits_in};

use super::rows::{Flow, Holder, Lock, Orphan, Pool, Rows, Totals};
use crate::{facts, segments};

/// Kinds that somebody holds.
const LOCKS: [&str; 7] = ["counting", "lock", "mutex", "remutex", "rlock", "rwlock", "sema"];

/// Which object: its segment's file, and its number there.
type Key = ((u64, u64), u64);

/// All segments, as they were at a moment.
#[derive(Debug)]
struct Moment {
    at: Instant,
    segments: Vec<Inspection>,
    /// What counts what went through each object.
    counts: HashMap<Key, u64>,
    /// What each worker of a pool has answered, by place and generation.
    answered: HashMap<Key, HashMap<(u32, u32), u64>>,
    facts: HashMap<Key, Facts>,
    pools: HashMap<Key, Look>,
    /// Files that are called like segments and could not be looked into.
    unread: usize,
}

/// What looks have shown of a lock since the last [`Seen::rows`].
#[derive(Clone, Debug, Default)]
struct Watched {
    looks: u32,
    held: u32,
    waited: u32,
    /// Most threads that a look found asleep.
    waiting: usize,
}

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Seen {
    directory: std::path::PathBuf,
    before: Option<Moment>,
    now: Moment,
    watched: HashMap<Key, Watched>,
    /// Since when each look has found this participant in the object's words.
    held_since: HashMap<(Key, u32), Instant>,
    /// Since when each look has found this thread asleep there.
    asleep_since: HashMap<(Key, u32), Instant>,
    waits: Waits,
    /// How long the last look at everything took.
    pub(super) took: Duration,
}

impl Moment {
    fn take(directory: &Path) -> Result<Self, ListError> {
        let mut segments = Vec::new();
        let mut unread = 0;
        for found in segments::all(directory)? {
            match found {
                Ok(inspection) => segments.push(inspection),
                Err(InspectError::Missing) => {}
                Err(_) => unread += 1,
            }
        }
        let mut this = Self {
            at: Instant::now(),
            segments: Vec::new(),
            counts: HashMap::new(),
            answered: HashMap::new(),
            facts: HashMap::new(),
            pools: HashMap::new(),
            unread,
        };
        for (inspection, entry) in objects(&segments) {
            this.note(inspection, entry);
        }
        this.segments = segments;
        Ok(this)
    }

    fn note(&mut self, inspection: &Inspection, entry: &Entry) {
        let key = key(inspection, entry);
        if let Some(pool) = facts::pool(inspection, entry) {
            let workers = pool.workers.iter();
            let answered = workers.map(|who| ((who.place, who.generation), who.answered));
            self.answered.insert(key, answered.collect());
            self.pools.insert(key, pool);
            return;
        }
        let facts = facts::of(inspection, entry);
        if let Some(count) = ["sent", "put", "published"].iter().find_map(|what| facts.number(what))
        {
            self.counts.insert(key, count);
        }
        self.facts.insert(key, facts);
    }
}

fn objects(segments: &[Inspection]) -> impl Iterator<Item = (&Inspection, &Entry)> {
    segments.iter().flat_map(|seen| seen.summary.objects.iter().flatten().map(move |e| (seen, e)))
}

fn key(inspection: &Inspection, entry: &Entry) -> Key {
    (inspection.identity(), entry.generation)
}

impl Seen {
    /// Looks for the first time.
    pub(super) fn new(directory: &Path) -> Result<Self, ListError> {
        let began = Instant::now();
        let now = Moment::take(directory)?;
        let mut this = Self {
            directory: directory.to_owned(),
            before: None,
            now,
            watched: HashMap::new(),
            held_since: HashMap::new(),
            asleep_since: HashMap::new(),
            waits: Waits::default(),
            took: Duration::ZERO,
        };
        this.glance();
        this.took = began.elapsed();
        Ok(this)
    }

    /// Looks at everything once more: what went through in between is known then.
    pub(super) fn look(&mut self) -> Result<(), ListError> {
        let began = Instant::now();
        let now = Moment::take(&self.directory)?;
        self.before = Some(std::mem::replace(&mut self.now, now));
        self.glance();
        self.took = began.elapsed();
        Ok(())
    }

    /// Looks at who holds what, and who waits: in the segments that the last look has found.
    pub(super) fn glance(&mut self) {
        let at = Instant::now();
        self.waits = waits_in(&self.now.segments);
        let mut asleep: HashMap<(&str, &str), Vec<u32>> = HashMap::new();
        for waiting in &self.waits.waiting {
            let place = (&*waiting.segment, &*waiting.object);
            asleep.entry(place).or_default().push(waiting.thread);
        }
        let (mut held_since, mut asleep_since) = (HashMap::new(), HashMap::new());
        for (inspection, entry) in objects(&self.now.segments) {
            let key = key(inspection, entry);
            let threads = asleep.remove(&(&*inspection.name, &*entry.name)).unwrap_or_default();
            for &thread in &threads {
                let since = self.asleep_since.get(&(key, thread)).copied().unwrap_or(at);
                asleep_since.insert((key, thread), since);
            }
            let is_lock = is_lock(&entry.shape);
            if !is_lock && threads.is_empty() {
                continue;
            }
            let holders = if is_lock { inspection.named(entry) } else { Vec::new() };
            for holder in &holders {
                let id = holder.id.get();
                let since = self.held_since.get(&(key, id)).copied().unwrap_or(at);
                held_since.insert((key, id), since);
            }
            let watched = self.watched.entry(key).or_default();
            watched.looks += 1;
            watched.held += u32::from(!holders.is_empty());
            watched.waited += u32::from(!threads.is_empty());
            watched.waiting = watched.waiting.max(threads.len());
        }
        (self.held_since, self.asleep_since) = (held_since, asleep_since);
    }

    /// Says what was seen since it was asked the last time.
    pub(super) fn rows(&mut self) -> Rows {
        let mut rows = Rows { totals: self.totals(), ..Rows::default() };
        let now = Instant::now();
        let watched = std::mem::take(&mut self.watched);
        let mut asleep: BTreeMap<Key, Duration> = BTreeMap::new();
        for ((key, _), since) in &self.asleep_since {
            let slept = now.saturating_duration_since(*since);
            asleep.entry(*key).and_modify(|most| *most = slept.max(*most)).or_insert(slept);
        }
        for (inspection, entry) in objects(&self.now.segments) {
            let key = key(inspection, entry);
            let seen = watched.get(&key).cloned().unwrap_or_default();
            let longest_wait = asleep.get(&key).map(Duration::as_secs_f64);
            if let Some(pool) = self.now.pools.get(&key) {
                rows.pools.push(self.pool(inspection, key, pool));
            } else if let Some(flow) = self.flow(inspection, entry, seen.waiting) {
                rows.flows.push(flow);
            } else if is_lock(&entry.shape) || seen.waiting > 0 {
                let share = |looks: u32| f64::from(looks) / f64::from(seen.looks.max(1));
                rows.locks.push(Lock {
                    segment: inspection.name.clone(),
                    object: entry.name.clone(),
                    kind: entry.shape.kind.to_string(),
                    holders: self.holders(inspection, entry, now),
                    held: share(seen.held),
                    waiting: seen.waiting,
                    waited_for: share(seen.waited),
                    longest_wait,
                });
            }
        }
        for segment in &self.now.segments {
            let summary = &segment.summary;
            if !summary.in_use && !summary.persistent && !segment.is_unnamed() {
                rows.orphans.push(Orphan {
                    segment: segment.name.clone(),
                    content: summary.content.clone(),
                    size: summary.size,
                    resident: summary.resident,
                    dead: summary.dead(),
                });
            }
        }
        rows
    }

    fn totals(&self) -> Totals {
        let segments = &self.now.segments;
        Totals {
            segments: segments.len(),
            unnamed: segments.iter().filter(|segment| segment.is_unnamed()).count(),
            unread: self.now.unread,
            resident: segments.iter().map(|segment| segment.summary.resident).sum(),
            living: segments.iter().map(|segment| segment.summary.living()).sum(),
            dead: segments.iter().map(|segment| segment.summary.dead()).sum(),
            unseen: self.waits.unseen.len(),
            seconds: self.between().map(|between| between.as_secs_f64()),
        }
    }

    /// Between the last two looks.
    fn between(&self) -> Option<Duration> {
        let before = self.before.as_ref()?;
        Some(self.now.at.saturating_duration_since(before.at)).filter(|between| !between.is_zero())
    }

    /// So much a second, of what was more by so much.
    fn rate(&self, more: Option<u64>) -> Option<f64> {
        Some(more? as f64 / self.between()?.as_secs_f64())
    }

    fn flow(&self, inspection: &Inspection, entry: &Entry, waiting: usize) -> Option<Flow> {
        let key = key(inspection, entry);
        let count = *self.now.counts.get(&key)?;
        let facts = self.now.facts.get(&key)?;
        // What was less than before has begun anew.
        let before = self.before.as_ref().and_then(|before| before.counts.get(&key));
        let rate = self.rate(before.and_then(|before| count.checked_sub(*before)));
        let is_bytes = facts.number("bytes").is_some();
        let size = f64::from(entry.shape.tag.size());
        let inside = ["items", "bytes", "in line about", "slowest behind by"];
        let inside = inside.iter().find_map(|what| facts.number(what)).unwrap_or(0);
        let of = facts.number("of").unwrap_or(0);
        Some(Flow {
            segment: inspection.name.clone(),
            object: entry.name.clone(),
            kind: entry.shape.kind.to_string(),
            per_second: rate.filter(|_| !is_bytes),
            bytes_per_second: match is_bytes {
                true => rate,
                false => rate.filter(|_| size > 0.0).map(|rate| rate * size),
            },
            inside,
            of,
            fill: (of > 0).then(|| (inside as f64 / of as f64).min(1.0)),
            waiting,
            closed: facts.is("closed"),
        })
    }

    fn pool(&self, inspection: &Inspection, key: Key, pool: &Look) -> Pool {
        let before = self.before.as_ref().and_then(|before| before.answered.get(&key));
        let more = before.map(|before| {
            let of = |who: &shmkit::pool::look::Worker| {
                let before = before.get(&(who.place, who.generation)).copied().unwrap_or(0);
                who.answered.saturating_sub(before)
            };
            pool.workers.iter().map(of).sum()
        });
        Pool::new(inspection, pool, self.rate(more))
    }

    fn holders(&self, inspection: &Inspection, entry: &Entry, now: Instant) -> Vec<Holder> {
        let named = inspection.named(entry);
        let key = key(inspection, entry);
        let holder = |holder: &shmkit::tracker::Holder| Holder {
            pid: holder.pid,
            command: holder.command.clone(),
            alive: holder.is_alive,
            seconds: match self.held_since.get(&(key, holder.id.get())) {
                Some(since) => now.saturating_duration_since(*since).as_secs_f64(),
                None => 0.0,
            },
        };
        named.iter().map(holder).collect()
    }
}

fn is_lock(shape: &Shape) -> bool {
    LOCKS.contains(&shape.kind.name())
}
