//! A directory whose makers and removers die anywhere, also while its table grows, and others who seek and use meanwhile.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::{AtomicU32, Deadline, crash};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, Verdict, ask};
use shmkit_sync::{Outcome, RawMutex};

use super::*;
use crate::usage::{self, User};

const ENTRIES: usize = 3;
/// Participants that there can be.
const PLACES: usize = 2;

struct Entry {
    state: AtomicU64,
    /// Which is the hash, too.
    name: AtomicU32,
    /// The object: the same as the name, once it is made; 0 when it was freed.
    object: AtomicU32,
}

/// Tables of four and of eight slots; entries for three objects.
struct Directory {
    mutex: RawMutex,
    version: AtomicU64,
    table: AtomicU64,
    slots: [Vec<AtomicU64>; 2],
    entries: [Entry; ENTRIES],
    users: [AtomicU64; PLACES],
}

impl Words for Directory {
    type Error = String;

    fn version(&self) -> &AtomicU64 {
        &self.version
    }

    fn table(&self) -> &AtomicU64 {
        &self.table
    }

    fn slots(&self, table: u64) -> Result<&[AtomicU64], String> {
        Ok(&self.slots[table as usize])
    }

    fn state(&self, entry: u32) -> Result<Option<&AtomicU64>, String> {
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
        let wide = || AtomicU64::new(0);
        let slots = |count| (0..count).map(|_| wide()).collect();
        Arc::new(Self {
            mutex: RawMutex::new(),
            version: wide(),
            table: wide(),
            slots: [slots(4), slots(8)],
            entries: [(); ENTRIES].map(|()| Entry { state: wide(), name: zero(), object: zero() }),
            users: [(); PLACES].map(|()| wide()),
        })
    }

    fn seek(&self, name: u32) -> Sought<u32> {
        let is = |entry: u32| {
            let found = &self.entries[entry as usize];
            Ok((found.name.load(Relaxed) == name).then_some(entry))
        };
        seek(self, name, is).unwrap()
    }

    /// With the lock.
    fn find(&self, name: u32) -> Option<(u32, State)> {
        match self.seek(name) {
            Sought::Found(entry, state, _) => Some((entry, state)),
            Sought::None => None,
            Sought::Disturbed => panic!("somebody changes the table without the lock"),
        }
    }

    /// Without, unless somebody removes something, or has died of it.
    fn look(&self, judge: &ModelJudge, name: u32) -> Option<(u32, State)> {
        if let Sought::Found(entry, state, _) = self.seek(name) {
            return Some((entry, state));
        }
        if self.seek(name) == Sought::None {
            return None;
        }
        self.lock(judge);
        let found = self.find(name);
        self.unlock(judge);
        found
    }

    fn user(&self, judge: &ModelJudge) -> &AtomicU64 {
        &self.users[judge.me().unwrap().get() as usize - 1]
    }

    /// Finds an object, uses it if it is there, and returns whether it was.
    fn use_it(&self, judge: &ModelJudge, name: u32) -> bool {
        let (me, word) = (judge.me().unwrap(), self.user(judge));
        let Some((entry, state)) = self.look(judge, name) else { return false };
        let Entry { state: there, object, .. } = &self.entries[entry as usize];
        usage::mark(word, me, entry);
        let is_there = usage::is_there(there, state);
        if is_there {
            assert_eq!(object.load(Relaxed), name, "an object is used that is not made, or freed");
        }
        usage::unmark(word, me, entry);
        usage::dekker();
        let unlinked = state.to(State::UNLINKED);
        if there.load(Relaxed) == unlinked.get() && self.mutex.try_lock(judge).is_ok() {
            self.release(judge, entry, unlinked);
            self.unlock(judge);
        }
        is_there
    }

    fn lock(&self, judge: &ModelJudge) {
        if self.mutex.lock(judge, Deadline::NEVER).unwrap() != Outcome::Clean {
            for entry in &self.entries {
                let state = State::of(entry.state.load(Relaxed)).unwrap();
                if state.settled() != state {
                    step();
                    let settled = state.settled().get();
                    // Release: as in `publish`.
                    let _ = entry.state.compare_exchange(state.get(), settled, Release, Relaxed);
                }
            }
            rebuild(self, ENTRIES as u32).unwrap();
            self.mutex.make_consistent(judge).unwrap();
        }
    }

    fn unlock(&self, judge: &ModelJudge) {
        // SAFETY: taken once by who calls this, and nothing is borrowed.
        unsafe { self.mutex.unlock(judge) }.unwrap();
    }

    /// Finds an object or makes it, as the directory does; with `grow`, in the larger table.
    fn object(&self, judge: &ModelJudge, name: u32, grow: bool) {
        if self.look(judge, name).is_some() {
            return;
        }
        self.lock(judge);
        if self.find(name).is_none() {
            if grow && self.table.load(Relaxed) == 0 {
                // Whoever was killed here has left some of it.
                for slot in &self.slots[1] {
                    slot.store(0, Relaxed);
                }
                move_to(self, 1, ENTRIES as u32).unwrap();
            }
            let state = |entry: u32| State::of(self.entries[entry as usize].state.load(Relaxed));
            let free = |entry: &u32| state(*entry).unwrap().phase() == State::FREE;
            let entry = (0..ENTRIES as u32).find(free).expect("three names, three entries");
            let generation = state(entry).unwrap().generation() + 1;
            let Entry { state, name: word, object } = &self.entries[entry as usize];
            for word in [object, word] {
                step();
                word.store(name, Relaxed);
            }
            insert(self, entry).unwrap();
            publish(state, generation);
        }
        self.unlock(judge);
    }

    fn free(&self, judge: &ModelJudge, entry: u32, state: State) -> bool {
        let me = judge.me().unwrap();
        let is_used = || {
            for word in &self.users {
                if let Some(User::Named(owner)) = usage::user(word, entry).map_err(drop)?
                    && ask(judge, me, owner) != Verdict::Dead
                {
                    return Ok(true);
                }
            }
            Ok::<_, ()>(false)
        };
        usage::free(&self.entries[entry as usize].state, state, is_used).unwrap()
    }

    /// Removes an object unless it is used; returns whether it is not there any more.
    fn remove(&self, judge: &ModelJudge, name: u32) -> bool {
        self.lock(judge);
        let gone = self.find(name).is_none_or(|(entry, state)| {
            let freed = self.free(judge, entry, state);
            if freed {
                remove(self, entry).unwrap();
                self.entries[entry as usize].object.store(0, Relaxed);
            }
            freed
        });
        self.unlock(judge);
        gone
    }

    fn unlink(&self, judge: &ModelJudge, name: u32) {
        self.lock(judge);
        if let Some((entry, state)) = self.find(name) {
            let unlinked = state.to(State::UNLINKED);
            step();
            // Release: as in `publish`.
            self.entries[entry as usize].state.swap(unlinked.get(), Release);
            remove(self, entry).unwrap();
            usage::dekker();
            self.release(judge, entry, unlinked);
        }
        self.unlock(judge);
    }

    fn release(&self, judge: &ModelJudge, entry: u32, unlinked: State) {
        let Entry { state, object, .. } = &self.entries[entry as usize];
        if state.load(Relaxed) == unlinked.get() && self.free(judge, entry, unlinked) {
            object.store(0, Relaxed);
        }
    }

    /// Frees all that has lost its name.
    fn collect(&self, judge: &ModelJudge) {
        self.lock(judge);
        for entry in 0..ENTRIES as u32 {
            let found = state(self, entry).unwrap();
            if found.phase() == State::UNLINKED {
                self.release(judge, entry, found);
            }
        }
        self.unlock(judge);
    }

    /// Each object is there once, and is found, and no other.
    fn check(&self, names: &[u32]) {
        let named = |&entry: &u32| state(self, entry).unwrap().settled().phase() == State::NAMED;
        let there = (0..ENTRIES as u32).filter(named);
        let mut found: Vec<_> = there.map(|entry| self.hash(entry).unwrap()).collect();
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
        let was_there = matches!(directory.seek(name), Sought::Found(..));
        let is_gone = directory.seek(name) == Sought::None;
        assert!(!was_there || !is_gone, "an object was there and is not found");
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

/// What somebody was told of is found, however many were made since: the table is loaded before the walk.
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
        let is_gone = directory.seek(name) == Sought::None;
        assert!(name == 0 || !is_gone, "{name} was there");
        making.join().unwrap();
    });
}

/// Somebody uses an object that another one removes, who dies of it anywhere; then a third removes it. What is not removed
/// is found all the time, though it is moved.
fn users(name: &str, take: fn(&Directory, &ModelJudge)) {
    crash::everywhere(name, 2, move |steps, lives| {
        let directory = Directory::new();
        let judges = ModelJudge::new(2);
        for name in &NAMES[..2] {
            directory.object(&judges[0], *name, false);
        }
        let using = {
            let (directory, judge) = (directory.clone(), judges[1].clone());
            thread::spawn(move || {
                let first = directory.use_it(&judge, NAMES[0]);
                let second = directory.use_it(&judge, NAMES[0]);
                assert!(first || !second, "it was removed, and is there again");
                directory.seek(NAMES[1]) != Sought::None
            })
        };
        if crash::after(steps, || take(&directory, &judges[0])).is_err() {
            lives.died();
            judges[0].die();
        }
        assert!(using.join().unwrap(), "what stays was not found");
        assert!(directory.remove(&judges[1], NAMES[0]), "nobody uses it");
        directory.collect(&judges[1]);
        directory.check(&NAMES[1..2]);
        let free = |entry: &Entry| entry.state.load(Relaxed) % 8 == State::FREE;
        assert_eq!(directory.entries.iter().filter(|entry| free(entry)).count(), 2, "freed");
        // Its entry is another's.
        directory.object(&judges[1], NAMES[2], false);
        directory.check(&NAMES[1..]);
    });
}

#[test]
fn what_is_used_is_not_removed_whoever_dies() {
    users("directory's remover", |directory, judge| {
        directory.remove(judge, NAMES[0]);
    });
}

#[test]
fn what_is_unlinked_is_freed_with_its_last_user() {
    users("directory's unlinker", |directory, judge| directory.unlink(judge, NAMES[0]));
}

/// An entry that another object gets while somebody reads it is not taken for the one nor for the other.
#[test]
fn an_entry_is_read_whole_while_it_is_used_again() {
    loom::model(|| {
        let directory = Directory::new();
        let judge = ModelJudge::new(1).remove(0);
        directory.object(&judge, NAMES[0], false);
        let changing = {
            let directory = directory.clone();
            thread::spawn(move || {
                assert!(directory.remove(&judge, NAMES[0]));
                directory.object(&judge, NAMES[1], false);
            })
        };
        let is = |entry: u32| {
            let Entry { name, object, .. } = &directory.entries[entry as usize];
            Ok(Some((name.load(Relaxed), object.load(Relaxed))))
        };
        for name in &NAMES[..2] {
            if let Sought::Found(_, _, (found, object)) = seek(&*directory, *name, is).unwrap() {
                assert_eq!((found, object), (*name, *name), "two objects at once");
            }
        }
        changing.join().unwrap();
    });
}

/// Two threads of one process have handles to one object: it is marked as long as one of them has.
#[test]
fn an_object_is_marked_as_long_as_there_is_a_handle() {
    loom::model(|| {
        let (handles, word) = (Arc::new(usage::Handles::default()), Arc::new(AtomicU64::new(0)));
        let me = ModelJudge::new(1)[0].me().unwrap();
        let run = move |handles: &usage::Handles, word: &AtomicU64| {
            let mark = || {
                usage::mark(word, me, 3);
                Ok::<_, ()>(true)
            };
            assert!(handles.begin(1, mark).unwrap());
            assert_eq!(usage::user(word, 3), Ok(Some(User::Named(me))), "unmarked");
            handles.end(|| usage::unmark(word, me, 3));
        };
        let other = {
            let (handles, word) = (handles.clone(), word.clone());
            thread::spawn(move || run(&handles, &word))
        };
        run(&handles, &word);
        other.join().unwrap();
        assert_eq!(usage::user(&word, 3), Ok(None), "nobody has a handle");
    });
}
