//! `shmkit doctor`, and what shells and readers are given.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use shmkit::Options;

fn shmkit(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shmkit")).args(args).output().unwrap()
}

/// The names of what was found wrong.
#[track_caller]
fn findings(directory: &Path) -> (Option<i32>, Vec<Value>) {
    let directory = directory.to_str().unwrap();
    let output = shmkit(&["doctor", "--json", "--directory", directory]);
    assert!(output.stderr.is_empty(), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    for finding in json["findings"].as_array().unwrap() {
        for key in ["what", "found", "why", "mend"] {
            assert!(!finding[key].as_str().unwrap().is_empty(), "{key} of {finding}");
        }
    }
    (output.status.code(), json["findings"].as_array().unwrap().clone())
}

fn of<'a>(what: &str, findings: &'a [Value]) -> Option<&'a Value> {
    findings.iter().find(|finding| finding["what"] == what)
}

#[test]
fn what_was_left_behind_is_found_and_mended_as_it_says() {
    let folder = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let at = folder.path().to_str().unwrap();
    let (_, before) = findings(folder.path());
    assert!(of("left behind", &before).is_none() && of("named segments", &before).is_none());

    // The bytes of a living one, in which nobody lives.
    let living = Options::new(1 << 14).directory(folder.path()).create("living").unwrap();
    let bytes = fs::read(living.path().unwrap()).unwrap();
    let dead = folder.path().join("shmkit.dead");
    fs::write(&dead, bytes).unwrap();
    fs::set_permissions(&dead, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (code, found) = findings(folder.path());
    assert_eq!(code, Some(6));
    let left = of("left behind", &found).unwrap_or_else(|| panic!("{found:?}"));
    assert!(left["found"].as_str().unwrap().starts_with("1 segment"), "{left}");
    let mend = left["mend"].as_str().unwrap();
    assert_eq!(mend, format!("shmkit gc --yes --directory {at}"));
    let words: Vec<_> = mend.split(' ').skip(1).collect();
    assert!(shmkit(&words).status.success());
    assert!(!dead.exists() && living.is_linked());
    assert!(of("left behind", &findings(folder.path()).1).is_none());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "its own segment is gone");
}

#[test]
fn a_directory_that_is_not_there_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let (code, found) = findings(&folder.path().join("missing"));
    assert_eq!(code, Some(6));
    let missing = of("file system", &found).unwrap();
    assert!(missing["mend"].as_str().unwrap().contains("mount -t tmpfs"), "{missing}");
    assert!(of("named segments", &found).is_some());
}

#[test]
fn a_small_limit_is_a_finding() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64; ulimit -v 4000000; exec \"$0\" doctor --json"]);
    let output = shell.arg(env!("CARGO_BIN_EXE_shmkit")).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = json["findings"].as_array().unwrap();
    assert_eq!(of("open files", found).unwrap()["mend"], "ulimit -n 4096");
    assert_eq!(of("address space", found).unwrap()["mend"], "ulimit -v unlimited");
}

#[test]
fn people_read_what_is_fine_and_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let output = shmkit(&["doctor", "--directory", missing.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("open files") && text.contains("\n  mend it: mkdir -p "), "{text}");
}

/// What is shipped is what the commands are. To make it anew: `cargo run -- man crates/cli/share/man`, and
/// `cargo run -- completions SHELL > crates/cli/share/completions/…`.
#[test]
fn the_manual_and_the_completions_that_are_shipped_are_current() {
    let share = Path::new(env!("CARGO_MANIFEST_DIR")).join("share");
    let made = tempfile::tempdir().unwrap();
    assert!(shmkit(&["man", made.path().to_str().unwrap()]).status.success());
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    };
    assert_eq!(names(made.path()), names(&share.join("man")));
    for name in names(made.path()) {
        let [made, shipped] = [made.path(), &share.join("man")]
            .map(|folder| fs::read_to_string(folder.join(&name)).unwrap());
        assert!(made == shipped, "{name:?} is another one: make it anew");
    }
    for (shell, name) in [("bash", "shmkit.bash"), ("zsh", "_shmkit"), ("fish", "shmkit.fish")] {
        let made = shmkit(&["completions", shell]).stdout;
        let shipped = fs::read(share.join("completions").join(name)).unwrap();
        assert!(made == shipped, "{name} is another one: make it anew");
    }
}
