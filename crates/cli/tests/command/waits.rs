//! `shmkit deadlocks` and `shmkit wait-chains`: two processes that wait for each other, and what becomes of it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shmkit::{Objects, OpenOptions, Options, Process, task};

use crate::support::LIMIT;

/// Takes the lock `first`, meets the other one, and takes the lock `second`.
#[task]
fn take_two(directory: PathBuf, first: String, second: String) -> bool {
    let segment = OpenOptions::new().directory(&directory).open("kitchen").unwrap();
    let [first, second] = [first, second].map(|name| segment.mutex(&name, 0_u64).unwrap());
    let held = first.lock_or_repair(|_| {}).unwrap();
    segment.barrier("both", 2).unwrap().wait_timeout(LIMIT).unwrap();
    // Taken from a dead one, too.
    let taken = second.lock_timeout(LIMIT).or_else(|error| error.into_guard()).is_ok();
    drop(held);
    taken
}

/// Sleeps on the lock alone.
#[task]
fn take_one(directory: PathBuf) -> bool {
    let segment = OpenOptions::new().directory(&directory).open("kitchen").unwrap();
    let pan = segment.mutex("pan", 0_u64).unwrap();
    pan.lock_timeout(LIMIT).is_ok()
}

fn shmkit(command: &[&str], directory: &tempfile::TempDir) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    run.args(command).arg("--directory").arg(directory.path()).output().unwrap()
}

#[track_caller]
fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Asks until the answer is as it should be.
#[track_caller]
fn until(ask: impl Fn() -> Output, is_so: impl Fn(&Output) -> bool) -> Output {
    let begun = Instant::now();
    loop {
        let output = ask();
        if is_so(&output) {
            return output;
        }
        assert!(begun.elapsed() < LIMIT, "it never came to that: {output:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_who_wait_for_each_other_are_found_until_one_is_killed() {
    let directory = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let _segment = Options::new(1 << 16).directory(directory.path()).create("kitchen").unwrap();
    let output = shmkit(&["deadlocks", "--json"], &directory);
    assert_eq!((output.status.code(), &parsed(&output)["deadlocks"]), (Some(0), &json!([])));

    let at = directory.path().to_owned();
    let names = ["pan".to_owned(), "oven".to_owned()];
    let [a, b] = &names;
    let cook = Process::spawn(take_two, (at.clone(), a.clone(), b.clone())).unwrap();
    let baker = Process::spawn(take_two, (at, b.clone(), a.clone())).unwrap();
    let ask = || shmkit(&["deadlocks", "--json"], &directory);
    let output = until(ask, |output| output.status.code() == Some(6));
    assert!(output.stderr.is_empty(), "{output:?}");
    let found = parsed(&output);
    assert_eq!(found["deadlocks"][0]["certain"], true, "{found}");
    let waits = found["deadlocks"][0]["waits"].as_array().unwrap();
    let seen: Vec<_> = waits.iter().map(|wait| (&wait["pid"], &wait["object"])).collect();
    let [one, other] = [json!(cook.pid()), json!(baker.pid())];
    let (pan, oven) = (json!("pan"), json!("oven"));
    let mut expected = [(&one, &oven), (&other, &pan)];
    expected.sort_by_key(|(pid, _)| pid.as_u64());
    assert_eq!(seen, expected, "{found}");
    for (wait, holder) in waits.iter().zip(seen.iter().rev().map(|(pid, _)| *pid)) {
        assert_eq!((&wait["segment"], &wait["kind"]), (&json!("kitchen"), &json!("mutex")));
        assert_eq!(
            (&wait["holders"][0]["pid"], &wait["holders"][0]["alive"]),
            (holder, &json!(true))
        );
    }

    let text = String::from_utf8(shmkit(&["deadlocks"], &directory).stdout).unwrap();
    let sentence = "waits for the mutex \"oven\" of \"kitchen\", which";
    assert!(text.contains(sentence) && text.contains(" holds\n"), "{text}");
    let dot = String::from_utf8(shmkit(&["deadlocks", "--dot"], &directory).stdout).unwrap();
    let edge = format!("  {one} -> {other} [label=\"kitchen/oven\", color=red];\n");
    assert!(dot.starts_with("digraph waits {\n") && dot.contains(&edge), "{dot}");
    let chain = parsed(&shmkit(&["wait-chains", &one.to_string(), "--json"], &directory));
    let steps: Vec<_> =
        chain.as_array().unwrap().iter().map(|step| (&step["depth"], &step["pid"])).collect();
    assert_eq!(steps, [(&json!(0), &one), (&json!(1), &other)]);

    cook.kill().unwrap();
    assert!(cook.join().is_err());
    assert!(baker.join().unwrap(), "the heir has both");
    let output = shmkit(&["deadlocks"], &directory);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn who_waits_for_one_that_does_not_wait_is_in_no_circle() {
    let directory = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let segment = Options::new(1 << 16).directory(directory.path()).create("kitchen").unwrap();
    let pan = segment.mutex("pan", 0_u64).unwrap();
    let held = pan.lock().unwrap();
    let cook = Process::spawn(take_one, (directory.path().to_owned(),)).unwrap();
    let pid = cook.pid().to_string();
    let ask = || shmkit(&["wait-chains", &pid], &directory);
    let output = until(ask, |output| !output.stdout.ends_with(b"waits for nothing in a segment\n"));
    let text = String::from_utf8(output.stdout).unwrap();
    let holds = format!("which {} (", std::process::id());
    assert!(text.contains(&holds) && text.lines().count() == 1, "{text}");
    // Who sleeps for long wakes now and then.
    let ask = || shmkit(&["deadlocks"], &directory);
    let output = until(ask, |output| output.stdout == b"no circle: 1 thread waits\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    drop(held);
    assert!(cook.join().unwrap());
}

#[test]
fn who_waits_is_seen_among_more_segments_than_there_are_descriptors() {
    let directory = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let options = Options::new(1 << 16).participants(8).directory(directory.path());
    let others: Vec<_> = (0..40).map(|n| options.create(&format!("a{n}")).unwrap()).collect();
    let segment = options.create("kitchen").unwrap();
    let pan = segment.mutex("pan", 0_u64).unwrap();
    let held = pan.lock().unwrap();
    let cook = Process::spawn(take_one, (directory.path().to_owned(),)).unwrap();
    let pid = cook.pid().to_string();
    let ask = || {
        let few = "ulimit -n 32 && exec \"$@\"";
        let mut run = Command::new("sh");
        run.args([
            "-c",
            few,
            "sh",
            env!("CARGO_BIN_EXE_shmkit"),
            "wait-chains",
            &pid,
            "--directory",
        ]);
        run.arg(directory.path()).output().unwrap()
    };
    let output = until(ask, |output| !output.stdout.ends_with(b"waits for nothing in a segment\n"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"pan\" of \"kitchen\""), "{text}");
    drop((held, others));
    assert!(cook.join().unwrap());
}
