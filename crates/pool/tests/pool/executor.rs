//! The words of `concurrent.futures`.

use shmkit_pool::TaskError;
use shmkit_pool::executor::{Executor, ReturnWhen, as_completed, wait};

use super::*;

fn executor(workers: u32) -> Executor {
    Executor::new(workers).unwrap()
}

#[test]
fn futures_end_with_an_answer_or_with_the_reason() {
    let executor = executor(2);
    let mut good = executor.submit(square, (7,));
    assert_eq!(good.exception(Some(LONG)).unwrap(), None);
    assert!(good.done() && !good.running() && !good.cancelled() && !good.cancel());
    assert_eq!(good.result(Some(Duration::ZERO)).unwrap(), 49);
    let bad = executor.submit(fate, (1, Fate::Panics));
    assert!(bad.exception(Some(LONG)).unwrap().unwrap().contains("because of 1"));
    // No broken executor: the next one is answered.
    let mut killed = executor.submit(fate, (1, Fate::IsKilled));
    assert!(matches!(killed.result(Some(LONG)), Err(TaskError::WorkerDied(_))));
    assert_eq!(executor.submit(square, (2,)).result(Some(LONG)).unwrap(), 4);
    let (send, receive) = std::sync::mpsc::channel();
    let told = executor
        .submit(square, (3,))
        .add_done_callback(move |answer| send.send(format!("{answer:?}")).unwrap());
    assert_eq!(receive.recv_timeout(LONG).unwrap(), "Ok(9)");
    drop(told);
    assert_eq!(executor.map(square, [1, 2, 3]).map(Result::unwrap).collect::<Vec<_>>(), [1, 4, 9]);
}

#[test]
fn what_has_not_begun_is_called_off_and_what_has_runs() {
    let folder = tempfile::tempdir().unwrap();
    let [began, go, ran] = ["began", "go", "ran"].map(|name| folder.path().join(name));
    let executor = executor(1);
    let first = executor.submit(wait_for, (began.clone(), go.clone()));
    until("it runs", || first.running() && lines(&began).len() == 1);
    assert!(matches!(first.exception(Some(SHORT)), Err(TaskError::TimedOut)));
    let mut second = executor.submit(square, (1,));
    assert!(second.cancel() && second.cancelled() && !first.cancel());
    assert!(matches!(second.result(None), Err(TaskError::Cancelled)));
    // Dropped, they run; but for those that `shutdown` calls off.
    drop(executor.submit(note, (ran.clone(), "kept".into())));
    let late = executor.submit(note, (ran.clone(), "late".into()));
    assert!(late.cancel());
    executor.shutdown(false, false);
    assert!(
        matches!(executor.submit(square, (1,)).exception(None), Ok(Some(why)) if why.contains("closed"))
    );
    std::fs::write(&go, "").unwrap();
    executor.shutdown(true, false);
    assert_eq!(lines(&ran), ["kept"]);
    assert!(first.done());
}

#[test]
fn shutdown_calls_off_what_waits_if_it_is_to() {
    let folder = tempfile::tempdir().unwrap();
    let [began, go] = ["began", "go"].map(|name| folder.path().join(name));
    let executor = executor(1);
    let mut first = executor.submit(wait_for, (began.clone(), go.clone()));
    until("it runs", || lines(&began).len() == 1);
    let others: Vec<_> = (0..5).map(|n| executor.submit(square, (n,))).collect();
    executor.shutdown(false, true);
    assert!(others.iter().all(|other| other.cancelled()));
    std::fs::write(&go, "").unwrap();
    executor.shutdown(true, true);
    assert!(first.result(Some(LONG)).is_ok());
}

#[test]
fn futures_are_waited_for_as_they_end() {
    let executor = executor(2);
    let sleeps = |times: &[u64]| -> Vec<_> {
        times.iter().map(|&time| executor.submit(sleep, (time,))).collect()
    };
    let ended: Vec<u64> = as_completed(sleeps(&[400, 5, 10]), Some(LONG))
        .map(|future| future.unwrap().result(None).unwrap())
        .collect();
    assert_eq!(ended, [5, 10, 400]);
    let mut late = as_completed(sleeps(&[60_000]), Some(SHORT));
    assert!(matches!(late.next(), Some(Err(TaskError::TimedOut))) && late.next().is_none());
    let pids = executor.pool().pids();
    kill(*pids.iter().find(|pid| is_alive(**pid)).unwrap(), "KILL");

    let mut futures = sleeps(&[5, 5]);
    futures.push(executor.submit(sleep, (600_000,)));
    let (done, waits) = wait(futures, Some(LONG), ReturnWhen::FirstCompleted);
    assert!(!done.is_empty() && done.len() + waits.len() == 3);
    let (_, waits) = wait(waits, Some(SHORT), ReturnWhen::AllCompleted);
    assert_eq!(waits.len(), 1, "the long one");
    executor.pool().terminate();
    let (done, waits) = wait(waits, None, ReturnWhen::FirstException);
    assert!(done.len() == 1 && waits.is_empty());
    assert!(done[0].exception(None).unwrap().unwrap().contains("closed"));
}
