//! Nonsense in a sequence is an error, and never a panic or an endless loop.

use std::time::Duration;

use shmkit_collections::ShmVec;
use shmkit_layout::Offset;
use shmkit_roster::model::ModelJudge;

use crate::support::Memory;

/// Where the lock ends, and what follows it.
const BEHIND_THE_LOCK: u64 = 16;
const BYTES: u64 = 1 << 17;

/// Writes nonsense over words of a sequence, most of them its own and those of its heap's tables.
fn damage(memory: &Memory, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..200) {
        let at = match random.u32(..3) {
            0 => random.u64(BEHIND_THE_LOCK / 8..8),
            1 => random.u64(4096 / 8 + 4..4096 / 8 + 700),
            _ => random.u64(4096 / 8 + 4..BYTES / 8),
        } * 8;
        let value = random.u64(..) >> random.u32(..64);
        memory.region().write(Offset::new(at).unwrap(), value).unwrap();
    }
}

#[test]
fn arbitrary_bytes_do_no_harm() {
    type Vector<'m> = ShmVec<u64, &'m ModelJudge>;
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..300 {
        let memory = Memory::new(BYTES as usize);
        let vec = memory.make::<Vector<'_>>(BYTES).time_limit(Duration::from_millis(1));
        vec.extend(0..round).unwrap();
        damage(&memory, &mut random);
        let _ = (vec.push(1), vec.pop(), vec.get(3), vec.set(0, 1), vec.to_vec(), vec.check());
        let _ = (vec.insert(1, 3), vec.remove(0), vec.swap_remove(0), vec.retain(|n| n % 2 == 0));
        let _ = (vec.update_all(|all| all.reverse()), vec.extend(0..500), vec.len(), vec.clear());
        // An heir looks at the journal, too.
        let other = memory.open::<Vector<'_>>(1).map(|vec| vec.time_limit(Duration::ZERO));
        std::mem::forget(vec.lock());
        memory.judges[0].die();
        let _ = other.map(|other| (other.to_vec(), other.push(1), other.to_vec()));
    }
}
