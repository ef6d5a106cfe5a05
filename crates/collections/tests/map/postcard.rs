//! Keys and values that `serde` knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use shmkit_collections::{Item, MapError, Postcard};

use crate::support::Memory;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    name: String,
    groups: Vec<String>,
    mail: Option<String>,
}

fn user(n: usize) -> Postcard<User> {
    let groups = (0..n % 5).map(|group| format!("group {group}")).collect();
    Postcard(User {
        name: format!("user {n}"),
        groups,
        mail: n.is_multiple_of(2).then(|| "m".repeat(n)),
    })
}

#[test]
fn what_is_serialised_is_read_by_others_as_it_was() {
    let memory = Memory::new(1 << 20);
    let here = memory.map::<str, Postcard<User>>();
    let there = memory.open::<str, Postcard<User>>(1).unwrap();
    for n in 0..200 {
        assert_eq!(here.insert(&format!("{n}"), &user(n)), Ok(None));
    }
    for n in 0..200 {
        assert_eq!(there.get(&format!("{n}")), Ok(Some(user(n))));
    }
    assert_eq!(there.insert("7", &user(8)), Ok(Some(user(7))));
    assert_eq!(here.remove("7"), Ok(Some(user(8))));
    assert_eq!(here.get_or_insert_with("7", || user(9)), Ok(user(9)));
    let account = here.check().unwrap();
    assert_eq!((account.kept_blocks, account.is_complete()), (200, true));
}

#[test]
fn a_place_is_changed_under_its_lock() {
    let memory = Memory::new(1 << 20);
    let map = memory.map::<Postcard<(String, u8)>, Postcard<BTreeMap<String, u64>>>();
    let key = Postcard(("words".to_owned(), 3));
    for word in ["a", "b", "a"] {
        let count = |words: &mut Postcard<BTreeMap<String, u64>>| {
            *words.entry(word.to_owned()).or_default() += 1;
        };
        let first = BTreeMap::from([(word.to_owned(), 1)]).into();
        map.entry(&key).unwrap().and_modify(count).unwrap().or_insert(first).unwrap();
    }
    let expected = BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(map.entries(), Ok(vec![(key.clone(), Postcard(expected))]));
    let entry = map.entry(&key).unwrap();
    assert_eq!(entry.key(), &key);
}

#[test]
fn bytes_that_are_no_such_value_are_corrupt() {
    let memory = Memory::new(1 << 20);
    let bytes = memory.map::<u8, [u8]>();
    bytes.insert(&1, &[9, b'x']).unwrap();
    bytes.insert(&2, &[1, b'x', 0]).unwrap();
    bytes.insert(&3, &[1, b'x']).unwrap();
    let texts = memory.open::<u8, Postcard<String>>(1).unwrap();
    assert!(matches!(texts.get(&1), Err(MapError::Corrupt { .. })), "cut off");
    assert!(matches!(texts.get(&2), Err(MapError::Corrupt { .. })), "more than one");
    assert_eq!(texts.get(&3), Ok(Some("x".to_owned().into())));
}

#[test]
fn what_cannot_be_serialised_changes_nothing() {
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }

    let memory = Memory::new(1 << 20);
    let map = memory.map::<u8, Postcard<Refuses>>();
    assert_eq!(map.insert(&1, &Postcard(Refuses)), Err(MapError::Serialize));
    assert_eq!(map.entry(&1).unwrap().or_insert(Refuses.into()), Err(MapError::Serialize));
    assert_eq!((map.len(), map.check().unwrap().reserved_blocks), (0, 0));
    assert!(MapError::Serialize.to_string().contains("serialised"));
    assert_eq!(<Postcard<u8> as Item>::TAG, <Postcard<u64> as Item>::TAG, "it is not told apart");
}
