//! The thread of a pool that sees workers end, starts their successors, and looks at the clock.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::book::{Book, Phase};
use crate::inner::{Inner, Shared};
use crate::member::{End, Member};

/// Until a corpse is looked at again that is not dead to the roster.
const SOON: Duration = Duration::from_millis(1);
/// Until a worker is started again that could not be.
const PAUSE: Duration = Duration::from_millis(100);

/// The life of the thread.
pub(crate) fn run(inner: &Shared) {
    let mut wait = Some(Duration::ZERO);
    loop {
        let Some(ended) = sleep(inner, wait) else { return };
        let Some(next) = inner.look_after(ended) else { return };
        wait = next;
    }
}

/// Sleeps until a worker has ended, somebody rings, or the time is over; returns the places of those that have ended.
fn sleep(inner: &Inner, wait: Option<Duration>) -> Option<Vec<usize>> {
    let sentinels: Vec<(usize, OwnedFd)> = {
        let book = inner.book();
        let members = book.members.iter().enumerate();
        members
            .filter_map(|(place, member)| {
                Some((place, member.as_ref()?.sentinel.try_clone().ok()?))
            })
            .collect()
    };
    let mut polled = vec![PollFd::new(inner.bell.as_fd(), PollFlags::POLLIN)];
    polled.extend(sentinels.iter().map(|(_, file)| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
    let timeout = match wait {
        // A fraction more: too early is once more.
        Some(wait) => PollTimeout::try_from(wait + SOON).unwrap_or(PollTimeout::MAX),
        None => PollTimeout::NONE,
    };
    // Interrupted, or out of memory: a look around does no harm.
    let _ = poll(&mut polled, timeout);
    let is_rung = polled[0].revents().is_some_and(|events| !events.is_empty());
    if is_rung {
        let _ = inner.bell.read();
    }
    let ended = polled[1..]
        .iter()
        .zip(&sentinels)
        .filter(|(file, _)| file.revents().is_some_and(|events| !events.is_empty()));
    Some(ended.map(|(_, (place, _))| *place).collect())
}

impl Inner {
    /// Settles what the ended had, kills who takes too long, starts who is missing. Returns until when there is nothing to do,
    /// or `None` if there never will be.
    fn look_after(&self, ended: Vec<usize>) -> Option<Option<Duration>> {
        let taken: Vec<(usize, Member)> = {
            let mut book = self.book();
            ended
                .into_iter()
                .filter_map(|place| Some((place, book.members[place].take()?)))
                .collect()
        };
        // Not under the lock: it waits for another thread.
        let corpses: Vec<(usize, End)> =
            taken.into_iter().map(|(place, member)| (place, member.end())).collect();
        let (mut later, mut again) = (Vec::new(), Vec::new());
        let mut book = self.book();
        book.corpses.extend(corpses);
        for (place, end) in std::mem::take(&mut book.corpses) {
            if !self.settle(&mut book, place, &end, &mut later, &mut again) {
                book.corpses.push((place, end));
            }
        }
        let mut wait = self.enforce_limits(&mut book);
        if !book.corpses.is_empty() {
            wait = Some(SOON);
        }
        self.close_if_done(&mut book);
        let missing = self.missing(&book);
        let is_over = match book.phase {
            Phase::Ended => true,
            Phase::Open | Phase::Closed => false,
            Phase::Broken(_) => {
                // Whoever is left has nothing to do.
                let _ = self.store.ready.close();
                book.living() == 0
            }
        };
        let is_over = is_over
            || book.phase == Phase::Closed
                && book.under_way == 0
                && book.living() + book.corpses.len() == 0;
        if is_over {
            if book.phase == Phase::Closed {
                book.phase = Phase::Ended;
            }
            self.stir(&book);
        }
        drop(book);
        again.into_iter().for_each(|number| self.line_up(number));
        later.into_iter().for_each(|later| later());
        if is_over {
            return None;
        }
        for place in missing {
            if !self.start(place) {
                wait = Some(wait.map_or(PAUSE, |wait| wait.min(PAUSE)));
                break;
            }
        }
        Some(wait)
    }

    /// The places in which a worker is to be started.
    fn missing(&self, book: &Book) -> Vec<usize> {
        let is_needed = match book.phase {
            Phase::Open => true,
            Phase::Closed => book.under_way > 0,
            Phase::Broken(_) | Phase::Ended => false,
        };
        let wanted = if is_needed { self.builder.workers as usize } else { 0 };
        let dead = |place: usize| book.corpses.iter().any(|(corpse, _)| *corpse == place);
        let vacant =
            (0..book.members.len()).filter(|&place| book.members[place].is_none() && !dead(place));
        vacant.take(wanted.saturating_sub(book.living())).collect()
    }

    /// Starts a worker.
    fn start(&self, place: usize) -> bool {
        let started = Member::start(&self.store, &self.builder, place);
        let (mut book, mut later) = (self.book(), Vec::new());
        let is_started = match started {
            Ok(member) => {
                book.members[place] = Some(member);
                true
            }
            Err(error) => {
                let why = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
                // Tried again, and told when it has failed as often as a worker may that does not come.
                self.settle(&mut book, place, &End::NotStarted(why), &mut later, &mut Vec::new());
                false
            }
        };
        drop(book);
        later.into_iter().for_each(|later| later());
        is_started
    }
}
