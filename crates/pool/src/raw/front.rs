//! Who of the workers waits at the line, and where the others do.

use core::fmt;

use shmkit_atomic::Ordering::{AcqRel, Relaxed};
use shmkit_atomic::{AtomicU32, barrier, const_unless_loom, crash, prefetch};
use shmkit_roster::{Judge, OwnerId, Verdict, ask};
use shmkit_sync::{Doorbell, GivenUp, Patience, Wait, Watch};

/// Who of the workers waits at the line: one of them, the first. The others sleep apart, and are woken when nobody is there.
///
/// All of them at the line would look there beside each other, for a moment, and sleep then; and each number that is put there
/// would wake a sleeper while another one, awake, takes it.
///
/// ```text
/// byte 0  first  u32  owner id of the worker at the line; 0: nobody is there
///      4  spare  u32  bell: the others sleep there
///      8  watch  u32  when one of them has to look again
/// ```
///
/// *Somebody has put a number => the first one takes it, or nobody is first, and one of the others is woken.* It is a hint all the
/// same: the numbers are in the line. Who dies or is stopped while it is the first one costs a slice.
#[repr(C)]
pub struct RawFront {
    first: AtomicU32,
    spare: Doorbell,
    watch: Watch,
}

impl RawFront {
    const_unless_loom! {
        /// Makes that of a line at which nobody waits. All zeros is one.
        pub fn new() -> RawFront {
            RawFront { first: AtomicU32::new(0), spare: Doorbell::new(), watch: Watch::new() }
        }
    }

    fn exchange(&self, from: u32, to: u32) -> bool {
        crash::step();
        // AcqRel: it stands between a look at the line and a sleep, as the fences say.
        self.first.compare_exchange(from, to, AcqRel, Relaxed).is_ok()
    }

    /// The worker waits at the line from now on, if nobody else does.
    #[must_use]
    pub fn lead(&self, me: OwnerId) -> bool {
        self.exchange(0, me.get())
    }

    /// The first one goes: it has something to do, or waits no more. Another one comes if `is_more` there.
    pub fn step_aside(&self, me: OwnerId, is_more: impl FnOnce() -> bool) {
        // It fails if others took it for stopped: then one of them is the first.
        let _ = self.exchange(me.get(), 0);
        // SeqCst: pairs with the one in `told`. Either this one is first: then that one sees that nobody is there, and wakes; or
        // that one's is: then this sees the number that was put.
        barrier::after_exchange();
        if is_more() {
            self.spare.ring(1);
        }
    }

    /// Starts to bring here what [`told`](Self::told) looks at.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(&raw const self.first);
    }

    /// A number was put into the line, by an exchange.
    #[inline]
    pub fn told(&self) {
        // SeqCst: pairs with the one in `step_aside`.
        barrier::after_exchange();
        // Relaxed: the fences order it.
        if self.first.load(Relaxed) == 0 {
            self.spare.ring(1);
        }
    }

    /// Everybody is to look: there is nothing to wait for any more, or their patience says stop.
    pub fn call_all(&self) {
        self.spare.ring_all();
    }

    /// Sleeps until nobody is first, or something `is_there` that nobody takes. The patience's hook is asked whenever somebody
    /// [calls](Self::call_all), and else rarely: of those who sleep here one looks for all.
    ///
    /// # Errors
    ///
    /// What ends `patience`.
    ///
    /// # If a peer dies
    ///
    /// The first one: another takes its place as soon as [that is seen](Self::forget_dead), or, as when it is stopped, within about
    /// 40 ms; within a second, if the patience is calm and nothing came for long.
    pub fn follow<J: Judge + ?Sized>(
        &self,
        judge: &J,
        me: OwnerId,
        patience: &Patience<'_>,
        is_there: impl Fn() -> bool,
    ) -> Result<(), GivenUp> {
        let mut wait = Wait::new(*patience, me, judge).watched(&self.watch);
        loop {
            // With a fence, which pairs with the one of who rings.
            let armed = self.spare.arm();
            // Relaxed: as in `told`.
            if self.first.load(Relaxed) == 0 {
                return Ok(());
            }
            if patience.says_stop() {
                // Who was called for a number calls another one.
                if is_there() {
                    self.spare.ring(1);
                }
                return Err(GivenUp::Interrupted);
            }
            wait.check()?;
            let wake = self.spare.sleep(armed, wait.until());
            if wait.slept(wake)? {
                self.forget_dead(judge, me);
                wait.heard(true);
                if is_there() {
                    // The first one is about to take it, or is stopped: then this one is the first.
                    let first = self.first.load(Relaxed);
                    let _ = self.exchange(first, 0);
                    return Ok(());
                }
            }
        }
    }

    /// Nobody is first any more if who was is dead; then one of the others is woken.
    pub fn forget_dead<J: Judge + ?Sized>(&self, judge: &J, me: OwnerId) {
        let first = self.first.load(Relaxed);
        let is_dead = |first| matches!(ask(judge, me, first), Verdict::Dead | Verdict::Nobody);
        if OwnerId::from_word(first).is_some_and(is_dead) && self.exchange(first, 0) {
            self.spare.ring(1);
        }
    }
}

#[cfg(not(loom))]
impl Default for RawFront {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = OwnerId::from_word(self.first.load(Relaxed));
        f.debug_struct("RawFront").field("first", &first).finish_non_exhaustive()
    }
}
