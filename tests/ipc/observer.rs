//! Observers: who looks at a segment and takes no part in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use shmkit::{Atomic, AtomicArray, Objects, Value};
use shmkit_segment::{ErrorKind, Observer, OpenOptions, Options, Segment};

use crate::support::Peer;

type Wide = [u64; 8];

fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn make(directory: &Path) -> Segment {
    let options = Options::new(4096).participants(2).objects(4).directory(directory);
    let segment = options.create("it").unwrap();
    segment.value::<Wide>("wide", [1; 8]).unwrap();
    segment.atomic("hits", 5_u32).unwrap();
    segment.atomic_array::<i64>("row", 3).unwrap().at(1).unwrap().store(-7);
    segment
}

fn observe(directory: &Path) -> Observer {
    OpenOptions::new().directory(directory).observe("it").unwrap()
}

#[test]
fn an_observer_sees_values_and_objects_and_takes_no_place() {
    let directory = directory();
    let segment = make(directory.path());
    // Both places are taken.
    let mut other = Peer::execute("observer/hold", &[directory.path().to_str().unwrap()], |_| ());
    other.expect("ready");
    let observers = [observe(directory.path()), observe(directory.path())];
    let [observer, _] = &observers;
    assert_eq!(observer.see::<Value<Wide>>("wide").unwrap(), [1; 8]);
    assert_eq!(observer.see::<Atomic<u32>>("hits").unwrap(), 5);
    assert_eq!(observer.see::<AtomicArray<i64>>("row").unwrap(), [0, -7, 0]);
    let names: Vec<_> = observer.objects().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names[..3], ["wide", "hits", "row"]);
    // However long somebody holds the lock.
    let value = segment.find::<Value<Wide>>("wide").unwrap();
    value.set([2; 8]).unwrap();
    let guard = value.lock().unwrap();
    assert_eq!(observer.see::<Value<Wide>>("wide").unwrap(), [2; 8]);
    drop(guard);
    for (error, kind) in [
        (observer.see::<Value<Wide>>("none").unwrap_err(), ErrorKind::NoObject),
        (observer.see::<Value<u64>>("wide").unwrap_err(), ErrorKind::WrongContent),
        (observer.see::<Atomic<u64>>("wide").unwrap_err(), ErrorKind::WrongContent),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn an_observer_keeps_nothing_alive_and_sees_what_was_left() {
    let directory = directory();
    let segment = make(directory.path());
    let observer = observe(directory.path());
    assert!(observer.is_linked());
    drop(segment);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert!(!observer.is_linked());
    assert_eq!(observer.see::<Value<Wide>>("wide").unwrap(), [1; 8]);
    let error = OpenOptions::new().directory(directory.path()).observe("it").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn the_mapping_of_an_observer_cannot_be_written_to() {
    let directory = directory();
    let mut peer =
        Peer::execute("observer/hold", &[directory.path().to_str().unwrap(), "make"], |_| ());
    peer.expect("ready");
    // The permission to read is enough.
    let path = directory.path().join("shmkit.it");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let observer = observe(directory.path());
    assert_eq!(observer.see::<Value<Wide>>("wide").unwrap(), [1; 8]);
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let path = path.to_str().unwrap();
    let lines: Vec<_> = maps.lines().filter(|line| line.ends_with(path)).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(" r--s ")), "{lines:?}");
}

#[test]
fn an_observer_of_a_writer_that_is_killed_sees_whole_values() {
    for _ in 0..20 {
        let directory = directory();
        let args = [directory.path().to_str().unwrap(), "write"];
        let mut peer = Peer::execute("observer/hold", &args, |_| ());
        peer.expect("ready");
        let observer = observe(directory.path());
        let mut last = 0;
        while last < 100 {
            let seen = observer.see::<Value<Wide>>("wide");
            let seen = match seen {
                Err(error) if error.kind() == ErrorKind::TimedOut => continue,
                seen => seen.unwrap(),
            };
            assert_eq!(seen, [seen[0]; 8]);
            assert!(seen[0] >= last);
            last = seen[0];
        }
        peer.kill();
        let seen = observer.see::<Value<Wide>>("wide").unwrap();
        assert_eq!(seen, [seen[0]; 8]);
    }
}

/// Every byte of header, roster, directory and objects, wrong in one of a few ways.
#[test]
fn a_damaged_segment_is_an_error_or_a_wrong_value() {
    let directory = directory();
    let segment = make(directory.path());
    let bytes = fs::read(segment.path().unwrap()).unwrap();
    drop(segment);
    let path = directory.path().join("shmkit.it");
    fs::write(&path, &bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut damaged = 0;
    for at in 0..bytes.len() {
        let change = [1, 0x80, 0xff][at % 3];
        let mut bytes = bytes[at..(at + 1)].to_vec();
        bytes[0] ^= change;
        let file = fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, at as u64).unwrap();
        let open = OpenOptions::new().directory(directory.path()).observe("it");
        let seen = open.and_then(|observer| {
            observer.objects()?;
            observer.see::<Value<Wide>>("wide")?;
            observer.see::<Atomic<u32>>("hits")?;
            observer.see::<AtomicArray<i64>>("row")
        });
        damaged += u32::from(seen.is_err());
        bytes[0] ^= change;
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, at as u64).unwrap();
    }
    assert!(damaged > 50, "{damaged}");
    // Cut off while it is observed: what says where its objects are is there, and what they are is not.
    let observer = observe(directory.path());
    let file = fs::File::options().write(true).open(&path).unwrap();
    let whole = |len: &u64| {
        file.set_len(*len).unwrap();
        observer.objects().is_ok()
    };
    let least = (0..bytes.len() as u64).rev().take_while(whole).last().unwrap();
    file.set_len(least).unwrap();
    let error = observer.see::<Value<Wide>>("wide").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    // All of it.
    fs::File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
    for error in [observer.objects().map(drop), observer.see::<Value<Wide>>("wide").map(drop)] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Truncated);
    }
}
