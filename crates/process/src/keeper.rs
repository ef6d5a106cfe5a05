//! The thread that starts all processes, hears them, and sees them end.
//!
//! The kernel's signal at the death of a parent (`PR_SET_PDEATHSIG`) comes when the *thread* ends that started the child. So
//! one thread starts all, and never ends. It also reads what they answer, so that nobody's answer waits for somebody to
//! ask for it; and it reaps them, so that it is safe to open a descriptor of a process by its number.

mod child;
mod order;

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use shmkit_atomic::AtomicPtr;
use shmkit_atomic::Ordering::{AcqRel, Acquire};

use crate::SpawnError;
use crate::keeper::child::Child;
pub(crate) use crate::keeper::order::{Order, Origin};
use crate::shared::{Phase, Shared};

/// The token of the bell.
const BELL: u64 = u64::MAX;
/// How many events are taken at a time.
const EVENTS: usize = 64;

/// What has something to say of a child. Its number is the lower part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    End,
    Socket,
    Output,
}

impl Voice {
    pub(crate) fn token(self, id: u64) -> u64 {
        id * 4 + self as u64
    }

    fn of(token: u64) -> (u64, Self) {
        let voice = match token % 4 {
            0 => Self::End,
            1 => Self::Socket,
            _ => Self::Output,
        };
        (token / 4, voice)
    }
}

/// What it is asked for.
type Orders = Vec<(Order, Arc<Shared>)>;

/// What everybody shares with the thread.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// The process that has the thread: a forked child has none.
    pid: u32,
    bell: EventFd,
    /// `None` when the thread has ended, or is to.
    orders: Mutex<Option<Orders>>,
    /// All that have not ended.
    living: Mutex<Vec<Arc<Shared>>>,
}

/// This process's, or its parent's in a forked child. There is no lock about it, which a forked child could find locked; one is
/// never freed.
static KEEPER: AtomicPtr<Keeper> = AtomicPtr::new(ptr::null_mut());

impl Keeper {
    /// Returns this process's, if there is one.
    fn found() -> Option<&'static Self> {
        // Acquire: pairs with the Release in `get`.
        let found = KEEPER.load(Acquire);
        // SAFETY: null, or leaked in `get`.
        unsafe { found.as_ref() }.filter(|keeper| keeper.pid == std::process::id())
    }

    /// Returns this process's, which it starts if there is none.
    fn get() -> io::Result<&'static Self> {
        if let Some(keeper) = Self::found() {
            return Ok(keeper);
        }
        // Acquire: as in `found`.
        let before = KEEPER.load(Acquire);
        let (bell, epoll) = (
            EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        );
        epoll.add(bell.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        let new: &Self = Box::leak(Box::new(Self {
            pid: std::process::id(),
            bell,
            orders: Mutex::new(Some(Vec::new())),
            living: Mutex::new(Vec::new()),
        }));
        let thread = Thread { keeper: new, epoll, children: HashMap::new(), next: 0 };
        std::thread::Builder::new().name("shmkit-keeper".into()).spawn(|| thread.run())?;
        // AcqRel: what is published is whole, and pairs with the Acquire in `found`; so does the Acquire of a failure, which finds
        // that of a faster thread.
        match KEEPER.compare_exchange(before, ptr::from_ref(new).cast_mut(), AcqRel, Acquire) {
            Ok(_) => Ok(new),
            Err(_) => {
                // Another thread was faster: ours ends.
                *lock(&new.orders) = None;
                let _ = new.bell.write(1);
                Self::get()
            }
        }
    }

    /// Has a process started, and waits until it is there.
    pub(crate) fn start(order: Order, shared: &Arc<Shared>) -> Result<(), SpawnError> {
        let os =
            |error| SpawnError::os(shared.task, "start the thread that starts processes", error);
        let keeper = Self::get().map_err(os)?;
        match &mut *lock(&keeper.orders) {
            Some(orders) => orders.push((order, shared.clone())),
            None => return Err(os(Errno::EBADF.into())),
        }
        // It is full at 2^64 - 1 only, and is rung then.
        let _ = keeper.bell.write(1);
        let there = shared.wait(shmkit_sync::Patience::ENDLESS, |state| state.phase > Phase::Asked);
        match there {
            Ok(mut state) => state.refused.take().map_or(Ok(()), Err),
            // It has no end but this.
            Err(_) => Ok(()),
        }
    }

    /// Runs what forks while the thread has none of these locks.
    pub(crate) fn while_quiet<R>(run: impl FnOnce() -> R) -> R {
        let _locks = Self::found().map(|keeper| (lock(&keeper.orders), lock(&keeper.living)));
        run()
    }

    /// Returns the processes that this one has started and that have not ended.
    pub(crate) fn living() -> Vec<Arc<Shared>> {
        Self::found().map(|keeper| lock(&keeper.living).clone()).unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicked thread left is whole: nothing is done under these locks but a call or a store.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread has for itself.
struct Thread {
    keeper: &'static Keeper,
    epoll: Epoll,
    children: HashMap<u64, Child>,
    next: u64,
}

impl Thread {
    fn run(mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let n = match self.epoll.wait(&mut events, self.patience()) {
                Ok(n) => n,
                Err(Errno::EINTR) => 0,
                // Somebody has closed our descriptors: no news will come, and those who wait are told so.
                Err(_) => return self.give_up(),
            };
            for event in &events[..n] {
                match event.data() {
                    BELL => {
                        if !self.take_orders() {
                            return;
                        }
                    }
                    token => self.hear(token),
                }
            }
            self.end_the_silent();
        }
    }

    /// Does what is asked for, and returns whether to go on.
    fn take_orders(&mut self) -> bool {
        // Read, so that it is silent again.
        let _ = self.keeper.bell.read();
        let Some(orders) = lock(&self.keeper.orders).as_mut().map(std::mem::take) else {
            return false;
        };
        for (order, shared) in orders {
            let id = self.next;
            self.next += 1;
            // Before it is there: who looks when `spawn` has returned finds it.
            lock(&self.keeper.living).push(shared.clone());
            match Child::start(order, id, shared.clone(), &self.epoll) {
                Ok(child) => {
                    self.children.insert(id, child);
                }
                Err(error) => {
                    self.forget(&shared);
                    refuse(&shared, error);
                }
            }
        }
        true
    }

    /// Something has happened to a child.
    fn hear(&mut self, token: u64) {
        let (id, voice) = Voice::of(token);
        let Some(child) = self.children.get_mut(&id) else { return };
        match voice {
            Voice::Socket => child.talk(&self.epoll),
            Voice::Output => child.listen(&self.epoll),
            Voice::End => self.end(id),
        }
    }

    /// A child has ended: what it said before counts.
    fn end(&mut self, id: u64) {
        let Some(mut child) = self.children.remove(&id) else { return };
        child.talk(&self.epoll);
        child.listen(&self.epoll);
        self.forget(&child.shared);
        child.bury(&self.epoll);
    }

    fn forget(&self, shared: &Arc<Shared>) {
        lock(&self.keeper.living).retain(|one| !Arc::ptr_eq(one, shared));
    }

    /// Kills whom has not said that it runs tasks in time. Its end is heard as any other's.
    fn end_the_silent(&mut self) {
        let now = Instant::now();
        for child in self.children.values_mut() {
            if child.hello_by.is_some_and(|at| at <= now) {
                child.hello_by = None;
                child.is_silent = true;
                let _ = child.shared.signal(libc::SIGKILL);
            }
        }
    }

    /// Until when nothing need be done.
    fn patience(&self) -> EpollTimeout {
        let first = self.children.values().filter_map(|child| child.hello_by).min();
        let Some(first) = first else { return EpollTimeout::NONE };
        // Rounded up, so that it is time then.
        let millis = first.saturating_duration_since(Instant::now()).as_millis() + 1;
        EpollTimeout::try_from(millis as i32).unwrap_or(EpollTimeout::NONE)
    }

    /// Ends without a way to hear anything.
    fn give_up(mut self) {
        let ids: Vec<_> = self.children.keys().copied().collect();
        for id in ids {
            if let Some(child) = self.children.get_mut(&id) {
                child.kill();
            }
            self.end(id);
        }
        let ours = ptr::from_ref(self.keeper).cast_mut();
        // AcqRel, Acquire: as in `get`, which makes another one.
        let _ = KEEPER.compare_exchange(ours, ptr::null_mut(), AcqRel, Acquire);
        for (_, shared) in lock(&self.keeper.orders).take().unwrap_or_default() {
            let error = io::Error::from(Errno::EBADF);
            refuse(&shared, SpawnError::os(shared.task, "hear of processes", error));
        }
    }
}

fn refuse(shared: &Shared, error: SpawnError) {
    shared.change(|state| {
        state.refused = Some(error);
        state.phase = Phase::Ended;
    });
}
