//! The directory of objects, between processes and through deaths.

use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Kind, NameWords, Object, Region, Shape, ShapeError, ShmSafe, TypeTag};
use shmkit_roster::Seat;
use shmkit_segment::ObjectErrorKind as Is;
use shmkit_segment::{Options, Segment};
use shmkit_tests::directory::{Spec, Words, add};

use crate::support::{Peer, unique, wait_until};

/// As [`Words`], but of another type.
#[derive(Debug)]
struct Others;

// SAFETY: kind and tag are given to this layout alone.
unsafe impl Object<Seat> for Others {
    const KIND: Kind = Kind::new("words");
    const TAG: TypeTag = f64::TAG;
    type Spec = ();

    fn shape((): &(), _: u32) -> Result<Shape, ShapeError> {
        Ok(Shape {
            kind: Self::KIND,
            tag: Self::TAG,
            len: 1,
            bytes: 8,
            align: 8,
            names: NameWords::NONE.alone(),
        })
    }

    unsafe fn init(_: Region<'_>, (): (), _: Seat) -> Result<Self, ShapeError> {
        Ok(Self)
    }

    unsafe fn attach(_: Region<'_>, _: u64, _: Seat) -> Result<Self, ShapeError> {
        Ok(Self)
    }
}

#[test]
fn peers_that_make_an_object_at_once_get_the_same_one() {
    let name = unique("directory-once");
    let segment = Options::new(1 << 16).create(&name).unwrap();
    let mut peers: Vec<_> = (0..4)
        .map(|i| match i % 2 {
            0 => Peer::execute("directory/add", &[&name], |_| ()),
            _ => Peer::fork("directory/add", |channel| {
                segment.join_after_fork().unwrap();
                add(&segment, channel);
            }),
        })
        .collect();
    peers.iter_mut().for_each(|peer| peer.expect("ready"));
    peers.iter_mut().for_each(|peer| peer.say("go"));
    peers.iter_mut().for_each(|peer| peer.expect("done"));
    assert_eq!(segment.objects().unwrap().len(), 10);
    for i in 0..10 {
        let words: Words = segment.find(&format!("counter-{i}")).unwrap();
        assert_eq!(words.all()[0].load(Relaxed), 104);
    }
    peers.into_iter().for_each(Peer::join);
}

#[test]
fn a_maker_killed_half_way_leaves_no_object_and_no_wait() {
    let name = unique("directory-half");
    let segment = Options::new(1 << 16).create(&name).unwrap();
    let _: Words = segment.make("before", Spec::new(4, 1)).unwrap();
    let mut peer = Peer::execute("directory/half", &[&name], |_| ());
    peer.expect("half");

    // The maker holds the directory: what there is can be found all the same.
    let before: Words = segment.find("before").unwrap();
    assert!(before.are(1));
    assert_eq!(segment.find::<Words>("victim").unwrap_err().kind(), Is::NotFound);
    assert_eq!(segment.objects().unwrap().len(), 1);

    peer.kill();
    let start = Instant::now();
    // `init` checks that it gets zeros, where the peer had written sevens.
    let victim: Words = segment.object("victim", Spec::new(64, 8)).unwrap();
    assert!(victim.are(8));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(segment.objects().unwrap().len(), 2);
}

#[test]
fn makers_killed_anywhere_leave_every_object_whole_or_absent() {
    for round in 0..30 {
        let name = unique(&format!("directory-kill-{round}"));
        // Its table grows meanwhile.
        let segment = Options::new(2 << 20).objects(4).create(&name).unwrap();
        let mut peer = Peer::execute("directory/make", &[&name], |_| ());
        peer.expect("ready");
        // It works while we look: what we see is whole at every moment.
        wait_until(|| segment.objects().unwrap().len() > round * 16);
        peer.kill();
        let made = segment.objects().unwrap();
        for (i, entry) in made.iter().enumerate() {
            assert_eq!(entry.name, i.to_string(), "in order, none twice");
            let words: Words = segment.find(&entry.name).unwrap();
            assert!(words.are(i as u64), "{entry}: {words:?}");
            assert_eq!(words.all().len() as u64, 1 + i as u64 * 37 % 400);
        }
        let start = Instant::now();
        let next: Words = segment.object("next", Spec::new(5, 5)).unwrap();
        assert!(next.are(5));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(segment.objects().unwrap().len(), made.len() + 1);
    }
}

#[test]
fn a_peers_object_of_another_type_or_length_is_refused() {
    let name = unique("directory-types");
    let segment = Options::new(4096).create(&name).unwrap();
    let mut peer = Peer::execute("directory/add", &[&name], |_| ());
    peer.expect("ready");
    peer.say("go");
    peer.expect("done");
    let error = segment.object::<Others>("counter-3", ()).unwrap_err();
    assert_eq!(error.kind(), Is::WrongShape);
    assert_eq!(
        error.to_string(),
        r#"object "counter-3": it is words of u64 (8 bytes), asked for was words of f64 (8 bytes): use the same type on both sides, or another name"#
    );
    let error = segment.object::<Words>("counter-3", Spec::new(2, 0)).unwrap_err();
    assert!(
        error.to_string().contains("it is words of u64 (8 bytes), asked for was words of length 2"),
        "{error}"
    );
    peer.join();
}

#[test]
fn a_long_name_and_its_maker_are_seen_by_a_peer() {
    let name = unique("directory-long");
    let segment = Options::new(1 << 15).objects(1).create(&name).unwrap();
    let long = "größe".repeat(36) + "abc";
    assert_eq!(long.len(), 255);
    let _: Words = segment.make(&long, Spec::new(2, 5)).unwrap();
    let peer = Peer::fork("child", |_| {
        segment.join_after_fork().unwrap();
        assert!(segment.find::<Words>(&long).unwrap().are(5));
        assert_eq!(segment.find::<Words>(&long[..254]).unwrap_err().kind(), Is::NotFound);
        let _: Words = segment.make("child's", Spec::new(1, 6)).unwrap();
    });
    peer.join();
    let entries = segment.objects().unwrap();
    assert_eq!((entries[0].name.as_str(), entries[1].name.as_str()), (long.as_str(), "child's"));
    assert_eq!((entries[0].generation, entries[1].generation), (1, 2));
    assert!(entries[0].creator.is_some() && entries[1].creator.is_some());
    assert_ne!(entries[0].creator, entries[1].creator);
}

#[test]
fn a_forked_child_makes_nothing_before_it_joins() {
    let name = unique("directory-fork");
    let segment = Options::new(4096).create(&name).unwrap();
    let _: Words = segment.make("before", Spec::new(1, 5)).unwrap();
    let peer = Peer::fork("child", |_| {
        let error = segment.make::<Words>("child's", Spec::new(1, 1)).unwrap_err();
        assert_eq!(error.kind(), Is::NotJoined, "{error}");
        assert!(error.to_string().contains("join_after_fork"), "{error}");
        segment.join_after_fork().unwrap();
        let _: Words = segment.make("child's", Spec::new(1, 6)).unwrap();
    });
    peer.join();
    let words: Words = segment.find("child's").unwrap();
    assert!(words.are(6));
}

#[test]
fn a_segment_without_a_directory_says_so() {
    let segment = Options::new(4096).objects(0).anonymous().unwrap();
    let error = segment.object::<Words>("a", Spec::new(1, 1)).unwrap_err();
    assert_eq!(error.kind(), Is::NoDirectory);
    assert!(error.to_string().contains("Options::objects"), "{error}");
    assert!(segment.objects().unwrap().is_empty());
}

#[test]
fn a_segment_of_any_size_fills_up_with_an_error() {
    let segment: Segment = Options::new(1000).objects(3).anonymous().unwrap();
    let error = segment.make::<Words>("large", Spec::new(126, 1)).unwrap_err();
    assert_eq!(error.kind(), Is::NoRoom);
    assert!(error.to_string().contains("1000 are free"), "{error}");
    let _: Words = segment.make("all", Spec::new(125, 1)).unwrap();
    let error = segment.make::<Words>("more", Spec::new(1, 1)).unwrap_err();
    assert_eq!(error.kind(), Is::NoRoom);
}
