//! Removing what is dead, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use shmkit_segment::{ErrorKind, OpenOptions, RemoveOutcome, Segment, sweep};

use crate::{Name, directory, refused, small};

#[test]
fn a_living_or_missing_segment_is_not_removed() {
    let name = Name::new("alive");
    assert_eq!(Segment::remove_if_dead(&name).unwrap(), RemoveOutcome::Gone);
    let segment = name.create();
    assert_eq!(Segment::remove_if_dead(&name).unwrap(), RemoveOutcome::InUse);
    assert!(segment.is_linked());
}

#[test]
fn a_persistent_segment_is_not_removed() {
    let name = Name::new("kept");
    drop(small().persistent(true).create(&name).unwrap());
    assert_eq!(Segment::remove_if_dead(&name).unwrap(), RemoveOutcome::Persistent);
    assert!(name.exists());
}

/// A dead segment: what a killed process leaves. Its bytes are those of a living one.
fn dead(directory: &std::path::Path, name: &str) {
    let options = small().directory(directory);
    let living = options.create(name).unwrap();
    let path = living.path().unwrap().to_owned();
    let bytes = fs::read(&path).unwrap();
    drop(living);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_sweep_removes_the_dead_alone() {
    let directory = directory();
    let path = directory.path();
    let alive = small().directory(path).create("alive").unwrap();
    drop(small().directory(path).persistent(true).create("persistent").unwrap());
    dead(path, "dead");
    fs::write(path.join("shmkit.text"), "another program's").unwrap();
    fs::write(path.join("other"), fs::read(path.join("shmkit.dead")).unwrap()).unwrap();
    fs::write(path.join("shmkit.cut"), &fs::read(path.join("shmkit.dead")).unwrap()[..500])
        .unwrap();
    fs::create_dir(path.join("shmkit.folder")).unwrap();

    let outcomes = |swept: Vec<sweep::Swept>| -> BTreeMap<String, String> {
        let text = |swept: sweep::Swept| {
            let name = swept.path.file_name().unwrap().to_str().unwrap().to_owned();
            let outcome = match swept.outcome.unwrap() {
                RemoveOutcome::Damaged(_) => "Damaged".to_owned(),
                outcome => format!("{outcome:?}"),
            };
            (name, outcome)
        };
        swept.into_iter().map(text).collect()
    };
    let expected = |dead: &str| -> BTreeMap<String, String> {
        [
            ("shmkit.alive", "InUse"),
            ("shmkit.cut", "Damaged"),
            ("shmkit.dead", dead),
            ("shmkit.folder", "Foreign"),
            ("shmkit.persistent", "Persistent"),
            ("shmkit.text", "Foreign"),
        ]
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .into()
    };
    assert_eq!(outcomes(sweep::survey(path).unwrap()), expected("Dead"));
    assert!(path.join("shmkit.dead").exists());
    assert_eq!(outcomes(sweep::full(path).unwrap()), expected("Removed"));
    assert!(!path.join("shmkit.dead").exists());
    assert!(path.join("other").exists());
    assert!(alive.is_linked());
}

#[test]
fn a_creator_removes_the_dead_of_its_name() {
    let directory = directory();
    dead(directory.path(), "mine");
    let old = fs::metadata(directory.path().join("shmkit.mine")).unwrap();
    let new = small().directory(directory.path()).create("mine").unwrap();
    let path = new.path().unwrap();
    assert_ne!(old.ino(), fs::metadata(path).unwrap().ino());
}

#[test]
fn the_dead_with_other_names_is_left_and_a_creator_told() {
    let directory = directory();
    dead(directory.path(), "mine");
    let path = directory.path().join("shmkit.mine");
    fs::hard_link(&path, directory.path().join("kept")).unwrap();
    let open = OpenOptions::new().directory(directory.path());
    assert_eq!(open.remove_if_dead("mine").unwrap(), RemoveOutcome::Linked(2));
    let survey = sweep::survey(directory.path()).unwrap();
    assert_eq!(*survey[0].outcome.as_ref().unwrap(), RemoveOutcome::Linked(2));
    let create = small().directory(directory.path());
    let says = ["is dead", "has other names (2 in all)", "remove them"];
    refused(create.create("mine"), ErrorKind::AlreadyExists, &says);
    fs::remove_file(directory.path().join("kept")).unwrap();
    assert!(create.create("mine").unwrap().is_linked());
}

/// Locks what a remover does, by a description of its own.
fn be_remover(path: &std::path::Path) -> fs::File {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as _,
        l_whence: nix::libc::SEEK_SET as _,
        l_start: 1 << 61,
        l_len: 16385,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    file
}

#[test]
fn a_creator_waits_for_another_remover() {
    let directory = directory();
    dead(directory.path(), "mine");
    let remover = be_remover(&directory.path().join("shmkit.mine"));
    let open = OpenOptions::new().directory(directory.path());
    assert_eq!(open.remove_if_dead("mine").unwrap(), RemoveOutcome::InUse);
    let (begin, begun) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let creator = scope.spawn(|| {
            begin.send(()).unwrap();
            small().directory(directory.path()).create("mine").map(drop)
        });
        begun.recv().unwrap();
        // Not for order: a creator that does not wait has this long to show it.
        std::thread::sleep(std::time::Duration::from_millis(20));
        drop(remover);
        creator.join().unwrap().unwrap();
    });
}

#[test]
fn an_opener_adopts_the_dead() {
    let directory = directory();
    dead(directory.path(), "orphan");
    let open = OpenOptions::new().directory(directory.path());
    let adopted = open.open("orphan").unwrap();
    assert!(adopted.is_linked());
    drop(adopted);
    assert!(!directory.path().join("shmkit.orphan").exists(), "its last participant has left");
}

#[test]
fn creators_remove_what_the_dead_left_in_passing() {
    let directory = directory();
    let options = small().directory(directory.path());
    // At most `SAMPLE` a time, not at all times, and only on create.
    let sample = sweep::SAMPLE;
    for n in 0..2 * sample {
        let name = format!("living-{n}");
        drop(options.clone().persistent(true).create(&name).unwrap());
    }
    let count = || fs::read_dir(directory.path()).unwrap().count();
    for path in fs::read_dir(directory.path()).unwrap() {
        // No longer persistent: dead.
        let file = fs::OpenOptions::new().write(true).open(path.unwrap().path()).unwrap();
        file.write_all_at(&[0; 4], 20).unwrap();
    }
    let open = OpenOptions::new().directory(directory.path());
    assert_eq!(count(), 2 * sample);
    let deadline = Instant::now() + Duration::from_secs(20);
    while count() > 0 {
        assert!(Instant::now() < deadline, "{} are left", count());
        let before = count();
        let ours = options.create("ours").unwrap();
        let after = count() - 1;
        assert!(before - after <= sample, "{before} {after}");
        drop(open.open("ours").unwrap());
        assert_eq!(count() - 1, after, "opening looks at no other");
        drop(ours);
    }
}

#[test]
fn a_sweep_of_no_directory_fails() {
    let says = ["sweep /nowhere", "does not exist"];
    refused(sweep::full(std::path::Path::new("/nowhere")), ErrorKind::NoDirectory, &says);
}

#[test]
fn a_segment_is_made_persistent_and_ordinary_while_it_is_used() {
    let name = Name::new("persist");
    let segment = name.create();
    segment.persist().unwrap();
    drop(segment);
    assert!(name.exists(), "it outlives its participants");
    let segment = Segment::open(&name).unwrap();
    segment.unpersist().unwrap();
    drop(segment);
    assert!(!name.exists(), "the last one out has removed it");
    // What waits for somebody who opens it is waited for no more.
    let options = small().persistent(true).until_opened(true);
    let segment = options.create(&name).unwrap();
    segment.persist().unwrap();
    drop((Segment::open(&name).unwrap(), segment));
    assert_eq!(Segment::remove_if_dead(&name).unwrap(), RemoveOutcome::Persistent);
    OpenOptions::new().unlink(&name).unwrap();
    let error = small().anonymous().unwrap().persist().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
