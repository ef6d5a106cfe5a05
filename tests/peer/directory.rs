//! Peers that make objects in a segment.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Kind, NameWords, Object, Offset, Region, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::Seat;
use shmkit_segment::Segment;

use crate::Channel;

/// Words that are made one after the other: half-made ones can be told from whole ones.
#[derive(Debug)]
pub struct Words {
    words: &'static [AtomicU64],
    /// Keeps them mapped.
    _keeper: Seat,
}

/// What [`Words`] are made with.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// How many.
    pub len: u64,
    /// What each of them is.
    pub value: u64,
    /// Called when half of them are made.
    pub half_way: fn(),
}

impl Spec {
    /// So many words of this value, made in one go.
    pub fn new(len: u64, value: u64) -> Self {
        Self { len, value, half_way: || () }
    }
}

impl Words {
    /// Returns them.
    pub fn all(&self) -> &[AtomicU64] {
        self.words
    }

    /// Returns whether all of them are `value`.
    pub fn are(&self, value: u64) -> bool {
        self.words.iter().all(|word| word.load(Relaxed) == value)
    }
}

// SAFETY: kind and tag are given to this layout alone.
unsafe impl Object<Seat> for Words {
    const KIND: Kind = Kind::new("words");
    const TAG: TypeTag = u64::TAG;
    type Spec = Spec;

    fn shape(spec: &Spec, _: u32) -> Result<Shape, ShapeError> {
        let bytes = spec.len * 8;
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: spec.len,
            bytes,
            align: 64,
            names: NameWords::NONE.alone(),
        })
    }

    unsafe fn init(region: Region<'_>, spec: Spec, keeper: Seat) -> Result<Self, ShapeError> {
        // SAFETY: zero words (the caller's promise).
        let this = unsafe { Self::attach(region, spec.len, keeper) }?;
        assert!(this.are(0), "init was given bytes that are not zero");
        let (first, second) = this.words.split_at(spec.len as usize / 2);
        first.iter().for_each(|word| word.store(spec.value, Relaxed));
        (spec.half_way)();
        second.iter().for_each(|word| word.store(spec.value, Relaxed));
        Ok(this)
    }

    unsafe fn attach(region: Region<'_>, len: u64, keeper: Seat) -> Result<Self, ShapeError> {
        // SAFETY: the seat keeps the bytes mapped (the caller's promise), and lies beside what leads to them.
        let region = unsafe { region.kept() };
        Ok(Self { words: region.slice(Offset::ZERO, len as usize)?, _keeper: keeper })
    }
}

/// The directory's scripts; the first argument is the segment's name.
pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    let segment = Segment::open(&args[0]).expect("open");
    match script {
        "half" => half(&segment),
        "add" => add(&segment, channel),
        "make" => make(&segment, channel),
        "use" => use_it(&segment, channel),
        "churn" => churn(&segment, channel),
        _ => panic!("no script {script}"),
    }
}

/// Says "half" when it has made one half of `victim`, and stays there.
fn half(segment: &Segment) {
    let half_way = || {
        let mut channel = Channel::standard();
        channel.say("half");
        channel.try_hear(std::time::Duration::from_secs(3600));
    };
    let _: Words = segment.object("victim", Spec { len: 64, value: 7, half_way }).expect("make");
}

/// Finds or makes ten counters at the word of command, and adds one to each.
pub fn add(segment: &Segment, channel: &mut Channel) {
    channel.say("ready");
    channel.hear();
    for i in 0..10 {
        let words: Words =
            segment.object(&format!("counter-{i}"), Spec::new(1, 100)).expect("object");
        words.all()[0].fetch_add(1, Relaxed);
    }
    channel.say("done");
}

/// Makes 500 objects, or as many as it can before it is killed.
fn make(segment: &Segment, channel: &mut Channel) {
    channel.say("ready");
    for i in 0..500 {
        let spec = Spec::new(1 + i * 37 % 400, i);
        let _: Words = segment.make(&i.to_string(), spec).expect("make");
    }
    channel.hear();
}

/// Finds `used`, says so, and has it until it is told to drop it.
pub fn use_it(segment: &Segment, channel: &mut Channel) {
    let words: Words = segment.find("used").expect("find");
    channel.say("uses");
    channel.hear();
    assert!(words.are(5), "{words:?}");
    drop(words);
    channel.say("dropped");
    channel.hear();
}

/// Makes and removes objects until it is killed.
fn churn(segment: &Segment, channel: &mut Channel) {
    channel.say("ready");
    for i in 0..u64::MAX {
        let name = format!("churn-{}-{}", std::process::id(), i % 5);
        let words: Words = segment.object(&name, Spec::new(1 + i * 37 % 400, i)).expect("make");
        let again = words.all().len();
        assert!(again > 0);
        if i % 2 == 0 {
            drop(words);
            segment.remove_object(&name).expect("nobody uses it");
        } else {
            segment.unlink_object(&name).expect("it is there");
            assert!(words.are(i), "{words:?}");
        }
    }
}
