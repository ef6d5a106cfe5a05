//! The thread of a pool that sees workers end, starts their successors, and looks at the clock.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::book::{Book, Later, Phase};
use crate::inner::{Inner, Shared};
use crate::luggage::{self, Said};
use crate::member::{Corpse, End, Member};
use crate::told;

/// Until a corpse is looked at again that is not dead to the roster.
const SOON: Duration = Duration::from_millis(1);
/// Until a worker is started again that could not be, or has ended before it came.
const PAUSE: Duration = Duration::from_millis(20);

/// The life of the thread.
pub(crate) fn run(inner: &Shared) {
    let mut wait = Some(Duration::ZERO);
    loop {
        let ended = sleep(inner, wait);
        let Some(next) = inner.look_after(ended) else { return };
        wait = next;
    }
}

/// What says something of a worker: its end, or its socket.
type Voice = (usize, Result<Arc<OwnedFd>, Arc<UnixStream>>);

/// Sleeps until a worker has ended or asks for something, somebody rings, or the time is over. Who asks gets it; returns the
/// places of those that have ended.
fn sleep(inner: &Inner, wait: Option<Duration>) -> Vec<usize> {
    let mut voices: Vec<Voice> = Vec::new();
    for (place, member) in inner.book().members.iter().enumerate() {
        if let Some(member) = member {
            voices.push((place, Ok(member.sentinel.clone())));
            voices.extend(member.socket.clone().map(|socket| (place, Err(socket))));
        }
    }
    let mut polled = vec![PollFd::new(inner.bell.as_fd(), PollFlags::POLLIN)];
    polled.extend(voices.iter().map(|(_, voice)| {
        let file = match voice {
            Ok(sentinel) => sentinel.as_fd(),
            Err(socket) => socket.as_fd(),
        };
        PollFd::new(file, PollFlags::POLLIN)
    }));
    let timeout = match wait {
        // A fraction more: too early is once more.
        Some(wait) => PollTimeout::try_from(wait + SOON).unwrap_or(PollTimeout::MAX),
        None => PollTimeout::NONE,
    };
    // Interrupted, or out of memory: a look around does no harm.
    let _ = poll(&mut polled, timeout);
    let has_news = |file: &PollFd<'_>| file.revents().is_some_and(|events| !events.is_empty());
    if has_news(&polled[0]) {
        let _ = inner.bell.read();
    }
    let mut ended = Vec::new();
    for (file, (place, voice)) in polled[1..].iter().zip(&voices) {
        match voice {
            _ if !has_news(file) => {}
            Ok(_) => ended.push(*place),
            Err(_) => {
                inner.hear(&mut inner.book(), *place);
            }
        }
    }
    ended
}

/// The shorter of two times to wait, if there is one.
fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

impl Inner {
    /// Takes one thing that a worker says out of its socket: it asks for what goes with arguments, brings what goes with an
    /// answer, or is gone. Returns false if nothing more is there.
    pub(crate) fn hear(&self, book: &mut Book, place: usize) -> bool {
        // The place may be a number from shared memory.
        let Some(Some(member)) = book.members.get_mut(place) else { return false };
        let Some(socket) = member.socket.clone() else { return false };
        let answered = match luggage::said(&socket, &mut member.incoming) {
            Ok(Some(Said::Leaves)) => {
                member.leaves = true;
                Ok(())
            }
            Ok(Some(Said::Brings(answer, files))) => {
                book.brought.insert(answer, files);
                Ok(())
            }
            Ok(Some(Said::Asks(number, generation))) => {
                let slot = book.slots.get(number as usize);
                let order = slot
                    .filter(|slot| slot.generation == generation)
                    .and_then(|slot| slot.order.as_ref());
                luggage::send(&socket, order.and_then(|order| order.luggage.as_ref()))
            }
            Ok(None) => return false,
            Err(error) => Err(error),
        };
        if answered.is_err()
            && let Some(member) = &mut book.members[place]
        {
            // It has ended, or gets an error for an answer.
            member.socket = None;
            let _ = socket.shutdown(std::net::Shutdown::Both);
            return false;
        }
        true
    }

    /// Settles what the ended had, kills who takes too long, starts who is missing. Returns until when there is nothing to do,
    /// or `None` if there never will be.
    fn look_after(self: &Arc<Self>, ended: Vec<usize>) -> Option<Option<Duration>> {
        let taken: Vec<(usize, Member)> = {
            let mut book = self.book();
            ended
                .into_iter()
                .filter_map(|place| {
                    // What it has sent that goes with its answers.
                    while self.hear(&mut book, place) {}
                    Some((place, book.members[place].take()?))
                })
                .collect()
        };
        // Not under the lock: it waits for another thread.
        let mut corpses: Vec<Corpse> = Vec::new();
        for (place, member) in taken {
            let (pid, end) = (member.process.pid(), member.end());
            let left = matches!(end, End::Left(None));
            told::ended(&self.builder.name, place, pid, (!left).then(|| end.text()));
            corpses.push(Corpse::new(place, end));
        }
        if let Some(hook) = &self.builder.on_death {
            for corpse in &mut corpses {
                let death = self.death_of(&self.book(), corpse);
                corpse.verdict = death.map(|death| hook.ask(&death));
            }
        }
        let (mut later, mut again) = (Vec::new(), Vec::new());
        let mut book = self.book();
        book.corpses.extend(corpses);
        for corpse in std::mem::take(&mut book.corpses) {
            if !self.settle(&mut book, &corpse, &mut later, &mut again) {
                book.corpses.push(corpse);
            }
        }
        let mut wait = self.enforce_limits(&mut book);
        if !book.corpses.is_empty() {
            wait = Some(SOON);
        }
        self.close_if_done(&mut book);
        wait = sooner(wait, self.scale(&mut book));
        self.shrink(&mut book);
        let missing = self.missing(&book);
        // Who ends before it has come would be started again and again.
        let pause = book.lost_at.and_then(|at| PAUSE.checked_sub(at.elapsed()));
        let is_over = match book.phase {
            Phase::Ended => true,
            Phase::Open | Phase::Closed => false,
            Phase::Broken(_) => {
                // Whoever is left has nothing to do.
                self.store.close();
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
            self.stir(&mut book);
        }
        drop(book);
        again.into_iter().for_each(|number| self.line_up(number));
        self.call_elsewhere(later);
        if is_over {
            return None;
        }
        if let (false, Some(left)) = (missing.is_empty(), pause) {
            return Some(sooner(wait, Some(left)));
        }
        for place in missing {
            if !self.start(place) {
                wait = sooner(wait, Some(PAUSE));
                break;
            }
        }
        Some(wait)
    }

    /// Has a thread do what is to be done for users, who may wait there for what this one is to do.
    fn call_elsewhere(self: &Arc<Self>, later: Vec<Later>) {
        if later.is_empty() {
            return;
        }
        let (inner, shared) = (self.clone(), Arc::new(Mutex::new(later)));
        let theirs = shared.clone();
        let taken = |later: &Mutex<Vec<Later>>| {
            std::mem::take(&mut *later.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let thread = thread::Builder::new().name("shmkit-told".into());
        if thread.spawn(move || inner.call(taken(&theirs))).is_err() {
            self.call(taken(&shared));
        }
    }

    /// Says how many workers there are to be, by how much there is to do. Returns when to look again.
    fn scale(&self, book: &mut Book) -> Option<Duration> {
        let (most, idle) = self.builder.scale?;
        let needed = book.under_way.clamp(book.least, (most as usize).max(book.least));
        if needed >= book.wanted {
            (book.wanted, book.slack_since) = (needed, None);
            // Nobody says when there is less to do.
            return (needed > book.least).then_some(idle);
        }
        let since = *book.slack_since.get_or_insert_with(Instant::now);
        match idle.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
            Some(left) => Some(left),
            None => {
                (book.wanted, book.slack_since) = (needed, None);
                (needed > book.least).then_some(idle)
            }
        }
    }

    /// Has those leave who are more than there are to be: the last ones first.
    fn shrink(&self, book: &mut Book) {
        let mut surplus = book.staying().saturating_sub(book.wanted);
        if surplus == 0 {
            return;
        }
        for (place, member) in book.members.iter_mut().enumerate().rev() {
            if surplus == 0 {
                break;
            }
            if let Some(member) = member
                && !member.leaves
            {
                self.store.table.workers()[place].dismiss(member.generation);
                member.leaves = true;
                surplus -= 1;
            }
        }
        self.store.table.front().call_all();
    }

    /// The places in which a worker is to be started.
    fn missing(&self, book: &Book) -> Vec<usize> {
        let is_needed = match book.phase {
            Phase::Open => true,
            Phase::Closed => book.under_way > 0,
            Phase::Broken(_) | Phase::Ended => false,
        };
        let wanted = if is_needed { book.wanted } else { 0 };
        let dead = |place: usize| book.corpses.iter().any(|corpse| corpse.place == place);
        let vacant =
            (0..book.members.len()).filter(|&place| book.members[place].is_none() && !dead(place));
        vacant.take(wanted.saturating_sub(book.staying())).collect()
    }

    /// Starts a worker.
    fn start(self: &Arc<Self>, place: usize) -> bool {
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
                let corpse = Corpse::new(place, End::NotStarted(why));
                self.settle(&mut book, &corpse, &mut later, &mut Vec::new());
                false
            }
        };
        drop(book);
        self.call_elsewhere(later);
        is_started
    }
}
