//! Peers in a segment that grows, and an object that grows in place.

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_layout::{
    Commit, CommitError, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, ShmSafe,
    TypeTag,
};
use shmkit_roster::Seat;
use shmkit_segment::ObjectErrorKind as Is;
use shmkit_segment::{OpenOptions, Options, Segment};

use crate::Channel;
use crate::directory::{Spec, Words};
use crate::segment_faults::small_disk;

/// Words of which the first says how many of them there are: the others are only reserved.
#[derive(Debug)]
pub struct Sparse {
    region: Region<'static>,
    words: u64,
    /// Keeps them mapped, and has the memory for more.
    keeper: Seat,
}

impl Sparse {
    /// Returns how many words there are.
    pub fn count(&self) -> u64 {
        // Acquire: pairs with the Release in `grow`: what lies before it is there.
        self.word(0).load(Acquire)
    }

    /// Has memory for so many. One process at a time.
    ///
    /// # Errors
    ///
    /// That of `commit`.
    pub fn grow(&self, words: u64) -> Result<(), CommitError> {
        let (from, to) = (self.count() * 8, words.min(self.words) * 8);
        self.keeper.commit(self.region, from, to)?;
        // Release: pairs with the Acquire in `count`.
        self.word(0).store(to / 8, Release);
        Ok(())
    }

    /// Stores `value` in all words that there are.
    pub fn fill(&self, value: u64) {
        (1..self.count()).for_each(|at| self.word(at).store(value, Relaxed));
    }

    /// Returns whether the words from `start` on are `value`.
    pub fn are(&self, start: u64, value: u64) -> bool {
        (start.max(1)..self.count()).all(|at| self.word(at).load(Relaxed) == value)
    }

    fn word(&self, at: u64) -> &AtomicU64 {
        let at = Offset::new(at * 8).expect("an offset");
        self.region.get(at).expect("inside")
    }
}

// SAFETY: kind and tag are given to this layout alone; nothing beyond what was committed is touched.
unsafe impl Object<Seat> for Sparse {
    const KIND: Kind = Kind::new("sparse");
    const TAG: TypeTag = u64::TAG;
    /// How many words there may be, and how many there are at first.
    type Spec = (u64, u64);

    fn shape((words, _): &(u64, u64), _: u32) -> Result<Shape, ShapeError> {
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: *words,
            bytes: words * 8,
            align: 64,
            names: NameWords::NONE.alone(),
        })
    }

    fn committed((_, first): &(u64, u64), _: &Shape) -> u64 {
        first * 8
    }

    unsafe fn init(
        region: Region<'_>,
        (words, first): (u64, u64),
        keeper: Seat,
    ) -> Result<Self, ShapeError> {
        // SAFETY: zero words (the caller's promise), of which the first say that there are none.
        let this = unsafe { Self::attach(region, words, keeper) }?;
        assert_eq!(this.count(), 0, "init was given bytes that are not zero");
        this.word(0).store(first, Relaxed);
        assert!(this.are(0, 0), "init was given bytes that are not zero");
        Ok(this)
    }

    unsafe fn attach(region: Region<'_>, words: u64, keeper: Seat) -> Result<Self, ShapeError> {
        region.sub(0, words.saturating_mul(8))?;
        // SAFETY: the seat keeps the bytes mapped (the caller's promise), and lies beside what leads to them.
        Ok(Self { region: unsafe { region.kept() }, words, keeper })
    }
}

/// Does as it is told, in a segment that it has joined before anything in it was made.
pub(crate) fn play(segment: &Segment, channel: &mut Channel) {
    channel.say("ready");
    loop {
        let line = channel.hear();
        let Some((verb, args)) = line.split_once(' ') else { return };
        let mut numbers = args.split(' ').map(|number| number.parse::<u64>().expect("a number"));
        let mut next = || numbers.next().expect("one more number");
        let answer = match verb {
            "make" => segment.make::<Words>("theirs", Spec::new(next(), next())).map(drop),
            "see" => segment.find::<Words>("ours").map(|words| assert!(words.are(next()))),
            "grow" => segment.find::<Sparse>("sparse").map(|sparse| {
                let words = next();
                sparse.grow(words).expect("grow");
                assert!(memory(segment) >= words * 8, "before anybody touches it");
                sparse.fill(next());
            }),
            _ => panic!("no verb {verb}"),
        };
        answer.expect(verb);
        channel.say("done");
    }
}

/// The scripts of who is executed and inherits nothing.
pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    let place = Path::new(&args[0]);
    match script {
        "full" => full(place),
        "sparse-full" => sparse_full(place),
        "steps" => steps(&args[0], channel),
        "half" => half(&args[0]),
        "open" => open(place, channel),
        "look" => look(place, channel),
        _ => panic!("no script {script}"),
    }
}

fn join(directory: &Path) -> Segment {
    OpenOptions::new().directory(directory).open("it").expect("open")
}

/// Opens what has grown, and has it grow.
fn open(directory: &Path, channel: &mut Channel) {
    let segment = join(directory);
    assert!(segment.find::<Words>("large").expect("there").are(5));
    let _: Words = segment.make("theirs", Spec::new(200_000, 9)).expect("room");
    channel.say("grown");
}

/// Says how looking for an object fails.
fn look(directory: &Path, channel: &mut Channel) {
    let segment = join(directory);
    channel.say("ready");
    channel.hear();
    let error = segment.find::<Words>("large").expect_err("cut off");
    channel.say(&format!("{:?}", error.kind()));
}

/// Makes one object after the other, each of some pages, until it is told to end.
fn steps(name: &str, channel: &mut Channel) {
    let segment = Segment::open(name).expect("open");
    channel.say("ready");
    for i in 0..400 {
        let _: Words = segment.make(&i.to_string(), Spec::new(900, i)).expect("make");
    }
    channel.say("done");
}

/// Says "half" when it has made one half of a large object, and stays there.
fn half(name: &str) {
    let segment = Segment::open(name).expect("open");
    let half_way = || {
        let mut channel = Channel::standard();
        channel.say("half");
        channel.try_hear(std::time::Duration::from_secs(3600));
    };
    let _: Words =
        segment.object("victim", Spec { len: 40_000, value: 7, half_way }).expect("make");
}

/// Returns how many bytes of memory a segment's file has.
fn memory(segment: &Segment) -> u64 {
    let file = segment.file().expect("open").try_clone_to_owned().expect("a descriptor");
    fs::File::from(file).metadata().expect("there").blocks() * 512
}

/// A segment that grows on a file system of 1 MiB.
fn full(directory: &Path) {
    small_disk(directory, "size=1m");
    let options = Options::new(64 << 10).max(1 << 30).participants(8).directory(directory);
    let segment = options.create("it").expect("there is room for the beginning");
    let before: Words = segment.make("before", Spec::new(10_000, 3)).expect("room");
    let (len, took) = (segment.len(), memory(&segment));
    for words in [1 << 17, 1 << 20] {
        let error = segment.make::<Words>("large", Spec::new(words, 4)).expect_err("no room");
        assert_eq!(error.kind(), Is::NoRoom, "{error}");
        let message = error.to_string();
        for part in ["bytes more are needed", "left", "shmkit gc", "remount", "\"large\""] {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
        let left = 1_048_576 - took;
        assert!(message.contains(&format!(" {left} left")), "{left} is not in: {message}");
        assert!(error.source().is_none(), "the message says all");
        assert_eq!((segment.len(), memory(&segment)), (len, took), "nothing was lost");
    }
    assert!(before.are(3));
    // What fits goes on to fit, and what somebody else frees can be had.
    let blocker = directory.join("blocker");
    fs::write(&blocker, vec![1; 800 << 10]).expect("room");
    let spec = Spec::new(30_000, 5);
    assert_eq!(segment.make::<Words>("some", spec).expect_err("no room").kind(), Is::NoRoom);
    let _: Words = segment.make("small", Spec::new(100, 6)).expect("there are free bytes");
    fs::remove_file(&blocker).expect("there");
    assert!(segment.make::<Words>("some", spec).expect("room again").are(5));
    assert!(before.are(3));
}

/// An object that grows in place on a file system of 1 MiB.
fn sparse_full(directory: &Path) {
    small_disk(directory, "size=1m");
    let options = Options::new(4096).max(1 << 30).participants(8).directory(directory);
    let segment = options.create("it").expect("there is room for the beginning");
    let sparse: Sparse = segment.make("sparse", (1 << 24, 16)).expect("it takes next to nothing");
    sparse.fill(1);
    assert!(segment.len() > 128 << 20 && memory(&segment) < 256 << 10);
    sparse.grow(50_000).expect("room");
    assert!(sparse.are(16, 0), "what is new is zero");
    sparse.fill(2);
    let error = sparse.grow(1 << 20).expect_err("no room");
    assert!(matches!(error, CommitError::NoRoom { left: Some(_), .. }), "{error}");
    assert!(sparse.count() == 50_000 && sparse.are(1, 2));
    sparse.fill(3);
    sparse.grow(60_000).expect("there is room for less");
    assert!(sparse.are(50_000, 0));
    let _: Words = segment.make("behind", Spec::new(100, 6)).expect("room for it, too");
}
