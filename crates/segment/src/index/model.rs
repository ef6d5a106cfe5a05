//! A directory whose makers die anywhere, also while its table grows, and somebody who seeks meanwhile.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::{Deadline, crash};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Outcome, RawMutex};

use super::*;

const ENTRIES: usize = 3;

struct Entry {
    state: AtomicU32,
    /// Which is the hash, too.
    name: AtomicU32,
    /// The object: the same as the name, once it is made.
    object: AtomicU32,
}

/// Tables of four and of eight slots; entries for three objects.
struct Directory {
    mutex: RawMutex,
    indexed: AtomicU32,
    table: AtomicU64,
    slots: [Vec<AtomicU64>; 2],
    entries: [Entry; ENTRIES],
}

impl Words for Directory {
    type Error = String;

    fn indexed(&self) -> &AtomicU32 {
        &self.indexed
    }

    fn table(&self) -> &AtomicU64 {
        &self.table
    }

    fn slots(&self, table: u64) -> Result<&[AtomicU64], String> {
        Ok(&self.slots[table as usize])
    }

    fn state(&self, entry: u32) -> Result<Option<&AtomicU32>, String> {
        Ok(self.entries.get(entry as usize).map(|entry| &entry.state))
    }

    fn hash(&self, entry: u32) -> Result<u32, String> {
        Ok(self.entries[entry as usize].name.load(Relaxed))
    }

    fn corrupt(&self, field: &'static str, entry: u32, found: u64) -> String {
        format!("the {field} of entry {entry} is {found}")
    }
}

impl Directory {
    fn new() -> Arc<Self> {
        let zero = || AtomicU32::new(0);
        let slots = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            mutex: RawMutex::new(),
            indexed: zero(),
            table: AtomicU64::new(0),
            slots: [slots(4), slots(8)],
            entries: [(); ENTRIES].map(|()| Entry { state: zero(), name: zero(), object: zero() }),
        })
    }

    fn find(&self, name: u32) -> Option<u32> {
        let is = |entry: u32| {
            let Entry { name: found, object, .. } = &self.entries[entry as usize];
            if found.load(Relaxed) != name {
                return Ok(None);
            }
            assert_eq!(object.load(Relaxed), name, "an object is found that is not made");
            Ok(Some(entry))
        };
        seek(self, name, is).unwrap()
    }

    fn lock(&self, judge: &ModelJudge) {
        if self.mutex.lock(judge, Deadline::NEVER).unwrap() != Outcome::Clean {
            self.mutex.make_consistent(judge).unwrap();
        }
    }

    fn unlock(&self, judge: &ModelJudge) {
        // SAFETY: taken once by who calls this, and nothing is borrowed.
        unsafe { self.mutex.unlock(judge) }.unwrap();
    }

    /// Finds an object or makes it, as the directory does; with `grow`, in the larger table.
    fn object(&self, judge: &ModelJudge, name: u32, grow: bool) {
        if self.find(name).is_some() {
            return;
        }
        self.lock(judge);
        let entry = catch_up(self).unwrap();
        if self.find(name).is_none() {
            if grow && self.table.load(Relaxed) == 0 {
                // Whoever was killed here has left some of it.
                for slot in &self.slots[1] {
                    slot.store(0, Relaxed);
                }
                move_to(self, 1).unwrap();
            }
            let Entry { state, name: word, object } = &self.entries[entry as usize];
            for word in [object, word] {
                step();
                word.store(name, Relaxed);
            }
            publish(state);
            catch_up(self).unwrap();
        }
        self.unlock(judge);
    }

    /// Each object is there once, and is found.
    fn check(&self, names: &[u32]) {
        let published = (0..).take_while(|&entry| is_published(self, entry).unwrap());
        let mut found: Vec<_> = published.map(|entry| self.hash(entry).unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, names);
        for &name in names {
            assert!(self.find(name).is_some(), "{name} is there and is not found");
        }
    }
}

/// Seeks an object twice: what was there is there.
fn seeker(directory: &Arc<Directory>, name: u32) -> thread::JoinHandle<()> {
    let directory = directory.clone();
    thread::spawn(move || {
        let before = directory.find(name);
        let after = directory.find(name);
        assert!(before.is_none() || after == before, "an object was there and is not found");
    })
}

/// The names have one place in the small table, so that they meet there.
const NAMES: [u32; 3] = [1, 5, 9];

/// A maker of two objects dies anywhere; the next one makes them, and another. Somebody seeks the first one meanwhile.
fn makers(name: &str, grow: bool) {
    crash::everywhere(name, 2, move |steps, lives| {
        let directory = Directory::new();
        let judges = ModelJudge::new(2);
        let seeking = seeker(&directory, NAMES[0]);
        let make = |judge| {
            directory.object(judge, NAMES[0], false);
            directory.object(judge, NAMES[1], grow);
        };
        if crash::after(steps, || make(&judges[0])).is_err() {
            lives.died();
            judges[0].die();
        }
        make(&judges[1]);
        directory.object(&judges[1], NAMES[2], grow);
        seeking.join().unwrap();
        directory.check(&NAMES);
    });
}

#[test]
fn an_object_is_whole_and_there_or_not_whoever_died_of_making_it() {
    makers("directory", false);
}

#[test]
fn no_object_is_lost_while_the_table_grows() {
    makers("directory that grows", true);
}

/// Two make the same objects side by side, and one of them dies.
#[test]
fn each_object_is_made_once_whoever_dies() {
    crash::everywhere("directory's makers", 2, |steps, lives| {
        let directory = Directory::new();
        let judges = ModelJudge::new(2);
        let other = {
            let (directory, judge) = (directory.clone(), judges[1].clone());
            thread::spawn(move || directory.object(&judge, NAMES[0], false))
        };
        if crash::after(steps, || directory.object(&judges[0], NAMES[0], false)).is_err() {
            lives.died();
            judges[0].die();
        }
        other.join().unwrap();
        directory.check(&NAMES[..1]);
    });
}

/// What somebody was told of is found, however many were made since: the count is loaded before the walk.
#[test]
fn what_was_there_before_is_found() {
    loom::model(|| {
        let directory = Directory::new();
        let judge = ModelJudge::new(1).remove(0);
        let told = Arc::new(AtomicU32::new(0));
        let making = {
            let (directory, told) = (directory.clone(), told.clone());
            thread::spawn(move || {
                for name in NAMES {
                    directory.object(&judge, name, name == NAMES[1]);
                    // Release: pairs with the Acquire below.
                    told.store(name, Release);
                }
            })
        };
        // Acquire: pairs with the Release above.
        let name = told.load(Acquire);
        assert!(name == 0 || directory.find(name).is_some(), "{name} was there");
        making.join().unwrap();
    });
}
