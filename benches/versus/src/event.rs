//! Waking the other process and being woken by it.
//!
//! shmkit has no event yet; what its users wake each other with is a pipe, which carries an item as well.

use anyhow::{Result, anyhow};
use raw_sync::Timeout;
use raw_sync::events::EventState;
use shmkit::Objects;
use shmkit_benches::{Candidate, Group, time_with_child};
use shmkit_segment::Options;

use crate::theirs;

pub(crate) fn group() -> Result<Group<'static>> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("{error}");
    let ours = Candidate::new("shmkit Pipe of one byte", move |n| {
        let segment = Options::new(1 << 20).anonymous()?;
        let forth = segment.pipe::<u8>("forth", 2)?;
        let back = segment.pipe::<u8>("back", 2)?;
        time_with_child(
            || {
                segment.join_after_fork()?;
                let (mut sender, mut receiver) = (back.sender()?, forth.receiver()?);
                for _ in 0..n {
                    let item = receiver.recv().map_err(|e| failed(&e))?;
                    sender.send(item).map_err(|e| failed(&e))?;
                }
                Ok(())
            },
            || {
                let (mut sender, mut receiver) = (forth.sender()?, back.receiver()?);
                for _ in 0..n {
                    sender.send(1).map_err(|e| failed(&e))?;
                    receiver.recv().map_err(|e| failed(&e))?;
                }
                Ok(())
            },
        )
    });
    let (ping, pong) = (theirs::event()?, theirs::event()?);
    let peer = Candidate::new("raw_sync Event", move |n| {
        time_with_child(
            || {
                for _ in 0..n {
                    ping.wait(Timeout::Infinite).map_err(theirs::failed)?;
                    pong.set(EventState::Signaled).map_err(theirs::failed)?;
                }
                Ok(())
            },
            || {
                for _ in 0..n {
                    ping.set(EventState::Signaled).map_err(theirs::failed)?;
                    pong.wait(Timeout::Infinite).map_err(theirs::failed)?;
                }
                Ok(())
            },
        )
    });
    Ok(Group::new("waking each other, there and back", 3_000, ours).against(peer))
}
