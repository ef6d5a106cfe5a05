//! What can be asked for, and what cannot.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use shmkit_layout::Offset;
use shmkit_segment::{ErrorKind, OpenOptions, Options, Segment};
use shmkit_sync::Mutex;

use crate::{Name, directory, refused, small};

#[test]
fn shm_01_a_segment_has_its_name_and_at_least_its_size() {
    let name = Name::new("shm-01");
    let segment = name.create();
    assert_eq!(segment.name(), Some(&*name));
    assert_eq!(segment.path(), Some(&*name.path()));
    assert!(segment.header().size >= 512);
    assert_eq!(segment.path().unwrap().metadata().unwrap().len(), segment.header().size);
    let file = name.path().metadata().unwrap();
    assert_eq!(
        file.len(),
        segment.header().size,
        "SHM-21: exactly what was asked, and what it takes to manage it"
    );
    assert_eq!(file.permissions().mode() & 0o7777, 0o600);
    assert!(file.blocks() * 512 >= file.len(), "allocated in full");
}

#[test]
fn shm_04_impossible_sizes_are_refused() {
    let name = Name::new("shm-04");
    for verb in [Options::create, Options::open_or_create] {
        let zero = Options::new(0);
        refused(verb(&zero, &name), ErrorKind::InvalidSize, &["a size of 0", "at least 1"]);
        for absurd in [u64::MAX, 1 << 63, i64::MAX as u64] {
            let says = [&*absurd.to_string(), "at most", "address space"];
            refused(verb(&Options::new(absurd), &name), ErrorKind::InvalidSize, &says);
        }
        // An exabyte fits in an address space's arithmetic, and nowhere else.
        let says = ["1152921504606846976", "free", "gc"];
        refused(verb(&Options::new(1 << 60), &name), ErrorKind::NoSpace, &says);
    }
    refused(Options::new(0).anonymous(), ErrorKind::InvalidSize, &["a size of 0"]);
    refused(Options::new(u64::MAX).anonymous(), ErrorKind::InvalidSize, &["at most"]);
    refused(Options::new(1 << 60).anonymous(), ErrorKind::NoSpace, &["memory and swap"]);
    assert!(!name.exists());
}

#[test]
fn shm_20_impossible_names_are_refused_by_every_verb() {
    let long = "x".repeat(300);
    let bad: [(&str, &[&str]); 4] = [
        ("", &["empty", "1 to 248"]),
        ("a/b", &["a slash at byte 1", "leave it out"]),
        ("a\0b", &["a NUL at byte 1", "leave it out"]),
        (&long, &["300 bytes", "at most 248", "shorten"]),
    ];
    for (name, says) in bad {
        refused(small().create(name), ErrorKind::InvalidName, says);
        refused(small().open_or_create(name), ErrorKind::InvalidName, says);
        refused(Segment::open(name), ErrorKind::InvalidName, says);
        refused(OpenOptions::new().unlink(name), ErrorKind::InvalidName, says);
        refused(Segment::remove_if_dead(name), ErrorKind::InvalidName, says);
        if !name.contains('\0') {
            assert!(!std::path::Path::new("/dev/shm").join(format!("shmkit.{name}")).is_file());
        }
    }
}

#[test]
fn shm_19_odd_names_are_names() {
    let directory = directory();
    let options = small().directory(directory.path());
    let open = OpenOptions::new().directory(directory.path());
    let longest = "x".repeat(248);
    for name in [":", "a:b", "a:b:", ":c", "line\nfeed", ".", "..", "grün", " ", &longest] {
        let segment = options.create(name).unwrap();
        assert_eq!(segment.name(), Some(name));
        assert!(open.open(name).unwrap().is_linked());
        open.unlink(name).unwrap();
        assert!(!segment.is_linked());
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn other_impossible_options_are_refused() {
    let kind = ErrorKind::InvalidOption;
    refused(small().participants(0).anonymous(), kind, &["0 participants", "1 to 16384"]);
    refused(small().participants(16385).anonymous(), kind, &["16385 participants", "1 to 16384"]);
    refused(small().mode(0o1600).anonymous(), kind, &["0o1600", "0o600"]);
    refused(small().mode(0o400).anonymous(), kind, &["0o400", "read and write"]);
    for content in ["", &"x".repeat(41), "a\0"] {
        refused(small().content(content).anonymous(), kind, &[&format!("{content:?}"), "1 to 40"]);
        let open = OpenOptions::new().content(content);
        refused(open.open("whatever"), kind, &["1 to 40"]);
    }
    assert!(small().participants(1024).objects(0).content("x".repeat(40)).anonymous().is_ok());
}

#[test]
fn the_mode_is_what_was_said_whatever_the_umask() {
    let name = Name::new("mode");
    let segment = small().mode(0o666).create(&name).unwrap();
    assert_eq!(name.path().metadata().unwrap().permissions().mode() & 0o7777, 0o666);
    let says = ["0666", "at most 0600", "`mode`"];
    refused(Segment::open(&name), ErrorKind::UnsafeMode, &says);
    assert!(OpenOptions::new().mode(0o666).open(&name).is_ok());
    drop(segment);
}

#[test]
fn without_a_directory_the_bytes_are_the_users() {
    let segment = Options::new(1000).objects(0).anonymous().unwrap();
    // SAFETY: nobody else has the segment.
    let data = unsafe { segment.data() };
    assert_eq!(data.len(), 1000);
    assert!(segment.objects().unwrap().is_empty());
    data.write(Offset::new(992).unwrap(), 7_u64).unwrap();
    let header = *segment.header();
    let twin = Segment::from_fd(segment.file().unwrap()).unwrap();
    // SAFETY: as above.
    let data = unsafe { twin.data() };
    assert_eq!(data.read::<u64>(Offset::new(992).unwrap()), Ok(7));
    assert_eq!(header, *twin.header());
}

#[test]
fn a_directory_that_cannot_hold_segments_is_refused() {
    let there = |path: &str| small().directory(path);
    let name = Name::new("directory");
    let missing = "/dev/shm/there-is-no-such-directory";
    let says = [missing, "does not exist", "mount a tmpfs"];
    refused(there(missing).create(&name), ErrorKind::NoDirectory, &says);
    refused(there(missing).open_or_create(&name), ErrorKind::NoDirectory, &says);
    let open = OpenOptions::new().directory(missing);
    refused(open.open(&name), ErrorKind::NoDirectory, &says);
    refused(open.unlink(&name), ErrorKind::NoDirectory, &says);
    let says = ["is not a directory"];
    refused(there("/dev/null").create(&name), ErrorKind::NoDirectory, &says);
    let says = ["/proc", "O_TMPFILE", "tmpfs"];
    refused(there("/proc").create(&name), ErrorKind::Unsupported, &says);
}

/// Returns what the kernel says of a segment's mapping, in kB.
fn mapped(segment: &Segment, what: &str) -> u64 {
    // SAFETY: only its address is used.
    let base = unsafe { segment.region() }.base().addr().get();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let ours = maps.lines().skip_while(|line| !line.starts_with(&format!("{base:x}-")));
    let line = ours.skip(1).find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_is_there_beforehand_and_stays_when_that_is_asked_for() {
    let name = Name::new("memory");
    let segment = Options::new(400 << 10).create(&name).unwrap();
    assert!(mapped(&segment, "Rss:") < 400 && mapped(&segment, "Locked:") == 0);
    let ask = OpenOptions::new().populated(true).locked(true).huge_pages(true);
    let again = ask.open(&name).unwrap();
    assert!(mapped(&again, "Rss:") >= 400, "{}", mapped(&again, "Rss:"));
    assert!(mapped(&again, "Locked:") >= 400);
    drop((segment, again));
    let options = Options::new(4096).max(1 << 20).populated(true).locked(true);
    let segment = options.create(&name).unwrap();
    let before = mapped(&segment, "Rss:");
    segment.make::<Mutex<[u64; 16384]>>("large", [0; 16384]).unwrap();
    assert!(mapped(&segment, "Rss:") >= before + 120 && mapped(&segment, "Locked:") >= 120);
}
