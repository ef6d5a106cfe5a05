//! Files that are not what they should be.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use shmkit_segment::{ErrorKind, OpenOptions, RemoveOutcome, Segment};

use crate::{Name, directory, refused, small};

/// A segment that everybody has left, as a file to be damaged.
fn left(test: &str) -> Name {
    left_within(Path::new("/dev/shm"), test)
}

/// The same in a directory of its own: dead, it may be removed by whoever makes a segment beside it.
fn left_within(directory: &Path, test: &str) -> Name {
    let name = Name::within(directory, test);
    let options = small().persistent(true).content("right/1").directory(directory);
    drop(options.create(&name).unwrap());
    name
}

fn overwrite(name: &Name, at: u64, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(name.path()).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_never_touched() {
    let name = Name::new("foreign");
    for content in ["", "text", &"not a segment\n".repeat(100)] {
        fs::write(name.path(), content).unwrap();
        fs::set_permissions(name.path(), fs::Permissions::from_mode(0o600)).unwrap();
        let kind = if content.is_empty() { ErrorKind::Truncated } else { ErrorKind::ForeignMagic };
        refused(Segment::open(&name), kind, &[]);
        refused(small().open_or_create(&name), kind, &[]);
        refused(small().create(&name), ErrorKind::AlreadyExists, &["another name"]);
        if !content.is_empty() {
            assert_eq!(Segment::remove_if_dead(&name).unwrap(), RemoveOutcome::Foreign);
            let says = ["\\x9fshmk", "another program", "another name"];
            refused(OpenOptions::new().unlink(&name), kind, &says);
        }
        assert_eq!(fs::read_to_string(name.path()).unwrap(), content);
    }
}

#[test]
fn a_truncated_file_is_refused_and_removed_when_that_is_wanted() {
    let name = left("truncated");
    let size = name.path().metadata().unwrap().len();
    let open = OpenOptions::new();
    let damaged = open.clone().damaged(true);
    for len in [size - 1, 1000, 200, 128, 127, 8, 7, 0] {
        fs::OpenOptions::new().write(true).open(name.path()).unwrap().set_len(len).unwrap();
        let says = [&*len.to_string(), "cut off", "make it anew"];
        refused(Segment::open(&name), ErrorKind::Truncated, &says);
        let says = ["cut off", "gc --damaged", "another name"];
        refused(small().create(&name), ErrorKind::AlreadyExists, &says);
        for outcome in [open.survey(&name), open.remove_if_dead(&name)] {
            assert!(matches!(outcome.unwrap(), RemoveOutcome::Damaged(_)), "{len}");
        }
        assert_eq!(damaged.survey(&name).unwrap(), RemoveOutcome::Dead);
    }
    assert!(name.exists());
    assert_eq!(damaged.remove_if_dead(&name).unwrap(), RemoveOutcome::Removed);
    assert!(!name.exists());
    drop(name.create());
}

#[test]
fn what_does_not_show_that_it_is_a_segment_is_unlinked_by_nobody() {
    let name = left("empty");
    let cut = |len| {
        fs::OpenOptions::new().write(true).open(name.path()).unwrap().set_len(len).unwrap();
    };
    for len in [7, 0] {
        cut(len);
        let says = [&*format!("has {len} bytes"), "whose it is", "gc --damaged"];
        refused(OpenOptions::new().unlink(&name), ErrorKind::ForeignMagic, &says);
        assert!(name.exists());
    }
    drop(name);
    let name = left("short");
    fs::OpenOptions::new().write(true).open(name.path()).unwrap().set_len(8).unwrap();
    OpenOptions::new().unlink(&name).unwrap();
    assert!(!name.exists());
}

#[test]
fn a_damaged_segment_that_somebody_lives_in_stays() {
    let name = Name::new("damaged-alive");
    let segment = name.create();
    overwrite(&name, 32, &[0; 8]);
    let damaged = OpenOptions::new().damaged(true);
    assert_eq!(damaged.survey(&name).unwrap(), RemoveOutcome::InUse);
    assert_eq!(damaged.remove_if_dead(&name).unwrap(), RemoveOutcome::InUse);
    assert!(segment.is_linked());
    drop(segment);
    assert_eq!(damaged.remove_if_dead(&name).unwrap(), RemoveOutcome::Removed);
}

#[test]
fn what_another_version_left_is_removed_and_what_it_uses_or_keeps_is_not() {
    let strange: [(u64, &[u8]); 3] = [
        (8, &99_u32.to_ne_bytes()),
        (12, &0x0403_0201_u32.to_ne_bytes()),
        (16, &16_u32.to_ne_bytes()),
    ];
    let directory = directory();
    let open = OpenOptions::new().directory(directory.path());
    for (at, bytes) in strange {
        let name = left_within(directory.path(), "other-version");
        overwrite(&name, 20, &[0; 4]);
        overwrite(&name, at, bytes);
        // Somebody of that version: its locks lie at 2^61 or above, as in every version.
        let living = fs::OpenOptions::new().read(true).write(true).open(name.path()).unwrap();
        let lock = |kind: i32| {
            let lock = nix::libc::flock {
                l_type: kind as _,
                l_whence: nix::libc::SEEK_SET as _,
                l_start: (1 << 61) + 5,
                l_len: 1,
                l_pid: 0,
            };
            nix::fcntl::fcntl(&living, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        };
        lock(nix::libc::F_WRLCK);
        assert_eq!(open.survey(&name).unwrap(), RemoveOutcome::InUse);
        assert_eq!(open.remove_if_dead(&name).unwrap(), RemoveOutcome::InUse);
        lock(nix::libc::F_UNLCK);
        assert_eq!(open.survey(&name).unwrap(), RemoveOutcome::Dead);
        let flags = if at == 12 { 1_u32.swap_bytes() } else { 1 };
        overwrite(&name, 20, &flags.to_ne_bytes());
        assert_eq!(open.remove_if_dead(&name).unwrap(), RemoveOutcome::Persistent);
        overwrite(&name, 20, &[0; 4]);
        assert_eq!(open.remove_if_dead(&name).unwrap(), RemoveOutcome::Removed);
    }
}

#[test]
fn anothers_dead_segment_is_removed_for_who_says_whose() {
    if !nix::unistd::geteuid().is_root() {
        return; // Only root can give files away.
    }
    let directory = directory();
    let small = || small().directory(directory.path());
    let open = || OpenOptions::new().directory(directory.path());
    let anothers = || {
        let name = left_within(directory.path(), "anothers");
        overwrite(&name, 20, &[0; 4]);
        std::os::unix::fs::chown(name.path(), Some(65534), None).unwrap();
        name
    };
    let name = anothers();
    assert_eq!(open().remove_if_dead(&name).unwrap(), RemoveOutcome::Foreign);
    refused(small().create(&name), ErrorKind::AlreadyExists, &["not a segment of the user"]);
    let theirs = open().owner(65534);
    assert_eq!(theirs.survey(&name).unwrap(), RemoveOutcome::Dead);
    let wrong = open().owner(65533);
    assert_eq!(wrong.remove_if_dead(&name).unwrap(), RemoveOutcome::Foreign);
    assert_eq!(theirs.remove_if_dead(&name).unwrap(), RemoveOutcome::Removed);
    drop(name);
    let name = anothers();
    assert!(small().owner(None).create(&name).unwrap().is_linked());
}

#[test]
fn every_defect_of_the_header_is_named() {
    let defects: [(u64, &[u8], ErrorKind, &[&str]); 11] = [
        (0, b"\x7fELF", ErrorKind::ForeignMagic, &["ELF", "shmk", "another name"]),
        (8, &1_u32.to_ne_bytes(), ErrorKind::Version, &["version is 1", "is 4", "same version"]),
        (8, &0_u32.to_ne_bytes(), ErrorKind::Version, &["version is 0"]),
        (12, &0x0403_0201_u32.to_ne_bytes(), ErrorKind::ByteOrder, &["other byte order"]),
        (16, &16_u32.to_ne_bytes(), ErrorKind::WordWidth, &["16 bits", "64"]),
        (20, &6_u32.to_ne_bytes(), ErrorKind::Corrupt, &["flags is 0x6"]),
        (24, &u64::MAX.to_ne_bytes(), ErrorKind::Truncated, &["18446744073709551615"]),
        (32, &0_u64.to_ne_bytes(), ErrorKind::Corrupt, &["cookie"]),
        (40, &64_u64.to_ne_bytes(), ErrorKind::Corrupt, &["roster offset is 64", "128"]),
        (120, &128_u64.to_ne_bytes(), ErrorKind::Corrupt, &["limit is 0x80"]),
        (48, &16385_u32.to_ne_bytes(), ErrorKind::Corrupt, &["places is 16385", "1 to 16384"]),
    ];
    // What seems to be another version's is not known to be persistent.
    let directory = directory();
    let open = OpenOptions::new().directory(directory.path());
    for (at, bytes, kind, says) in defects {
        let name = left_within(directory.path(), "defect");
        overwrite(&name, at, bytes);
        refused(open.open(&name), kind, says);
        refused(small().directory(directory.path()).open_or_create(&name), kind, says);
    }
}

#[test]
fn every_number_in_the_header_is_checked() {
    for at in (40..64).step_by(4) {
        for value in [0_u32, 1, 5, u32::MAX, 1 << 31] {
            let name = left("number");
            let mut old = [0; 4];
            fs::File::open(name.path()).unwrap().read_exact_at(&mut old, at).unwrap();
            overwrite(&name, at, &value.to_ne_bytes());
            let opened = Segment::open(&name);
            // A directory of a few objects more or fewer is possible; its entries are checked by itself.
            let possible = old == value.to_ne_bytes() || (at == 52 && (1..=5).contains(&value));
            assert_eq!(opened.is_ok(), possible, "{at}: {value}: {opened:?}");
            if let Err(error) = opened {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{at}: {value}: {error}");
            }
        }
    }
}

#[test]
fn a_damaged_roster_is_refused() {
    let says = ["roster is damaged", "make it anew"];
    // Its number of slots; its salt, of which no more than 61 bits are used.
    for (at, bytes) in [(12, [77, 0, 0, 0]), (4, [0, 0, 0, 0x20])] {
        let name = left("roster");
        overwrite(&name, 128 + at, &bytes);
        refused(Segment::open(&name), ErrorKind::Corrupt, &says);
    }
}

#[test]
fn another_content_is_refused_with_both_sides_named() {
    let name = left("content");
    let says = ["\"right/1\"", "\"wrong/2\""];
    let wrong = OpenOptions::new().content("wrong/2");
    refused(wrong.open(&name), ErrorKind::WrongContent, &says);
    let wrong = small().content("wrong/2");
    refused(wrong.open_or_create(&name), ErrorKind::WrongContent, &says);
    assert!(OpenOptions::new().content("right/1").open(&name).is_ok());
    assert!(Segment::open(&name).is_ok());
}

#[test]
fn another_users_file_is_refused() {
    let name = left("owner");
    let me = geteuid().as_raw();
    let says = [&*format!("user {me}"), &format!("user {}", me + 1), "trusted"];
    refused(OpenOptions::new().owner(me + 1).open(&name), ErrorKind::ForeignOwner, &says);
    assert!(OpenOptions::new().owner(me).open(&name).is_ok());
    assert!(OpenOptions::new().owner(None).open(&name).is_ok());
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let name = Name::new("irregular");
    let check = || {
        let says = ["no regular file", "another name"];
        refused(Segment::open(&name), ErrorKind::NotRegular, &says);
        refused(small().open_or_create(&name), ErrorKind::NotRegular, &says);
        refused(OpenOptions::new().unlink(&name), ErrorKind::NotRegular, &says);
        refused(small().create(&name), ErrorKind::AlreadyExists, &["not a segment"]);
        assert_eq!(Segment::remove_if_dead(&name).unwrap(), RemoveOutcome::Foreign);
        assert!(name.exists());
    };
    fs::create_dir(name.path()).unwrap();
    check();
    fs::remove_dir(name.path()).unwrap();

    // A link, even to a good segment.
    let target = left("target");
    symlink(target.path(), name.path()).unwrap();
    check();
    fs::remove_file(name.path()).unwrap();

    mkfifo(&name.path(), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    check();
    fs::remove_file(name.path()).unwrap();

    let _socket = UnixListener::bind(name.path()).unwrap();
    check();
}
