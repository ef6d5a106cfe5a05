//! Peers that make, join and leave segments, and do as they are told in between.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use shmkit_atomic::AtomicU8;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Offset;
use shmkit_roster::Judge;
use shmkit_segment::{OpenOptions, Options, Segment, SegmentError, ShareSegment};

use crate::Channel;

/// The scripts: how to come to the segment. Arguments: a directory and a name, or a key.
pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    if script == "start" {
        // For whoever wants all peers to begin at once.
        channel.say("ready");
        channel.hear();
        return run(&args[0], &args[1..], channel);
    }
    let options = || small(Path::new(&args[0]));
    let segment = match script {
        "create" => options().create(&args[1]),
        "persist" => options().persistent(true).create(&args[1]),
        "open-or-create" => options().open_or_create(&args[1]),
        "open" => OpenOptions::new().directory(&args[0]).open(&args[1]),
        "open-as-nobody" => {
            let owner = nix::unistd::geteuid().as_raw();
            crate::segment_faults::become_nobody();
            let open = OpenOptions::new().directory(&args[0]).owner(owner).mode(0o666);
            open.open(&args[1])
        }
        "inherited" => Segment::inherited(&args[0]),
        "inherited-as-nobody" => {
            crate::segment_faults::become_nobody();
            Segment::inherited(&args[0])
        }
        "leaked" => return crate::leaked::run(args, channel),
        "own-number" => return own_number(args, channel),
        "ticket" => return by_ticket(args, channel),
        _ => return crate::segment_faults::run(script, args),
    };
    obey(segment, channel);
}

/// The segments of these tests.
pub fn small(directory: &Path) -> Options {
    Options::new(512).participants(8).objects(4).directory(directory)
}

/// The last byte of a segment, which no object has.
pub fn last(segment: &Segment) -> &AtomicU8 {
    // SAFETY: only the last byte is used, and the tests that do so make no object so large.
    let region = unsafe { segment.region() };
    region.get(Offset::new(region.len() as u64 - 1).unwrap()).unwrap()
}

/// Says that it has joined, then does what it hears until it hears `end`.
pub fn obey(segment: Result<Segment, SegmentError>, channel: &mut Channel) {
    let segment = match segment {
        Ok(segment) => segment,
        Err(error) => return channel.say(&format!("{:?}", error.kind())),
    };
    channel.say("joined");
    loop {
        let line = channel.hear();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match verb {
            "put" => {
                let byte: u8 = rest.parse().expect("a byte");
                last(&segment).store(byte, Relaxed);
                "put".to_owned()
            }
            "get" => last(&segment).load(Relaxed).to_string(),
            "cookie" => segment.header().cookie.to_string(),
            "name" => segment.name().unwrap_or("none").to_owned(),
            "linked" => segment.is_linked().to_string(),
            "again" => Segment::inherited(rest).map_or_else(
                |error| format!("{:?}", error.kind()),
                |again| (again.participant().me() == segment.participant().me()).to_string(),
            ),
            "pass" => pass_on(&segment, rest, channel),
            "leave" => {
                drop(segment);
                return channel.say("left");
            }
            _ => panic!("no verb {verb}"),
        };
        channel.say(&answer);
    }
}

/// Hands the segment to a grandchild, which puts a byte.
fn pass_on(segment: &Segment, byte: &str, channel: &mut Channel) -> String {
    let program = std::env::current_exe().expect("/proc");
    let mut command = Command::new(program);
    command.args(["segment/put", "passed", byte]).stdin(Stdio::null());
    let status = command.share_segment("passed", segment).expect("share").status().expect("start");
    channel.say("passed");
    status.code().unwrap_or(-1).to_string()
}

/// Closes all descriptors, as daemons do, comes to the segment by name, and asks for the inherited one.
fn own_number(args: &[String], channel: &mut Channel) {
    let variable = std::env::var(format!("SHMKIT_SEGMENT_{}", args[0])).expect("shared");
    let number =
        variable.split(':').next().and_then(|number| number.parse().ok()).expect("a number");
    // SAFETY: the descriptors that the parent made for this program are nobody's yet; the channel has others.
    unsafe { libc::close(number) };
    let mut others = Vec::new();
    let segment = loop {
        let open = OpenOptions::new().directory(&args[1]).open(&args[2]).expect("open");
        if open.file().expect("open").as_raw_fd() == number {
            break open;
        }
        drop(open);
        others.push(std::fs::File::open("/dev/null").expect("open"));
    };
    let again = Segment::inherited(&args[0]).expect("inherited");
    let same = again.participant().me() == segment.participant().me();
    // SAFETY: asks whether a number is open.
    let open = unsafe { libc::fcntl(number, libc::F_GETFD) } != -1;
    channel.say(match (same, open) {
        (true, true) => "the same number, open",
        (true, false) => "the same, closed",
        _ => "another",
    });
}

/// Joins by ticket, as a user who may not open the file.
fn by_ticket(args: &[String], channel: &mut Channel) {
    use std::os::fd::{FromRawFd, OwnedFd};

    crate::segment_faults::become_nobody();
    let [file, ticket] = [&args[0], &args[1]].map(|fd| {
        let fd = fd.parse().expect("a number");
        // SAFETY: the test has opened both for this process, which uses each once.
        unsafe { OwnedFd::from_raw_fd(fd) }
    });
    let open = OpenOptions::new().owner(None);
    let error = open.from_owned_fd(file.try_clone().expect("dup")).expect_err("it may not");
    channel.say(&error.to_string());
    let segment = open.from_ticket(file, ticket);
    if let Ok(segment) = &segment {
        channel.say(&segment.participant().me().expect("joined").get().to_string());
    }
    obey(segment, channel);
}
