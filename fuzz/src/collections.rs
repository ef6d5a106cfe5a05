//! Operations on collections against models of them; and on collections whose words somebody else may have written.

use std::collections::{BTreeMap, VecDeque};
use std::ptr::NonNull;
use std::time::Duration;

use shmkit::{DequeSpec, MapSpec, SeqError, ShmDeque, ShmMap, ShmString, ShmVec};
use shmkit_layout::{Object, Offset, Region};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// Bytes of a collection: so few that it gets full.
const BYTES: usize = 1 << 17;
/// Most elements of a bounded deque.
const BOUND: usize = 9;

#[repr(C, align(4096))]
struct Memory([u8; BYTES]);

/// Elements of an odd length, so that none is aligned by chance.
type Element = [u8; 5];

type Judge<'m> = &'m ModelJudge;

/// Runs one input.
///
/// # Panics
///
/// If a collection does what its model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(2);
    let mut memory = Box::new(Memory([0; BYTES]));
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), BYTES) };
    let what = input.byte();
    let scene = Scene { region, judges: &judges, honest: what.is_multiple_of(2) };
    match what / 2 % 5 {
        0 => vec(&scene, &mut input),
        1 => deque(&scene, &mut input, DequeSpec::bytes(BYTES as u64), usize::MAX),
        2 => {
            let spec = DequeSpec::bytes(BYTES as u64).max_len(BOUND as u32);
            deque(&scene, &mut input, spec, BOUND);
        }
        3 => string(&scene, &mut input),
        _ => map(&scene, &mut input),
    }
}

struct Scene<'m> {
    region: Region<'m>,
    judges: &'m [ModelJudge],
    /// Nobody writes where they must not.
    honest: bool,
}

impl<'m> Scene<'m> {
    fn make<O: Object<Judge<'m>>>(&self, spec: O::Spec) -> O {
        // SAFETY: the memory is zero, and this run's alone.
        unsafe { O::init(self.region, spec, &self.judges[0]) }.expect("there is room for one")
    }

    /// In a run that is not honest, somebody writes over a word sometimes, but for the locks, which would be waited for.
    fn damage(&self, input: &mut Input<'_>) {
        if self.honest || !input.byte().is_multiple_of(4) {
            return;
        }
        let words = [(2, 8), (520, 512), (0, BYTES / 8)][input.below(3)];
        let near = usize::from(input.byte()) << 8 | usize::from(input.byte());
        let at = words.0 + near % words.1;
        self.write(at, input.number());
    }

    /// Writes over a word that is no lock: these lie at the beginnings of pages.
    fn write(&self, at: usize, value: u64) {
        let at = at % (BYTES / 8);
        if at % 512 > 1 {
            let at = Offset::new(at as u64 * 8).expect("a multiple of 8");
            self.region.write(at, value).expect("inside");
        }
    }

    /// In an honest run both are the same.
    fn same<T: PartialEq + std::fmt::Debug>(&self, found: T, expected: T) {
        if self.honest {
            assert_eq!(found, expected);
        }
    }
}

/// Ends a run in which the collection is full, or damaged.
macro_rules! done {
    ($scene:ident, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(SeqError::Full { .. }) => return,
            Err(error) => {
                assert!(!$scene.honest, "{error}");
                return;
            }
        }
    };
}

fn vec(scene: &Scene<'_>, input: &mut Input<'_>) {
    let vec = scene.make::<ShmVec<Element, _>>(BYTES as u64).time_limit(Duration::from_millis(1));
    let mut model: Vec<Element> = Vec::new();
    while !input.is_empty() {
        scene.damage(input);
        let value = [input.byte(); 5];
        let mut guard = done!(scene, vec.lock());
        let len = guard.len();
        let (at, to) = (input.below(256) % (len + 1), input.below(256) % (len + 1));
        let (from, to) = (at.min(to), at.max(to));
        if scene.honest && len > 3000 {
            guard.clear();
            model.clear();
        } else if !scene.honest {
            model = guard.to_vec();
        }
        let inside = at < model.len();
        match input.below(11) {
            0 => {
                done!(scene, guard.push(value));
                model.push(value);
            }
            1 => scene.same(guard.pop(), model.pop()),
            2 if at <= model.len() => {
                done!(scene, guard.insert(at, value));
                model.insert(at, value);
            }
            3 if inside => scene.same(done!(scene, guard.remove(at)), model.remove(at)),
            4 if inside => scene.same(done!(scene, guard.swap_remove(at)), model.swap_remove(at)),
            5 if inside => {
                done!(scene, guard.update(at, |element| element[3] ^= 1));
                model[at][3] ^= 1;
            }
            6 if to <= model.len() => {
                let with = vec![value; input.below(40)];
                done!(scene, guard.splice(from..to, &with));
                model.splice(from..to, with);
            }
            7 => {
                guard.truncate(at);
                model.truncate(at);
            }
            8 => {
                done!(scene, guard.retain(|element| element[0] % 3 != 0));
                model.retain(|element| element[0] % 3 != 0);
            }
            9 => done!(scene, guard.shrink_to_fit()),
            _ => {
                let with = vec![value; input.below(200)];
                done!(scene, guard.extend_from_slice(&with));
                model.extend(with);
            }
        }
        scene.same(&guard[..], &model[..]);
        drop(guard);
        scene.same(vec.len(), model.len());
    }
    let account = done!(scene, vec.check());
    scene.same(
        (account.is_complete(), account.reserved_blocks, account.kept_blocks < 2),
        (true, 0, true),
    );
}

fn deque(scene: &Scene<'_>, input: &mut Input<'_>, spec: DequeSpec, most: usize) {
    let deque = scene.make::<ShmDeque<Element, _>>(spec).time_limit(Duration::from_millis(1));
    let mut model: VecDeque<Element> = VecDeque::new();
    while !input.is_empty() {
        scene.damage(input);
        let value = [input.byte(); 5];
        let mut guard = done!(scene, deque.lock());
        if scene.honest && guard.len() > 3000 {
            guard.clear();
            model.clear();
        } else if !scene.honest {
            model = guard.iter().copied().collect();
        }
        let at = input.below(256) % (model.len() + 1);
        match input.below(9) {
            0 => {
                done!(scene, guard.push_back(value));
                model.push_back(value);
                model.drain(..model.len().saturating_sub(most));
            }
            1 => {
                done!(scene, guard.push_front(value));
                model.push_front(value);
                model.truncate(most);
            }
            2 => scene.same(guard.pop_back(), model.pop_back()),
            3 => scene.same(guard.pop_front(), model.pop_front()),
            4 if model.len() < most => {
                done!(scene, guard.insert(at, value));
                model.insert(at, value);
            }
            5 if at < model.len() => {
                scene.same(Some(done!(scene, guard.remove(at))), model.remove(at));
            }
            6 if at < model.len() => {
                done!(scene, guard.set(at, value));
                model[at] = value;
            }
            7 => {
                guard.truncate(at);
                model.truncate(at);
            }
            _ => {
                let with = vec![value; input.below(60)];
                done!(scene, guard.extend_from_slice(&with));
                model.extend(with);
                model.drain(..model.len().saturating_sub(most));
            }
        }
        scene.same(guard.to_vec(), Vec::from(model.clone()));
    }
    let account = done!(scene, deque.check());
    scene.same(
        (account.is_complete(), account.reserved_blocks, account.kept_blocks < 2),
        (true, 0, true),
    );
}

fn string(scene: &Scene<'_>, input: &mut Input<'_>) {
    let text = scene.make::<ShmString<_>>(BYTES as u64).time_limit(Duration::from_millis(1));
    let mut model = String::new();
    while !input.is_empty() {
        scene.damage(input);
        let word = ["", "a", "ü", "€uro", "𝄞"][input.below(5)];
        let at = input.below(256) % (model.len() + 1);
        match input.below(5) {
            0 => {
                done!(scene, text.push_str(word));
                model.push_str(word);
            }
            1 => scene.same(done!(scene, text.pop()), model.pop()),
            2 => match text.insert_str(at, word) {
                Err(SeqError::NotBoundary { .. }) => {
                    scene.same(model.is_char_boundary(at), false);
                }
                other => {
                    done!(scene, other);
                    if model.is_char_boundary(at) {
                        model.insert_str(at, word);
                    }
                }
            },
            3 => {
                let cut = text.truncate(at);
                scene.same(cut.is_ok(), model.is_char_boundary(at));
                if model.is_char_boundary(at) {
                    model.truncate(at);
                }
            }
            _ => {
                done!(scene, text.set(word));
                word.clone_into(&mut model);
            }
        }
        let found = done!(scene, text.get());
        scene.same(&found, &model);
        model = found;
    }
}

fn map(scene: &Scene<'_>, input: &mut Input<'_>) {
    let spec = MapSpec::bytes(BYTES as u64);
    let map = scene.make::<ShmMap<u8, [u8], _>>(spec).time_limit(Duration::from_millis(1));
    let mut model: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    while !input.is_empty() {
        // The parts have locks of their own.
        if !scene.honest && input.byte().is_multiple_of(4) {
            let near = usize::from(input.byte()) << 8 | usize::from(input.byte());
            let parts = (128 + 64 * 128) / 8;
            scene.write(parts + near % (BYTES / 8 - parts), input.number());
        }
        let (key, value) = (input.below(40) as u8, vec![input.byte(); input.below(200)]);
        let found = match input.below(6) {
            0 | 1 => map.insert(&key, &value).map(|before| (before, model.insert(key, value))),
            2 => map.remove(&key).map(|before| (before, model.remove(&key))),
            3 => map
                .entry(&key)
                .and_then(|place| place.or_insert(value.clone()))
                .map(|found| (Some(found), Some(model.entry(key).or_insert(value).clone()))),
            4 => map
                .entry(&key)
                .and_then(|place| place.and_modify(|value| value.push(1)))
                .and_then(|place| place.get())
                .map(|found| {
                    model.entry(key).and_modify(|value| value.push(1));
                    (found, model.get(&key).cloned())
                }),
            _ => map.get(&key).map(|found| (found, model.get(&key).cloned())),
        };
        match found {
            Ok((found, expected)) => scene.same(found, expected),
            Err(error) => assert!(!scene.honest, "{error}"),
        }
    }
    let found = map.iter().collect::<Result<BTreeMap<_, _>, _>>();
    scene.same(found, Ok(model));
    let account = map.check();
    scene.same(
        account.map(|account| (account.is_complete(), account.kept_blocks)),
        Ok((true, map.len())),
    );
}
