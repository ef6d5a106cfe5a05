//! The directory over a heap block, with a judge of our own.

use std::ptr::NonNull;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicBool, AtomicU64};
use shmkit_layout::{NameWords, Shape, ShapeError, ShmSafe};
use shmkit_roster::{OwnerId, Verdict};
use shmkit_sync::RawMutex;

mod removal;

use super::ObjectErrorKind as Is;
use super::entry::ENTRY;
use super::table::{HEAD, LOCK, WRITTEN};
use super::*;

#[repr(C, align(4096))]
struct Bytes<const N: usize>([u8; N]);

/// Where the objects of a directory of 4 entries begin.
const START: u64 = Directory::bytes(4, PLACES);
/// What its judges say.
const PLACES: u32 = 64;
/// Where its memory ends.
const END: u64 = START + 1152;

/// A directory of 4 entries with 1,152 bytes for objects.
struct Memory(Box<Bytes<{ END as usize }>>);

impl Memory {
    fn new() -> Self {
        let memory = Self(Box::new(Bytes([0; END as usize])));
        // What lies behind the directory is not zero: as if a killed maker had been there, which has said so before.
        let objects = memory.directory().region().sub(START, 1152).unwrap();
        // SAFETY: nobody else uses the block yet.
        unsafe { objects.base().as_ptr().write_bytes(0xaa, 1152) };
        memory.poke(WRITTEN, END);
        memory
    }

    fn region(&self) -> Region<'_> {
        let base = NonNull::from(&*self.0).cast();
        // SAFETY: the block lives as long as `self`; the tests use it through regions only.
        unsafe { Region::from_raw_parts(base, END as usize) }
    }

    fn directory(&self) -> Directory<'_> {
        // SAFETY: the block was zero and holds nothing but this directory and its objects.
        unsafe { Directory::attach(self.region(), 0, 4, PLACES) }.unwrap()
    }

    fn poke<T: ShmSafe>(&self, at: u64, value: T) {
        self.region().write(Offset::new(at).unwrap(), value).unwrap();
    }
}

/// A judge to whom everybody else is dead, or everybody alive.
struct Me(u32, AtomicBool);

impl Me {
    fn among_the_dead() -> Self {
        Self(1, AtomicBool::new(true))
    }
}

// SAFETY: a test's judge, of one thread that uses one object at a time.
unsafe impl Judge for Me {
    fn me(&self) -> Option<OwnerId> {
        OwnerId::new(self.0)
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        if Some(owner) != self.me() && self.1.load(Relaxed) {
            Verdict::Dead
        } else {
            Verdict::Alive
        }
    }
}

// SAFETY: the block is all there.
unsafe impl Commit for Me {}

/// `COUNT` words, the first of which is given.
#[derive(Debug)]
struct Words<'a, const TAG_OF_U64: bool>(&'a [AtomicU64]);

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<'a, const U: bool> Object<&'a Me> for Words<'a, U> {
    const KIND: Kind = Kind::new("words");
    const TAG: TypeTag = if U { u64::TAG } else { i64::TAG };
    type Spec = (u64, u64);

    fn shape(&(_, len): &(u64, u64), _: u32) -> Result<Shape, ShapeError> {
        if len == 0 {
            return Err(ShapeError::Length { found: 0, min: 1, max: 1 << 60 });
        }
        let bytes = len.saturating_mul(8);
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len,
            bytes,
            align: 128,
            names: NameWords::NONE.alone(),
        })
    }

    unsafe fn init(
        region: Region<'_>,
        (first, len): (u64, u64),
        me: &'a Me,
    ) -> Result<Self, ShapeError> {
        // SAFETY: the bytes are zero words (the caller's promise), which is what `attach` needs.
        let words = unsafe { Self::attach(region, len, me) }?;
        assert!(
            words.0.iter().all(|word| word.load(Relaxed) == 0),
            "init was given bytes that are not zero"
        );
        words.0[0].store(first, Relaxed);
        if first == u64::MAX {
            return Err(ShapeError::Corrupt { field: "first word", found: first });
        }
        Ok(words)
    }

    unsafe fn attach(region: Region<'_>, len: u64, _: &'a Me) -> Result<Self, ShapeError> {
        // SAFETY: who has the judge has the region (the caller's promise).
        let region = unsafe { region.kept() };
        Ok(Self(region.slice(Offset::ZERO, len as usize)?))
    }
}

type Unsigned<'a> = Words<'a, true>;
type Signed<'a> = Words<'a, false>;

#[test]
fn what_is_made_is_found() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    let made: Unsigned<'_> = directory.make("hits", (5, 1), &me).unwrap();
    let found: Unsigned<'_> = directory.find("hits", &me).unwrap();
    made.0[0].store(6, Relaxed);
    assert_eq!(found.0[0].load(Relaxed), 6);
    let again: Unsigned<'_> = directory.object("hits", (7, 1), &me).unwrap();
    assert_eq!(again.0[0].load(Relaxed), 6, "a first value counts only if the object is made");
    let other: Unsigned<'_> = directory.object("misses", (8, 3), &me).unwrap();
    assert_eq!(other.0.len(), 3);
    assert!(other.0.as_ptr().addr() >= found.0.as_ptr().addr() + 8);

    let names: Vec<String> = directory.entries().unwrap().iter().map(Entry::to_string).collect();
    assert_eq!(
        names,
        ["\"hits\": words of u64 (8 bytes)", "\"misses\": words of u64 (8 bytes), length 3"]
    );
}

#[test]
fn what_is_there_is_refused_with_both_sides_named() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    directory.make::<Unsigned<'_>, _>("hits", (5, 2), &me).unwrap();
    let exists = directory.make::<Unsigned<'_>, _>("hits", (5, 2), &me).unwrap_err();
    assert_eq!(exists.kind(), Is::Exists);
    assert_eq!(
        exists.to_string(),
        r#"object "hits": there is one already, words of u64 (8 bytes), length 2: find it, or use another name"#
    );
    for wrong in [
        directory.find::<Signed<'_>, _>("hits", &me).unwrap_err(),
        directory.object::<Signed<'_>, _>("hits", (5, 2), &me).unwrap_err(),
    ] {
        assert_eq!(wrong.kind(), Is::WrongShape);
        let text = wrong.to_string();
        assert!(
            text.contains("it is words of u64 (8 bytes), length 2, asked for was words of i64"),
            "{text}"
        );
    }
    let length = directory.object::<Unsigned<'_>, _>("hits", (5, 3), &me).unwrap_err();
    assert_eq!(length.kind(), Is::WrongShape);
    assert_eq!(
        length.to_string(),
        r#"object "hits": it is words of u64 (8 bytes), length 2, asked for was words of length 3: ask for 2, find it instead, or use another name"#
    );
    assert_eq!(length.name(), Some("hits"));
}

#[test]
fn what_is_not_there_is_not_found() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    let none = directory.find::<Unsigned<'_>, _>("hits", &me).unwrap_err();
    assert_eq!(none.kind(), Is::NotFound);
    assert_eq!(
        none.to_string(),
        r#"object "hits": there is none of this name: the segment has no objects yet"#
    );
    directory.make::<Unsigned<'_>, _>("misses", (0, 1), &me).unwrap();
    let none = directory.find::<Unsigned<'_>, _>("hits", &me).unwrap_err();
    assert_eq!(
        none.to_string(),
        r#"object "hits": there is none of this name; there is "misses" (words of u64 (8 bytes))"#
    );
}

#[test]
fn of_many_that_there_are_a_few_are_named() {
    let memory = Box::new(Bytes([0; 16384]));
    let base = NonNull::from(&*memory).cast();
    // SAFETY: the block outlives the region, was zero, and is used through it only.
    let region = unsafe { Region::from_raw_parts(base, 16384) };
    // SAFETY: as above.
    let directory = unsafe { Directory::attach(region, 0, 20, PLACES) }.unwrap();
    let me = Me::among_the_dead();
    let says = || {
        let error = directory.find::<Unsigned<'_>, _>("none", &me).unwrap_err();
        let Reason::NotFound { there, count } = error.reason() else { panic!("{error}") };
        assert!(there.len() <= SHOWN && there.capacity() <= 2 * SHOWN);
        (*count, error.to_string())
    };
    for n in 0..20 {
        directory.make::<Unsigned<'_>, _>(&format!("o{n}"), (0, 1), &me).unwrap();
        let (count, text) = says();
        assert_eq!(count, n + 1);
        let more = format!(" and {} more", (n + 1).saturating_sub(8));
        assert_eq!(text.ends_with(&more), n >= 8, "{text}");
        assert_eq!(text.matches("words of u64").count(), (n as usize + 1).min(8), "{text}");
    }
}

#[test]
fn who_holds_the_directory_is_waited_for_as_long_as_was_said() {
    let (memory, mut me) = (Memory::new(), Me(1, AtomicBool::new(false)));
    let directory = memory.directory().time_limit(Duration::from_millis(3));
    let other = Me(2, AtomicBool::new(false));
    let lock: &RawMutex = directory.word(LOCK).unwrap();
    lock.try_lock(&other).unwrap();
    let error = directory.make::<Unsigned<'_>, _>("a", (0, 1), &me).unwrap_err();
    assert_eq!(error.kind(), Is::Busy);
    let text = error.to_string();
    assert!(text.contains("has held the directory for 3ms"), "{text}");
    assert!(text.contains("object_time_limit"), "{text}");
    *me.1.get_mut() = true;
    directory.make::<Unsigned<'_>, _>("a", (0, 1), &me).expect("the other one is dead");
}

#[test]
fn bad_names_and_lengths_are_refused() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    for name in ["", "a\0b", &"x".repeat(300)] {
        let error = directory.object::<Unsigned<'_>, _>(name, (0, 1), &me).unwrap_err();
        assert_eq!(error.kind(), Is::InvalidName, "{error}");
        assert_eq!(
            directory.find::<Unsigned<'_>, _>(name, &me).unwrap_err().kind(),
            Is::InvalidName
        );
    }
    let error = directory.object::<Unsigned<'_>, _>("a", (0, 0), &me).unwrap_err();
    assert_eq!(error.kind(), Is::InvalidSpec, "{error}");
    let error = directory.object::<Unsigned<'_>, _>("a", (u64::MAX, 1), &me).unwrap_err();
    assert_eq!(error.kind(), Is::InvalidSpec, "{error}");
    assert!(directory.entries().unwrap().is_empty(), "nothing was published");
    directory.make::<Unsigned<'_>, _>("a", (1, 1), &me).expect("the lock was released");
}

#[test]
fn full_says_of_what() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    let room = directory.make::<Unsigned<'_>, _>("large", (0, 161), &me).unwrap_err();
    assert_eq!(room.kind(), Is::NoRoom);
    assert_eq!(
        room.to_string(),
        format!(
            r#"object "large": it needs 1288 bytes at a multiple of 128, and of the segment's {END} bytes 1152 are free in one piece: make the segment larger, with Options::new(size), or let it grow, with Options::max(limit)"#
        )
    );
    let absurd = directory.make::<Unsigned<'_>, _>("absurd", (0, u64::MAX), &me).unwrap_err();
    assert_eq!(absurd.kind(), Is::NoRoom);
    for i in 0..4 {
        directory.make::<Unsigned<'_>, _>(&format!("{i}"), (0, 1), &me).unwrap();
    }
    let full = directory.object::<Unsigned<'_>, _>("4", (0, 1), &me).unwrap_err();
    assert_eq!(full.kind(), Is::Full);
    assert!(full.to_string().contains("all 4 entries of the directory are taken"), "{full}");
}

#[test]
fn a_dead_maker_leaves_nothing_half_made() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    // As if participant 9 had been killed after it wrote object and entry, and before it published them.
    memory.poke(0, OwnerId::new(9).unwrap().get());
    directory.region().sub(START, 1152).unwrap();
    let shape = Unsigned::shape(&(5, 2), 2).unwrap();
    let record = Record::new(Name::new("hits").unwrap(), START, shape);
    record.write(directory.region(), HEAD, OwnerId::new(9)).unwrap();

    assert_eq!(directory.find::<Unsigned<'_>, _>("hits", &me).unwrap_err().kind(), Is::NotFound);
    let made: Unsigned<'_> = directory.object("hits", (6, 2), &me).unwrap();
    assert_eq!(made.0[0].load(Relaxed), 6);
    let lock: &RawMutex = directory.word(LOCK).unwrap();
    assert_eq!(lock.owner(), None, "released");
    assert_eq!(directory.region().read::<u32>(Offset::new(4).unwrap()), Ok(0), "consistent");
}

#[test]
fn a_maker_says_up_to_where_it_writes_before_it_writes() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    let at = Offset::<u64>::new(WRITTEN).unwrap();
    memory.poke(WRITTEN, 0_u64);
    directory
        .region()
        .sub(START, 1152)
        .unwrap()
        .write(Offset::new(0).unwrap(), [0_u64; 144])
        .unwrap();
    let failed = directory.make::<Unsigned<'_>, _>("hits", (u64::MAX, 2), &me);
    assert_eq!(failed.unwrap_err().kind(), Is::InvalidSpec);
    assert_eq!(directory.region().read(at), Ok(START + 16), "the failed one has written there");
    // It is given zeros again, which it checks.
    directory.make::<Unsigned<'_>, _>("hits", (5, 1), &me).unwrap();
    assert_eq!(directory.region().read(at), Ok(START + 16), "that was further than this one");
    directory.make::<Unsigned<'_>, _>("misses", (5, 3), &me).unwrap();
    assert_eq!(directory.region().read(at), Ok(START + 128 + 24));
}

#[test]
fn what_no_peer_writes_is_an_error() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    let directory = memory.directory();
    directory.make::<Unsigned<'_>, _>("a", (5, 2), &me).unwrap();
    directory.make::<Unsigned<'_>, _>("b", (5, 2), &me).unwrap();
    let second = HEAD + ENTRY;
    // Place in the entry, and what is wrong there; one u64 each.
    for (at, value) in [
        (0, 7),                      // state
        (16, START - 1),             // offset: in the directory
        (16, START + 129),           // offset: odd
        (16, END),                   // offset: at the end
        (16, !127),                  // offset: far out
        (24, 0),                     // no length of the name
        (24, 300),                   // a name of 300 bytes
        (32, 0),                     // no name
        (80 + 56 + 8, u64::MAX),     // bytes
        (80 + 56 + 16, 0),           // alignment
        (80 + 56 + 16, 3),           // alignment
        (80 + 56 + 16, 1_u64 << 40), // alignment
    ] {
        let at = second + at;
        let good: u64 = memory.region().read(Offset::new(at).unwrap()).unwrap();
        memory.poke(at, value);
        for error in [
            directory.entries().map(drop).unwrap_err(),
            directory.find::<Unsigned<'_>, _>("b", &me).map(drop).unwrap_err(),
            directory.object::<Unsigned<'_>, _>("c", (0, 1), &me).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Is::Corrupt, "{at}: {value}: {error}");
        }
        directory.find::<Unsigned<'_>, _>("a", &me).expect("what lies before it is good");
        memory.poke(at, good);
    }
    // A name that is none: whoever looks for another is not concerned.
    memory.poke(second + 32, 0xff_u64);
    assert_eq!(directory.entries().unwrap_err().kind(), Is::Corrupt);
    directory.find::<Unsigned<'_>, _>("a", &me).expect("not concerned");
    memory.poke(second + 32, u64::from(b'b'));
    // A length that does not fit into the object's bytes.
    memory.poke(second + 80 + 56, 17_u64);
    let error = directory.find::<Unsigned<'_>, _>("b", &me).unwrap_err();
    assert_eq!(error.kind(), Is::Corrupt, "{error}");
}

/// Lists the objects by copies of a memory's bytes.
fn from_outside(region: Region<'_>, entries: u32, len: u64) -> Result<Vec<Entry>, ObjectError> {
    let copy = |at: u64, bytes: &mut [u8]| -> Result<(), OffsetError> {
        for (at, byte) in (at..).zip(bytes) {
            *byte = region.read(Offset::new(at)?)?;
        }
        Ok(())
    };
    Directory::list_from(0, (entries, PLACES), len, copy).unwrap()
}

#[test]
fn copies_show_the_objects_of_the_whole() {
    let (memory, me) = (Memory::new(), Me::among_the_dead());
    memory.directory().make::<Unsigned<'_>, _>("a", (5, 2), &me).unwrap();
    memory.directory().make::<Unsigned<'_>, _>(&"long".repeat(20), (5, 2), &me).unwrap();
    let entries = from_outside(memory.region(), 4, END).unwrap();
    assert_eq!(entries, memory.directory().entries().unwrap());
    assert_eq!((entries[1].generation, entries[1].creator), (2, me.me()));
    assert_eq!(from_outside(memory.region(), 4, START + 15).unwrap_err().kind(), Is::Corrupt);
    assert_eq!(from_outside(memory.region(), 99, END).unwrap_err().kind(), Is::Corrupt);
}

#[test]
fn a_directory_grows_as_long_as_there_is_room() {
    const LEN: usize = 1 << 16;
    let memory = Box::new(Bytes([0; LEN]));
    let base = NonNull::from(&*memory).cast();
    // SAFETY: the block outlives the region, was zero, and is used through it only.
    let region = unsafe { Region::from_raw_parts(base, LEN) };
    // SAFETY: as above.
    let directory = unsafe { Directory::attach(region, 0, 1, PLACES) }.unwrap();
    let me = Me::among_the_dead();
    let name = |n: usize| format!("{n}").repeat(1 + n % 60);
    let mut made = Vec::new();
    let full = loop {
        match directory.make::<Unsigned<'_>, _>(&name(made.len()), (made.len() as u64, 1), &me) {
            Ok(words) => made.push(words),
            Err(error) => break error,
        }
    };
    assert!(matches!(full.kind(), Is::Full | Is::NoRoom), "{full}");
    assert!(made.len() >= 64, "{}", made.len());
    for (n, words) in made.iter().enumerate() {
        let found: Unsigned<'_> = directory.find(&name(n), &me).unwrap();
        assert_eq!(found.0.as_ptr(), words.0.as_ptr());
        assert_eq!(found.0[0].load(Relaxed), n as u64, "a table lies over it");
    }
    let entries = directory.entries().unwrap();
    assert_eq!(entries.len(), made.len());
    assert!(entries.iter().enumerate().all(|(n, entry)| entry.name == name(n)));
    assert_eq!(from_outside(region, 1, LEN as u64).unwrap(), entries);
    // What is wrong in the words of its tables is an error.
    for (at, value) in
        [(136, 7_u64), (136, 1 << 50), (136, 64), (144, 64), (152, 1 << 40), (160, 1025)]
    {
        let at = Offset::new(at).unwrap();
        let good: u64 = region.read(at).unwrap();
        region.write(at, value).unwrap();
        let found = directory.find::<Unsigned<'_>, _>("7777", &me).map(drop);
        let listed = directory.entries().map(drop);
        let error = listed.and(found).unwrap_err();
        assert_eq!(error.kind(), Is::Corrupt, "{error}");
        let made = directory.make::<Unsigned<'_>, _>("one more", (0, 1), &me).map(drop);
        assert_eq!(made.unwrap_err().kind(), Is::Corrupt);
        region.write(at, good).unwrap();
    }
}

#[test]
fn a_directory_must_fit() {
    let memory = Memory::new();
    let attach = |at, entries| {
        // SAFETY: nothing is found through these.
        unsafe { Directory::attach(memory.region(), at, entries, PLACES) }.map(drop)
    };
    assert!(attach(0, 4).is_ok());
    assert!(attach(0, u32::MAX).is_err());
    assert!(attach(64, 1).is_err());
    assert!(attach(!127, 1).is_err());
}

#[test]
fn makers_on_many_threads_make_each_object_once() {
    let (memory, _) = (Memory::new(), ());
    let judges: Vec<Me> = (1..5).map(|number| Me(number, AtomicBool::new(false))).collect();
    std::thread::scope(|scope| {
        for me in &judges {
            let directory = memory.directory();
            scope.spawn(move || {
                for name in ["a", "b", "c", "d"] {
                    let words: Unsigned<'_> = directory.object(name, (100, 1), me).unwrap();
                    words.0[0].fetch_add(1, Relaxed);
                }
            });
        }
    });
    for name in ["a", "b", "c", "d"] {
        let words: Unsigned<'_> = memory.directory().find(name, &judges[0]).unwrap();
        assert_eq!(words.0[0].load(Relaxed), 104);
    }
}
