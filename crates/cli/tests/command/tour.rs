//! `shmkit tour`, as it is run: its verdict, its kills, and what it makes of odd files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{
    BIG, BIG_LINE, Ended, LIMIT, command, end, number, of, patiently, segment, tour, tree, until,
    workers,
};

#[test]
fn workers_are_killed_and_the_survivors_finish() {
    let (dir, lines, words) = tree();
    let report = tour(&["--json"], &[dir.path()]).good();
    assert_eq!(
        (number(&report["parallel"]["lines"]), number(&report["parallel"]["words"])),
        (lines, words)
    );
    assert_eq!(number(&report["files"]["listed"]), 40);
    assert_eq!(number(&report["files"]["empty"]), 1);

    let (mutex, pipe) = (&report["kills"]["in_mutex"], &report["kills"]["in_pipe"]);
    assert_ne!(mutex["pid"], pipe["pid"]);
    let started: BTreeSet<_> =
        report["by_worker"].as_array().unwrap().iter().map(|w| number(&w["pid"])).collect();
    // One in the place of each of the two, unless the others have finished the work by then.
    assert!((4..=6).contains(&started.len()), "{started:?}");
    for killed in [mutex, pipe] {
        assert!(started.contains(&number(&killed["pid"])));
        assert!(killed["peer_died_ms"].as_f64().unwrap() > 0.0);
    }
    // The update was really half done: the heir had to undo it, and the chunk was counted anew.
    assert!(number(&report["owner_died"]) >= 1);
    assert_eq!(number(&mutex["undone"]), 1);
    assert_eq!(number(&mutex["handed_out_again"]), 1);
    assert!(mutex["recovered_ms"].as_f64().unwrap() > 0.0);
    let heir = number(&mutex["heir"]);
    assert!(started.contains(&heir), "{heir} took no part");
    assert_ne!(heir, number(&mutex["pid"]), "a survivor");
    assert_eq!(number(&report["lost_workers"]), 0);
}

#[test]
fn the_calm_version_kills_nobody() {
    let (dir, ..) = tree();
    let report = tour(&["--json", "--no-kill", "--workers", "2"], &[dir.path()]).good();
    assert_eq!(report["kills"], Value::Null);
    assert_eq!((number(&report["owner_died"]), number(&report["handed_out_again"])), (0, 0));
    assert_eq!(report["by_worker"].as_array().unwrap().len(), 2);
}

#[test]
fn one_worker_and_eight_do_it_as_well() {
    let (dir, ..) = tree();
    for workers in ["1", "8"] {
        let report = tour(&["--json", "-w", workers], &[dir.path()]).good();
        assert!(!report["kills"]["in_mutex"].is_null() && !report["kills"]["in_pipe"].is_null());
        let started = report["by_worker"].as_array().unwrap().len();
        // Replaced, unless nothing was left to do by then; a worker that is alone must have been, after the first kill.
        let workers: usize = workers.parse().unwrap();
        assert!((workers.max(2)..=workers + 2).contains(&started), "{started} of {workers}");
    }
}

#[test]
fn the_smallest_inputs_have_room_for_both_kills() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    for text in ["", "x", "a b"] {
        fs::write(&file, text).unwrap();
        for workers in ["1", "3"] {
            let report = tour(&["--json", "-w", workers], &[&file]).good();
            assert_eq!(number(&report["single"]["bytes"]), text.len() as u64);
            assert!(
                !report["kills"]["in_mutex"].is_null() && !report["kills"]["in_pipe"].is_null()
            );
        }
    }
}

#[test]
fn people_read_both_sides_line_by_line() {
    let (dir, lines, _) = tree();
    let ended = tour(&[], &[dir.path()]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    for part in [
        "40 files",
        "4 workers",
        "one process",
        "histogram",
        "half-way through an update, mutex held",
        "half-way through a report, pipe half filled",
        "left in /dev/shm: nothing",
        "processes left: none",
        "OK: every figure agrees",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} is missing in {}", ended.stdout);
    }
    let row = ended.stdout.lines().find(|line| line.contains("lines")).unwrap();
    assert!(row.contains("yes"), "{row}");
    assert!(lines > 1000, "so that it is printed with a comma");
    assert_eq!(ended.stderr, "", "no progress bar where there is no terminal");
}

#[test]
fn without_a_path_sources_below_the_current_folder_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["src", "target", ".git"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for name in ["src/a.rs", "b.toml", "c.md", "d.txt", "target/e.rs", ".git/f.md"] {
        fs::write(dir.path().join(name), "three bytes?").unwrap();
    }
    let child = command(&["--json"], &[]).current_dir(dir.path()).spawn().unwrap();
    assert_eq!(number(&end(child).good()["files"]["listed"]), 3);
    let child = command(&[], &[]).current_dir(dir.path()).spawn().unwrap();
    assert!(end(child).stdout.contains("without `target` and dot-folders"));

    let empty = tempfile::tempdir().unwrap();
    let ended = end(command(&[], &[]).current_dir(empty.path()).spawn().unwrap());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("no *.rs, *.toml or *.md file"), "{}", ended.stderr);
}

#[test]
fn odd_files_are_named_and_the_verdict_stays() {
    let (dir, ..) = tree();
    let root = dir.path();
    let binary: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    fs::write(root.join("binary"), binary).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    symlink(root, root.join("loop")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let report = tour(&["--json"], &[root]).good();
    let files = &report["files"];
    assert_eq!(number(&files["listed"]), 42);
    assert_eq!((number(&files["binary"]), number(&files["empty"])), (1, 2));
    assert_eq!((number(&files["links"]), number(&files["special"])), (2, 1));
    let ended = tour(&["--no-kill"], &[root]);
    assert!(
        ended.stdout.contains("1 binary") && ended.stdout.contains("2 symbolic links"),
        "{}",
        ended.stdout
    );
}

/// Runs a tour as somebody whom permissions hold up: root may read everything.
#[track_caller]
fn as_nobody(args: &[&str], paths: &[&Path]) -> Ended {
    if !nix::unistd::geteuid().is_root() {
        return tour(args, paths);
    }
    let nobody = 65534;
    // From a place where nobody may go, too.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("shmkit");
    fs::copy(env!("CARGO_BIN_EXE_shmkit"), &program).unwrap();
    let mut command = of(&program, args, paths);
    command.current_dir("/").uid(nobody).gid(nobody);
    end(patiently(|| command.spawn()))
}

#[test]
fn a_file_that_cannot_be_read_is_skipped_by_both_sides() {
    let (dir, ..) = tree();
    let (secret, closed) = (dir.path().join("2.txt"), dir.path().join("closed"));
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("file"), "text").unwrap();
    for path in [&secret, &closed] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let ended = as_nobody(&["--json"], &[dir.path()]);
    // What was named itself has to be counted.
    for named in [&secret, &closed] {
        let refused = as_nobody(&[], &[named, &dir.path().join("4.txt")]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let name = named.file_name().unwrap().to_str().unwrap();
        let (name, why) = (refused.stderr.contains(name), refused.stderr.contains("ermission"));
        assert!(name && why, "{}", refused.stderr);
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    check_skipped(&ended.good(), &secret, &closed);
}

#[track_caller]
fn check_skipped(report: &Value, secret: &Path, closed: &Path) {
    let skipped = report["files"]["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 1, "{report:#}");
    assert_eq!(skipped[0]["path"], secret.canonicalize().unwrap().to_str().unwrap());
    assert!(skipped[0]["why"].as_str().unwrap().contains("ermission denied"));
    assert_eq!(number(&skipped[0]["counted_bytes"]), 0);
    let unreadable = report["files"]["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 1);
    assert_eq!(unreadable[0]["path"], closed.canonicalize().unwrap().to_str().unwrap());
    let listed = number(&report["files"]["listed_bytes"]);
    assert_eq!(number(&report["parallel"]["bytes"]), listed - number(&skipped[0]["listed_bytes"]));
}

/// Files that vanish and shrink while the workers run. The tour is stopped when it has listed them (its segment is
/// there), and goes on when they are gone.
#[test]
fn files_that_vanish_or_shrink_are_left_out_by_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    // In the order of their names: the last ones are counted last.
    fs::write(dir.path().join("0-big"), BIG_LINE.repeat(BIG)).unwrap();
    let (shrinks, vanishes) = (dir.path().join("8-shrinks"), dir.path().join("9-vanishes"));
    let report = (0..5).find_map(|_| {
        fs::write(&shrinks, "one two three\n".repeat(3000)).unwrap();
        fs::write(&vanishes, "one two three\n".repeat(3000)).unwrap();
        let mut child = command(&["--json", "-w", "1"], &[dir.path()]).spawn().unwrap();
        until(&mut child, |child| segment(child).exists());
        let tour = Pid::from_raw(child.id().cast_signed());
        // Its worker gets no more than two chunks of the big file meanwhile.
        kill(tour, Signal::SIGSTOP).unwrap();
        fs::remove_file(&vanishes).unwrap();
        fs::File::options().write(true).open(&shrinks).unwrap().set_len(14_003).unwrap();
        kill(tour, Signal::SIGCONT).unwrap();
        let ended = end(child);
        // On a busy machine it may have been stopped too late.
        (ended.json()["files"]["skipped"].as_array().unwrap().len() == 2).then(|| ended.good())
    });
    let report = report.expect("a tour that is stopped in time");
    let skipped = &report["files"]["skipped"];
    assert!(skipped[0]["path"].as_str().unwrap().ends_with("8-shrinks"));
    assert_eq!(number(&skipped[0]["counted_bytes"]), 14_003);
    assert!(skipped[0]["why"].as_str().unwrap().contains("shorter"));
    assert!(skipped[1]["path"].as_str().unwrap().ends_with("9-vanishes"));
    assert_eq!(number(&skipped[1]["counted_bytes"]), 0);
    assert!(skipped[1]["why"].as_str().unwrap().contains("No such file"));
    assert_eq!(number(&report["parallel"]["bytes"]), (BIG_LINE.len() * BIG + 14_003) as u64);
    assert_eq!(number(&report["parallel"]["words"]), 2 * BIG as u64 + 3 * 1000 + 1);
}

#[test]
fn what_is_wrong_with_the_command_line_is_said() {
    let (dir, ..) = tree();
    let nothing = dir.path().join("nothing");
    let ended = tour(&[], &[&nothing]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("nothing") && ended.stderr.contains("No such file"),
        "{}",
        ended.stderr
    );
    for workers in ["0", "65", "-1", "many"] {
        let ended = tour(&[&format!("--workers={workers}")], &[dir.path()]);
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.stderr.contains(workers) && ended.stderr.contains("--workers"),
            "{}",
            ended.stderr
        );
    }
}

/// If the tour itself is killed, its workers end, and the last of them takes the segment's name with it.
#[test]
fn a_killed_tour_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("big"), BIG_LINE.repeat(BIG)).unwrap();
    // On a busy machine a tour may be over before anybody looks.
    let kill_one = |_| {
        let mut child = command(&["--no-kill", "-w", "2"], &[dir.path()]).spawn().unwrap();
        let begun = until(&mut child, |child| workers(child.id()).len() == 2);
        child.kill().unwrap();
        child.wait().unwrap();
        begun.then(|| (child.id(), segment(&child)))
    };
    let (tour, left) = (0..5).find_map(kill_one).expect("a tour that is killed in time");
    let begun = Instant::now();
    while !workers(tour).is_empty() || left.exists() {
        assert!(begun.elapsed() < LIMIT, "something is left of the tour {tour}");
        thread::sleep(Duration::from_millis(2));
    }
}
