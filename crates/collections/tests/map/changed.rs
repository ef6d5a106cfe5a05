//! Following what others change.

use std::collections::HashMap;

use shmkit_collections::Seen;

use crate::support::Memory;

#[test]
fn what_has_changed_since_is_found_part_by_part_and_nothing_else_is() {
    let memory = Memory::new(1 << 20);
    let map = memory.map::<u64, u64>();
    let other = memory.open::<u64, u64>(1).unwrap();
    let (mut seen, mut copy) = (Seen::default(), vec![HashMap::new(); map.parts()]);
    let mut follow = |seen: &mut Seen| {
        let changed = map.changed(seen).unwrap();
        let parts = changed.len();
        for (at, entries) in changed {
            copy[at] = entries.into_iter().collect::<HashMap<_, _>>();
        }
        let mut all: Vec<_> = copy.iter().flatten().map(|(key, value)| (*key, *value)).collect();
        all.sort_unstable();
        (parts, all)
    };
    assert_eq!(follow(&mut seen), (map.parts(), vec![]), "all, the first time");
    assert_eq!(follow(&mut seen), (0, vec![]));
    other.insert(&7, &1).unwrap();
    assert_eq!(follow(&mut seen), (1, vec![(7, 1)]));
    other.insert(&7, &2).unwrap();
    other.update(&7, |n| *n += 1).unwrap();
    assert_eq!(follow(&mut seen), (1, vec![(7, 3)]));
    assert_eq!(follow(&mut seen).0, 0);
    (0..500).for_each(|n| assert!(other.insert(&n, &n).is_ok()));
    assert_eq!(follow(&mut seen), (map.parts(), (0..500).map(|n| (n, n)).collect()));
    other.remove(&499).unwrap();
    assert_eq!(follow(&mut seen), (1, (0..499).map(|n| (n, n)).collect()));
    other.clear().unwrap();
    assert_eq!(follow(&mut seen).1, vec![]);
}
