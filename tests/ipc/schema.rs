//! Types that two programs were built with apart.

use std::num::NonZero;

use shmkit::bytemuck::Zeroable;
use shmkit::{Checked, Objects, Options, Pipe, Segment, Value};
use shmkit_tests::schema::old::{
    HourlyPrecipitationOfTheWholeCatchmentArea, Mode, Reading, Switch,
};

use crate::support::{Peer, unique};

const SWITCH: Switch =
    Switch { on: false, before: None, mode: Some(Mode::Fast), step: NonZero::new(3), letter: 'a' };

fn segment(test: &str) -> (String, Segment) {
    let name = unique(test);
    let segment = Options::new(1 << 16).create(&name).unwrap();
    (name, segment)
}

#[test]
fn a_peer_of_another_definition_is_refused_with_the_field_named_on_both_sides() {
    let (name, segment) = segment("schema-differ");
    let first = Reading::zeroed();
    let last = segment.value("last", first).unwrap();
    segment.mutex("guarded", first).unwrap();
    segment.array("all", [first; 3]).unwrap();
    let _: Pipe<Reading> = segment.pipe("sent", 8).unwrap();
    segment.value("mode", Checked::new(Mode::Fast)).unwrap();
    let long = HourlyPrecipitationOfTheWholeCatchmentArea { depth: 1.5 };
    let long = segment.value("long", long).unwrap();

    let mut peer = Peer::execute("schema/differ", &[&name], |_| ());
    for what in ["value", "mutex", "array", "pipe"] {
        let error = peer.hear();
        assert!(error.contains(what), "{error}");
        let expected = "`Reading.at`: u32 at byte 8 here, u64 at byte 8 there";
        assert!(error.contains(expected), "{error}");
    }
    let error = peer.hear();
    assert!(error.contains("`Mode::Still`: 2 here, no such variant there"), "{error}");
    let error = peer.hear();
    let expected = "`HourlyPrecipitationOfTheWholeCatchmentArea.inches`: f64 at byte 0 here, no such field there";
    assert!(error.contains(expected), "{error}");
    peer.join();
    assert_eq!((last.get().unwrap(), long.get().unwrap().depth), (first, 1.5));
}

#[test]
fn a_definition_is_kept_once_for_each_type() {
    let (_, segment) = segment("schema-once");
    for name in ["a", "b", "c"] {
        segment.value(name, Reading::zeroed()).unwrap();
        segment.value(&format!("{name} number"), 7_u64).unwrap();
    }
    let kinds: Vec<_> =
        segment.objects().unwrap().iter().map(|entry| entry.shape.kind.to_string()).collect();
    assert_eq!(kinds, ["value", "schema", "value", "value", "value", "value", "value"]);
}

#[test]
fn who_is_short_of_room_has_objects_and_no_definitions() {
    let segment = Options::new(1 << 16).objects(1).anonymous().unwrap();
    let only: Value<Reading> = segment.value("only", Reading::zeroed()).unwrap();
    assert_eq!(only.get().unwrap(), Reading::zeroed());
    let other = segment.value("only", Checked::new(Mode::Slow)).unwrap_err();
    assert!(other.to_string().contains("asked for was value of Mode"), "{other}");
}

#[test]
fn a_checked_value_is_what_a_peer_has_made_of_it() {
    let (name, segment) = segment("schema-same");
    let switch = segment.value("switch", Checked::new(SWITCH)).unwrap();
    let mut peer = Peer::execute("schema/same", &[&name], |_| ());
    peer.expect("done");
    peer.join();
    let found = switch.get().unwrap().get();
    assert_eq!(found, Ok(Switch { on: true, letter: 'ß', ..SWITCH }));
}

#[test]
fn bits_that_are_no_value_are_an_error_that_names_them() {
    let (name, segment) = segment("schema-spoil");
    let switch = segment.value("switch", Checked::new(SWITCH)).unwrap();
    let mut peer = Peer::execute("schema/spoil", &[&name], |_| ());
    peer.expect("done");
    peer.join();
    let error = switch.get().unwrap().get().unwrap_err();
    assert_eq!((error.path(), error.found()), ("Switch.mode", 77));
    switch.set(SWITCH.into()).unwrap();
    assert_eq!(switch.get().unwrap().get(), Ok(SWITCH));
}
