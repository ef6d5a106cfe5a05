//! Memory under a name with nothing else in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use shmkit_segment::{ErrorKind, Options, RawOptions, RawSegment, sweep};

use crate::{directory, refused};

#[test]
fn shm_21_a_raw_segment_is_a_file_of_exactly_its_size() {
    let made = RawOptions::new().remove_on_drop(true).create_unique(10).unwrap();
    let digits = made.name().strip_prefix("psm_").unwrap();
    assert!(digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let file = made.path().metadata().unwrap();
    assert_eq!((file.len(), made.len(), file.permissions().mode() & 0o7777), (10, 10, 0o600));
    assert_eq!(made.path().to_str().unwrap(), format!("/dev/shm/{}", made.name()));
    assert!(file.blocks() * 512 >= 10, "allocated in full");
    let mut bytes = [1; 10];
    made.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 10]);
}

#[test]
fn shm_02_two_handles_have_the_same_bytes() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path());
    let made = raw.create("a:b\n", 512).unwrap();
    made.write(511, &[42]).unwrap();
    let opened = raw.open("a:b\n").unwrap();
    let mut byte = [0];
    opened.read(511, &mut byte).unwrap();
    assert_eq!((byte, opened.len()), ([42], 512));
    assert!(made.was_created() && !opened.was_created());
    // SAFETY: nobody else uses the bytes.
    assert_eq!(unsafe { opened.region() }.len(), 512);
}

#[test]
fn bytes_outside_of_a_raw_segment_are_refused() {
    let made = RawOptions::new().remove_on_drop(true).create_unique(100).unwrap();
    let mut bytes = [7; 8];
    for start in [93, 100, 101, u64::MAX - 3, u64::MAX] {
        let says = [&*format!("8 bytes at byte {start}"), "inside its 100 bytes"];
        refused(made.read(start, &mut bytes), ErrorKind::OutOfBounds, &says);
        refused(made.write(start, &bytes), ErrorKind::OutOfBounds, &says);
    }
    assert_eq!(bytes, [7; 8]);
    made.write(92, &bytes).unwrap();
    made.write(100, &[]).unwrap();
    made.read(84, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 8]);
}

#[test]
fn a_raw_segment_stays_unless_it_is_to_go() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path());
    let path = folder.path().join("raw");
    drop(raw.create("raw", 8).unwrap());
    assert!(path.exists());
    // Who only opens it may be the one that removes it, too.
    drop(raw.clone().remove_on_drop(true).open("raw").unwrap());
    assert!(!path.exists());

    let going = raw.clone().remove_on_drop(true).create("raw", 8).unwrap();
    going.unlink().unwrap();
    let new = raw.create("raw", 8).unwrap();
    drop(going);
    assert!(path.exists() && new.is_linked(), "another file has the name by now");
    new.unlink().unwrap();
}

#[test]
fn shm_09_and_22_to_unlink_twice_is_an_error_and_what_is_mapped_stays() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path());
    let (made, opened) = (raw.create("raw", 8).unwrap(), raw.open("raw").unwrap());
    made.unlink().unwrap();
    refused(opened.unlink(), ErrorKind::NotFound, &["no name leads to it"]);
    refused(raw.unlink("raw"), ErrorKind::NotFound, &["there is no"]);
    refused(raw.open("raw"), ErrorKind::NotFound, &["there is no"]);
    made.write(0, &[5]).unwrap();
    let mut byte = [0];
    opened.read(0, &mut byte).unwrap();
    assert_eq!(byte, [5]);
}

#[test]
fn shm_25_a_name_that_was_made_anew_is_noticed() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path());
    let old = raw.create("raw", 8).unwrap();
    raw.unlink("raw").unwrap();
    let new = raw.create("raw", 8).unwrap();
    new.write(0, &[1]).unwrap();
    let mut byte = [7];
    old.read(0, &mut byte).unwrap();
    assert_eq!(byte, [0]);
    assert!(!old.is_linked() && new.is_linked());
    refused(old.unlink(), ErrorKind::NotFound, &["no name leads to it"]);
    raw.unlink("raw").unwrap();
}

#[test]
fn shm_06_shm_10_a_name_is_made_once_and_opened_as_it_is() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path());
    assert!(raw.open_or_create("raw", 100).unwrap().was_created());
    refused(raw.create("raw", 100), ErrorKind::AlreadyExists, &["nobody can tell"]);
    let found = raw.open_or_create("raw", 20).unwrap();
    assert!(!found.was_created() && found.len() == 100);
    let says = ["has 100 bytes", "101 were asked for"];
    refused(raw.open_or_create("raw", 101), ErrorKind::TooSmall, &says);
}

#[test]
fn shm_04_impossible_sizes_of_raw_segments_are_refused() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path());
    for size in [0, u64::MAX, 1 << 63] {
        refused(raw.create("raw", size), ErrorKind::InvalidSize, &[&*format!("size of {size}")]);
    }
    // SHM-24: at the call that makes it, not at the first write.
    refused(raw.create("raw", 1 << 60), ErrorKind::NoSpace, &["free", "gc"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_raw_segment_has_no_name_that_a_segment_could_have() {
    for name in ["shmkit.x", "", ".", "a/b"] {
        refused(RawSegment::create(name, 8), ErrorKind::InvalidName, &["name"]);
        refused(RawSegment::open(name), ErrorKind::InvalidName, &["name"]);
        refused(RawOptions::new().unlink(name), ErrorKind::InvalidName, &["name"]);
    }
}

#[test]
fn what_is_no_raw_segment_of_ours_is_refused() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path());
    let path = folder.path().join("raw");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    refused(raw.open("raw"), ErrorKind::Truncated, &["it is empty"]);
    fs::write(&path, "12345678").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
    refused(raw.open("raw"), ErrorKind::UnsafeMode, &["0660", "at most 0600"]);
    let others = raw.clone().mode(0o660);
    others.open("raw").unwrap();
    let stranger = others.clone().owner(54_321);
    for refusal in [stranger.open("raw").map(drop), stranger.unlink("raw")] {
        refused(refusal, ErrorKind::ForeignOwner, &["where user 54321 was expected"]);
    }
    others.clone().owner(None).open("raw").unwrap();
    symlink(&path, folder.path().join("link")).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for name in ["link", "folder"] {
        refused(others.open(name), ErrorKind::NotRegular, &["no regular file"]);
        refused(others.unlink(name), ErrorKind::NotRegular, &["no regular file"]);
    }
    refused(raw.clone().mode(0o400).create("new", 8), ErrorKind::InvalidOption, &["0400"]);
}

#[test]
fn a_raw_segment_of_a_group_has_its_mode_whatever_the_umask() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path()).mode(0o660);
    let made = raw.create("raw", 8).unwrap();
    assert_eq!(made.path().metadata().unwrap().permissions().mode() & 0o7777, 0o660);
}

#[test]
fn no_sweep_removes_a_raw_segment() {
    let folder = directory();
    let raw = RawOptions::new().directory(folder.path());
    // The very bytes of a dead segment.
    let segment = Options::new(512).directory(folder.path()).create("dead").unwrap();
    let bytes = fs::read(segment.path().unwrap()).unwrap();
    drop(segment);
    raw.create("raw", bytes.len() as u64).unwrap().write(0, &bytes).unwrap();
    assert!(sweep::survey(folder.path()).unwrap().is_empty());
    sweep::full(folder.path()).unwrap();
    assert!(folder.path().join("raw").exists());
}
