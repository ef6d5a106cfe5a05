//! What the rows about locks and conditions are played with.

use shmkit::{Options, Segment};
use shmkit_tests::BY_NAME;
use shmkit_tests::locking::Things;

use crate::support::{self, Peer, unique};

/// How a peer comes to be, and to its segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum By {
    Fork,
    /// Freshly executed, with an inherited descriptor.
    Inheritance,
    /// Freshly executed, by its name.
    Name,
}

/// A segment, and its peers.
pub(super) struct Scene {
    pub(super) segment: Segment,
    name: String,
    by: By,
}

impl Scene {
    pub(super) fn new(by: By) -> Self {
        let name = unique("locking");
        let options = Options::new(1 << 17);
        let segment = match by {
            By::Name => options.create(&name),
            By::Fork | By::Inheritance => options.anonymous(),
        };
        let scene = Self { segment: segment.unwrap(), name, by };
        scene.things();
        scene
    }

    pub(super) fn things(&self) -> Things {
        Things::of(&self.segment)
    }

    #[track_caller]
    pub(super) fn peer(&self, script: &str, args: &[&str]) -> Peer {
        let Self { segment, name, by } = self;
        let script = &format!("locking/{script}");
        match by {
            By::Fork => support::By::Fork.peer(script, args, segment),
            By::Inheritance => support::By::Exec.peer(script, args, segment),
            By::Name => {
                let args = [&[name.as_str()], args].concat();
                Peer::execute(&format!("{BY_NAME}{script}"), &args, |_| ())
            }
        }
    }

    /// A peer that does as it is told.
    #[track_caller]
    pub(super) fn obedient(&self) -> Peer {
        let mut peer = self.peer("obey", &[]);
        peer.expect("ready");
        peer
    }

    #[track_caller]
    pub(super) fn obedients<const N: usize>(&self) -> [Peer; N] {
        std::array::from_fn(|_| self.obedient())
    }

    /// Returns the process id of the participant that holds what `owner` says.
    #[track_caller]
    pub(super) fn pid_of(&self, owner: Option<shmkit::OwnerId>) -> u32 {
        self.segment.participant().person(owner.expect("an owner")).expect("a person").pid
    }
}

/// Plays a scene with peers of every kind.
pub(super) fn all(scene: impl Fn(&Scene)) {
    for by in [By::Fork, By::Inheritance, By::Name] {
        scene(&Scene::new(by));
    }
}

/// Ends obedient peers.
#[track_caller]
pub(super) fn end(peers: impl IntoIterator<Item = Peer>) {
    for mut peer in peers {
        peer.say("end");
        peer.join();
    }
}

/// Returns a process id as the roster has it.
pub(super) fn pid(peer: &Peer) -> u32 {
    peer.pid().as_raw() as u32
}
