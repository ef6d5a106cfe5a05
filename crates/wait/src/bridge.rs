//! From words to descriptors: threads that sleep on words and tell eventfds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, SigmaskHow};
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::futex::{self, MOST, Waiter, WakeAny, wait_any};
use shmkit_atomic::{AtomicPtr, AtomicU32, AtomicU64, Deadline};

use crate::coarse::wait_any_coarsely;

/// Words of one thread: one of its own comes on top.
const EACH: usize = MOST - 1;

/// The bridges of this process.
///
/// A forked child has the memory of its parent's, and not the threads: it makes its own. Nothing is freed: a process has one of
/// these, and one more for each fork that it comes from.
static BRIDGES: AtomicPtr<Bridges> = AtomicPtr::new(ptr::null_mut());

/// Which rope a word was tied for.
static NEXT: AtomicU64 = AtomicU64::new(1);

struct Bridges {
    /// Whose they are.
    pid: u32,
    all: Mutex<Vec<&'static Bridge>>,
}

/// One thread, and what it sleeps on.
struct Bridge {
    /// Changes when `tied` does: the word of its own.
    turn: AtomicU32,
    tied: Mutex<Vec<Tied>>,
}

/// A word that is tied to a descriptor, until it is woken.
struct Tied {
    rope: u64,
    waiter: Waiter,
    until: Deadline,
    bell: Arc<EventFd>,
}

/// A descriptor that is readable when one of the words that were tied to it is worth a look.
pub(crate) struct Rope {
    number: u64,
    /// Whose it is: a forked child has a copy, and the parent's eventfd, and maybe a lock that nobody will release.
    pid: u32,
    bell: Arc<EventFd>,
    /// Which threads may still sleep for it.
    on: Vec<&'static Bridge>,
}

impl Rope {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        // Relaxed: a number that nobody else gets.
        let number = NEXT.fetch_add(1, Relaxed);
        Ok(Self { number, pid: std::process::id(), bell, on: Vec::new() })
    }

    /// Whether it was made in this process.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    /// From now on the descriptor is not readable before one of these words changes, or `until` has passed; those from before
    /// are let go.
    pub(crate) fn tie(&mut self, words: &[Waiter], until: Deadline) -> io::Result<()> {
        self.untie();
        let bridges = Bridges::of_this_process();
        let mut all = locked(&bridges.all);
        for words in words.chunks(EACH) {
            let mut left = words;
            let mut at = 0;
            while !left.is_empty() {
                if at == all.len() {
                    all.push(Bridge::start()?);
                }
                let bridge = all[at];
                let taken = bridge.tie(left, self.number, until, &self.bell);
                if taken > 0 {
                    self.on.push(bridge);
                }
                left = &left[taken..];
                at += 1;
            }
        }
        Ok(())
    }

    /// Nothing makes the descriptor readable from now on, and it is not.
    pub(crate) fn untie(&mut self) {
        if !self.is_ours() {
            return;
        }
        for bridge in self.on.drain(..) {
            bridge.untie(self.number);
        }
        match self.bell.read() {
            // It was not readable.
            Ok(_) | Err(Errno::EAGAIN) => {}
            // Somebody has put something else at the number: it is not ours to mend.
            Err(_) => {}
        }
    }
}

impl AsFd for Rope {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Drop for Rope {
    fn drop(&mut self) {
        self.untie();
    }
}

impl Bridges {
    fn of_this_process() -> &'static Self {
        let pid = std::process::id();
        // Acquire: pairs with the Release below.
        let mut found = BRIDGES.load(Acquire);
        loop {
            // SAFETY: null, or stored below and never freed.
            if let Some(bridges) = unsafe { found.as_ref() }
                && bridges.pid == pid
            {
                return bridges;
            }
            let fresh = Box::into_raw(Box::new(Self { pid, all: Mutex::default() }));
            // AcqRel: Release, so that whoever finds them finds them whole; Acquire, as above.
            match BRIDGES.compare_exchange(found, fresh, AcqRel, Acquire) {
                // SAFETY: just made, and never freed from here on.
                Ok(_) => return unsafe { &*fresh },
                Err(other) => {
                    found = other;
                    // SAFETY: nobody else has seen it.
                    drop(unsafe { Box::from_raw(fresh) });
                }
            }
        }
    }
}

impl Bridge {
    /// Starts a thread, which takes no signal of the program's.
    fn start() -> io::Result<&'static Self> {
        let bridge: &'static Self =
            Box::leak(Box::new(Self { turn: AtomicU32::new(0), tied: Mutex::default() }));
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let started = thread::Builder::new().name("shmkit-wait".into()).spawn(|| bridge.run());
        before.thread_set_mask()?;
        started.map(|_| bridge)
    }

    /// Ties as many of these as there is room for, and returns how many.
    fn tie(&self, words: &[Waiter], rope: u64, until: Deadline, bell: &Arc<EventFd>) -> usize {
        let mut tied = locked(&self.tied);
        let room = EACH.saturating_sub(tied.len()).min(words.len());
        tied.extend(words[..room].iter().map(|waiter| Tied {
            rope,
            waiter: *waiter,
            until,
            bell: Arc::clone(bell),
        }));
        drop(tied);
        if room > 0 {
            self.call();
        }
        room
    }

    fn untie(&self, rope: u64) {
        // The thread need not know: it wakes for nobody once at most.
        locked(&self.tied).retain(|tied| tied.rope != rope);
    }

    /// Has the thread look what there is to sleep on.
    fn call(&self) {
        // Release: pairs with the Acquire in `run`, though the mutex has ordered it.
        self.turn.fetch_add(1, Release);
        futex::wake(&self.turn, 1);
    }

    fn run(&self) {
        loop {
            // Acquire: pairs with the Release in `call`. Before the look at what is tied: what is tied after it changes this.
            let turn = self.turn.load(Acquire);
            let mut until = Deadline::NEVER;
            let mut waiters = vec![Waiter::new(&self.turn, turn)];
            let mut ropes = vec![0];
            for tied in locked(&self.tied).iter() {
                until = until.min(tied.until);
                waiters.push(tied.waiter);
                ropes.push(tied.rope);
            }
            match wait_any(&waiters, until) {
                WakeAny::Woken(0) => {}
                WakeAny::Woken(at) => self.tell(|tied| tied.rope == ropes[at]),
                WakeAny::TimedOut => self.tell(|tied| tied.until.has_passed()),
                WakeAny::Unsupported => {
                    wait_any_coarsely(&waiters, until);
                    self.tell(|tied| tied.waiter.has_changed() || tied.until.has_passed());
                }
                _ => self.tell(|tied| tied.waiter.has_changed()),
            }
        }
    }

    /// Tells the ropes of those words that are worth a look, and lets them go.
    fn tell(&self, worth: impl Fn(&Tied) -> bool) {
        locked(&self.tied).retain(|tied| {
            let told = worth(tied);
            if told {
                // Full, it is readable already.
                let _ = tied.bell.write(1);
            }
            !told
        });
    }
}

/// A panic in between leaves nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
