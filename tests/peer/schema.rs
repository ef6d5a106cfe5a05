//! A program that was built from other definitions than its peer: of each type of [`old`] there is another one here by the
//! same name.

use shmkit::bytemuck::{Zeroable, bytes_of_mut};
use shmkit::{Checked, ObjectError, ObjectErrorKind, Objects, Pad, Segment, ShmSafe, Value};

use crate::Channel;

/// What the peer was built from.
pub mod old {
    use shmkit::{Checked, ShmSafe};

    /// Larger than a word, with a field that is checked.
    #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
    #[repr(C)]
    pub struct Reading {
        /// Who has read.
        pub station: u64,
        /// When.
        pub at: u64,
        /// What for.
        pub mode: Checked<Mode>,
        /// Whether in each quarter of an hour.
        pub quarters: [Checked<bool>; 4],
        /// What comes last.
        pub rest: [u8; 3],
    }

    /// A number with names.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, ShmSafe)]
    #[repr(u8)]
    pub enum Mode {
        /// Is 0.
        Slow,
        /// Is 1.
        Fast,
    }

    /// A name of more than 32 bytes.
    #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
    #[repr(C)]
    pub struct HourlyPrecipitationOfTheWholeCatchmentArea {
        /// In millimetres.
        pub depth: f64,
    }

    /// Checked as a whole.
    #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
    #[repr(C)]
    pub struct Switch {
        /// No value but 0 and 1.
        pub on: bool,
        /// What it was before, if it was anything.
        pub before: Option<bool>,
        /// What for.
        pub mode: Option<Mode>,
        /// A number that is not 0, or nothing.
        pub step: Option<std::num::NonZero<u8>>,
        /// A letter.
        pub letter: char,
    }
}

/// Another `Reading`, with a field that is narrower.
#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[repr(C)]
struct Reading {
    station: u64,
    at: u32,
    _pad: Pad<4>,
    mode: Checked<Mode>,
    quarters: [Checked<bool>; 4],
    rest: [u8; 3],
}

/// Another `Mode`, with a variant more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ShmSafe)]
#[repr(u8)]
enum Mode {
    Slow,
    Fast,
    Still,
}

#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[repr(C)]
struct HourlyPrecipitationOfTheWholeCatchmentArea {
    inches: f64,
}

/// The script of a peer; the first argument is the segment's name.
pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    let segment = Segment::open(&args[0]).expect("open");
    match script {
        "differ" => differ(&segment, channel),
        "same" => same(&segment, channel),
        "spoil" => spoil(&segment, channel),
        _ => panic!("no script {script}"),
    }
}

/// Asks for everything by its own definitions, and says how it is refused.
fn differ(segment: &Segment, channel: &mut Channel) {
    let mut refused = |error: Option<ObjectError>| {
        let error = error.expect("another definition is refused");
        assert_eq!(error.kind(), ObjectErrorKind::WrongShape, "{error}");
        channel.say(&error.to_string());
    };
    refused(segment.value::<Reading>("last", Zeroable::zeroed()).err());
    refused(segment.mutex::<Reading>("guarded", Zeroable::zeroed()).err());
    refused(segment.array::<Reading>("all", 3).err());
    refused(segment.pipe::<Reading>("sent", 8).err());
    refused(segment.value("mode", Checked::new(Mode::Still)).err());
    refused(segment.find::<Value<HourlyPrecipitationOfTheWholeCatchmentArea>>("long").err());
}

/// Finds what its peer has made, and answers.
fn same(segment: &Segment, channel: &mut Channel) {
    let switch = segment.find::<Value<Checked<old::Switch>>>("switch").expect("find");
    let mut found = switch.get().expect("lock").get().expect("valid");
    found.on = !found.on;
    found.letter = 'ß';
    switch.set(found.into()).expect("lock");
    channel.say("done");
}

/// Writes bytes that are no `Switch`.
fn spoil(segment: &Segment, channel: &mut Channel) {
    let value = segment.find::<Value<Checked<old::Switch>>>("switch").expect("find");
    value.update(|switch| bytes_of_mut(switch)[2] = 77).expect("lock");
    channel.say("done");
}
