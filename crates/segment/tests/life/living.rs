//! Creating, opening, sharing and leaving.

use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::stat::fstat;
use shmkit_atomic::AtomicU8;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Offset;
use shmkit_roster::Judge;
use shmkit_segment::{ErrorKind, Leave, OpenOptions, Options, RemoveOutcome, Segment};

use crate::{Name, refused, small};

/// The last byte of a segment, which no object has.
fn last(segment: &Segment) -> &AtomicU8 {
    // SAFETY: only the last byte is used, and the tests that do so make no object so large.
    let region = unsafe { segment.region() };
    region.get(Offset::new(region.len() as u64 - 1).unwrap()).unwrap()
}

#[test]
fn shm_02_what_one_writes_the_other_reads() {
    let name = Name::new("shm-02");
    let ours = name.create();
    let theirs = Segment::open(&name).unwrap();
    last(&ours).store(42, Relaxed);
    assert_eq!(last(&theirs).load(Relaxed), 42);
}

#[test]
fn shm_03_and_10_an_existing_segment_keeps_its_size() {
    let name = Name::new("shm-10");
    let ours = name.create();
    let less = Options::new(100).participants(1).objects(0);
    let theirs = less.open_or_create(&name).unwrap();
    assert_eq!(theirs.header(), ours.header());
    assert_eq!(theirs.header().size, ours.header().size);
}

#[test]
fn what_has_room_for_less_than_was_asked_for_is_refused_dead_or_alive() {
    let directory = crate::directory();
    let small = || small().directory(directory.path());
    let name = Name::within(directory.path(), "too-small");
    let left = left(&name);
    for alive in [true, false] {
        let living = alive.then(|| small().create(&name).unwrap());
        if !alive {
            left();
        }
        for (options, asked) in [
            (small().participants(5), "512 bytes, 4 objects and 5 participants"),
            (small().objects(9), "512 bytes, 9 objects and 4 participants"),
            (
                Options::new(20_000).participants(2).objects(3).directory(directory.path()),
                "20000 bytes, 3 objects and 2",
            ),
        ] {
            let says = ["room for 512 bytes, 4 objects and 4 participants", asked, "fresh"];
            refused(options.open_or_create(&name), ErrorKind::TooSmall, &says);
        }
        assert!(living.is_none_or(|living| living.is_linked()));
    }
}

/// Returns what puts a segment in the place of `name` as if everybody in it had been killed: in a directory where nobody
/// else makes any, and removes what is dead.
fn left(name: &Name) -> impl Fn() {
    let segment = small().directory(&name.1).create(name).unwrap();
    last(&segment).store(7, Relaxed);
    let (path, bytes) = (name.path(), std::fs::read(name.path()).unwrap());
    move || {
        let hidden = path.with_extension("hidden");
        std::fs::write(&hidden, &bytes).unwrap();
        std::fs::set_permissions(&hidden, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(&hidden, &path).unwrap();
    }
}

#[test]
fn what_the_dead_left_is_adopted_or_made_anew() {
    let directory = crate::directory();
    let small = || small().directory(directory.path());
    let name = Name::within(directory.path(), "fresh");
    let left = left(&name);
    left();
    let adopted = small().open_or_create(&name).unwrap();
    assert_eq!(last(&adopted).load(Relaxed), 7);
    // Nobody's life is disturbed.
    let same = small().fresh(true).open_or_create(&name).unwrap();
    assert_eq!(same.header(), adopted.header());
    drop((same, adopted));
    left();
    let anew = Options::new(20_000).directory(directory.path());
    let anew = anew.fresh(true).open_or_create(&name).unwrap();
    assert!(anew.header().size > 20_000);
    assert_eq!(last(&anew).load(Relaxed), 0);
    assert!(anew.is_linked());
    drop(anew);
    // Who wants it anew does not mind that there is nothing, nor that it is to be kept.
    drop(small().fresh(true).open_or_create(&name).unwrap());
    let kept = small().persistent(true).create(&name).unwrap();
    last(&kept).store(3, Relaxed);
    drop(kept);
    let kept = small().fresh(true).open_or_create(&name).unwrap();
    assert_eq!(last(&kept).load(Relaxed), 3);
}

#[test]
fn shm_06_a_living_segment_exists_already() {
    let name = Name::new("shm-06");
    let ours = name.create();
    let says = ["is in use", "open it", "another name", &name.path().display().to_string()];
    refused(small().create(&name), ErrorKind::AlreadyExists, &says);
    assert!(ours.is_linked());
}

#[test]
fn no_such_segment_is_not_found() {
    let name = Name::new("nothing");
    let says = ["there is no", "create it first", &*name];
    refused(Segment::open(&name), ErrorKind::NotFound, &says);
    let says = ["there is no", "`shmkit ls`", &*name];
    refused(OpenOptions::new().unlink(&name), ErrorKind::NotFound, &says);
}

#[test]
fn shm_13_what_was_left_and_removed_is_not_found() {
    let name = Name::new("shm-13");
    drop(name.create());
    refused(Segment::open(&name), ErrorKind::NotFound, &["there is no"]);
}

#[test]
fn the_last_one_out_removes_the_name() {
    let name = Name::new("last");
    let one = name.create();
    let two = Segment::open(&name).unwrap();
    let three = one.clone();
    drop(one);
    assert!(name.exists());
    drop(two);
    assert!(name.exists());
    assert!(three.is_linked());
    drop(three);
    assert!(!name.exists());
}

#[test]
fn a_persistent_segment_stays_until_it_is_unlinked() {
    let name = Name::new("persistent");
    let ours = small().persistent(true).create(&name).unwrap();
    last(&ours).store(5, Relaxed);
    drop(ours);
    let says = ["is persistent", "unlink"];
    refused(small().create(&name), ErrorKind::AlreadyExists, &says);
    let again = small().open_or_create(&name).unwrap();
    assert!(again.header().is_persistent_for_ever());
    assert_eq!(last(&again).load(Relaxed), 5);
    drop(again);
    OpenOptions::new().unlink(&name).unwrap();
    assert!(!name.exists());
}

#[test]
fn what_is_persistent_until_somebody_opens_it_goes_with_who_did() {
    // Nobody else makes segments there, and removes what everybody has left.
    let directory = crate::directory();
    let name = Name::within(directory.path(), "until-opened");
    let options = small().directory(directory.path()).persistent(true).until_opened(true);
    let made = options.create(&name).unwrap();
    last(&made).store(7, Relaxed);
    drop(made);
    assert!(name.exists());
    let open = OpenOptions::new().directory(directory.path());
    assert_eq!(open.remove_if_dead(&name).unwrap(), RemoveOutcome::Persistent);
    let one = open.open(&name).unwrap();
    assert_eq!(last(&one).load(Relaxed), 7);
    assert_eq!(open.remove_if_dead(&name).unwrap(), RemoveOutcome::InUse);
    assert_eq!(one.leave().unwrap(), Leave::Removed);
    assert!(!name.exists());
    // Its maker may be the last one as well.
    let made = options.open_or_create(&name).unwrap();
    let again = made.clone();
    drop(open.open(&name).unwrap());
    drop(made);
    assert_eq!(again.leave().unwrap(), Leave::Left, "who shares its maker's place opens nothing");
    open.unlink(&name).unwrap();
}

#[test]
fn what_is_persistent_for_a_time_is_an_ordinary_segment_afterwards() {
    let [long, short] = ["expires-late", "expires-soon"].map(Name::new);
    let options = small().persistent(true);
    let open = OpenOptions::new();
    drop(options.clone().expires_after(Duration::from_secs(3600)).create(&long).unwrap());
    assert_eq!(open.remove_if_dead(&long).unwrap(), RemoveOutcome::Persistent);
    open.unlink(&long).unwrap();
    // Half a second is rounded up to one.
    let kept = options.clone().expires_after(Duration::from_millis(500)).create(&short).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while kept.header().is_persistent(now()) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        open.remove_if_dead(&short).unwrap(),
        RemoveOutcome::InUse,
        "who lives in it goes on"
    );
    drop(kept);
    assert!(!short.exists());
    // A creator takes the name of a dead one.
    drop(options.clone().expires_after(Duration::ZERO).create(&short).unwrap());
    let taken = || small().create(&short).is_ok();
    while !taken() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn who_takes_part_removes_the_name_of_its_own_segment_only() {
    let name = Name::new("unlink-mine");
    let ours = name.create();
    assert_eq!(ours.len(), ours.header().size);
    ours.unlink().unwrap();
    assert!(!name.exists());
    refused(ours.unlink(), ErrorKind::NotFound, &["unlink segment", "no name leads to it"]);
    let new = name.create();
    refused(ours.unlink(), ErrorKind::NotFound, &["no name leads to it"]);
    assert!(new.is_linked(), "another's");
    refused(small().anonymous().unwrap().unlink(), ErrorKind::NotFound, &["an anonymous segment"]);
}

#[test]
fn shm_09_and_22_unlinking_twice_fails_and_the_mapping_stays() {
    let name = Name::new("shm-09");
    let ours = name.create();
    last(&ours).store(9, Relaxed);
    OpenOptions::new().unlink(&name).unwrap();
    refused(OpenOptions::new().unlink(&name), ErrorKind::NotFound, &["there is no"]);
    assert!(!ours.is_linked());
    assert_eq!(last(&ours).load(Relaxed), 9);
    assert!(ours.participant().me().is_some());
}

#[test]
fn shm_25_a_name_made_anew_leads_to_other_memory() {
    let name = Name::new("shm-25");
    let old = name.create();
    last(&old).store(1, Relaxed);
    OpenOptions::new().unlink(&name).unwrap();
    let new = name.create();
    assert_eq!(last(&new).load(Relaxed), 0);
    assert_ne!(old.header().cookie, new.header().cookie);
    assert!(new.is_linked() && !old.is_linked());
    // The name is the new one's: the old one's end must not touch it.
    drop(old);
    assert!(new.is_linked());
    drop(new);
    assert!(!name.exists());
}

#[test]
fn a_name_that_somebody_else_took_is_left_alone() {
    let name = Name::new("taken");
    let ours = name.create();
    std::fs::remove_file(name.path()).unwrap();
    std::fs::write(name.path(), "another program's").unwrap();
    assert!(!ours.is_linked());
    drop(ours);
    assert_eq!(std::fs::read(name.path()).unwrap(), b"another program's");
}

#[test]
fn opening_twice_shares_mapping_place_and_descriptor() {
    let name = Name::new("twice");
    let one = name.create();
    let two = Segment::open(&name).unwrap();
    let three = Segment::from_fd(one.file().unwrap()).unwrap();
    for other in [&two, &three] {
        assert!(std::ptr::eq(other.participant(), one.participant()));
        assert_eq!(other.participant().me(), one.participant().me());
        assert_eq!(other.file().unwrap().as_raw_fd(), one.file().unwrap().as_raw_fd());
    }
    let members = one.participant().roster().participants(one.file().unwrap());
    assert_eq!(members.len(), 1);
    assert_eq!(three.name(), Some(&*name));
    drop((one, two));
    assert!(three.participant().me().is_some());
}

#[test]
fn a_segment_opened_again_after_the_end_is_joined_anew() {
    let name = Name::new("again");
    let first = small().persistent(true).create(&name).unwrap();
    let me = first.participant().me().unwrap();
    drop(first);
    let second = Segment::open(&name).unwrap();
    assert_ne!(second.participant().me(), Some(me), "a name is never given twice");
}

#[test]
fn a_passed_descriptor_finds_its_name_again() {
    // A folder of its own: in the common one, another test's creator may come by and remove what is dead.
    let folder = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let ours = small().persistent(false).directory(folder.path()).create("passed").unwrap();
    let file = ours.file().unwrap().try_clone_to_owned().unwrap();
    let cookie = ours.header().cookie;
    let path = ours.path().unwrap().to_owned();
    // The other end of a socket, which does not know the name: this process has left by then.
    std::fs::hard_link(&path, path.with_extension("kept")).unwrap();
    drop(ours);
    assert!(path.exists(), "it has two names: nobody removes either");
    std::fs::remove_file(path.with_extension("kept")).unwrap();
    let theirs = Segment::from_owned_fd(file).unwrap();
    assert_eq!((theirs.header().cookie, theirs.name()), (cookie, Some("passed")));
    drop(theirs);
    assert!(!path.exists());
}

#[test]
fn a_passed_descriptor_without_its_name_is_unlinked() {
    let name = Name::new("stale");
    let ours = name.create();
    let file = ours.file().unwrap().try_clone_to_owned().unwrap();
    drop(ours);
    let says = ["its name was removed", "persistent"];
    refused(Segment::from_owned_fd(file), ErrorKind::Unlinked, &says);
}

#[test]
fn an_anonymous_segment_is_sealed_and_private() {
    let segment = small().content("mine").anonymous().unwrap();
    assert_eq!((segment.name(), segment.path(), segment.is_linked()), (None, None, false));
    assert_eq!(segment.to_string(), "an anonymous segment");
    let file = segment.file().unwrap();
    assert_eq!(fstat(file).unwrap().st_mode & 0o7777, 0o600);
    let seals = SealFlag::from_bits_retain(fcntl(file, FcntlArg::F_GET_SEALS).unwrap());
    let all = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    assert!(seals.contains(all), "{seals:?}");
    assert!(nix::unistd::ftruncate(file, 0).is_err());
    assert!(Segment::from_fd(file).is_ok());
    let other = OpenOptions::new().content("yours");
    let file = file.try_clone_to_owned().unwrap();
    refused(other.from_owned_fd(file), ErrorKind::WrongContent, &["\"mine\"", "\"yours\""]);
}

#[test]
fn a_descriptor_of_something_else_is_refused() {
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    refused(Segment::from_owned_fd(reader), ErrorKind::NotRegular, &["no regular file"]);
    let open = OpenOptions::new().mode(0o777).owner(None);
    let text = std::fs::File::open("Cargo.toml").unwrap();
    refused(open.from_owned_fd(text.into()), ErrorKind::ForeignMagic, &["shmk", "another program"]);
}

#[test]
fn a_ticket_is_a_description_of_its_own() {
    let segment = small().anonymous().unwrap();
    let ticket = segment.ticket().unwrap();
    let file = segment.file().unwrap().try_clone_to_owned().unwrap();
    // Joined already: the ticket is not needed, and closed.
    let same = OpenOptions::new().from_ticket(file, ticket).unwrap();
    assert_eq!(same.participant().me(), segment.participant().me());
}

#[test]
fn joining_again_in_the_same_process_changes_nothing() {
    let segment = small().anonymous().unwrap();
    let me = segment.participant().me();
    assert_eq!(segment.join_after_fork().ok(), me);
    assert_eq!(segment.participant().me(), me);
}

#[test]
fn the_keys_of_the_environment_are_checked() {
    refused(Segment::inherited("a b"), ErrorKind::InvalidName, &["letters, digits"]);
    let says = ["SHMKIT_SEGMENT_nobody_shared_this", "share_segment"];
    refused(Segment::inherited("nobody_shared_this"), ErrorKind::NotInherited, &says);
}

#[test]
fn threads_that_open_and_leave_at_once_agree() {
    let name = Name::new("threads");
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..300 {
                    let segment = small().open_or_create(&name).unwrap();
                    assert!(segment.is_linked());
                    assert!(segment.participant().me().is_some());
                }
            });
        }
    });
    assert!(!name.exists());
}

/// SHM-08, SHM-21.
#[test]
fn a_segment_that_is_given_no_name_has_one_that_nobody_else_has() {
    let directory = crate::directory();
    let options = small().directory(directory.path());
    let made = [(); 3].map(|()| options.create_unique().unwrap());
    let names = made.each_ref().map(|segment| segment.name().unwrap().to_owned());
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
    for (segment, name) in made.iter().zip(&names) {
        assert!(segment.was_created() && segment.is_linked());
        let theirs = OpenOptions::new().directory(directory.path()).open(name).unwrap();
        assert_eq!(theirs.header().cookie, segment.header().cookie);
    }
    drop(made);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn of_threads_that_open_or_create_at_once_one_has_created() {
    let name = Name::new("was-created");
    let start = Barrier::new(4);
    for _ in 0..50 {
        let run = || {
            start.wait();
            let segment = small().open_or_create(&name).unwrap();
            start.wait();
            (segment.was_created(), segment.clone().was_created())
        };
        let created = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(run));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(created.iter().filter(|created| **created == (true, true)).count(), 1);
        assert_eq!(created.iter().filter(|created| **created == (false, false)).count(), 3);
    }
    let ours = name.create();
    assert!(ours.was_created());
    assert!(!Segment::open(&name).unwrap().was_created());
}

#[test]
fn an_error_is_one_of_the_standard_library_too() {
    let error = Segment::open(&Name::new("io")).unwrap_err();
    assert!(!error.is_timeout());
    assert_eq!(error.errno(), Some(nix::libc::ENOENT));
    let text = error.to_string();
    let error = std::io::Error::from(error);
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(error.to_string(), text);
}
