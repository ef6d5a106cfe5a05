//! The long mixed run in short.
//!
//! The program is run, and not its library called: it forks, so it must have one thread, and a test runner has many.

use std::process::{Command, Stdio};

#[test]
fn whoever_is_killed_every_primitive_stays_whole() {
    let soak = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--minutes", "0.05", "--json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let report = String::from_utf8(soak.stdout).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(soak.status.success(), "{report}");
    assert_eq!(parsed["ok"], true, "{report}");
    assert!(parsed["kills"].as_u64() >= Some(50), "{report}");
}

#[test]
fn a_short_storm_leaves_nothing() {
    for args in [&[][..], &["--no-watcher"]] {
        let storm = Command::new(env!("CARGO_BIN_EXE_storm"))
            .args(["--seconds", "2", "--processes", "24"])
            .args(args)
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&storm.stdout);
        assert!(storm.status.success(), "{report}{}", String::from_utf8_lossy(&storm.stderr));
    }
}

#[test]
fn each_task_of_a_pool_is_answered_once_whoever_is_killed() {
    let soak = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--pool", "--processes", "4", "--minutes", "0.05", "--json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let report = String::from_utf8(soak.stdout).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(soak.status.success(), "{report}");
    assert!(parsed["kills"].as_u64() >= Some(50), "{report}");
}
