//! Every system call of making a segment, of coming to one and of growing it fails once, as the manuals say that it may.

#![cfg(target_arch = "x86_64")]

use std::fs;
use std::path::Path;

use libc::{c_long, user_regs_struct};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use shmkit_segment::Segment;
use shmkit_tests::directory::{Spec, Words};
use shmkit_tests::injection::{LARGE, growing};

use crate::segment::directory;
use crate::support::Peer;

/// Whether a call may fail so.
fn fits(errno: Errno, regs: &user_regs_struct) -> bool {
    let call = regs.orig_rax as c_long;
    let opens = matches!(call, libc::SYS_open | libc::SYS_openat | libc::SYS_memfd_create);
    let command = regs.rsi as i32;
    match errno {
        Errno::EMFILE => {
            let copies = call == libc::SYS_fcntl && command == libc::F_DUPFD_CLOEXEC;
            opens || copies || matches!(call, libc::SYS_dup | libc::SYS_dup3 | libc::SYS_socket)
        }
        Errno::ENOSPC => {
            let makes =
                call == libc::SYS_openat && regs.rdx as i32 & libc::O_TMPFILE == libc::O_TMPFILE;
            makes || matches!(call, libc::SYS_fallocate | libc::SYS_linkat | libc::SYS_memfd_create)
        }
        Errno::ENOMEM => {
            // The allocator's own are not the segment's.
            let maps = call == libc::SYS_mmap && regs.r8 as i32 != -1;
            opens || maps || matches!(call, libc::SYS_linkat | libc::SYS_mremap)
        }
        Errno::EINTR => {
            let waits = call == libc::SYS_fcntl && command == libc::F_OFD_SETLKW;
            opens && call != libc::SYS_memfd_create || waits || call == libc::SYS_fallocate
        }
        _ => false,
    }
}

/// Plays a script whose `n`th call that fits fails; returns which call that was, if there are so many.
fn play(script: &str, directory: &Path, errno: Errno, n: usize) -> Option<c_long> {
    let path = directory.to_str().unwrap();
    let peer = Peer::execute(&format!("injection/{script}"), &[path], |_| ());
    let pid = peer.pid();
    let stopped = |status| matches!(status, Ok(WaitStatus::Stopped(_, Signal::SIGSTOP)));
    assert!(stopped(waitpid(pid, None)), "at the first mark");
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options).unwrap();
    let (mut failed, mut seen) = (None, 0);
    loop {
        // To the beginning of the next call, or to the second mark.
        ptrace::syscall(pid, None).unwrap();
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceSyscall(_) => {}
            WaitStatus::Stopped(_, Signal::SIGSTOP) => break,
            other => panic!("{script} with {errno} at call {n}: {other:?}"),
        }
        let mut regs = ptrace::getregs(pid).unwrap();
        let call = regs.orig_rax as c_long;
        let fails = failed.is_none() && fits(errno, &regs) && {
            seen += 1;
            seen == n + 1
        };
        if fails {
            failed = Some(call);
            // No such call: the kernel does nothing.
            regs.orig_rax = u64::MAX;
            ptrace::setregs(pid, regs).unwrap();
        }
        ptrace::syscall(pid, None).unwrap();
        match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceSyscall(_) => {}
            other => panic!("{script} with {errno} at call {n}: {other:?}"),
        }
        if fails {
            let mut regs = ptrace::getregs(pid).unwrap();
            regs.rax = -i64::from(errno as i32) as u64;
            ptrace::setregs(pid, regs).unwrap();
        }
    }
    ptrace::detach(pid, None).unwrap();
    peer.join();
    failed
}

/// Has each call of a script fail in each way, one at a time, and `look` at what is left of what was `prepared` for it.
fn everywhere<T>(script: &str, directory: &Path, prepare: impl Fn() -> T, look: impl Fn(&T)) {
    let mut calls = 0;
    for errno in [Errno::ENOSPC, Errno::EMFILE, Errno::ENOMEM, Errno::EINTR] {
        let mut n = 0;
        loop {
            let prepared = prepare();
            let failed = play(script, directory, errno, n);
            // Also when nothing has failed any more.
            look(&prepared);
            if failed.is_none() {
                break;
            }
            n += 1;
            assert!(n < 500, "an endless loop");
        }
        calls += n;
    }
    assert!(calls >= 2, "{script} makes {calls} system calls that can fail");
}

fn names(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// A segment that may grow, with an object in it.
fn living(directory: &Path) -> Segment {
    let segment = growing(directory).create("it").unwrap();
    let _: Words = segment.make("before", Spec::new(10, 7)).unwrap();
    segment
}

#[test]
fn a_failed_call_of_who_makes_a_segment_is_told_and_leaves_nothing() {
    let directory = directory();
    for script in ["create", "create-growing", "anonymous"] {
        let path = directory.path();
        everywhere(script, path, || {}, |()| assert_eq!(names(path), 0, "{script}"));
    }
}

#[test]
fn a_failed_call_of_who_comes_to_a_segment_is_told_and_changes_nothing() {
    let directory = directory();
    let prepare = || living(directory.path());
    everywhere("open", directory.path(), prepare, |segment| {
        assert_eq!(names(directory.path()), 1);
        assert!(segment.find::<Words>("before").unwrap().are(7));
    });
}

#[test]
fn a_failed_call_of_who_grows_a_segment_is_told_and_loses_nothing() {
    let directory = directory();
    // One that has grown once does not need to again.
    let prepare = || living(directory.path());
    everywhere("grow", directory.path(), prepare, |segment| {
        assert!(segment.find::<Words>("large").unwrap().are(5));
        assert!(segment.find::<Words>("before").unwrap().are(7));
        segment.remove_object("large").unwrap();
        assert!(segment.len() < 4 * 8 * LARGE, "{}", segment.len());
    });
}
