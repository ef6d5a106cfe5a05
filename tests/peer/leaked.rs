//! Peers that exit with a segment that nobody drops.

use std::path::Path;
use std::sync::OnceLock;
use std::thread;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shmkit_segment::Segment;

use crate::Channel;
use crate::segment::small;

static HERE: OnceLock<Segment> = OnceLock::new();

/// Runs after the segment's own exit handler, since it is registered before: says so, and waits to be told to go on.
extern "C" fn linger() {
    let said = b"exiting\n";
    // SAFETY: a live buffer of this length, and a descriptor that is open to the end.
    unsafe { libc::write(1, said.as_ptr().cast(), said.len()) };
    let mut heard = 0_u8;
    // SAFETY: a place for one byte.
    unsafe { libc::read(0, (&raw mut heard).cast(), 1) };
}

/// Makes a segment in a directory, keeps it in a `static` or leaks it, and exits as it is told.
pub(crate) fn run(args: &[String], channel: &mut Channel) {
    // SAFETY: a function that lives as long as the program.
    assert_eq!(unsafe { libc::atexit(linger) }, 0);
    let segment = small(Path::new(&args[0])).create(&args[1]).expect("create");
    let segment = match args[2].as_str() {
        "leaked" => segment.leak(),
        _ => HERE.get_or_init(|| segment),
    };
    channel.say("joined");
    loop {
        match channel.hear().as_str() {
            "fork" => {
                // SAFETY: the child exits at once. It has not joined.
                match unsafe { fork() }.expect("fork") {
                    ForkResult::Child => {
                        // So that it does not wait there.
                        for number in [0, 1] {
                            // SAFETY: nobody in this child uses it any more.
                            unsafe { libc::close(number) };
                        }
                        // SAFETY: runs the exit handlers, as a careless child does.
                        unsafe { libc::exit(0) }
                    }
                    ForkResult::Parent { child } => {
                        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
                    }
                }
                channel.say(&segment.is_linked().to_string());
            }
            "return" => return,
            "exit" => std::process::exit(0),
            "exit beside a thread" => {
                thread::spawn(|| {
                    loop {
                        thread::park();
                    }
                });
                std::process::exit(0);
            }
            "abort" => std::process::abort(),
            verb => panic!("no verb {verb}"),
        }
    }
}
