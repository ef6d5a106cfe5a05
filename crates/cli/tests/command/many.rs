//! Ten thousand segments. Not in the usual run: `SHMKIT_MANY=1 cargo test -p shmkit-cli --test command many -- --nocapture`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use shmkit::{Objects, Options, Segment};
use tempfile::TempDir;

use crate::support::{Ended, end};

const MANY: usize = 10_000;

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn timed(args: &[&str], directory: &Path) -> (Ended, Duration) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    command.args(args).arg("--directory").arg(directory).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let ended = end(command.spawn().unwrap());
    (ended, began.elapsed())
}

/// The least of three times: other programs are at work, too.
fn least(args: &[&str], directory: &Path, is_so: impl Fn(&Ended)) -> Duration {
    let once = || {
        let (ended, took) = timed(args, directory);
        is_so(&ended);
        took
    };
    let took = [once(), once(), once()].into_iter().min().unwrap();
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    eprintln!("{args:?}: {took:?}, load {}", load.trim());
    took
}

fn segment(directory: &TempDir, n: usize) -> Segment {
    let options = Options::new(1 << 12).participants(4).objects(4).directory(directory.path());
    let segment = options.content("many/1").create(&format!("{n:05}")).unwrap();
    segment.value("hits", n as u64).unwrap();
    segment
}

#[test]
fn many_segments_are_listed_within_a_second_and_orphans_removed_within_two() {
    if std::env::var_os("SHMKIT_MANY").is_none() {
        eprintln!("LEFT OUT: ten thousand segments: SHMKIT_MANY is not set");
        return;
    }
    let most = getrlimit(Resource::RLIMIT_NOFILE).unwrap().1;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let folder = directory();
    let living: Vec<_> = (0..MANY).map(|n| segment(&folder, n)).collect();
    for args in [&["ls"][..], &["ls", "--json"], &["gc"]] {
        let took = least(args, folder.path(), |ended| {
            assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
            assert!(ended.stdout.contains("09999"));
        });
        assert!(took < Duration::from_secs(1), "{args:?} of {MANY} took {took:?}");
    }

    // As if all were killed: their bytes, in which nobody lives.
    let orphans = directory();
    for n in 0..MANY {
        let name = format!("shmkit.{n:05}");
        fs::copy(folder.path().join(&name), orphans.path().join(&name)).unwrap();
    }
    let (dry, took) = timed(&["gc"], orphans.path());
    eprintln!("gc without --yes: {took:?}");
    assert_eq!(dry.code, Some(6), "{}", dry.stderr);
    let (removed, took) = timed(&["gc", "--yes"], orphans.path());
    eprintln!("gc --yes: {took:?}");
    assert!(removed.stdout.contains("removed 10000 segments"), "{}", removed.stderr);
    assert_eq!(fs::read_dir(orphans.path()).unwrap().count(), 0);
    assert!(took < Duration::from_secs(2), "gc --yes of {MANY} took {took:?}");
    drop(living);
}
