//! Keys come and go as in the standard set.

use std::collections::HashSet;

use shmkit_collections::{MapSpec, ShmSet};
use shmkit_layout::Object;
use shmkit_roster::model::ModelJudge;

use crate::support::Memory;

#[test]
fn operations_in_any_order_are_answered_as_the_standard_set_does() {
    let memory = Memory::new(1 << 20);
    let judges = ModelJudge::new(2);
    let spec = MapSpec::bytes(1 << 20);
    // SAFETY: zero bytes that nobody else uses.
    let set = unsafe { ShmSet::<str, _>::init(memory.region(), spec, &judges[0]) }.unwrap();
    // SAFETY: made above.
    let other = unsafe { ShmSet::<str, _>::attach(memory.region(), 1 << 20, &judges[1]) }.unwrap();
    let (mut model, mut random) = (HashSet::new(), fastrand::Rng::with_seed(4));
    for _ in 0..10_000 {
        let key = format!("key {}", random.u32(..300));
        match random.u32(..3) {
            0 => assert_eq!(set.insert(&key), Ok(model.insert(key))),
            1 => assert_eq!(other.remove(&key), Ok(model.remove(&key))),
            _ => assert_eq!(other.contains(&key), Ok(model.contains(&key))),
        }
        assert_eq!(set.len(), model.len() as u64);
    }
    set.retain(|key| key.ends_with('7')).unwrap();
    model.retain(|key| key.ends_with('7'));
    assert_eq!(other.iter().collect::<Result<HashSet<_>, _>>(), Ok(model));
    assert_eq!(set.check().unwrap().kept_blocks, set.len());
    set.extend(["a", "b"]).unwrap();
    other.clear().unwrap();
    assert!(set.is_empty());
}
