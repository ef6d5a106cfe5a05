//! Segments that grow where they lie, and objects that grow in place.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::unistd::ftruncate;
use shmkit_segment::ObjectErrorKind as Is;
use shmkit_segment::{ErrorKind, OpenOptions, Options, Segment};
use shmkit_tests::directory::{Spec, Words};
use shmkit_tests::growth::Sparse;

use crate::directory_removal::user;
use crate::segment::directory;
use crate::support::{By, Peer, unique};

/// A small one that may become large.
fn growing() -> Options {
    Options::new(4096).participants(8).objects(4).max(64 << 20)
}

#[test]
fn who_attached_before_the_growth_sees_what_was_made_after_it() {
    for by in By::ALL {
        let segment = growing().anonymous().unwrap();
        let first: Words = segment.make("first", Spec::new(8, 1)).unwrap();
        let address = first.all().as_ptr();
        let mut peer = by.peer("grower/obey", &[], &segment);
        peer.expect("ready");
        let _: Words = segment.make("ours", Spec::new(100_000, 5)).unwrap();
        peer.say("see 5");
        peer.expect("done");
        peer.say("make 200000 6");
        peer.expect("done");
        let theirs: Words = segment.find("theirs").unwrap();
        assert!(theirs.are(6) && first.are(1));
        assert_eq!(segment.find::<Words>("first").unwrap().all().as_ptr(), address, "{by:?}");
        let file = fs::File::from(segment.file().unwrap().try_clone_to_owned().unwrap());
        assert!(segment.len() >= 2_400_000 && segment.len() < segment.limit());
        assert_eq!(file.metadata().unwrap().len(), segment.len());
        peer.say("end");
        peer.join();
    }
}

#[test]
fn a_named_segment_is_opened_as_long_as_it_has_become() {
    let directory = directory();
    let segment = growing().directory(directory.path()).create("it").unwrap();
    let made = segment.len();
    let _: Words = segment.make("large", Spec::new(100_000, 5)).unwrap();
    let mut peer = Peer::execute("growth/open", &[directory.path().to_str().unwrap()], |_| ());
    peer.expect("grown");
    assert!(segment.find::<Words>("theirs").unwrap().are(9));
    peer.join();
    assert!(made < segment.len() && segment.len().is_multiple_of(4096), "whole pages");
    assert_eq!(fs::metadata(segment.path().unwrap()).unwrap().len(), segment.len());
    // What was asked for is what it may become.
    let again = growing().directory(directory.path()).open_or_create("it").unwrap();
    assert!(!again.was_created() && again.limit() == segment.limit());
    let error = growing().max(65 << 20).directory(directory.path()).open_or_create("it");
    assert_eq!(error.unwrap_err().kind(), ErrorKind::TooSmall);
}

#[test]
fn a_segment_grows_up_to_its_limit() {
    let segment = growing().max(5000).anonymous().unwrap();
    let error = segment.make::<Words>("large", Spec::new(1000, 5)).unwrap_err();
    assert_eq!(error.kind(), Is::NoRoom);
    assert!(error.to_string().contains("Options::max"), "{error}");
    let _: Words = segment.make("fits", Spec::new(610, 5)).unwrap();
    assert_eq!(segment.len(), segment.limit(), "the last page is none that is whole");
    assert_eq!(segment.make::<Words>("more", Spec::new(100, 5)).unwrap_err().kind(), Is::NoRoom);
    let error = growing().max(4095).anonymous().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    let error = growing().objects(0).anonymous().unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("directory"));
    let error = growing().max(u64::MAX).anonymous().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSize);
    let fixed = Options::new(4096).anonymous().unwrap();
    assert_eq!(fixed.limit(), fixed.len());
}

#[test]
fn the_directory_grows_with_its_segment() {
    let segment = growing().anonymous().unwrap();
    for i in 0..1000 {
        let _: Words = segment.make(&i.to_string(), Spec::new(20, i)).unwrap();
    }
    let twin = Segment::from_fd(segment.file().unwrap()).unwrap();
    assert_eq!(twin.objects().unwrap().len(), 1000);
    assert!((0..1000).all(|i| twin.find::<Words>(&i.to_string()).unwrap().are(i)));
}

#[test]
fn what_was_cut_off_is_not_lengthened_and_not_opened() {
    let directory = directory();
    let segment = growing().directory(directory.path()).create("it").unwrap();
    let _: Words = segment.make("large", Spec::new(100_000, 5)).unwrap();
    let (path, len) = (segment.path().unwrap().to_owned(), segment.len());
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len - 4096).unwrap();
    let error = segment.make::<Words>("more", Spec::new(1000, 5)).unwrap_err();
    assert_eq!(error.kind(), Is::Truncated, "{error}");
    let message = error.to_string();
    let says = [format!("has {} bytes", len - 4096), format!("had {len}"), "cut it off".into()];
    assert!(says.iter().all(|part| message.contains(part)), "{message}");
    assert_eq!(fs::metadata(&path).unwrap().len(), len - 4096, "left as it was");
    let error = OpenOptions::new().directory(directory.path()).open("it").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
}

#[test]
fn who_only_looks_is_told_of_a_file_that_was_cut_off_as_it_grew() {
    let directory = directory();
    let segment = growing().directory(directory.path()).create("it").unwrap();
    let path = directory.path().to_str().unwrap();
    let mut peer = Peer::execute("growth/look", &[path], |_| ());
    peer.expect("ready");
    let _: Words = segment.make("large", Spec::new(100_000, 5)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(segment.path().unwrap()).unwrap();
    file.set_len(segment.len() - 4096).unwrap();
    peer.say("look");
    peer.expect("Truncated");
    peer.join();
}

#[test]
fn memory_without_a_name_is_sealed_against_shrinking_alone() {
    let segment = growing().anonymous().unwrap();
    let file = segment.file().unwrap().try_clone_to_owned().unwrap();
    let _: Words = segment.make("large", Spec::new(100_000, 5)).unwrap();
    assert_eq!(ftruncate(&file, 4096), Err(Errno::EPERM));
    let fixed = Options::new(4096).anonymous().unwrap();
    let file = fixed.file().unwrap().try_clone_to_owned().unwrap();
    assert_eq!(ftruncate(file.as_fd(), 1 << 20), Err(Errno::EPERM));
}

#[test]
fn a_full_file_system_is_an_error_of_who_wanted_more_and_loses_nothing() {
    let directory = directory();
    let peer = Peer::execute("growth/full", &[directory.path().to_str().unwrap()], |_| ());
    peer.join();
}

#[test]
fn an_object_that_cannot_grow_in_place_keeps_what_it_has() {
    let directory = directory();
    let peer = Peer::execute("growth/sparse-full", &[directory.path().to_str().unwrap()], |_| ());
    peer.join();
}

#[test]
fn an_object_grows_in_place_for_all_who_have_it() {
    for by in By::ALL {
        let segment = growing().anonymous().unwrap();
        // As large as there is room for: who comes now finds a segment at its limit, and grows inside of it.
        let sizes = (0..).map(|less| segment.limit() / 64 * 8 - less * 8);
        let sparse = sizes.map(|words| segment.make("sparse", (words, 16)));
        let sparse: Sparse = sparse.filter_map(Result::ok).next().unwrap();
        assert_eq!(segment.len(), segment.limit());
        let file = fs::File::from(segment.file().unwrap().try_clone_to_owned().unwrap());
        assert!(file.metadata().unwrap().blocks() * 512 < 1 << 20, "it takes what it uses");
        let mut peer = by.peer("grower/obey", &[], &segment);
        peer.expect("ready");
        peer.say("grow 100000 7");
        peer.expect("done");
        assert!(sparse.count() == 100_000 && sparse.are(1, 7));
        sparse.grow(300_000).unwrap();
        assert!(sparse.are(100_000, 0), "what is new is zero");
        sparse.fill(8);
        peer.say("grow 500000 9");
        peer.expect("done");
        assert!(sparse.count() == 500_000 && sparse.are(1, 9));
        let blocks = file.metadata().unwrap().blocks() * 512;
        assert!((4_000_000..5_000_000).contains(&blocks), "{blocks}");
        peer.say("end");
        peer.join();
    }
}

#[test]
fn what_a_killed_maker_has_written_is_no_part_of_an_object_that_grows() {
    let name = unique("growth-half");
    let segment = growing().create(&name).unwrap();
    let mut peer = Peer::execute("growth/half", &[&name], |_| ());
    peer.expect("half");
    peer.kill();
    // No larger than the peer's: it lies there.
    let sparse: Sparse = segment.make("sparse", (40_000, 16)).unwrap();
    sparse.grow(40_000).unwrap();
    assert!(sparse.are(16, 0), "zeros, where the peer had written sevens");
    let victim: Words = segment.object("victim", Spec::new(40_000, 8)).unwrap();
    assert!(victim.are(8));
}

#[test]
fn a_segment_can_be_opened_and_listed_at_every_moment_of_its_growth() {
    let name = unique("growth-steps");
    let _segment = growing().create(&name).unwrap();
    let mut peer = Peer::execute("growth/steps", &[&name], |_| ());
    peer.expect("ready");
    let mut count = 0;
    while count < 400 {
        // Whoever opens looks at the file as a stranger does.
        let twin = Segment::open(&name).unwrap();
        let objects = twin.objects().unwrap();
        assert!(objects.len() >= count);
        count = objects.len();
        if let Some(last) = objects.last() {
            let words: Words = twin.find(&last.name).unwrap();
            assert!(words.are(last.name.parse().unwrap()));
        }
    }
    peer.expect("done");
    peer.join();
}

#[test]
fn what_is_removed_gives_its_memory_back_and_what_comes_there_next_is_zero() {
    const WORDS: u64 = 1 << 18;
    for forked in [false, true] {
        let name = unique("gives-back");
        let segment = growing().create(&name).unwrap();
        let file = fs::File::from(segment.file().unwrap().try_clone_to_owned().unwrap());
        let memory = || file.metadata().unwrap().blocks() * 512;
        let neighbours = ["before", "after"].map(|name| {
            let _: Words = segment.make("large", Spec::new(WORDS, 5)).unwrap();
            let neighbour: Words = segment.make(name, Spec::new(100, 7)).unwrap();
            let (length, there) = (segment.len(), memory());
            segment.remove_object("large").unwrap();
            let given = there - memory();
            assert!((WORDS * 8 - 8192..=WORDS * 8).contains(&given), "{given}");
            assert_eq!(segment.len(), length, "a segment does not become shorter");
            neighbour
        });
        // With its last user, who is killed.
        let there = memory();
        let used: Words = segment.make("used", Spec::new(WORDS, 5)).unwrap();
        assert!(memory() > there + WORDS * 8 - 8192);
        drop(used);
        let peer = user(&name, &segment, forked);
        segment.unlink_object("used").unwrap();
        peer.kill();
        let again: Words = segment.make("again", Spec::new(WORDS, 0)).unwrap();
        assert!(again.are(0) && neighbours.iter().all(|words| words.are(7)));
        assert!(memory() <= there + 2 * WORDS * 8 + 8192);
    }
}
