//! Collections between processes, one of which is killed.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use shmkit::{DequeSpec, MapSpec, Objects, Options, Segment};

use crate::support::{By, Peer, wait_until};

/// Plays a scene with a freshly executed peer and with a forked one, each in a segment of its own.
fn both(scene: impl Fn(By, &Segment)) {
    for by in By::ALL {
        scene(by, &Options::new(4 << 20).anonymous().unwrap());
    }
}

fn peer(by: By, segment: &Segment, script: &str) -> Peer {
    by.peer(&format!("collections/{script}"), &[], segment)
}

#[test]
fn what_a_peer_puts_into_collections_is_there() {
    both(|by, segment| {
        let list = segment.vec::<u64>("list", 1 << 18).unwrap();
        list.extend([1, 2]).unwrap();
        let latest = segment.deque::<u64>("latest", DequeSpec::bytes(1 << 18).max_len(3)).unwrap();
        let text = segment.string("text", 1 << 18).unwrap();
        let words = segment.set::<str>("words", 1 << 18).unwrap();
        let table = segment.map::<str, [u8]>("table", 1 << 18).unwrap();
        peer(by, segment, "fill").join();
        assert_eq!(list.to_vec(), Ok((1..=1000).collect()));
        assert_eq!(latest.to_vec(), Ok(vec![998, 999, 1000]));
        assert_eq!(text.get().as_deref(), Ok("from a peer: größer"));
        assert_eq!((words.len(), words.contains("word 7")), (100, Ok(true)));
        assert_eq!(table.get("row 3"), Ok(Some(vec![3; 30])));
        assert_eq!(table.entry("row 4").unwrap().remove(), Ok(Some(vec![4; 40])));
    });
}

#[test]
fn a_peer_that_is_killed_as_it_changes_collections_leaves_them_whole() {
    both(|by, segment| {
        let list = segment.vec::<[u64; 64]>("list", 1 << 20).unwrap();
        let latest =
            segment.deque::<[u64; 64]>("latest", DequeSpec::bytes(1 << 20).max_len(20)).unwrap();
        let text = segment.string("text", 1 << 18).unwrap();
        let rounds = segment.atomic("rounds", 0_u64).unwrap();
        for kill in 0..5 {
            let peer = peer(by, segment, "change-for-ever");
            let begun = rounds.load();
            wait_until(|| rounds.load() > begun + 50 + kill * 7);
            peer.kill();
            let all = list.to_vec().unwrap();
            assert!(all.iter().all(|row| *row == [row[0]; 64]), "a row is torn");
            assert_eq!(list.len(), all.len());
            let all = latest.to_vec().unwrap();
            assert!(all.len() <= 20 && all.iter().all(|row| *row == [row[0]; 64]));
            assert!(all.windows(2).all(|pair| pair[0][0] < pair[1][0]), "in order");
            let text = text.get().unwrap();
            assert!(text.split('.').all(|line| line.is_empty() || line == "größer"), "{text}");
            for account in [list.check().unwrap(), latest.check().unwrap()] {
                assert!(account.is_complete() && account.kept_blocks <= 1, "{account}");
                assert_eq!(account.reserved_blocks, 0, "{account}");
            }
        }
    });
}

#[test]
fn a_lock_of_a_stopped_peer_is_waited_for_as_long_as_was_said() {
    both(|by, segment| {
        let list = segment.vec::<u64>("list", 1 << 18).unwrap();
        let mut holder = peer(by, segment, "hold");
        holder.expect("held");
        let limit = std::time::Duration::from_millis(5);
        assert!(list.lock_timeout(limit).unwrap_err().is_timeout());
        assert!(list.clone().time_limit(limit).push(1).unwrap_err().is_timeout());
        holder.kill();
        // What it had pushed under the lock was pushed.
        assert_eq!(list.to_vec(), Ok(vec![7]));
    });
}

#[test]
fn a_map_grows_with_its_segment_while_a_peer_uses_it() {
    for by in By::ALL {
        let segment = Options::new(1 << 20).max(64 << 20).anonymous().unwrap();
        let spec = MapSpec::growing(1 << 18, 16 << 20);
        let table = segment.map::<u64, [u64; 64]>("grows", spec).unwrap();
        let file = File::from(segment.file().unwrap().try_clone_to_owned().unwrap());
        let memory = || file.metadata().unwrap().blocks() * 512;
        let made = memory();
        assert!(made < 4 << 20, "{made}");
        let mut peer = peer(by, &segment, "fill-map");
        for key in 0..5000 {
            table.insert(&(2 * key), &[key; 64]).unwrap();
        }
        peer.expect("filled");
        peer.join();
        assert!(memory() > made + (5 << 20), "{} of {made}", memory());
        assert_eq!(table.len(), 10_000);
        for key in 0..10_000 {
            assert_eq!(table.get(&key), Ok(Some([key / 2; 64])), "{key}");
        }
        assert!(table.check().unwrap().is_complete());
    }
}
