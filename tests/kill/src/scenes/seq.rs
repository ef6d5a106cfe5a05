//! Scenes of vectors, deques and texts: whoever is killed, each operation was done whole or not at all, and nothing is lost.

use shmkit_collections::{DequeSpec, SeqError, ShmDeque, ShmString, ShmVec};
use shmkit_heap::Account;
use shmkit_layout::Object;

use super::account::{self, Before};
use crate::arena::{Me, NOBODY, Nobody};
use crate::{Actor, Arena, Fault, Scene, Spread};

/// Bytes of a sequence.
const BYTES: u64 = 96 << 10;
/// Elements are several words, all of them equal, or they are torn.
type Wide = [u64; 4];
/// What a survivor leaves at the end; no step does.
const MARK: u64 = 90;

/// A kind of sequence, for keepers of any life.
trait Family: 'static {
    type Of<'a>: Object<Me<'a>>;

    /// Makes one in a fresh arena.
    fn make(arena: &Arena) -> Result<(), Fault>;
    /// What is in it, each as one number.
    fn list(of: &Self::Of<'_>) -> Result<Vec<u64>, Fault>;
    fn push(of: &Self::Of<'_>, value: u64) -> Result<(), SeqError>;
    /// What a survivor does: it uses the sequence, and leaves what is in it, but for marks.
    fn touch(of: &Self::Of<'_>) -> Result<(), SeqError> {
        Self::push(of, MARK)
    }
    /// Where its bytes are, and what it says without its lock how many elements there are.
    fn account(of: &Self::Of<'_>) -> Result<(Account, usize), SeqError>;
}

/// A step of what is done, to the sequence and to a list in the same way.
struct Step<F: Family>(for<'a> fn(&F::Of<'a>) -> Result<(), SeqError>, fn(&mut Vec<u64>));

/// Of a list whose elements are several words.
fn narrow(all: &[Wide]) -> Result<Vec<u64>, Fault> {
    all.iter()
        .map(|wide| if *wide == [wide[0]; 4] { Ok(wide[0]) } else { Err(torn(wide)) })
        .collect()
}

fn torn(what: impl core::fmt::Debug) -> Fault {
    Fault::torn(format!("found {what:?}"))
}

fn hung(error: SeqError) -> Fault {
    Fault::hung(error.to_string())
}

fn make<'n, O: Object<&'n Nobody>>(arena: &Arena, spec: O::Spec) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { O::init(arena.object(), spec, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

struct Vector;

impl Family for Vector {
    type Of<'a> = ShmVec<Wide, Me<'a>>;

    fn make(arena: &Arena) -> Result<(), Fault> {
        make::<ShmVec<Wide, &Nobody>>(arena, BYTES)
    }

    fn list(of: &Self::Of<'_>) -> Result<Vec<u64>, Fault> {
        narrow(&of.to_vec().map_err(hung)?)
    }

    fn push(of: &Self::Of<'_>, value: u64) -> Result<(), SeqError> {
        of.push([value; 4])
    }

    fn account(of: &Self::Of<'_>) -> Result<(Account, usize), SeqError> {
        Ok((of.check()?, of.len()))
    }
}

/// Of eight elements at most.
struct Deque;

impl Family for Deque {
    type Of<'a> = ShmDeque<Wide, Me<'a>>;

    fn make(arena: &Arena) -> Result<(), Fault> {
        make::<ShmDeque<Wide, &Nobody>>(arena, DequeSpec::bytes(BYTES).max_len(8))
    }

    fn list(of: &Self::Of<'_>) -> Result<Vec<u64>, Fault> {
        narrow(&of.to_vec().map_err(hung)?)
    }

    fn push(of: &Self::Of<'_>, value: u64) -> Result<(), SeqError> {
        of.push_back([value; 4])
    }

    fn touch(of: &Self::Of<'_>) -> Result<(), SeqError> {
        // A mark would push another one out.
        of.lock()?.update_all(|_| ())
    }

    fn account(of: &Self::Of<'_>) -> Result<(Account, usize), SeqError> {
        Ok((of.check()?, of.len()))
    }
}

struct Text;

impl Family for Text {
    type Of<'a> = ShmString<Me<'a>>;

    fn make(arena: &Arena) -> Result<(), Fault> {
        make::<ShmString<&Nobody>>(arena, BYTES)
    }

    fn list(of: &Self::Of<'_>) -> Result<Vec<u64>, Fault> {
        Ok(of.get().map_err(hung)?.bytes().map(u64::from).collect())
    }

    fn push(of: &Self::Of<'_>, value: u64) -> Result<(), SeqError> {
        of.push(value as u8 as char)
    }

    fn account(of: &Self::Of<'_>) -> Result<(Account, usize), SeqError> {
        Ok((of.check()?, of.len()))
    }
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let push = "elements pushed and popped, killed; each step was done whole or not";
    let set = "elements set, updated and taken out for the last one, killed; as above";
    let shift = "elements put in and taken out in the middle, killed; as above";
    let grow =
        "elements pushed until they get larger blocks, killed; as above, and no block is lost";
    let heir = "the heir of one killed as it changes elements killed, too; as above";
    let ends = "elements pushed and popped at both ends, killed; as above";
    let bounded = "elements pushed where they push others out, killed; as above";
    let text = "a text appended to, replaced and cut, killed; as above";
    vec![
        scene::<Vector>("vec/push", push, 700, None, PUSH),
        scene::<Vector>("vec/set", set, 500, None, SET),
        scene::<Vector>("vec/shift", shift, 1000, None, SHIFT),
        scene::<Vector>("vec/grow", grow, 1000, None, GROW),
        scene::<Vector>("vec/heir", heir, 500, Some(Spread(3000)), SET),
        scene::<Vector>("vec/heir-shift", heir, 1000, Some(Spread(12_000)), SHIFT),
        scene::<Deque>("deque/ends", ends, 700, None, ENDS),
        scene::<Deque>("deque/bounded", bounded, 700, None, BOUNDED),
        scene::<Text>("string/change", text, 1000, None, TEXT),
    ]
}

const PUSH: &[Step<Vector>] = &[
    Step(|v| v.push([10; 4]), |list| list.push(10)),
    Step(|v| v.extend([[11; 4], [12; 4]]), |list| list.extend([11, 12])),
    Step(|v| v.pop().map(drop), |list| _ = list.pop()),
    Step(|v| v.push([13; 4]), |list| list.push(13)),
    Step(|v| v.truncate(3), |list| list.truncate(3)),
];

const SET: &[Step<Vector>] = &[
    Step(|v| v.set(0, [20; 4]).map(drop), |list| list[0] = 20),
    Step(|v| v.update(1, |wide| *wide = wide.map(|n| n + 20)), |list| list[1] += 20),
    Step(|v| v.swap_remove(0).map(drop), |list| _ = list.swap_remove(0)),
    Step(|v| v.push([21; 4]), |list| list.push(21)),
];

const SHIFT: &[Step<Vector>] = &[
    Step(|v| v.insert(1, [30; 4]), |list| list.insert(1, 30)),
    Step(|v| v.remove(0).map(drop), |list| _ = list.remove(0)),
    Step(|v| v.retain(|wide| wide[0] % 2 == 0), |list| list.retain(|n| n % 2 == 0)),
    Step(|v| v.update_all(|all| all.reverse()), |list| list.reverse()),
];

const GROW: &[Step<Vector>] = &[
    Step(|v| v.extend((40..44).map(|n| [n; 4])), |list| list.extend(40..44)),
    Step(|v| v.extend((44..60).map(|n| [n; 4])), |list| list.extend(44..60)),
    Step(|v| v.lock()?.shrink_to_fit(), |_| ()),
    Step(|v| v.push([60; 4]), |list| list.push(60)),
    Step(|v| v.clear(), |list| list.clear()),
    Step(|v| v.lock()?.shrink_to_fit(), |_| ()),
    Step(|v| v.push([61; 4]), |list| list.push(61)),
];

const ENDS: &[Step<Deque>] = &[
    Step(|d| d.push_front([10; 4]), |list| list.insert(0, 10)),
    Step(|d| d.pop_back().map(drop), |list| _ = list.pop()),
    Step(|d| d.pop_front().map(drop), |list| _ = list.remove(0)),
    Step(|d| d.set(0, [11; 4]).map(drop), |list| list[0] = 11),
    Step(|d| d.remove(1).map(drop), |list| _ = list.remove(1)),
    Step(|d| d.insert(1, [12; 4]), |list| list.insert(1, 12)),
];

const BOUNDED: &[Step<Deque>] = &[
    Step(|d| d.extend([[20; 4], [21; 4], [22; 4]]), |list| back(list, &[20, 21, 22])),
    Step(|d| d.push_back([23; 4]), |list| back(list, &[23])),
    Step(
        |d| d.push_front([24; 4]),
        |list| {
            list.insert(0, 24);
            list.truncate(8);
        },
    ),
    Step(|d| d.push_back([25; 4]), |list| back(list, &[25])),
];

/// As a bounded deque does.
fn back(list: &mut Vec<u64>, values: &[u64]) {
    list.extend(values);
    list.drain(..list.len().saturating_sub(8));
}

const TEXT: &[Step<Text>] = &[
    Step(|t| t.push_str("one two"), |list| list.extend(b"one two".map(u64::from))),
    Step(
        |t| t.replace_range(0..2, "three"),
        |list| drop(list.splice(0..2, b"three".map(u64::from))),
    ),
    Step(|t| t.update(|text| text.push('!')), |list| list.push(u64::from(b'!'))),
    Step(|t| t.truncate(4), |list| list.truncate(4)),
    Step(|t| t.set("four"), |list| *list = b"four".map(u64::from).to_vec()),
];

/// One changes the sequence and is killed; one survivor uses it at that moment, another comes later.
fn scene<F: Family>(
    name: &str,
    about: &str,
    floor: u32,
    before: Before,
    steps: &'static [Step<F>],
) -> Scene {
    // With two that do the same, one after the other, every state between their steps is one.
    let first: Vec<u64> = (0..4).collect();
    let mut states = after_each(&first, steps);
    if before.is_some() {
        states = states.iter().flat_map(|state| after_each(state, steps)).collect();
    }
    Scene::new(name, about, floor, move |stage, point| {
        let arena = Arena::new()?;
        F::make(&arena)?;
        let filler = |_: &Actor<'_>| {
            open::<F>(&arena, |of| first.iter().try_for_each(|n| F::push(of, *n)).map_err(hung))
        };
        stage.cast(4, &filler)?.finish()?;
        let user = |actor: &Actor<'_>| {
            open::<F>(&arena, |of| {
                actor.mark();
                steps.iter().try_for_each(|Step(does, _)| does(of)).map_err(hung)?;
                actor.mark();
                Ok(())
            })
        };
        let survivor = |actor: &Actor<'_>| {
            open::<F>(&arena, |of| {
                account::begin(actor)?;
                between::<F>(of, &states)?;
                F::touch(of).map_err(hung)?;
                between::<F>(of, &states)?;
                actor.through();
                Ok(())
            })
        };
        let end = |_: &Actor<'_>| {
            open::<F>(&arena, |of| {
                between::<F>(of, &states)?;
                count::<F>(of)
            })
        };
        account::play(stage, point, before, (&user, &survivor, &end))
    })
}

fn after_each<F: Family>(first: &[u64], steps: &[Step<F>]) -> Vec<Vec<u64>> {
    let mut list = first.to_vec();
    let mut states = vec![list.clone()];
    for Step(_, does) in steps {
        does(&mut list);
        states.push(list.clone());
    }
    states
}

fn open<F: Family>(
    arena: &Arena,
    then: impl FnOnce(&F::Of<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the scene made such a one of so many bytes here.
    let of = unsafe { F::Of::attach(arena.object(), BYTES, &me) };
    then(&of.map_err(|e| Fault::broken(e.to_string()))?)
}

/// Finds what there was between two steps, but for the marks of survivors.
fn between<F: Family>(of: &F::Of<'_>, states: &[Vec<u64>]) -> Result<(), Fault> {
    let mut list = F::list(of)?;
    list.retain(|n| *n != MARK);
    if states.contains(&list) { Ok(()) } else { Err(torn(list)) }
}

fn count<F: Family>(of: &F::Of<'_>) -> Result<(), Fault> {
    let list = F::list(of)?;
    let (account, len) = F::account(of).map_err(hung)?;
    let blocks = (account.kept_blocks, account.reserved_blocks);
    if account.is_complete() && matches!(blocks, (0 | 1, 0)) && len == list.len() {
        return Ok(());
    }
    Err(Fault::leaked(format!("{account}; there are {list:?}, and {len} are said to be")))
}
