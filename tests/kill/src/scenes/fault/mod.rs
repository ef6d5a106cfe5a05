//! Seeded faults: a harness that cannot fail proves nothing.
//!
//! Each is something that looks right and is wrong in one place, in a scene that must find it.

mod cell;
mod life;
mod lock;
mod pause;
mod ring;
mod seat;
mod waiting;

use super::glibc;
use super::lock::Company;
use super::ring::Sleep;
use super::{cell as cells, counting as counts, event as events, life as lives};
use super::{lock as scenes, pause as pauses, random, ring as rings};
use crate::{Kind, Scene};

/// A scene in which something is wrong on purpose.
#[derive(Debug)]
pub struct Seeded {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What the scene must find; `None` if it must find nothing.
    pub finds: Option<Kind>,
    /// Where it is found.
    pub scene: Scene,
}

/// Returns every seeded fault, and the sound twin that must pass.
pub fn all() -> Vec<Seeded> {
    let seeded = |name, finds, scene| Seeded { name, finds, scene };
    vec![
        seeded("sound", None, scenes::unlock_queued(lock::SOUND, Company::Barger)),
        seeded(
            "release-then-wake",
            Some(Kind::Hung),
            scenes::unlock_queued(lock::RELEASE_THEN_WAKE, Company::Nobody),
        ),
        seeded("lease", Some(Kind::DoubleOwner), scenes::paused(lock::LEASE)),
        seeded("in-place", Some(Kind::Torn), cells::scene(cell::IN_PLACE)),
        seeded("early-tail", Some(Kind::Torn), rings::sender(ring::EARLY_TAIL, Sleep::Not)),
        seeded("probe-then-unlink", Some(Kind::DoubleOwner), lives::scene(life::PROBE_THEN_UNLINK)),
        seeded("name-first", Some(Kind::Hung), lives::scene(life::NAME_FIRST)),
        seeded("temporary-name", Some(Kind::Leaked), lives::scene(life::TEMPORARY_NAME)),
        seeded("random-probe", Some(Kind::DoubleOwner), random::probing()),
        seeded("load-then-store", Some(Kind::Torn), pauses::only(&pause::LOAD_THEN_STORE)),
        seeded("tail-first", Some(Kind::Torn), pauses::only(&pause::TAIL_FIRST)),
        seeded("glibc-reader", Some(Kind::Hung), glibc::reader()),
        seeded("glibc-waiter", Some(Kind::Hung), glibc::condvar()),
        seeded("set-then-wake", Some(Kind::Hung), events::setter(waiting::SET_THEN_WAKE)),
        seeded("raise-then-wake", Some(Kind::Hung), counts::releaser(waiting::RAISE_THEN_WAKE)),
        seeded("ready-first", Some(Kind::Torn), cells::scene(waiting::READY_FIRST)),
        seeded("late-word", Some(Kind::Torn), seat::late_word()),
        seeded("untold-heir", Some(Kind::Torn), scenes::alone(lock::UNTOLD)),
    ]
}
