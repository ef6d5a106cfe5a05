//! `shmkit ls` and `shmkit gc`, as people and scripts run them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use shmkit::{Objects, Options, Segment};
use tempfile::TempDir;

use crate::support::patiently;

/// A directory of this test alone, where segments can be.
fn directory() -> TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn options(directory: &TempDir) -> Options {
    Options::new(1 << 16).directory(directory.path())
}

/// Leaves a segment in which everybody was killed: the bytes of a living one, in which nobody lives.
fn leave(directory: &TempDir, name: &str, live: &Segment) -> PathBuf {
    let path = directory.path().join(format!("shmkit.{name}"));
    plant(&path, &fs::read(live.path().unwrap()).unwrap());
    path
}

fn plant(path: &Path, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

fn shmkit(directory: &Path, args: &[impl AsRef<OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    command.args(args).arg("--directory").arg(directory).output().unwrap()
}

#[track_caller]
fn text(output: &Output, status: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(stderr, "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn parsed(output: &Output, status: i32) -> Value {
    serde_json::from_str(&text(output, status)).unwrap()
}

#[test]
fn ls_shows_what_lives_and_what_it_holds() {
    let directory = directory();
    let segment = options(&directory).content("weather/1").create("rain").unwrap();
    let hits = segment.value("hits", 5_i64).unwrap();
    segment.semaphore("gate", 3).unwrap();
    leave(&directory, "left", &segment);

    let json = parsed(&shmkit(directory.path(), &["ls", "--json"]), 0);
    assert_eq!(json["foreign"], json!([]));
    assert_eq!(json["unreadable"], json!([]));
    let [left, rain] = &json["segments"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!(left["name"], "left");
    assert_eq!(
        (&left["in_use"], &left["living"], &left["dead"]),
        (&json!(false), &json!(0), &json!(1))
    );
    assert_eq!(
        (&rain["in_use"], &rain["living"], &rain["dead"]),
        (&json!(true), &json!(1), &json!(0))
    );
    assert_eq!(
        (&rain["kind"], &rain["state"], &left["state"]),
        (&json!("named"), &json!("live"), &json!("orphan"))
    );
    assert!(
        rain["resident"].as_u64().unwrap() > 0 && rain["age"].as_u64().is_none_or(|age| age < 60)
    );
    assert_eq!(rain["content"], "weather/1");
    assert_eq!(rain["size"], segment.header().size);
    assert_eq!(rain["participants"][0]["pid"], std::process::id());
    assert_eq!(rain["participants"][0]["state"], "alive");
    assert_eq!(rain["objects"][0]["name"], "hits");
    assert_eq!(rain["objects"][0]["kind"], "value");
    assert_eq!(rain["objects"][0]["type"], "i64");
    assert_eq!(rain["objects"][1]["name"], "gate");
    assert_eq!(rain["objects"][1]["length"], 3);

    assert_eq!(rain["objects"][1]["kind"], "semaphore");
    let me = &rain["participants"][0]["id"];
    assert_eq!(rain["objects"][0]["users"], json!([me]));
    assert_eq!(rain["objects"][1]["users"], json!([]));
    assert_eq!(rain["objects"][1]["creator"], *me);
    assert_eq!(
        (&rain["objects"][1]["generation"], &rain["objects"][1]["unlinked"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(left["objects"][0]["users"], json!([]), "they are dead");

    let table = text(&shmkit(directory.path(), &["ls"]), 0);
    let row = table.lines().find(|line| line.starts_with("rain")).unwrap();
    let columns: Vec<_> = row.split_whitespace().collect();
    assert_eq!(columns[1], "live");
    assert_eq!(columns[6..], ["1", "0", "2", "weather/1"]);
    assert!(!table.contains("hits"), "{table}");
    let long = text(&shmkit(directory.path(), &["ls", "-l"]), 0);
    assert!(long.contains("value of i64 (8 bytes)"), "{long}");
    assert!(long.contains(&std::process::id().to_string()), "{long}");
    segment.unlink_object("hits").unwrap();
    let long = text(&shmkit(directory.path(), &["ls", "-l"]), 0);
    assert!(long.contains("value of i64 (8 bytes), unlinked"), "{long}");
    drop(hits);
    let long = text(&shmkit(directory.path(), &["ls", "-l"]), 0);
    // The other segment has one of that name, too.
    assert!(!long.split("\nrain: ").nth(1).unwrap().contains("hits"), "{long}");
}

#[test]
fn rm_removes_an_object_that_nobody_uses() {
    let directory = directory();
    let segment = options(&directory).create("rain").unwrap();
    let hits = segment.value("hits", 5_i64).unwrap();
    segment.value("misses", 5_i64).unwrap();
    let out = text(&shmkit(directory.path(), &["rm", "rain/misses"]), 0);
    assert_eq!(out, "removed rain/misses\n");
    let refused = shmkit(directory.path(), &["rm", "rain/hits", "rain/none"]);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains("--force") && why.contains("uses it"), "{why}");
    assert!(why.contains("\"none\""), "{why}");
    text(&shmkit(directory.path(), &["rm", "--force", "rain/hits"]), 0);
    assert!(segment.objects().unwrap()[0].is_unlinked);
    hits.set(6).unwrap();
    drop(hits);
    assert!(segment.objects().unwrap().is_empty());
}

#[test]
fn ls_says_how_large_a_segment_is_and_how_large_it_may_become() {
    let directory = directory();
    let segment = options(&directory).max(64 << 20).create("rain").unwrap();
    segment.array("large", &vec![0_u64; 1 << 17][..]).unwrap();
    let json = parsed(&shmkit(directory.path(), &["ls", "--json"]), 0);
    let rain = &json["segments"][0];
    assert_eq!(
        (rain["size"].as_u64(), rain["limit"].as_u64()),
        (Some(segment.len()), Some(segment.limit()))
    );
    let table = text(&shmkit(directory.path(), &["ls"]), 0);
    assert!(table.contains("1.0 MiB of 64.0 MiB"), "{table}");
}

#[test]
fn ls_of_nothing_says_so() {
    let directory = directory();
    let out = text(&shmkit(directory.path(), &["ls"]), 0);
    assert_eq!(out, format!("no segments in {}\n", directory.path().display()));
    let json = parsed(&shmkit(directory.path(), &["ls", "--json"]), 0);
    assert_eq!(json["segments"], json!([]));
}

#[test]
fn what_is_no_segment_is_shown_as_such_and_stays() {
    let directory = directory();
    let foreign = directory.path().join("shmkit.foreign");
    plant(&foreign, b"somebody else's");
    let json = parsed(&shmkit(directory.path(), &["ls", "--json"]), 0);
    assert_eq!(json["foreign"][0]["name"], "foreign");
    assert!(json["foreign"][0]["why"].as_str().unwrap().contains("another program"), "{json}");
    let json = parsed(&shmkit(directory.path(), &["gc", "--yes", "--json"]), 0);
    assert_eq!(json["files"][0]["verdict"], "foreign");
    assert_eq!(json["dead"], 0);
    assert!(foreign.exists());
}

#[test]
fn a_broken_directory_of_objects_is_reported_and_the_others_listed() {
    let directory = directory();
    let segment = options(&directory).create("good").unwrap();
    segment.value("hits", 5_i64).unwrap();
    let mut bytes = fs::read(segment.path().unwrap()).unwrap();
    let at = bytes.windows(5).position(|bytes| bytes == b"hits\0").unwrap() - 32;
    bytes[at] = 7;
    plant(&directory.path().join("shmkit.bad"), &bytes);
    let json = parsed(&shmkit(directory.path(), &["ls", "--json"]), 1);
    let error = json["segments"][0]["objects_error"].as_str().unwrap();
    assert!(error.contains("the state of entry 0 is 0x7"), "{error}");
    assert_eq!(json["segments"][1]["objects"][0]["name"], "hits");
    let table = text(&shmkit(directory.path(), &["ls"]), 1);
    assert!(table.contains("entry 0"), "{table}");
}

#[test]
fn gc_removes_only_what_is_dead_and_only_when_told() {
    let directory = directory();
    let living = options(&directory).create("living").unwrap();
    let persistent = options(&directory).persistent(true).create("kept").unwrap();
    let kept = persistent.path().unwrap().to_owned();
    drop(persistent);
    // Last: whoever creates a segment sweeps a little.
    let dead = leave(&directory, "dead", &living);

    let verdicts = |json: &Value| -> Vec<(String, String)> {
        let files = json["files"].as_array().unwrap().iter();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        files.map(|file| (word(&file["name"]), word(&file["verdict"]))).collect()
    };
    let expected = |dead: &str| {
        [("dead", dead), ("kept", "persistent"), ("living", "in-use")]
            .map(|(name, verdict)| (name.to_owned(), verdict.to_owned()))
    };
    let json = parsed(&shmkit(directory.path(), &["gc", "--json"]), 6);
    assert_eq!(verdicts(&json), expected("removable"));
    assert_eq!((&json["dry_run"], &json["dead"]), (&json!(true), &json!(1)));
    assert_eq!(json["bytes"], living.header().size);
    let out = text(&shmkit(directory.path(), &["gc"]), 6);
    assert!(out.contains("would remove 1 segment") && out.contains("--yes"), "{out}");
    assert!(dead.exists(), "nobody said yes");

    let json = parsed(&shmkit(directory.path(), &["gc", "--yes", "--json"]), 0);
    assert_eq!(verdicts(&json), expected("removed"));
    assert_eq!((&json["dry_run"], &json["dead"]), (&json!(false), &json!(1)));
    assert!(!dead.exists() && kept.exists() && living.is_linked());
    let out = text(&shmkit(directory.path(), &["gc", "--yes"]), 0);
    assert!(out.contains("nothing to remove"), "{out}");
}

#[test]
fn a_directory_that_cannot_be_read_is_an_error_that_says_what_to_do() {
    let directory = directory();
    let missing = directory.path().join("missing");
    for command in ["ls", "gc"] {
        let output = shmkit(&missing, &[command]);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("cannot look for segments in"), "{error}");
        assert!(error.contains("mount a tmpfs there"), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_name_that_is_no_text_keeps_its_bytes() {
    let directory = directory();
    let name = OsStr::from_bytes(b"shmkit.\xff!");
    plant(&directory.path().join(name), b"somebody else's");
    let listed = parsed(&shmkit(directory.path(), &["ls", "--json"]), 0);
    let swept = parsed(&shmkit(directory.path(), &["gc", "--json"]), 0);
    let path = directory.path().join(name);
    for file in [&listed["foreign"][0], &swept["files"][0]] {
        assert_eq!(file["name"], "\u{fffd}!");
        assert_eq!(file["path_bytes"], json!(path.as_os_str().as_bytes()));
    }
    let table = text(&shmkit(directory.path(), &["gc"]), 0);
    assert!(table.contains("\\xff!"), "{table}");
}

#[test]
fn what_has_a_name_that_is_no_text_is_removed_as_any_other() {
    let directory = directory();
    let living = options(&directory).create("living").unwrap();
    let renamed = |bytes: &'static [u8]| {
        let name = [b"shmkit.".as_slice(), bytes].concat();
        let path = directory.path().join(OsStr::from_bytes(&name));
        fs::rename(leave(&directory, "dead", &living), &path).unwrap();
        path
    };
    // What it is shown as is another name, which a file may have.
    let shown = leave(&directory, "\u{fffd}!", &living);
    let dead = renamed(b"\xff!");
    let removed = shmkit(directory.path(), &[OsStr::new("rm"), OsStr::from_bytes(b"\xff!")]);
    assert_eq!(text(&removed, 0), "removed \\xff!\n");
    assert!(!dead.exists() && shown.exists());
    fs::remove_file(shown).unwrap();

    let dead = renamed(b"\xfe");
    let json = parsed(&shmkit(directory.path(), &["gc", "--yes", "--json"]), 0);
    let verdicts: Vec<_> =
        json["files"].as_array().unwrap().iter().map(|f| &f["verdict"]).collect();
    assert_eq!(verdicts, ["in-use", "removed"], "{json}");
    assert!(!dead.exists() && living.is_linked());
}

#[test]
fn a_name_cannot_write_to_the_terminal() {
    let directory = directory();
    let _segment = options(&directory).create("a\u{1b}[2J\nb").unwrap();
    let table = text(&shmkit(directory.path(), &["ls", "-l"]), 0);
    assert!(!table.contains('\u{1b}'), "{table:?}");
    assert!(table.contains("a\\u{1b}[2J\\nb"), "{table}");
    let json = parsed(&shmkit(directory.path(), &["ls", "--json"]), 0);
    assert_eq!(json["segments"][0]["name"], "a\u{1b}[2J\nb");
}

/// What a test makes as root and looks at as somebody else; `None` where it is not run by root.
#[track_caller]
fn as_nobody(directory: &TempDir, args: &[&str]) -> Option<Output> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    // From a place where nobody may go, too.
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("shmkit");
    fs::copy(env!("CARGO_BIN_EXE_shmkit"), &program).unwrap();
    for path in [place.path(), directory.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(program);
    command.args(args).arg("--directory").arg(directory.path()).current_dir("/");
    command.uid(65534).gid(65534);
    Some(patiently(|| command.output()))
}

#[test]
fn another_users_segment_is_no_error() {
    let directory = directory();
    let _segment = options(&directory).create("roots").unwrap();
    for command in ["ls", "gc"] {
        let Some(output) = as_nobody(&directory, &[command, "--json"]) else { return };
        let json = parsed(&output, 0);
        let (listed, swept) = (&json["foreign"][0], &json["files"][0]);
        let why = listed["why"].as_str().or(swept["why"].as_str());
        assert!(why.unwrap().contains("it belongs to user 0"), "{json}");
        let table = text(&as_nobody(&directory, &[command]).unwrap(), 0);
        assert!(table.contains("it belongs to user 0"), "{table}");
    }
}

#[test]
fn root_removes_other_users_segments_only_when_told() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = directory();
    let living = options(&directory).create("living").unwrap();
    let dead = leave(&directory, "dead", &living);
    std::os::unix::fs::chown(&dead, Some(65534), Some(65534)).unwrap();
    let json = parsed(&shmkit(directory.path(), &["gc", "--yes", "--json"]), 0);
    assert_eq!(json["files"][0]["verdict"], "foreign");
    assert!(dead.exists());
    let json = parsed(&shmkit(directory.path(), &["gc", "--yes", "--json", "--all-users"]), 0);
    assert_eq!(json["files"][0]["verdict"], "removed");
    assert!(!dead.exists() && living.is_linked());
}

#[test]
fn what_is_damaged_is_removed_only_when_told() {
    let directory = directory();
    let living = options(&directory).create("living").unwrap();
    let cut = leave(&directory, "cut", &living);
    fs::File::options().write(true).open(&cut).unwrap().set_len(4096).unwrap();
    let out = text(&shmkit(directory.path(), &["gc", "--yes"]), 0);
    assert!(out.contains("--damaged") && cut.exists(), "{out}");
    let json = parsed(&shmkit(directory.path(), &["gc", "--damaged", "--json"]), 6);
    assert_eq!(json["files"][0]["verdict"], "removable");
    assert!(cut.exists(), "nobody said yes");
    let json = parsed(&shmkit(directory.path(), &["gc", "--damaged", "--yes", "--json"]), 0);
    assert_eq!(json["files"][0]["verdict"], "removed");
    assert!(!cut.exists() && living.is_linked());
}

#[test]
fn rm_removes_what_is_persistent_and_what_is_in_use_only_by_force() {
    let directory = directory();
    let kept = options(&directory).persistent(true).create("kept").unwrap();
    let path = kept.path().unwrap().to_owned();
    let fails = |args: &[&str], part: &str| {
        let output = shmkit(directory.path(), args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(part), "{error}");
    };
    fails(&["rm", "kept"], "in use by 1 participant");
    assert!(path.exists());
    drop(kept);
    assert_eq!(text(&shmkit(directory.path(), &["rm", "kept"]), 0), "removed kept\n");
    assert!(!path.exists());
    fails(&["rm", "kept"], "`shmkit ls` shows what there is");

    let living = options(&directory).create("living").unwrap();
    text(&shmkit(directory.path(), &["rm", "--force", "living"]), 0);
    assert!(!living.is_linked());
    plant(&directory.path().join("shmkit.foreign"), b"somebody else's");
    fails(&["rm", "foreign"], "another program");
    fails(&["rm", "--force", "foreign"], "foreign");
    assert!(directory.path().join("shmkit.foreign").exists());
}
