//! Starts peers, and never leaves one behind.

pub(crate) mod python;

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmkit_segment::{Segment, ShareSegment};
use shmkit_tests::{Channel, KEY, play_forked};

/// How long a peer may take for anything.
const LIMIT: Duration = Duration::from_secs(20);

/// How a peer comes to be that plays in a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Exec,
    Fork,
}

impl By {
    /// Every way.
    pub(crate) const ALL: [Self; 2] = [Self::Exec, Self::Fork];

    /// Starts a peer that plays `<subject>/<script>`.
    #[track_caller]
    pub(crate) fn peer(self, script: &str, args: &[&str], segment: &Segment) -> Peer {
        match self {
            Self::Exec => Peer::heir(script, args, KEY, segment),
            Self::Fork => Peer::fork(script, |channel| play_forked(script, args, segment, channel)),
        }
    }
}

/// A process at the other end, freshly executed or forked; killed if the test forgets it.
#[derive(Debug)]
pub(crate) struct Peer {
    pid: Pid,
    channel: Channel,
    name: String,
    ended: Option<WaitStatus>,
}

impl Peer {
    /// Executes `peer <script> <args>`; `prepare` may hand things over.
    #[track_caller]
    pub(crate) fn execute(script: &str, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        Self::execute_by(script, args, |command| {
            prepare(command);
            command.spawn()
        })
    }

    /// Executes `peer <script> <args>`, which inherits the segment under `key`.
    #[track_caller]
    pub(crate) fn heir(script: &str, args: &[&str], key: &str, segment: &Segment) -> Self {
        Self::execute_by(script, args, |command| {
            command.share_segment(key, segment).unwrap().spawn()
        })
    }

    /// Executes `peer <script> <args>`, which `start` starts.
    #[track_caller]
    pub(crate) fn execute_by(
        script: &str,
        args: &[&str],
        start: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer"));
        command.arg(script).args(args);
        Self::program(command, script, start)
    }

    /// Executes another program, which hears and says lines.
    #[track_caller]
    pub(crate) fn program(
        mut command: Command,
        name: &str,
        start: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Self {
        let (theirs_in, ours_out) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let (ours_in, theirs_out) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        command.stdin(Stdio::from(theirs_in)).stdout(Stdio::from(theirs_out));
        #[expect(
            clippy::zombie_processes,
            reason = "`wait` reaps it by its number, as a forked one"
        )]
        let child = start(&mut command).unwrap();
        Self::new(Pid::from_raw(child.id() as i32), ours_in, ours_out, name)
    }

    /// Forks a child that runs `scene` and ends, with status 0 if the scene did not panic.
    #[track_caller]
    pub(crate) fn fork(name: &str, scene: impl FnOnce(&mut Channel)) -> Self {
        let (theirs_in, ours_out) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let (ours_in, theirs_out) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        // SAFETY: the child runs the scene and ends by `_exit`; glibc's malloc is usable in the forked child of a
        // process with threads, and the scene uses no lock that a test thread might hold.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Self::new(child, ours_in, ours_out, name),
            ForkResult::Child => {
                let died_with_parent = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
                drop((ours_in, ours_out));
                let mut channel = Channel::new(theirs_in, theirs_out);
                let ended = catch_unwind(AssertUnwindSafe(|| {
                    died_with_parent.unwrap();
                    scene(&mut channel);
                }));
                // SAFETY: ends the process at once, without the parent's exit handlers.
                unsafe { libc::_exit(if ended.is_ok() { 0 } else { 101 }) }
            }
        }
    }

    fn new(pid: Pid, input: OwnedFd, output: OwnedFd, name: &str) -> Self {
        Self { pid, channel: Channel::new(input, output), name: name.to_owned(), ended: None }
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Tells the peer a line.
    #[track_caller]
    pub(crate) fn say(&mut self, line: &str) {
        self.channel.say(line);
    }

    /// Hears a line from the peer, within the limit.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        match self.channel.try_hear(LIMIT) {
            Some(line) => line,
            None => {
                let ended = self.poll();
                panic!("peer {} said nothing; ended: {ended:?}", self.name)
            }
        }
    }

    /// Hears a line and checks that it is this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str) {
        assert_eq!(self.hear(), line, "from peer {}", self.name);
    }

    /// Waits until the peer's main thread sleeps in a futex call.
    #[track_caller]
    pub(crate) fn wait_until_in_futex(&self) {
        wait_until_in_futex(self.pid);
    }

    /// Waits until the peer's main thread sleeps in this system call, in which it may be now or later: nothing is said
    /// of a single instant, in which a loaded machine may show anything.
    #[track_caller]
    pub(crate) fn wait_until_in(&self, call: libc::c_long) {
        wait_until_in(self.pid, call);
    }

    /// Returns the state of the main thread as a letter: R, S, D, T, t, Z, X.
    pub(crate) fn state(&self) -> char {
        state(self.pid)
    }

    /// Sends a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        assert!(self.ended.is_none(), "peer {} has ended", self.name);
        kill(self.pid, signal).unwrap();
    }

    /// Stops the peer (SIGSTOP) and waits until it is.
    #[track_caller]
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        wait_until(|| self.state() == 'T');
    }

    /// Lets a stopped peer go on.
    #[track_caller]
    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills the peer as a crash would: no destructor runs. Returns when it is gone.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        let status = self.wait();
        assert!(
            matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
            "peer {} ended before it was killed: {status:?}",
            self.name
        );
    }

    /// Waits for the peer to end by itself, and expects success.
    #[track_caller]
    pub(crate) fn join(mut self) {
        let status = self.wait();
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "peer {}: {status:?}", self.name);
    }

    #[track_caller]
    fn wait(&mut self) -> WaitStatus {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.poll() {
                return status;
            }
            assert!(Instant::now() < deadline, "peer {} does not end", self.name);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn poll(&mut self) -> Option<WaitStatus> {
        if self.ended.is_none() {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR) => {}
                Ok(status) => self.ended = Some(status),
                Err(error) => panic!("waitpid of peer {}: {error}", self.name),
            }
        }
        self.ended
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// Waits for a peer to bring something about, and fails if it takes too long.
#[track_caller]
pub(crate) fn wait_until(mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !happened() {
        assert!(Instant::now() < deadline, "it never happened");
        std::thread::yield_now();
    }
}

/// Returns the state of a process's main thread as a letter (proc_pid_stat(5)).
fn state(pid: Pid) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.trim_start().chars().next().unwrap_or('X')
}

/// Waits until a process's main thread sleeps in a futex call.
#[track_caller]
pub(crate) fn wait_until_in_futex(pid: Pid) {
    wait_until_in(pid, libc::SYS_futex);
}

/// Waits until a process's main thread sleeps in this system call.
#[track_caller]
fn wait_until_in(pid: Pid, call: libc::c_long) {
    let syscall = format!("/proc/{pid}/syscall");
    let number = call.to_string();
    wait_until(|| {
        let now = std::fs::read_to_string(&syscall).unwrap_or_default();
        state(pid) == 'S' && now.split(' ').next() == Some(&number)
    });
}

/// The children of this process will be in a PID namespace of their own, of which the first is process 1.
pub(crate) fn new_pid_namespace() {
    use nix::sched::{CloneFlags, unshare};
    // As root, or as anybody with a user namespace of one's own.
    unshare(CloneFlags::CLONE_NEWPID)
        .or_else(|_| unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID))
        .unwrap();
}

/// A segment name of this test alone.
pub(crate) fn unique(test: &str) -> String {
    // Two tests may share what calls this, and run at once; and a child that one of them has forked may keep a listener for a moment.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{test}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}

#[test]
fn a_peer_hears_and_says() {
    let mut peer = Peer::execute("channel/echo", &["hello", "there"], |_| ());
    peer.expect("hello there");
    peer.say("again");
    peer.expect("again");
    peer.say("end");
    peer.join();
}

#[test]
fn a_forked_child_hears_and_says() {
    let mut peer = Peer::fork("echo", |channel| {
        let line = channel.hear();
        channel.say(&line);
    });
    peer.say("again");
    peer.expect("again");
    peer.join();
}

#[test]
fn a_stopped_peer_is_stopped_and_a_killed_one_gone() {
    let mut peer = Peer::execute("channel/echo", &["up"], |_| ());
    peer.expect("up");
    peer.stop();
    peer.resume();
    peer.say("x");
    peer.expect("x");
    peer.kill();
}
