//! Sweeping, beside every kind of process that might be hurt by it.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use shmkit::Objects;
use shmkit_segment::{ErrorKind, OpenOptions, Options, Segment};
use shmkit_tracker::{Fate, Foreign, Summary, Sweep, Swept, Verdict, What, list};
use tempfile::TempDir;

use crate::support::{Peer, wait_until};

/// A directory of this test alone, where segments can be.
fn directory() -> TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn text(directory: &TempDir) -> &str {
    directory.path().to_str().unwrap()
}

/// A peer that lives in a segment called `name`.
fn owner(script: &str, directory: &TempDir, name: &str) -> Peer {
    let mut peer = Peer::execute(&format!("tracker/{script}"), &[text(directory), name], |_| ());
    peer.expect("made");
    peer
}

fn file(directory: &TempDir, name: &str) -> PathBuf {
    directory.path().join(format!("shmkit.{name}"))
}

/// Returns the fate of each file in one word, after a sweep.
fn sweep(directory: &TempDir, dry_run: bool) -> Vec<(String, &'static str)> {
    let report = Sweep::new().directory(directory.path()).dry_run(dry_run).run().unwrap();
    report.files.iter().map(|swept| (swept.name.clone(), swept.fate.word())).collect()
}

fn summary(directory: &TempDir) -> Summary {
    let mut found = list(directory.path()).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    match found.remove(0).what {
        What::Segment(summary) => *summary,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_killed_owner_left_is_swept() {
    let directory = directory();
    let peer = owner("live", &directory, "a");
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "in-use")]);
    let seen = summary(&directory);
    assert!(seen.in_use);
    assert_eq!((seen.living(), seen.dead(), seen.content.as_str()), (1, 0, "test/1"));
    assert_eq!(seen.participants[0].person.pid, peer.pid().as_raw() as u32);
    let objects = seen.objects.unwrap();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].to_string(), "\"hits\": words of u64 (8 bytes), length 3");

    peer.kill();
    let seen = summary(&directory);
    assert!(!seen.in_use);
    assert_eq!((seen.living(), seen.dead()), (0, 1));
    assert_eq!(seen.participants[0].verdict, Verdict::Dead);
    assert_eq!(sweep(&directory, true), [("a".to_owned(), "removable")]);
    assert!(file(&directory, "a").exists(), "a dry run removes nothing");
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "removed")]);
    assert!(!file(&directory, "a").exists());
    assert_eq!(sweep(&directory, false), []);
}

#[test]
fn a_stopped_owner_is_alive() {
    let directory = directory();
    let mut peer = owner("live", &directory, "a");
    peer.stop();
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "in-use")]);
    peer.resume();
    peer.say("leave");
    peer.join();
    assert_eq!(sweep(&directory, false), [], "the last one out removed it");
}

#[test]
fn a_survivor_keeps_what_a_killed_creator_made() {
    let directory = directory();
    let creator = owner("live", &directory, "a");
    let mut other = Peer::execute("tracker/join", &[text(&directory), "a"], |_| ());
    other.expect("joined");
    creator.kill();
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "in-use")]);
    let seen = summary(&directory);
    assert_eq!((seen.living(), seen.dead()), (1, 1));
    other.kill();
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "removed")]);
}

#[test]
fn a_consumer_that_is_killed_leaves_nothing_for_ever() {
    let directory = directory();
    let options = shmkit_segment::Options::new(4096).persistent(true).until_opened(true);
    drop(options.directory(directory.path()).create("a").unwrap());
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "persistent")]);
    let mut consumer = Peer::execute("tracker/join", &[text(&directory), "a"], |_| ());
    consumer.expect("joined");
    consumer.kill();
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "removed")]);
}

#[test]
fn who_left_in_good_order_is_not_among_the_dead() {
    let directory = directory();
    let kept = shmkit_segment::Options::new(4096).directory(directory.path()).create("a").unwrap();
    let join = || {
        let mut peer = Peer::execute("tracker/join", &[text(&directory), "a"], |_| ());
        peer.expect("joined");
        peer
    };
    let (mut leaver, killed, stays) = (join(), join(), join());
    leaver.say("leave");
    leaver.join();
    killed.kill();
    let seen = summary(&directory);
    assert_eq!((seen.living(), seen.dead()), (2, 1));
    let states: Vec<_> = seen.participants.iter().map(|who| (who.verdict, who.left)).collect();
    let (alive, dead) = ((Verdict::Alive, false), (Verdict::Dead, false));
    assert_eq!(states, [alive, (Verdict::Dead, true), dead, alive]);
    drop(kept);
    let seen = summary(&directory);
    assert_eq!((seen.living(), seen.dead()), (1, 1), "the maker has left, too");
    stays.kill();
    assert_eq!(summary(&directory).dead(), 2);
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "removed")]);
}

#[test]
fn a_persistent_segment_stays() {
    let directory = directory();
    owner("persist", &directory, "a").kill();
    for dry_run in [true, false] {
        assert_eq!(sweep(&directory, dry_run), [("a".to_owned(), "persistent")]);
    }
    let seen = summary(&directory);
    assert!(seen.persistent && !seen.in_use);
    OpenOptions::new().directory(directory.path()).unlink("a").unwrap();
}

/// A dead segment's bytes, to be planted under any name.
fn dead_bytes(directory: &TempDir) -> Vec<u8> {
    owner("live", directory, "template").kill();
    let bytes = fs::read(file(directory, "template")).unwrap();
    assert_eq!(sweep(directory, false), [("template".to_owned(), "removed")]);
    bytes
}

/// Writes a file, readable by its owner alone, as segments are.
fn plant(path: &Path, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

#[test]
fn what_is_no_segment_is_left_alone() {
    let directory = directory();
    let dead = dead_bytes(&directory);
    let outside = directory.path().join("outside");
    plant(&outside, &dead);

    plant(&file(&directory, "empty"), b"");
    plant(&file(&directory, "short"), &dead[..100]);
    plant(&file(&directory, "cut"), &dead[..200]);
    plant(&file(&directory, "text"), &[b'x'; 4096]);
    plant(&directory.path().join("other.prefix"), &dead);
    plant(&directory.path().join("shmkit."), &dead);
    symlink(&outside, file(&directory, "link")).unwrap();
    symlink("nowhere", file(&directory, "dangling")).unwrap();
    fs::hard_link(&outside, file(&directory, "hard")).unwrap();
    fs::create_dir(file(&directory, "folder")).unwrap();
    mkfifo(&file(&directory, "fifo"), Mode::S_IRWXU).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(file(&directory, "socket")).unwrap();

    let before = names(&directory);
    for dry_run in [true, false] {
        let report = Sweep::new().directory(directory.path()).dry_run(dry_run).run().unwrap();
        for swept in &report.files {
            assert!(matches!(swept.fate, Fate::Foreign(_)), "{swept:?}");
        }
        assert_eq!(report.files.len(), before.len() - 3, "the prefix, and a name after it");
        let why = |name: &str| {
            report.files.iter().find(|swept| swept.name == name).unwrap().fate.to_string()
        };
        assert_eq!(why("link"), "it is no regular file");
        assert!(why("text").contains("belongs to another program"), "{}", why("text"));
        assert!(why("cut").contains("cut off"), "{}", why("cut"));
        assert!(why("empty").contains("--damaged"), "{}", why("empty"));
        assert!(why("hard").contains("2 names"), "{}", why("hard"));
    }
    assert_eq!(names(&directory), before);
    let foreign = list(directory.path()).unwrap();
    let segments = foreign.iter().filter(|found| matches!(found.what, What::Segment(_))).count();
    assert_eq!((foreign.len(), segments), (before.len() - 3, 1), "only the hard link is a segment");
    drop(socket);
}

/// As if somebody lived there, whose version of shmkit nobody knows.
fn lock_something(path: &Path) -> fs::File {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as _,
        l_whence: nix::libc::SEEK_SET as _,
        l_start: 1 << 62 | 4711,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
    file
}

#[test]
fn what_was_damaged_is_removed_when_that_is_wanted_and_nobody_has_a_lock_on_it() {
    let directory = directory();
    let dead = dead_bytes(&directory);
    plant(&file(&directory, "a-cut"), &dead[..200]);
    plant(&file(&directory, "b-empty"), b"");
    plant(&file(&directory, "c-locked"), &dead[..200]);
    plant(&file(&directory, "d-text"), &[b'x'; 4096]);
    let _life = lock_something(&file(&directory, "c-locked"));
    let sweep = |dry_run| {
        let sweep = Sweep::new().directory(directory.path()).damaged(true).dry_run(dry_run);
        let files = sweep.run().unwrap().files;
        files.iter().map(|swept| (swept.fate.word(), swept.size)).collect::<Vec<_>>()
    };
    let stay = [("in-use", 200), ("foreign", 0)];
    assert_eq!(sweep(true)[..2], [("removable", 200), ("removable", 0)]);
    assert_eq!(sweep(true)[2..], stay);
    assert_eq!(sweep(false)[..2], [("removed", 200), ("removed", 0)]);
    assert_eq!(sweep(false), stay);
}

#[test]
fn what_another_version_left_is_removed() {
    let directory = directory();
    let mut dead = dead_bytes(&directory);
    dead[8] = 99;
    plant(&file(&directory, "dead"), &dead);
    plant(&file(&directory, "living"), &dead);
    let _life = lock_something(&file(&directory, "living"));
    dead[20] = 1;
    plant(&file(&directory, "persistent"), &dead);
    let all = |fate| {
        [("dead", fate), ("living", "in-use"), ("persistent", "persistent")]
            .map(|(name, fate): (&str, &str)| (name.to_owned(), fate))
    };
    assert_eq!(sweep(&directory, true), all("removable"));
    assert_eq!(sweep(&directory, false), all("removed"));
    assert_eq!(sweep(&directory, false), all("removed")[1..]);
}

#[test]
fn every_users_dead_segments_are_removed_when_that_is_wanted() {
    if !nix::unistd::geteuid().is_root() {
        return; // Only root can give files away, and remove others'.
    }
    let directory = directory();
    let dead = dead_bytes(&directory);
    plant(&file(&directory, "a"), &dead);
    std::os::unix::fs::chown(file(&directory, "a"), Some(65534), None).unwrap();
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "foreign")]);
    let all = Sweep::new().directory(directory.path()).all_users(true);
    assert!(matches!(all.run().unwrap().files[..], [Swept { fate: Fate::Removed, .. }]));
    assert_eq!(sweep(&directory, false), []);
}

#[test]
fn a_directory_with_room_for_very_many_objects_is_listed() {
    let directory = directory();
    let options = Options::new(1 << 20).participants(2).objects(500_000);
    let segment = options.directory(directory.path()).create("a").unwrap();
    let names: Vec<_> = (0..1000).map(|n| format!("{n}")).collect();
    for name in &names {
        segment.value(name, 0_u32).unwrap();
    }
    let seen = summary(&directory);
    assert_eq!(seen.entries, 500_000);
    let listed: Vec<_> = seen.objects.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(listed, names);
}

/// Names and inodes in a directory.
fn names(directory: &TempDir) -> Vec<(String, u64)> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(Result::unwrap)
        .map(|entry| {
            let inode = entry.path().symlink_metadata().unwrap().ino();
            (entry.file_name().into_string().unwrap(), inode)
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_pipe_that_is_looked_at_does_not_wake_its_writer() {
    let directory = directory();
    let fifo = file(&directory, "fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let path = fifo.clone();
    let mut writer = Peer::fork("writer", move |channel| {
        channel.say("opening");
        let opened = fs::OpenOptions::new().write(true).open(&path);
        channel.say(if opened.is_ok() { "opened" } else { "failed" });
    });
    writer.expect("opening");
    writer.wait_until_in(libc::SYS_openat);
    assert_eq!(sweep(&directory, false), [("fifo".to_owned(), "foreign")]);
    list(directory.path()).unwrap();
    // A creator sweeps a little.
    drop(Options::new(4096).directory(directory.path()).create("b").unwrap());
    // Woken, it would have said so and ended.
    writer.wait_until_in(libc::SYS_openat);
    // A reader at last: the writer had not been woken before.
    let _reader = fs::File::open(&fifo).unwrap();
    writer.expect("opened");
    writer.join();
}

#[test]
fn another_users_segment_is_left_alone() {
    if !nix::unistd::geteuid().is_root() {
        return; // Only root can become somebody else.
    }
    let directory = directory();
    let dead = dead_bytes(&directory);
    plant(&file(&directory, "closed"), &dead);
    plant(&file(&directory, "open"), &dead);
    let everybody = fs::Permissions::from_mode(0o777);
    fs::set_permissions(file(&directory, "open"), everybody.clone()).unwrap();
    fs::set_permissions(directory.path(), everybody).unwrap();
    let peer = Peer::fork("nobody", |_| {
        nix::unistd::setuid(nix::unistd::Uid::from_raw(65534)).unwrap();
        for dry_run in [true, false] {
            let report = Sweep::new().directory(directory.path()).dry_run(dry_run).run().unwrap();
            let [closed, open] = &report.files[..] else { panic!("{report:?}") };
            assert!(matches!(closed.fate, Fate::Foreign(Foreign::Owner(0))), "{closed:?}");
            assert!(matches!(open.fate, Fate::Foreign(Foreign::Owner(0))), "{open:?}");
        }
        let found = list(directory.path()).unwrap();
        assert!(matches!(found[0].what, What::Foreign(Foreign::Owner(0))), "{found:?}");
        assert!(matches!(found[1].what, What::Segment(_)), "{found:?}");
    });
    peer.join();
    let fates = sweep(&directory, false);
    assert_eq!(fates, [("closed".to_owned(), "removed"), ("open".to_owned(), "removed")]);
}

/// Two peers sweep all the time.
fn sweepers(directory: &TempDir) -> Vec<Peer> {
    (0..2)
        .map(|_| {
            let mut peer = Peer::execute("tracker/sweep", &[text(directory)], |_| ());
            peer.expect("sweeping");
            peer
        })
        .collect()
}

#[test]
fn who_attaches_while_others_sweep_keeps_the_name() {
    let directory = directory();
    let dead = dead_bytes(&directory);
    let mut peers = sweepers(&directory);
    let (mut joined, mut late) = (0, 0);
    for _ in 0..2000 {
        // As a killed owner leaves it: whole from its first moment.
        let hidden = directory.path().join("hidden");
        plant(&hidden, &dead);
        fs::rename(&hidden, file(&directory, "a")).unwrap();
        match OpenOptions::new().directory(directory.path()).open("a") {
            Ok(segment) => {
                joined += 1;
                for _ in 0..3 {
                    assert!(segment.is_linked(), "the name of a living segment was removed");
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => late += 1,
            Err(error) => panic!("{error}"),
        }
        assert!(!file(&directory, "a").exists() || sweep_leaves_nothing(&directory));
    }
    let swept: u32 = peers
        .iter_mut()
        .map(|peer| {
            peer.say("enough");
            peer.hear().parse::<u32>().unwrap()
        })
        .sum();
    assert!(
        joined > 0 && late > 0,
        "joined {joined} times, was too late {late} times, {swept} swept"
    );
    peers.into_iter().for_each(Peer::join);
}

/// The last one out may have met a sweeper, who then removes the name.
fn sweep_leaves_nothing(directory: &TempDir) -> bool {
    wait_until(|| !file(directory, "a").exists());
    true
}

#[test]
fn who_creates_in_the_place_of_the_dead_while_others_sweep_keeps_the_name() {
    let directory = directory();
    let dead = dead_bytes(&directory);
    let peers = sweepers(&directory);
    for _ in 0..1000 {
        let hidden = directory.path().join("hidden");
        plant(&hidden, &dead);
        fs::rename(&hidden, file(&directory, "a")).unwrap();
        let options = Options::new(4096).objects(4).directory(directory.path());
        let mut created: Option<Segment> = None;
        wait_until(|| match options.create("a") {
            Ok(segment) => created.insert(segment).is_linked(),
            // A sweeper is about to remove the dead one: for that moment it is in use.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => panic!("{error}"),
        });
        let segment = created.unwrap();
        for _ in 0..3 {
            assert!(segment.is_linked(), "the name of a living segment was removed");
        }
        drop(segment);
        wait_until(|| !file(&directory, "a").exists());
    }
    // A sweeper that is killed holds nobody up.
    peers.into_iter().for_each(Peer::kill);
    plant(&file(&directory, "a"), &dead);
    assert_eq!(sweep(&directory, false), [("a".to_owned(), "removed")]);
}

#[test]
fn a_directory_that_is_none_is_an_error() {
    let directory = directory();
    let missing = directory.path().join("missing");
    let error = Sweep::new().directory(&missing).run().unwrap_err();
    assert!(error.to_string().contains("mount a tmpfs there"), "{error}");
    plant(&missing, b"");
    let error = list(&missing).unwrap_err();
    assert!(error.to_string().contains("it is no directory"), "{error}");
}

#[test]
fn a_corrupt_segment_is_listed_with_what_is_wrong() {
    let directory = directory();
    let dead = dead_bytes(&directory);
    // The directory's first entry, behind header and roster: its state.
    let at = dead.windows(5).position(|bytes| bytes == b"hits\0").unwrap() - 32;
    let mut bad = dead.clone();
    bad[at] = 7;
    plant(&file(&directory, "a"), &bad);
    let error = summary(&directory).objects.unwrap_err();
    assert!(error.to_string().contains("the state of entry 0 is 0x7"), "{error}");
}
