//! Programs whose forked children join all that their parent joined.
//!
//! They are freshly executed: what a process has joined is known to the whole process, and a test's neighbours come and
//! go there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe};
use shmkit_roster::{Judge, Verdict};
use shmkit_segment::{ErrorKind, OpenOptions, join_all_after_fork, join_all_at_fork};

use crate::Channel;
use crate::segment::small;

pub(crate) fn run(script: &str, args: &[String]) {
    let directory = Path::new(&args[0]);
    match script {
        "one-call" => one_call_joins_all(directory),
        "by-themselves" => children_join_by_themselves(directory),
        _ => panic!("no script heirs/{script}"),
    }
}

/// All of a program's segments, among them one that only a path leads to and one that cannot be joined.
fn one_call_joins_all(directory: &Path) {
    let mut ours: Vec<_> =
        (0..40).map(|n| small(directory).create(&format!("it-{n}")).expect("create")).collect();
    ours.extend((0..10).map(|_| small(directory).anonymous().expect("create")));
    assert_eq!(join_all_after_fork().expect("joined before"), 50);
    reap(start(|| {
        assert!(ours.iter().all(|segment| segment.participant().me().is_none()));
        assert_eq!(join_all_after_fork().expect("all can be joined"), 50);
        assert!(ours.iter().all(|segment| segment.participant().me().is_some()));
        assert_eq!(join_all_after_fork().expect("joined before"), 50);
    }));
    OpenOptions::new().unlink("it-0").unwrap_err();
    OpenOptions::new().directory(directory).unlink("it-0").expect("unlink");
    reap(start(|| {
        let error = join_all_after_fork().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unlinked);
        for part in ["segment \"it-0\"", "49 others"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let joined = ours.iter().filter(|segment| segment.participant().me().is_some());
        assert_eq!(joined.count(), 49);
    }));
}

fn children_join_by_themselves(directory: &Path) {
    let ours = small(directory).create("it").expect("create");
    let anonymous = small(directory).anonymous().expect("create");
    let mine = ours.participant().me();
    join_all_at_fork(true).expect("handlers");
    let (hears, says) = (pipe().expect("pipe"), pipe().expect("pipe"));
    let mut all = Some((ours, anonymous));
    let mut ends = Some((Channel::new(hears.0, says.1), Channel::new(says.0, hears.1)));
    let child = start(|| {
        let (mut channel, parents) = ends.take().expect("taken once");
        drop(parents);
        let (ours, anonymous) = all.take().expect("taken once");
        let me = ours.participant().me();
        assert!(me.is_some() && me != mine && anonymous.participant().me().is_some());
        channel.say("joined");
        channel.hear();
        // It is the last one, and a child of its own joins as well.
        assert!(ours.is_linked());
        reap(start(|| assert!(ours.participant().me().is_some())));
        // So does one that gives up its privileges, in time.
        reap(start(|| {
            if nix::unistd::geteuid().is_root() {
                crate::segment_faults::become_nobody();
            }
            ours.join_after_fork().expect("it has its place");
            let theirs = me.expect("joined");
            assert_eq!(ours.participant().verdict(theirs), Verdict::Alive);
        }));
        join_all_at_fork(false).expect("handlers");
        reap(start(|| assert!(ours.participant().me().is_none())));
    });
    let (childs, mut channel) = ends.take().expect("taken once");
    drop(childs);
    assert_eq!(channel.hear(), "joined");
    drop(all);
    channel.say("go on");
    reap(child);
}

/// Forks a child that does this and drops what it got.
fn start(scene: impl FnOnce()) -> Pid {
    // SAFETY: this program has one thread; its child ends by `_exit`.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let ended = catch_unwind(AssertUnwindSafe(|| {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("prctl");
                scene();
            }));
            // SAFETY: ends the process at once, without its parent's exit handlers.
            unsafe { libc::_exit(if ended.is_ok() { 0 } else { 101 }) }
        }
        ForkResult::Parent { child } => child,
    }
}

fn reap(child: Pid) {
    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
}
