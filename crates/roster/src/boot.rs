//! Which boot of the machine it is.

use std::fs::File;
use std::io::Read;

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Relaxed;

/// Nobody has asked yet.
const NOT_ASKED: u32 = 0;
/// There is nobody to ask.
const UNKNOWN: u32 = u32::MAX;

/// A number that differs from boot to boot, 1 to 2^32-2; `None` if there is no `/proc`.
///
/// A hash of the kernel's boot id. In containers that are given one of their own it differs from container to container:
/// a roster that is shared between two of them sees a reboot whenever a place goes from the one to the other. If the roster
/// knows how its memory is swept, that costs a sweep. If not, it costs an eighth of the names that the place has left,
/// which a hundred such changes use up.
pub(crate) fn current() -> Option<u32> {
    let known = match BOOT.load(Relaxed) {
        NOT_ASKED => {
            let asked = ask().unwrap_or(UNKNOWN);
            BOOT.store(asked, Relaxed);
            asked
        }
        known => known,
    };
    (known != UNKNOWN).then_some(known)
}

/// As this process was told; a forked child's is the same.
static BOOT: AtomicU32 = AtomicU32::new(NOT_ASKED);

fn ask() -> Option<u32> {
    // 36 characters and the end of the line.
    let mut id = [0; 64];
    let len = File::open("/proc/sys/kernel/random/boot_id").ok()?.read(&mut id).ok()?;
    // FNV-1a.
    let hash = id
        .get(..len)?
        .iter()
        .fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Some(hash.clamp(1, UNKNOWN - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_number() {
        let number = current().unwrap();
        assert!(number != NOT_ASKED && number != UNKNOWN);
        assert_eq!((current(), ask()), (Some(number), Some(number)));
    }
}
