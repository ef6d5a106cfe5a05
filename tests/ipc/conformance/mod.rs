//! The rows of the conformance catalogue that need a second process, a file for each group of them. A test bears the id
//! of its row in its name.

mod bar;
mod cnd;
mod evt;
mod hep;
mod lck;
mod locking;
mod msg;
mod once;
mod prc;
mod rlk;
mod sem;
mod smm;
mod val;

use shmkit::{Barrier, CountingSemaphore, Event, Objects, OnceCell, Options, Segment};
use shmkit_tests::waiting::{self, Pair};

use crate::support::{By, Peer};

/// A segment with one of each, and its peers.
struct Scene {
    segment: Segment,
    by: By,
}

impl Scene {
    fn new(by: By) -> Self {
        let segment = Options::new(1 << 16).anonymous().unwrap();
        waiting::make(&segment).unwrap();
        Self { segment, by }
    }

    fn event(&self) -> Event {
        self.segment.find("event").unwrap()
    }

    /// A counting semaphore: `items`, `turns` or `bounded`.
    fn counting(&self, name: &str) -> CountingSemaphore {
        self.segment.find(name).unwrap()
    }

    /// A barrier for so many parties.
    fn barrier(&self, parties: u32) -> Barrier {
        self.segment.barrier(&format!("barrier {parties}"), parties).unwrap()
    }

    fn cell(&self) -> OnceCell<Pair> {
        self.segment.find("cell").unwrap()
    }

    #[track_caller]
    fn peer(&self, script: &str, args: &[&str]) -> Peer {
        self.by.peer(&format!("waiting/{script}"), args, &self.segment)
    }

    /// A peer that does as it is told.
    #[track_caller]
    fn obedient(&self) -> Peer {
        let mut peer = self.peer("obey", &[]);
        peer.expect("ready");
        peer
    }

    /// Many of them.
    #[track_caller]
    fn obedients(&self, count: usize) -> Vec<Peer> {
        (0..count).map(|_| self.obedient()).collect()
    }
}

/// Plays a scene with freshly executed peers and with forked ones.
fn both(scene: impl Fn(&Scene)) {
    for by in By::ALL {
        scene(&Scene::new(by));
    }
}

/// Ends obedient peers.
#[track_caller]
fn end(peers: impl IntoIterator<Item = Peer>) {
    for mut peer in peers {
        peer.say("end");
        peer.join();
    }
}
