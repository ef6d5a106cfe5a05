//! Maps that have more memory when they need it.

use shmkit_collections::{MapError, MapSpec, ShmMap, ShmSet};
use shmkit_layout::{Object, Shape};
use shmkit_roster::model::ModelJudge;

use crate::support::Memory;

type Judge<'a> = &'a ModelJudge;

/// How many entries fit into a map, and whether all bytes of it are accounted for then.
fn filled(spec: MapSpec) -> (u64, bool) {
    let memory = Memory::new(1 << 20);
    let map = memory.make::<u64, [u8; 200]>(spec);
    let account = map.check().unwrap();
    assert!(account.is_complete(), "{account}");
    let error = (0..).find_map(|key| map.insert(&key, &[key as u8; 200]).err()).unwrap();
    assert!(matches!(error, MapError::Full { .. }), "{error}");
    for key in 0..map.len() {
        assert_eq!(map.get(&key), Ok(Some([key as u8; 200])));
    }
    (map.len(), map.check().unwrap().is_complete())
}

#[test]
fn a_map_that_grows_holds_as_much_as_one_that_was_made_so_large() {
    assert_eq!(filled(MapSpec::growing(1 << 17, 1 << 20)), filled(MapSpec::bytes(1 << 20)));
    assert_eq!(filled(MapSpec::growing(0, 1 << 20)), filled(MapSpec::growing(u64::MAX, 1 << 20)));
}

#[test]
fn a_map_that_grows_asks_for_its_first_bytes_alone() {
    let shape =
        |spec: &MapSpec| <ShmMap<u64, u64, Judge<'_>> as Object<Judge<'_>>>::shape(spec, 64);
    let there = |spec: &MapSpec, shape: &Shape| {
        <ShmMap<u64, u64, Judge<'_>> as Object<Judge<'_>>>::committed(spec, shape)
    };
    for (initial, most) in [(0, 3 << 20), (4 << 20, 4 << 20), (1 << 24, 1 << 24)] {
        let spec = MapSpec::growing(initial, 1 << 24);
        let shape = shape(&spec).unwrap();
        assert_eq!((shape.bytes, shape.len), (1 << 24, 1 << 24));
        let there = there(&spec, &shape);
        assert!(there <= most && there + 4096 >= initial, "{there} of {initial}");
        let set = <ShmSet<u64, Judge<'_>> as Object<Judge<'_>>>::committed(&spec, &shape);
        assert_eq!(set, there);
    }
}

#[test]
fn a_cache_grows_before_it_evicts() {
    let memory = Memory::new(1 << 20);
    let cache = memory.make::<u64, [u8; 200]>(MapSpec::growing(1 << 17, 1 << 20).evicting());
    for key in 0..20_000 {
        cache.insert(&key, &[key as u8; 200]).unwrap();
    }
    let (most, _) = filled(MapSpec::bytes(1 << 20));
    assert!(cache.len() <= most && cache.len() + 64 > most, "{} of {most}", cache.len());
}
