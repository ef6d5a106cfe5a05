//! The process at the other end of every test: what it can be told to do, and how it is spoken with.
//!
//! A *script* is a function that a freshly executed peer runs by name (`peer <subject>/<script> [ARG…]`), and that a
//! forked child of a test can call as well. Order is made by what the two sides say to each other over a
//! [`Channel`], never by sleeping.

pub mod cell;
mod channel;
pub mod directory;
mod heirs;
mod leaked;
pub mod locking;
pub mod patience;
pub mod pipe;
pub mod roster;
pub mod rwlock;
pub mod segment;
pub mod segment_faults;
pub mod sync;
mod tracker;
pub mod waiting;

pub use crate::channel::Channel;

/// Runs the script `name`.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub fn run(name: &str, args: &[String], channel: &mut Channel) {
    let (subject, script) = name.split_once('/').expect("a script is called <subject>/<script>");
    match subject {
        "cell" => cell::run(script, args, channel),
        "channel" => echo(script, args, channel),
        "directory" => directory::run(script, args, channel),
        "heirs" => heirs::run(script, args),
        "locking" => locking::run(script, args, channel),
        "patience" => patience::run(script, args, channel),
        "sync" => sync::run(script, args, channel),
        "tracker" => tracker::run(script, args, channel),
        "waiting" => waiting::run(script, args, channel),
        "pipe" => pipe::run(script, args, channel),
        "roster" => roster::run(script, args, channel),
        "rwlock" => rwlock::run(script, channel),
        "segment" => segment::run(script, args, channel),
        _ => panic!("no script {name}"),
    }
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
