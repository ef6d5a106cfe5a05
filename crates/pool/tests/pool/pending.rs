//! One task, and its answer.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use shmkit_pool::TaskError;
use shmkit_sync::Patience;

use super::*;

/// Waits for a future: what any runtime does.
fn block_on<F: Future>(future: F) -> F::Output {
    #[derive(Default)]
    struct Bell(Mutex<bool>, Condvar);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }
    }
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let rung = bell.0.lock().unwrap();
        let (mut rung, wait) = bell.1.wait_timeout_while(rung, LONG, |rung| !*rung).unwrap();
        assert!(!wait.timed_out(), "nobody has woken the task");
        *rung = false;
    }
}

#[test]
fn pol_04_08_an_answer_calls_back_once_and_can_be_waited_for_nevertheless() {
    let pool = pool(2);
    let (send, receive) = mpsc::channel();
    let other = send.clone();
    let good =
        pool.submit(square, (7,)).then(move |answer| send.send(format!("{answer:?}")).unwrap());
    assert_eq!(receive.recv_timeout(LONG).unwrap(), "Ok(49)");
    assert_eq!(good.wait().unwrap(), 49);
    let bad = pool
        .submit(fate, (1, Fate::Panics))
        .then(move |answer| other.send(answer.as_ref().unwrap_err().to_string()).unwrap());
    assert!(receive.recv_timeout(LONG).unwrap().contains("because of 1"));
    assert!(matches!(bad.wait(), Err(TaskError::Panicked { .. })));
    assert!(receive.recv_timeout(SHORT).is_err(), "exactly once each");
}

#[test]
fn an_answer_can_be_awaited_without_a_runtime() {
    let pool = pool(2);
    let sum = block_on(async {
        let tasks: Vec<_> = (0..50).map(|n| pool.submit(square, (n,))).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, (0..50).map(|n| n * n).sum::<u64>());
    let died = block_on(pool.submit(fate, (0, Fate::IsKilled)));
    assert!(matches!(died, Err(TaskError::WorkerDied(_))));
}

#[test]
fn who_finds_no_room_in_time_has_not_given_the_pool_its_task() {
    let pool = Pool::builder(1).capacity(1).build().unwrap();
    let busy = pool.submit(sleep, (300,));
    let late = pool.submit_deadline(square, (7,), Duration::from_millis(20));
    assert!(matches!(late.wait(), Err(TaskError::TimedOut)));
    // The hook may use the pool.
    let stop =
        || if pool.completed() < 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let stopped = pool.submit_deadline(square, (7,), Patience::ENDLESS.interruptible(&stop));
    assert!(matches!(stopped.wait(), Err(TaskError::Interrupted)));
    assert_eq!(busy.wait().unwrap(), 300);
    assert_eq!(pool.submit_deadline(square, (7,), LONG).wait().unwrap(), 49);
    assert_eq!(pool.completed(), 2, "the other two never ran");
}

#[test]
fn a_wait_ends_when_its_time_is_over_and_the_task_goes_on() {
    let pool = pool(1);
    let mut task = pool.submit(sleep, (300,));
    assert!(matches!(task.try_wait(), Err(TaskError::TimedOut)));
    let start = Instant::now();
    assert!(matches!(task.wait_timeout(Duration::from_millis(30)), Err(TaskError::TimedOut)));
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(task.wait_timeout(LONG).unwrap(), 300);
    assert!(matches!(task.try_wait(), Err(TaskError::Taken)));
}

#[test]
fn many_threads_wait_for_one_pool() {
    let pool = pool(3);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let pool = &pool;
            scope.spawn(move || {
                for n in 0..50 {
                    let x = thread * 1000 + n;
                    assert_eq!(pool.submit(square, (x,)).wait().unwrap(), x * x);
                }
            });
        }
    });
    assert_eq!(pool.completed(), 400);
}

#[test]
fn what_nobody_waits_for_is_called_off_and_what_is_detached_runs() {
    let folder = tempfile::tempdir().unwrap();
    let [began, go, ran] = ["began", "go", "ran"].map(|name| folder.path().join(name));
    let pool = pool(1);
    let first = pool.submit(wait_for, (began.clone(), go.clone()));
    until("it begins", || lines(&began).len() == 1);
    drop(pool.submit(note, (ran.clone(), "dropped".into())));
    pool.submit(note, (ran.clone(), "detached".into())).detach();
    std::fs::write(&go, "").unwrap();
    first.wait().unwrap();
    assert_eq!(pool.submit(square, (2,)).wait().unwrap(), 4);
    assert_eq!(lines(&ran), ["detached"]);
}
