//! Ends a test program of which a model stands still: one that waits for ever is a failure like others, and has a name.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use shmkit_atomic::AtomicU32;

/// Far longer than any model lives, on whatever machine.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks.
const TICK: Duration = Duration::from_secs(1);

/// A model, and by when its participants are to be gone.
#[derive(Debug)]
struct Watched {
    /// Its register of deaths: of nobody any more when the last participant is gone. So that nothing has to be told to the
    /// watchdog then, which a forked child has not.
    register: Weak<[AtomicU32]>,
    /// The thread that made it: a test's has the test's name.
    maker: String,
    end: Instant,
}

static MODELS: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

/// Watches a model.
pub(super) fn watch(register: Weak<[AtomicU32]>) {
    static GUARD: Once = Once::new();
    GUARD.call_once(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(TICK);
                if let Some(maker) = overdue(&mut models(), Instant::now()) {
                    // Not `eprintln!`, which a test's threads, this one among them, print for the test runner alone.
                    let _ = writeln!(
                        std::io::stderr(),
                        "{maker}: a model has not ended within {LIMIT:?}: it stands still"
                    );
                    std::process::abort();
                }
            }
        });
    });
    let maker = thread::current().name().unwrap_or("a thread without a name").to_owned();
    let mut models = models();
    // A fuzzer makes a hundred thousand in a second, one after the other.
    while models.pop_if(|last| last.register.strong_count() == 0).is_some() {}
    models.push(Watched { register, maker, end: Instant::now() + LIMIT });
}

fn models() -> std::sync::MutexGuard<'static, Vec<Watched>> {
    MODELS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets those that have ended, and returns who made the first one that had to.
fn overdue(models: &mut Vec<Watched>, now: Instant) -> Option<String> {
    models.retain(|model| model.register.strong_count() > 0);
    models.iter().find(|model| now >= model.end).map(|model| model.maker.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_model_that_outlives_its_limit_is_named_and_one_that_ended_is_not() {
        let now = Instant::now();
        let register: Arc<[AtomicU32]> = [AtomicU32::new(0)].into();
        let watched = |maker: &str, end| Watched {
            register: Arc::downgrade(&register),
            maker: maker.to_owned(),
            end,
        };
        let mut models = vec![watched("early", now + LIMIT), watched("late", now)];
        assert_eq!(overdue(&mut models, now - TICK), None);
        assert_eq!(overdue(&mut models, now).as_deref(), Some("late"));
        assert_eq!(overdue(&mut models, now + LIMIT).as_deref(), Some("early"));
        drop(register);
        assert_eq!(overdue(&mut models, now + LIMIT), None);
        assert!(models.is_empty());
    }

    #[test]
    fn every_model_is_watched_until_its_last_participant_is_gone() {
        let is_watched = || {
            let me = thread::current().name().map(str::to_owned);
            let is_mine = |model: &&Watched| Some(&model.maker) == me.as_ref();
            models().iter().filter(is_mine).any(|model| model.register.strong_count() > 0)
        };
        let judges = super::super::ModelJudge::new(2);
        let last = judges[1].clone();
        drop(judges);
        assert!(is_watched());
        drop(last);
        assert!(!is_watched());
    }
}
