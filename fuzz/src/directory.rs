//! Objects that are made, found, removed and unlinked by participants of whom some die, against a model of it; and a
//! directory whose words somebody else may have written.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::time::Duration;

use shmkit::segment::{Directory, ObjectErrorKind as Is};
use shmkit::{ArraySpec, AtomicArray};
use shmkit_layout::{Offset, Region};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// How many take part. The first one never dies.
const PARTICIPANTS: usize = 4;
/// Entries of the first table.
const ENTRIES: u32 = 2;
/// Bytes of the memory.
const BYTES: usize = 1 << 14;

#[repr(C, align(4096))]
struct Memory([u8; BYTES]);

type Words<'h> = AtomicArray<u64, &'h ModelJudge>;

/// Runs one input.
///
/// # Panics
///
/// If the directory does what the model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(PARTICIPANTS as u32);
    let mut memory = Box::new(Memory([0; BYTES]));
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), BYTES) };
    // SAFETY: the memory is zero, and this run's alone.
    let directory = unsafe { Directory::attach(region, 0, ENTRIES, PARTICIPANTS as u32) };
    let directory = directory.expect("there is room for one").time_limit(Duration::ZERO);
    let honest = input.byte().is_multiple_of(2);
    let mut scene = Scene {
        directory,
        judges: &judges,
        alive: [true; PARTICIPANTS],
        named: BTreeMap::new(),
        unlinked: Vec::new(),
        fill: 0,
    };
    while !input.is_empty() {
        if honest {
            scene.step(&mut input);
        } else {
            wrong(&mut input, region, directory, &judges);
        }
    }
    if honest {
        scene.check();
    }
}

struct Object<'h> {
    words: Words<'h>,
    /// What its words are.
    fill: u64,
    users: BTreeSet<usize>,
}

impl Object<'_> {
    fn check(&self) {
        assert!(self.words.to_vec().iter().all(|word| *word == self.fill), "{}", self.fill);
    }
}

struct Scene<'h> {
    directory: Directory<'h>,
    judges: &'h [ModelJudge],
    alive: [bool; PARTICIPANTS],
    named: BTreeMap<String, Object<'h>>,
    unlinked: Vec<Object<'h>>,
    fill: u64,
}

impl<'h> Scene<'h> {
    fn step(&mut self, input: &mut Input<'_>) {
        let who = input.below(PARTICIPANTS);
        if !self.alive[who] {
            return;
        }
        let (directory, judge) = (self.directory, &self.judges[who]);
        let name = name(input);
        let there = self.named.get_mut(&name);
        match input.below(8) {
            0 | 1 => {
                let len = 1 + usize::from(input.byte());
                let made = directory.make::<Words<'h>, _>(&name, ArraySpec::from(len), judge);
                match (made, there) {
                    (Err(error), Some(_)) => assert_eq!(error.kind(), Is::Exists),
                    (Ok(words), None) => {
                        assert_eq!(words.to_vec(), vec![0; len], "others' bytes");
                        self.fill += 1;
                        let fill = self.fill;
                        words.iter().for_each(|word| word.store(fill));
                        let users = [who].into();
                        self.named.insert(name, Object { words, fill, users });
                    }
                    (Err(error), None) => {
                        assert!(matches!(error.kind(), Is::NoRoom | Is::Full), "{error}");
                    }
                    (Ok(_), Some(_)) => panic!("{name:?} twice"),
                }
            }
            2 => match (directory.find::<Words<'h>, _>(&name, judge), there) {
                (Ok(words), Some(object)) => {
                    assert_eq!(words.to_vec(), object.words.to_vec());
                    object.users.insert(who);
                    object.check();
                }
                (found, there) => {
                    assert_eq!(found.expect_err("nobody made it").kind(), Is::NotFound);
                    assert!(there.is_none(), "{name:?} is there");
                }
            },
            3 => {
                // SAFETY: the model's handles are looked at only as long as somebody says that they use them.
                let done = unsafe { directory.disuse(&name, judge) };
                assert_eq!(done.is_ok(), there.is_some());
                if let Some(object) = there {
                    object.users.remove(&who);
                }
            }
            4 | 5 => {
                let alive = self.alive;
                let expected = there.map(|object| object.users.iter().any(|&user| alive[user]));
                match (directory.remove(&name, judge), expected) {
                    (Ok(()), Some(false)) => drop(self.named.remove(&name)),
                    (Err(error), Some(true)) => assert_eq!(error.kind(), Is::InUse),
                    (Err(error), None) => assert_eq!(error.kind(), Is::NotFound),
                    (done, expected) => panic!("{name:?}: {done:?} and {expected:?}"),
                }
            }
            6 => {
                let done = directory.unlink(&name, judge);
                assert_eq!(done.is_ok(), there.is_some(), "{done:?}");
                self.unlinked.extend(self.named.remove(&name));
            }
            _ if who != 0 && input.below(4) == 0 => {
                judge.die();
                self.alive[who] = false;
            }
            _ => self.check(),
        }
    }

    fn check(&mut self) {
        let alive = self.alive;
        self.unlinked.retain(|object| object.users.iter().any(|&user| alive[user]));
        self.unlinked.iter().for_each(Object::check);
        self.named.values().for_each(Object::check);
        let entries = self.directory.entries().expect("nobody has damaged it");
        let mut names: Vec<_> =
            entries.iter().filter(|entry| !entry.is_unlinked).map(|entry| &entry.name).collect();
        names.sort();
        assert!(names.into_iter().eq(self.named.keys()));
        let unlinked = entries.iter().filter(|entry| entry.is_unlinked).count();
        assert!(unlinked >= self.unlinked.len(), "what is used is gone");
    }
}

/// One of twelve names, of which some are long, and several begin alike.
fn name(input: &mut Input<'_>) -> String {
    let n = input.below(12);
    format!("{}{n}", "a long one ".repeat(n % 4 * 3))
}

/// Somebody writes anything anywhere in the directory, and others go on.
fn wrong(
    input: &mut Input<'_>,
    region: Region<'_>,
    directory: Directory<'_>,
    judges: &[ModelJudge],
) {
    let judge = &judges[input.below(PARTICIPANTS)];
    let name = name(input);
    match input.below(7) {
        0 | 1 => {
            let bytes = Directory::bytes(ENTRIES, PARTICIPANTS as u32) / 8 + 64;
            let at = (u64::from(input.byte()) << 8 | u64::from(input.byte())) % bytes * 8;
            let at = Offset::<u64>::new(at).expect("a multiple of 8");
            region.write(at, input.number()).expect("inside");
        }
        2 | 3 => {
            let spec = ArraySpec::from(1 + usize::from(input.byte()));
            drop(directory.make::<Words<'_>, _>(&name, spec, judge));
        }
        4 => drop(directory.find::<Words<'_>, _>(&name, judge).map(|words| words.to_vec())),
        5 => drop(directory.remove(&name, judge)),
        _ => {
            drop(directory.unlink(&name, judge));
            drop(directory.entries());
        }
    }
}
