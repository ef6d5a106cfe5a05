//! The harness in short: a sample of the points of every scene, and every seeded fault.
//!
//! The program is run, and not its library called: it forks, so it must have one thread, and a test runner has many.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far more than it takes.
const LIMIT: Duration = Duration::from_secs(300);

/// One harness at a time: the creators of one look after the dead segments of the other.
static ONE: Mutex<()> = Mutex::new(());

/// Runs the harness and returns its report; fails if it fails, leaves something, or takes too long.
#[track_caller]
fn report(args: &[&str]) -> Value {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut program = Command::new(env!("CARGO_BIN_EXE_kill"));
    let child = Guard(program.args(args).arg("--json").stdout(Stdio::piped()).spawn().unwrap());
    let output = read_to_end(child);
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["ok"], true, "{output}");
    for entry in std::fs::read_dir("/dev/shm").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains("-kill-"), "{name} was left behind");
    }
    report
}

/// Kills the harness, and with it its children, if the test fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns what the harness printed, if it ends in time.
#[track_caller]
fn read_to_end(mut child: Guard) -> String {
    // Read beside the wait: a full pipe would stop it.
    let mut stdout = child.0.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap());
    let end = Instant::now() + LIMIT;
    while !reader.is_finished() {
        assert!(Instant::now() < end, "the harness did not end in time");
        std::thread::sleep(Duration::from_millis(10));
    }
    reader.join().unwrap()
}

#[test]
fn a_sample_of_every_scene_finds_nothing() {
    let report = report(&["--points", "6"]);
    let scenes = report["scenes"].as_array().unwrap();
    assert!(scenes.len() >= 45, "{} scenes", scenes.len());
    for scene in scenes {
        assert!(scene["points"].as_u64() >= Some(5), "{scene}");
    }
}

/// The long form is `cargo xtask pause`.
#[test]
fn a_sample_of_every_pause_finds_nothing() {
    let report = report(&["--pause", "--points", "6"]);
    let scenes = report["scenes"].as_array().unwrap();
    assert!(scenes.len() >= 40, "{} scenes", scenes.len());
    for scene in scenes {
        assert!(scene["points"].as_u64() >= Some(5), "{scene}");
    }
}

#[test]
fn every_seeded_fault_is_found() {
    let report = report(&["--self-test", "--points", "20"]);
    assert!(report["seeded"].as_array().unwrap().len() >= 10);
}

#[test]
fn random_kills_find_nothing_in_two_seconds() {
    let report = report(&["--scene", "random", "--minutes", "0.034"]);
    assert!(report["random"]["kills"].as_u64() >= Some(10), "{report}");
}

#[test]
fn an_unknown_scene_is_refused() {
    let program = Command::new(env!("CARGO_BIN_EXE_kill")).args(["--scene", "nonesuch"]).output();
    let output = program.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--list"));
}
