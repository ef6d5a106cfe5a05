//! Where a kill may cut a program: order without instructions, and deaths in models.
//!
//! A kill cuts the program at one instruction: the stores before it have happened, those after it never will, on every
//! processor, since interrupts are precise. Whoever goes on sees that prefix whole, because they learned of the death
//! from the kernel, which released the dead one's record lock afterwards. So only the compiler can put steps in the wrong
//! order, and [`in_program_order`] keeps it from that.
//!
//! Under loom a machine makes a [`step`] before each of its stores, and a model runs a participant once for every number
//! of steps that it may survive:
//!
//! ```ignore
//! if crash::after(k, || mutex.lock(&judge, Deadline::NEVER)).is_err() {
//!     judge.die();
//! }
//! ```

#[cfg(loom)]
pub use self::model::{Died, Lives, after, everywhere, step};

/// Keeps the compiler from moving an access over this point.
#[inline(always)]
pub fn in_program_order() {
    // SeqCst: towards whoever looks after a kill at any instruction, as towards a signal handler; no instruction. A model
    // cuts between the steps of the source.
    #[cfg(not(loom))]
    crate::compiler_fence(crate::Ordering::SeqCst);
}

/// A place for a death in a model, before a store that others can see; elsewhere nothing.
#[cfg(not(loom))]
#[inline(always)]
pub fn step() {}

#[cfg(loom)]
mod model {
    use core::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::Arc;
    // Not loom's: it is the observer, not the observed.
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
    use std::time::Instant;

    loom::thread_local! {
        /// How many steps this thread has left.
        static LEFT: Cell<u32> = Cell::new(u32::MAX);
    }

    /// The participant has died in the middle of what it did.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Died;

    /// Runs `life` until its end, or until it has done `steps` steps and begins another one.
    ///
    /// # Errors
    ///
    /// [`Died`] in the second case. Nothing of `life` ran after its last step: it must hold nothing whose drop does more.
    pub fn after<R>(steps: u32, life: impl FnOnce() -> R) -> Result<R, Died> {
        LEFT.with(|left| left.set(steps));
        let end = catch_unwind(AssertUnwindSafe(life));
        LEFT.with(|left| left.set(u32::MAX));
        end.map_err(|payload| match payload.downcast::<Died>() {
            Ok(died) => *died,
            Err(panic) => resume_unwind(panic),
        })
    }

    /// Makes a step, or dies before it. Models call it between the steps of their own data.
    pub fn step() {
        let dead = LEFT.with(|left| match left.get() {
            0 => true,
            u32::MAX => false,
            more => {
                left.set(more - 1);
                false
            }
        });
        if dead {
            // Not `panic!`: its hook would print a message for every death.
            resume_unwind(Box::new(Died));
        }
    }

    /// What became of the participant that may die, over all executions of a scene.
    #[derive(Debug, Default)]
    pub struct Lives {
        any_died: AtomicBool,
    }

    impl Lives {
        /// To be called in each execution in which it died.
        pub fn died(&self) {
            self.any_died.store(true, Relaxed);
        }
    }

    /// Tries every interleaving of `scene`, with so many preemptions at most, for every number of steps that one participant
    /// survives. The scene gets this number, and says so if that participant died.
    ///
    /// # Panics
    ///
    /// If an execution does, or if the participant makes next to no steps.
    pub fn everywhere(
        name: &str,
        preemptions: usize,
        scene: impl Fn(u32, &Lives) + Send + Sync + 'static,
    ) {
        let scene = Arc::new(scene);
        let executions = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        for steps in 0.. {
            let lives = Arc::new(Lives::default());
            let (inner, all, count) = (scene.clone(), lives.clone(), executions.clone());
            let mut model = loom::model::Builder::new();
            let bound = model.preemption_bound.unwrap_or(2);
            model.preemption_bound = Some(bound.min(preemptions));
            model.check(move || {
                count.fetch_add(1, Relaxed);
                inner(steps, &all);
            });
            if !lives.any_died.load(Relaxed) {
                let executions = executions.load(Relaxed);
                println!(
                    "{name}: {steps} crash points, {executions} executions, {:.1?}",
                    start.elapsed()
                );
                assert!(steps > 2, "the participant that is to die does next to nothing");
                return;
            }
        }
    }
}
