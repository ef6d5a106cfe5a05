//! Handles that say where they are.

use std::error::Error;

use shmkit_segment::{ErrorKind, LocateError, Located, ObjectErrorKind, Options};
use shmkit_sync::{Event, Mutex};

use crate::Name;
#[cfg(feature = "serde")]
use crate::small;

#[test]
fn a_handle_is_opened_from_where_it_says_it_is() {
    let name = Name::new("located");
    let segment = name.create();
    segment.make::<Mutex<u64>>("total", 5).unwrap();
    let total: Located<Mutex<u64>> = segment.located("total").unwrap();
    let locator = total.locator().unwrap();
    assert_eq!((locator.kind.as_str(), locator.tag.as_str()), ("mutex", "u64"));
    assert_eq!((total.name(), total.segment().name()), ("total", Some(&*name)));
    drop(segment);

    let again: Located<Mutex<u64>> = locator.open().unwrap();
    *again.lock().unwrap() += 1;
    assert_eq!(*total.lock().unwrap(), 6);
    drop((total, again.clone()));
    assert!(name.exists(), "each has a share in the segment");
    assert_eq!(*again.into_inner().lock().unwrap(), 6);
    assert!(!name.exists());
}

#[test]
fn what_is_not_there_any_more_is_refused_with_the_reason() {
    let name = Name::new("gone");
    let segment = name.create();
    segment.make::<Mutex<u64>>("total", 5).unwrap();
    let locator = segment.located::<Mutex<u64>>("total").unwrap().locator().unwrap();

    let error = locator.open::<Mutex<i64>>().unwrap_err();
    assert!(error.to_string().contains("\"u64\", and is asked for as mutex of \"i64\""), "{error}");
    let error = locator.open::<Event>().unwrap_err();
    assert!(matches!(error, LocateError::WrongType { .. }), "{error}");
    let mut other = locator.clone();
    other.object = "sum".into();
    match other.open::<Mutex<u64>>().unwrap_err() {
        LocateError::Object(error) => assert_eq!(error.kind(), ObjectErrorKind::NotFound),
        error => panic!("{error}"),
    }

    // Another object of the same name and type.
    segment.remove_object("total").unwrap();
    segment.make::<Mutex<u64>>("total", 6).unwrap();
    let error = locator.open::<Mutex<u64>>().unwrap_err();
    assert!(matches!(error, LocateError::Replaced { .. }), "{error}");

    drop(segment);
    let error = locator.open::<Mutex<u64>>().unwrap_err();
    match &error {
        LocateError::Segment(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        error => panic!("{error}"),
    }
    assert!(error.source().is_some());

    // Another one of the same name, with an object of the same name and type.
    let segment = name.create();
    segment.make::<Mutex<u64>>("total", 7).unwrap();
    let error = locator.open::<Mutex<u64>>().unwrap_err();
    assert!(matches!(error, LocateError::Reused { .. }), "{error}");
}

#[test]
fn a_segment_without_a_name_cannot_be_located() {
    let segment = Options::new(4096).anonymous().unwrap();
    segment.make::<Event>("ready", ()).unwrap();
    let ready: Located<Event> = segment.located("ready").unwrap();
    assert!(matches!(ready.locator(), Err(LocateError::NoName)));
}

#[cfg(feature = "serde")]
#[test]
fn a_handle_is_serialised_as_where_it_is() {
    let name = Name::new("serialised");
    let segment = small().create(&name).unwrap();
    segment.make::<Mutex<u64>>("total", 5).unwrap();
    let total: Located<Mutex<u64>> = segment.located("total").unwrap();
    let text = serde_json::to_string(&total).unwrap();
    assert!(
        text.contains(r#""object":"total","generation":1,"kind":"mutex","tag":"u64""#),
        "{text}"
    );
    let again: Located<Mutex<u64>> = serde_json::from_str(&text).unwrap();
    *again.lock().unwrap() += 1;
    assert_eq!(*total.lock().unwrap(), 6);

    drop((segment, total, again));
    let error = serde_json::from_str::<Located<Mutex<u64>>>(&text).unwrap_err();
    assert!(error.to_string().contains("was not opened: "), "the whole chain: {error}");
}
