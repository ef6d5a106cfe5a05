//! Waiting for somebody's death.

use core::fmt;
use core::time::Duration;
use std::thread;

use shmkit_atomic::Deadline;

use crate::{Judge, OwnerId, Verdict, ask};

/// The first pause between two questions; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_millis(32);
/// How long it may be that nobody can tell, before that is the answer.
const BLIND: Duration = Duration::from_secs(1);

/// Tells whether one participant is dead, and waits for it: for who expects something of it that no lock will tell of.
///
/// Nobody is told of a death, so whoever waits asks: after 1 ms, 2 ms, 4 ms, … and every 32 ms from then on. So a death is
/// known after at most so long (16 ms on average, of somebody long watched), for one question to the kernel each time,
/// which takes 0.3 µs and grows with the number of participants. To wait for something else as well, ask
/// [`is_dead`](Self::is_dead) whenever that wait times out, or have [`wait_while`](Self::wait_while) ask for it.
///
/// Who leaves in good order counts as dead from then on: the name is never used again.
pub struct DeathWatch<J> {
    judge: J,
    owner: OwnerId,
}

impl<J: Judge> DeathWatch<J> {
    /// Watches over `owner`. Nothing is registered anywhere, and any number may watch.
    pub fn new(judge: J, owner: OwnerId) -> Self {
        Self { judge, owner }
    }

    /// Returns who is watched.
    pub fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Returns what is known now.
    pub fn verdict(&self) -> Verdict {
        self.judge.me().map_or(Verdict::Unknown, |me| ask(&self.judge, me, self.owner))
    }

    /// Returns whether it is known to be dead, which is final.
    pub fn is_dead(&self) -> bool {
        self.verdict() == Verdict::Dead
    }

    /// Waits until it is dead. Any other answer than [`Dead`](Verdict::Dead) means that it cannot be waited for:
    /// [`Unknown`](Verdict::Unknown), if nobody could tell for a second, and [`Nobody`](Verdict::Nobody).
    pub fn wait(&self) -> Verdict {
        self.wait_while(Deadline::NEVER, || true)
    }

    /// As [`wait`](Self::wait), for at most so long: [`Alive`](Verdict::Alive) if it lives still.
    pub fn wait_timeout(&self, timeout: Duration) -> Verdict {
        self.wait_while(Deadline::after(timeout), || true)
    }

    /// As [`wait`](Self::wait), to the deadline at most, and no longer than `go_on` answers `true`, which is asked before
    /// each pause: the way to wait for something else beside it, or to be interrupted.
    pub fn wait_while(&self, deadline: Deadline, mut go_on: impl FnMut() -> bool) -> Verdict {
        let (mut pause, mut blind) = (FIRST, None);
        loop {
            let verdict = self.verdict();
            match verdict {
                Verdict::Dead | Verdict::Nobody => return verdict,
                Verdict::Alive => blind = None,
                Verdict::Unknown => {
                    if blind.get_or_insert_with(|| Deadline::after(BLIND)).has_passed() {
                        return verdict;
                    }
                }
            }
            if deadline.has_passed() || !go_on() {
                return verdict;
            }
            thread::sleep(deadline.remaining().map_or(pause, |left| left.min(pause)));
            pause = (2 * pause).min(LONGEST);
        }
    }
}

impl<J: Judge> fmt::Debug for DeathWatch<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeathWatch")
            .field("owner", &self.owner)
            .field("verdict", &self.verdict())
            .finish()
    }
}

#[cfg(all(test, feature = "model"))]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::ModelJudge;

    const SOON: Duration = Duration::from_secs(20);

    fn two() -> (ModelJudge, ModelJudge, OwnerId) {
        let [me, other] = ModelJudge::new(2).try_into().unwrap();
        let owner = other.me().unwrap();
        (me, other, owner)
    }

    #[test]
    fn a_watcher_waits_for_a_death_and_no_longer() {
        let (me, other, owner) = two();
        let watch = DeathWatch::new(me, owner);
        assert!(!watch.is_dead());
        assert_eq!(watch.wait_timeout(Duration::from_millis(5)), Verdict::Alive);
        let mut asked = 0;
        let verdict = watch.wait_while(Deadline::after(SOON), || {
            asked += 1;
            asked < 3
        });
        assert_eq!((verdict, asked), (Verdict::Alive, 3));
        let verdict = watch.wait_while(Deadline::after(SOON), || {
            other.die();
            true
        });
        assert_eq!((verdict, watch.is_dead()), (Verdict::Dead, true));
        assert_eq!(watch.wait(), Verdict::Dead);
    }

    #[test]
    fn who_can_never_tell_does_not_wait_for_ever() {
        let (me, _other, owner) = two();
        let began = Instant::now();
        let (end, ended) = std::sync::mpsc::channel();
        thread::spawn(move || end.send(DeathWatch::new(me.forked(), owner).wait()));
        assert_eq!(ended.recv_timeout(SOON), Ok(Verdict::Unknown));
        assert!((BLIND..SOON).contains(&began.elapsed()));
    }
}
