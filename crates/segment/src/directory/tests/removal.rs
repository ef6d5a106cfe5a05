//! Removing objects, with judges that say who lives.

use std::collections::BTreeMap;

use super::*;
use crate::directory::table::{FREE, GAP, UNLINKED, USED};

/// Makes an object of so many words, and says that nobody uses it any more.
fn make(directory: Directory<'_>, me: &Me, name: &str, len: u64) -> Result<u64, ObjectError> {
    let at = directory.make::<Unsigned<'_>, _>(name, (len, len), me).map(|words| {
        let at = words.0.as_ptr().addr() - directory.region().base().as_ptr().addr();
        at as u64
    })?;
    // SAFETY: the handle is gone.
    unsafe { directory.disuse(name, me) }.unwrap();
    Ok(at)
}

#[test]
fn what_is_removed_is_gone_and_its_bytes_and_entry_are_anothers() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    let at = make(directory, &me, "hits", 100).unwrap();
    directory.remove("hits", &me).unwrap();
    assert_eq!(directory.find::<Unsigned<'_>, _>("hits", &me).unwrap_err().kind(), Is::NotFound);
    assert_eq!(directory.remove("hits", &me).unwrap_err().kind(), Is::NotFound);
    assert!(directory.entries().unwrap().is_empty());
    // There is no room for two of these, nor for five entries.
    for n in 1..=9 {
        assert_eq!(make(directory, &me, &format!("hits{n}"), 100).unwrap(), at);
        let entries = directory.entries().unwrap();
        assert_eq!((entries.len(), entries[0].generation), (1, n + 1));
        directory.remove(&format!("hits{n}"), &me).unwrap();
    }
}

#[test]
fn what_somebody_uses_is_not_removed_until_they_are_dead() {
    let (memory, me) = (Memory::new(), Me(1, AtomicBool::new(false)));
    let other = Me(2, AtomicBool::new(false));
    let directory = memory.directory();
    make(directory, &me, "hits", 1).unwrap();
    let _used: Unsigned<'_> = directory.find("hits", &other).unwrap();
    let error = directory.remove("hits", &me).unwrap_err();
    assert_eq!(error.kind(), Is::InUse);
    assert!(error.to_string().contains("participant 2 uses it"), "{error}");
    assert!(error.to_string().contains("unlink"), "{error}");
    let mine = directory.remove("hits", &other).unwrap_err();
    assert!(mine.to_string().contains("this process uses it"), "{mine}");
    assert_eq!(directory.entries().unwrap()[0].users, [other.me().unwrap()]);
    directory.find::<Unsigned<'_>, _>("hits", &other).expect("nothing has changed");
    me.1.store(true, Relaxed);
    directory.remove("hits", &me).expect("its user is dead");
    // The next one of that place uses what it finds, and not what the one before it did.
    let later = Me(2 + PLACES, AtomicBool::new(false));
    make(directory, &me, "hits", 1).unwrap();
    make(directory, &me, "misses", 1).unwrap();
    let _used: Unsigned<'_> = directory.find("misses", &later).unwrap();
    assert!(directory.entries().unwrap()[0].users.is_empty());
}

#[test]
fn nothing_is_freed_while_somebody_sweeps() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    make(directory, &me, "hits", 1).unwrap();
    // The second place's word for the first entries.
    let word = HEAD + 4 * ENTRY + 8;
    memory.poke(word, crate::usage::SWEEPING);
    let error = directory.remove("hits", &me).unwrap_err();
    assert!(error.to_string().contains("about to join"), "{error}");
    // Whoever joins there takes the word over.
    let other = Me(2, AtomicBool::new(false));
    let _used: Unsigned<'_> = directory.find("hits", &other).unwrap();
    assert_eq!(directory.entries().unwrap()[0].users, [other.me().unwrap()]);
    directory.remove("hits", &me).expect("to this one the other is dead");
}

#[test]
fn what_is_unlinked_is_freed_with_its_last_user() {
    let (memory, mut me) = (Memory::new(), Me(1, AtomicBool::new(false)));
    let other = Me(2, AtomicBool::new(false));
    let directory = memory.directory();
    let at = make(directory, &me, "hits", 100).unwrap();
    let used: Unsigned<'_> = directory.find("hits", &other).unwrap();
    directory.unlink("hits", &me).unwrap();
    assert_eq!(directory.find::<Unsigned<'_>, _>("hits", &me).unwrap_err().kind(), Is::NotFound);
    let entries = directory.entries().unwrap();
    assert!(entries[0].is_unlinked && entries[0].name == "hits");
    // The name is another's at once, the bytes are not.
    assert_eq!(make(directory, &me, "hits", 100).unwrap_err().kind(), Is::NoRoom);
    assert_ne!(make(directory, &me, "hits", 1).unwrap(), at);
    assert_eq!(used.0[0].load(Relaxed), 100);
    assert_eq!(directory.entries().unwrap().len(), 2);
    // Whoever needs the bytes of a dead one's takes them.
    *me.1.get_mut() = true;
    make(directory, &me, "large", 100).unwrap();
    let names: Vec<_> = directory.entries().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["hits", "large"]);
    let count: &AtomicU32 = directory.word(UNLINKED).unwrap();
    assert_eq!(count.load(Relaxed), 0);
    // One that nobody uses is freed at once.
    directory.unlink("large", &me).unwrap();
    assert_eq!(directory.entries().unwrap().len(), 1);
}

#[test]
fn an_heir_sets_right_what_follows_from_the_states() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    for name in ["a", "b", "c"] {
        make(directory, &me, name, 1).unwrap();
    }
    // As if participant 9 had been killed while it was about to remove `a`, after it had freed `b`, and had left index and
    // lists as they may be then.
    let state = |entry| directory.state_word(entry).unwrap();
    let now = |entry| State::of(state(entry).load(Relaxed)).unwrap();
    state(0).store(now(0).in_doubt().get(), Relaxed);
    state(1).store(now(1).to(State::FREE).get(), Relaxed);
    for at in [FREE, UNLINKED] {
        memory.poke(at, 77_u32);
    }
    memory.poke(GAP, 0_u64);
    directory.version.store(7, Relaxed);
    for slot in index::Words::slots(&directory, 0).unwrap() {
        slot.store(0, Relaxed);
    }
    memory.poke(LOCK, OwnerId::new(9).unwrap().get());
    // A finder finds an odd version, and so takes the lock.
    directory.find::<Unsigned<'_>, _>("c", &me).unwrap();
    assert_eq!(directory.version.load(Relaxed) % 2, 0);
    assert_eq!(now(0).phase(), State::NAMED, "it is not removed by half");
    directory.find::<Unsigned<'_>, _>("a", &me).unwrap();
    assert_eq!(directory.find::<Unsigned<'_>, _>("b", &me).unwrap_err().kind(), Is::NotFound);
    let count: &AtomicU32 = directory.word(UNLINKED).unwrap();
    assert_eq!(count.load(Relaxed), 0);
    // Four entries, and two objects.
    make(directory, &me, "d", 1).unwrap();
    make(directory, &me, "e", 1).unwrap();
    assert_eq!(make(directory, &me, "f", 1).unwrap_err().kind(), Is::Full);
}

#[test]
fn wrong_numbers_are_errors_for_who_makes_or_removes() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    for name in ["a", "b"] {
        make(directory, &me, name, 1).unwrap();
    }
    directory.remove("a", &me).unwrap();
    for (at, value) in [(USED, 99_u32), (FREE, 2), (FREE, 4), (FREE, 99)] {
        let at = Offset::<u32>::new(at).unwrap();
        let good = memory.region().read(at).unwrap();
        memory.region().write(at, value).unwrap();
        let listed = directory.entries().map(drop);
        let error = listed.and_then(|()| make(directory, &me, "c", 1)).unwrap_err();
        assert_eq!(error.kind(), Is::Corrupt, "{error}");
        memory.region().write(at, good).unwrap();
    }
    // Two objects at one place.
    make(directory, &me, "c", 1).unwrap();
    let at = Offset::<u64>::new(HEAD + 16).unwrap();
    let good = memory.region().read(at).unwrap();
    let other: u64 = memory.region().read(Offset::new(HEAD + ENTRY + 16).unwrap()).unwrap();
    memory.region().write(at, other).unwrap();
    memory.poke(GAP, u64::MAX);
    assert_eq!(make(directory, &me, "d", 1).unwrap_err().kind(), Is::Corrupt);
    memory.region().write(at, good).unwrap();
    make(directory, &me, "d", 1).unwrap();
    // A user that nobody is.
    let row = HEAD + 4 * ENTRY;
    memory.poke(row + 8, u64::from(OwnerId::MASK + 5) << 32 | 0b1111);
    assert_eq!(directory.remove("d", &me).unwrap_err().kind(), Is::Corrupt);
}

/// Objects of all sizes come and go, and lie nowhere in each other: against a list of what there must be.
#[test]
fn many_come_and_go() {
    const LEN: usize = 1 << 17;
    let memory = Box::new(Bytes([0; LEN]));
    let base = NonNull::from(&*memory).cast();
    // SAFETY: the block outlives the region, was zero, and is used through it only.
    let region = unsafe { Region::from_raw_parts(base, LEN) };
    // SAFETY: as above.
    let directory = unsafe { Directory::attach(region, 0, 2, PLACES) }.unwrap();
    let me = Me::among_the_dead();
    let mut there = BTreeMap::new();
    let mut random = 1_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (random >> 33) % below
    };
    let mut made = 0;
    for round in 0..4000 {
        let n = draw(60);
        let name = format!("{n}").repeat(1 + n as usize);
        match there.remove(&name) {
            Some((at, len)) => {
                let words: Unsigned<'_> = directory.find(&name, &me).unwrap();
                assert_eq!((words.0.len() as u64, words.0[0].load(Relaxed)), (len, len), "{at}");
                // SAFETY: used no more.
                unsafe { directory.disuse(&name, &me) }.unwrap();
                match round % 2 {
                    0 => directory.remove(&name, &me).unwrap(),
                    _ => directory.unlink(&name, &me).unwrap(),
                }
            }
            None => match make(directory, &me, &name, 1 + draw(200)) {
                Ok(at) => {
                    made += 1;
                    let words: Unsigned<'_> = directory.find(&name, &me).unwrap();
                    // SAFETY: used no more.
                    unsafe { directory.disuse(&name, &me) }.unwrap();
                    there.insert(name, (at, words.0.len() as u64));
                }
                Err(error) => assert!(matches!(error.kind(), Is::NoRoom | Is::Full), "{error}"),
            },
        }
        let mut ranges: Vec<_> = there.values().map(|&(at, len)| (at, at + len * 8)).collect();
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ranges:?}");
    }
    assert!(made > 1500, "{made}");
    let mut names: Vec<_> = directory.entries().unwrap().into_iter().map(|e| e.name).collect();
    names.sort();
    assert!(names.iter().eq(there.keys()), "{names:?}");
    for name in names {
        directory.remove(&name, &me).unwrap();
    }
    // In one piece but for the tables.
    let error = make(directory, &me, "all", 1 << 20).unwrap_err();
    assert_eq!(error.kind(), Is::NoRoom, "{error}");
}

#[test]
fn finders_find_what_stays_while_others_come_and_go() {
    let memory = Memory::new();
    let judges: Vec<Me> = (1..5).map(|number| Me(number, AtomicBool::new(false))).collect();
    memory.directory().make::<Unsigned<'_>, _>("stays", (5, 1), &judges[0]).unwrap();
    let rounds = 3000;
    std::thread::scope(|scope| {
        for me in &judges[..2] {
            let directory = memory.directory();
            scope.spawn(move || {
                for round in 0..rounds {
                    let name = format!("{}-{}", me.0, round % 7);
                    make(directory, me, &name, 1 + round % 9).unwrap();
                    directory.remove(&name, me).unwrap();
                }
            });
        }
        for me in &judges[2..] {
            let directory = memory.directory();
            scope.spawn(move || {
                for _ in 0..rounds {
                    let words: Unsigned<'_> = directory.find("stays", me).unwrap();
                    assert_eq!(words.0[0].load(Relaxed), 5);
                    assert!(directory.entries().unwrap().iter().any(|e| e.name == "stays"));
                }
            });
        }
    });
    assert_eq!(memory.directory().entries().unwrap().len(), 1);
}
