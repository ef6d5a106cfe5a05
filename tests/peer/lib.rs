//! The process at the other end of every test: what it can be told to do, and how it is spoken with.
//!
//! A *script* is a function that a freshly executed peer runs by name (`peer <subject>/<script> [ARG…]`), and that a
//! forked child of a test can call as well. Order is made by what the two sides say to each other over a
//! [`Channel`], never by sleeping.

pub mod broadcast;
pub mod cell;
mod channel;
mod collections;
pub mod connection;
mod crowds;
pub mod directory;
pub mod duplex;
pub mod frames;
pub mod growth;
mod heirs;
pub mod injection;
mod leaked;
pub mod locking;
pub mod messages;
mod observer;
pub mod oneself;
mod passing;
pub mod patience;
pub mod pipe;
pub mod queue;
pub mod roster;
pub mod rwlock;
pub mod schema;
pub mod segment;
pub mod segment_faults;
pub mod sync;
pub mod tracker;
mod wait;
pub mod waiting;

use shmkit::Segment;

pub use crate::channel::Channel;

/// The key under which an executed peer inherits the segment that it plays in.
pub const KEY: &str = "segment";

/// Before a script's name: the peer opens the segment that its first argument names, instead of inheriting one.
pub const BY_NAME: &str = "by-name:";

/// Runs the script `name` of a freshly executed peer.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub fn run(name: &str, args: &[String], channel: &mut Channel) {
    if let Some(name) = name.strip_prefix(BY_NAME) {
        let segment = Segment::open(&args[0]).expect("open");
        return play(name, &args[1..], &segment, channel);
    }
    let (subject, script) = split(name);
    match subject {
        "channel" => echo(script, args, channel),
        "connection" => connection::run(script, args, channel),
        "directory" => directory::run(script, args, channel),
        "duplex" => duplex::run(script, args, channel),
        "growth" => growth::run(script, args, channel),
        "heirs" => heirs::run(script, args),
        "injection" => injection::run(script, args),
        "tracker" => tracker::run(script, args, channel),
        "observer" => observer::run(script, args, channel),
        "passing" => passing::run(script, args, channel),
        "pipe" => pipe::run(script, args, channel),
        "roster" => roster::run(script, args, channel),
        "schema" => schema::run(script, args, channel),
        "segment" => segment::run(script, args, channel),
        _ => play(name, args, &Segment::inherited(KEY).expect("inherited"), channel),
    }
}

/// Joins in a forked child, and plays the script `name` there.
///
/// # Panics
///
/// As [`run`], or if it cannot join.
pub fn play_forked(name: &str, args: &[&str], segment: &Segment, channel: &mut Channel) {
    segment.join_after_fork().expect("joined");
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    play(name, &args, segment, channel);
}

/// The scripts of a peer that has joined its segment.
fn play(name: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    let (subject, script) = split(name);
    match subject {
        "broadcast" => broadcast::play(script, args, segment, channel),
        "cell" => cell::play(script, args, segment, channel),
        "collections" => collections::play(script, segment, channel),
        "crowds" => crowds::play(script, args, segment, channel),
        "frames" => frames::play(script, segment, channel),
        "grower" => growth::play(segment, channel),
        "locking" => locking::play(script, args, segment, channel),
        "messages" => messages::play(script, args, segment, channel),
        "oneself" => oneself::play(script, segment, channel),
        "queue" => queue::play(script, args, segment, channel),
        "patience" => patience::play(script, args, segment, channel),
        "rwlock" => rwlock::play(script, segment, channel),
        "sync" => sync::play(script, args, segment, channel),
        "wait" => wait::play(script, segment, channel),
        "waiting" => waiting::play(script, args, segment, channel),
        _ => panic!("no script {name}"),
    }
}

fn split(name: &str) -> (&str, &str) {
    name.split_once('/').expect("a script is called <subject>/<script>")
}

/// Proves the channel itself: says its arguments, then what it hears, until it hears `end`.
fn echo(script: &str, args: &[String], channel: &mut Channel) {
    assert_eq!(script, "echo");
    channel.say(&args.join(" "));
    loop {
        match channel.hear().as_str() {
            "end" => return,
            line => channel.say(line),
        }
    }
}
