//! The watcher: that it cleans up, that there is one, and that nothing is lost with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use shmkit_segment::Options;
use tempfile::TempDir;

use crate::support::{Peer, new_pid_namespace, wait_until};

/// A folder of segments of one test. Whatever watches over it ends when it is removed.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn text(&self) -> &str {
        self.path().to_str().unwrap()
    }

    pub(crate) fn segment(&self, name: &str) -> PathBuf {
        self.path().join(format!("shmkit.{name}"))
    }

    /// A program with a tracker here.
    #[track_caller]
    pub(crate) fn client(&self) -> Peer {
        let mut peer = Peer::execute("tracker/client", &[self.text()], |_| ());
        peer.expect("ready");
        peer
    }

    /// What lies here but the register.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| *name != format!("shmkit.tracker-{}", geteuid()))
            .collect();
        names.sort();
        names
    }

    pub(crate) fn has_register(&self) -> bool {
        self.segment(&format!("tracker-{}", geteuid())).exists()
    }

    /// The watchers over this folder: those who have it open.
    pub(crate) fn watchers(&self) -> Vec<Pid> {
        let ours = fs::metadata(self.path()).unwrap();
        let processes = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw));
        processes.filter(|&pid| is_watcher(pid) && has_open(pid, &ours)).collect()
    }
}

fn is_watcher(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "shmkit-watch\n")
}

fn has_open(pid: Pid, what: &fs::Metadata) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files
        .filter_map(|file| fs::metadata(file.ok()?.path()).ok())
        .any(|file| (file.dev(), file.ino()) == (what.dev(), what.ino()))
}

#[track_caller]
pub(crate) fn told(peer: &mut Peer, line: &str, answer: &str) {
    peer.say(line);
    peer.expect(answer);
}

#[test]
fn the_last_ones_death_removes_a_segment_and_anybody_elses_does_not() {
    let folder = Folder::new();
    let mut observer = folder.client();
    told(&mut observer, "start", "Started");
    let (mut maker, mut other) = (folder.client(), folder.client());
    told(&mut maker, "create a", "created");
    told(&mut other, "open a", "opened");
    told(&mut other, "create b", "created");
    maker.kill();
    // Both are told of; the watcher does first what comes first.
    let mut third = folder.client();
    told(&mut third, "create c", "created");
    third.kill();
    wait_until(|| !folder.segment("c").exists());
    assert_eq!(folder.names(), ["shmkit.a", "shmkit.b"]);
    other.kill();
    wait_until(|| folder.names().is_empty());
    observer.say("end");
    observer.join();
}

#[test]
fn what_died_before_it_began_is_removed_and_what_is_persistent_stays() {
    let folder = Folder::new();
    let persistent = Options::new(64).persistent(true).directory(folder.path());
    drop(persistent.create("p").unwrap());
    fs::write(folder.segment("foreign"), "not ours").unwrap();
    let (mut client, mut maker) = (folder.client(), folder.client());
    told(&mut maker, "create a", "created");
    maker.kill();
    assert!(folder.segment("a").exists(), "nobody but a creator looks around");
    told(&mut client, "start", "Started");
    wait_until(|| !folder.segment("a").exists());
    assert_eq!(folder.names(), ["shmkit.foreign", "shmkit.p"]);
}

#[test]
fn there_is_one_however_many_ask() {
    let folder = Folder::new();
    let mut clients: Vec<_> = (0..8).map(|_| folder.client()).collect();
    for client in &mut clients {
        client.say("start");
    }
    let answers: Vec<_> = clients.iter_mut().map(Peer::hear).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "Started").count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer == "Started" || answer == "Running"));
    wait_until(|| folder.watchers().len() == 1);
    // TRK-04: it is used by whoever comes.
    told(&mut folder.client(), "start", "Running");
    assert_eq!(folder.watchers().len(), 1);
}

/// TRK-02, TRK-03.
#[test]
fn a_signal_to_end_is_ignored_and_a_killed_one_is_followed_by_another() {
    let folder = Folder::new();
    let (mut one, mut two) = (folder.client(), folder.client());
    told(&mut one, "start", "Started");
    told(&mut two, "start", "Running");
    wait_until(|| folder.watchers().len() == 1);
    let first = folder.watchers()[0];
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        kill(first, signal).unwrap();
    }
    told(&mut one, "create a", "created");
    told(&mut two, "create b", "created");
    kill(first, Signal::SIGKILL).unwrap();
    // Nobody asks: one of those who have is woken.
    wait_until(|| folder.watchers().iter().any(|&pid| pid != first));
    one.kill();
    wait_until(|| !folder.segment("a").exists());
    let second = folder.watchers()[0];
    kill(second, Signal::SIGKILL).unwrap();
    wait_until(|| folder.watchers().iter().any(|&pid| pid != second));
    two.kill();
    wait_until(|| folder.names().is_empty() && !folder.has_register());
    wait_until(|| folder.watchers().is_empty());
}

#[test]
fn who_asks_after_a_kill_is_told_once() {
    let folder = Folder::new();
    let mut client = folder.client();
    told(&mut client, "start", "Started");
    wait_until(|| folder.watchers().len() == 1);
    let watcher = folder.watchers()[0];
    // Nobody is left who would start another one.
    client.stop();
    kill(watcher, Signal::SIGKILL).unwrap();
    let mut other = folder.client();
    other.say("start");
    // The stopped one may have been given the lock, and has it as long as it is stopped.
    client.kill();
    let answer = other.hear();
    assert!(["Restarted", "Running"].contains(&&*answer), "{answer}");
    told(&mut other, "start", "Running");
}

#[test]
fn it_outlives_its_starter_and_ends_when_there_is_nothing_to_watch() {
    let folder = Folder::new();
    let (mut starter, mut other) = (folder.client(), folder.client());
    told(&mut starter, "start", "Started");
    told(&mut other, "create a", "created");
    starter.kill();
    wait_until(|| folder.watchers().len() == 1);
    other.kill();
    wait_until(|| folder.names().is_empty() && !folder.has_register());
    wait_until(|| folder.watchers().is_empty());
}

/// TRK-10, TRK-11, TRK-14: there is no pipe to it that a child could hold open, so that nobody who stops has to give up waiting.
/// TRK-12: nor one that a child could close.
#[test]
fn nobody_waits_for_it_and_it_waits_for_no_child() {
    for closes in [false, true] {
        let folder = Folder::new();
        let mut peer = Peer::fork("parent", |channel| {
            let tracker = shmkit_tracker::Tracker::in_directory(folder.path()).unwrap();
            tracker.start().unwrap();
            // SAFETY: the child sleeps until it is killed, and its parent waits for it.
            let child = unsafe { libc::fork() };
            if child == 0 {
                if closes {
                    // SAFETY: the child uses no descriptor any more.
                    unsafe { libc::close_range(3, u32::MAX, 0) };
                }
                nix::unistd::pause();
            }
            channel.say(&child.to_string());
            channel.hear();
        });
        let child = Pid::from_raw(peer.hear().parse().unwrap());
        peer.say("end");
        peer.join();
        wait_until(|| folder.watchers().is_empty());
        // It lives.
        kill(child, Signal::SIGKILL).unwrap();
    }
}

/// TRK-09.
#[test]
fn who_starts_it_has_the_signal_mask_and_the_children_of_before() {
    let folder = Folder::new();
    let mut peer = Peer::fork("starter", |channel| {
        use nix::sys::signal::SigSet;
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGUSR1);
        mask.thread_set_mask().unwrap();
        shmkit_tracker::Tracker::in_directory(folder.path()).unwrap().start().unwrap();
        assert_eq!(SigSet::thread_get_mask().unwrap(), mask);
        let none = nix::sys::wait::waitpid(None, None).unwrap_err();
        assert_eq!(none, nix::errno::Errno::ECHILD, "it has no child");
        channel.say("checked");
        channel.hear();
    });
    peer.expect("checked");
    wait_until(|| folder.watchers().len() == 1);
    let status = fs::read_to_string(format!("/proc/{}/status", folder.watchers()[0])).unwrap();
    assert!(status.contains("\nSigBlk:\t0000000000000000\n"), "{status}");
    peer.say("end");
    peer.join();
}

#[test]
fn it_keeps_nothing_of_its_starters() {
    let folder = Folder::new();
    let mut client = folder.client();
    told(&mut client, "create a", "created");
    told(&mut client, "start", "Started");
    wait_until(|| folder.watchers().len() == 1);
    let watcher = folder.watchers()[0];
    let maps = || fs::read_to_string(format!("/proc/{watcher}/maps")).unwrap();
    wait_until(|| !maps().lines().any(|line| line.contains("/dev/shm")));
    let files = || {
        let files = fs::read_dir(format!("/proc/{watcher}/fd")).unwrap();
        let names = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        names.filter(|name| name != Path::new("/dev/null")).count()
    };
    // The folder, the register, and what tells it of deaths; and a moment's look at a segment.
    wait_until(|| files() == 3);
    assert_eq!(fs::read_link(format!("/proc/{watcher}/cwd")).unwrap(), Path::new("/"));
    told(&mut client, "leave", "left");
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn a_register_that_is_removed_by_force_ends_it_and_who_asks_has_another() {
    let folder = Folder::new();
    let mut client = folder.client();
    told(&mut client, "start", "Started");
    fs::write(folder.path().join("thing"), "").unwrap();
    let thing = folder.path().join("thing").to_str().unwrap().to_owned();
    told(&mut client, &format!("register file {thing}"), "registered");
    wait_until(|| folder.watchers().len() == 1);
    fs::remove_file(folder.segment(&format!("tracker-{}", geteuid()))).unwrap();
    wait_until(|| folder.watchers().is_empty());
    // What it had registered, it has registered again.
    told(&mut client, &format!("register file {thing}"), "registered");
    wait_until(|| folder.has_register() && folder.watchers().len() == 1);
    told(&mut client, "start", "Running");
    for answer in ["true", "true", "false"] {
        told(&mut client, &format!("unregister file {thing}"), answer);
    }
    told(&mut client, &format!("register file {thing}"), "registered");
    client.kill();
    wait_until(|| folder.names().is_empty() && !folder.has_register());
}

/// Containers that share `/dev/shm` have PID namespaces of their own, in which a number means somebody else, or nobody.
#[test]
fn deaths_in_another_pid_namespace_are_seen() {
    let folder = Folder::new();
    let mut watched = folder.client();
    told(&mut watched, "start", "Started");
    let mut outside = Peer::fork("outside", |channel| {
        new_pid_namespace();
        // SAFETY: the child does the scene and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
            assert_eq!(std::process::id(), 1);
            shmkit_tests::tracker::client(folder.text(), channel);
            std::process::exit(0);
        }
        nix::sys::wait::waitpid(Pid::from_raw(pid), None).unwrap();
    });
    outside.expect("ready");
    told(&mut outside, "create a", "created");
    fs::write(folder.path().join("sem.s"), "").unwrap();
    told(&mut outside, "register semaphore s", "registered");
    told(&mut outside, "start", "Running");
    assert_eq!(folder.names(), ["sem.s", "shmkit.a"]);
    // The one inside goes with the one outside.
    outside.kill();
    wait_until(|| folder.names().is_empty());
}
