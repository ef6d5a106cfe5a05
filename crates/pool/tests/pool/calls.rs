//! What calls return.

use std::fs::File;
use std::io::Read;

use shmkit_cell::Value;
use shmkit_parcel::Descriptor;
use shmkit_pool::{Pool, PoolErrorKind, TaskError};
use shmkit_queue::Queue;

use super::*;

#[test]
fn pol_01_02_a_pool_calls_what_it_is_told_and_returns_the_answers_in_order() {
    let pool = pool(2);
    assert_eq!(pool.submit(square, (5,)).wait().unwrap(), 25);
    assert_eq!(pool.submit(power, (2, 10)).wait().unwrap(), 1024);
    let squares = |n: u64| (0..n).map(|x| x * x).collect::<Vec<_>>();
    assert_eq!(pool.map(square, 0..10).unwrap(), squares(10));
    let chunked: Result<Vec<_>, _> =
        pool.chunked(square, (0..100).map(|x| (x,)), 20).into_iter().collect();
    assert_eq!(chunked.unwrap(), squares(100));
    assert_eq!(pool.starmap(power, [(2, 3), (4, 2)]).unwrap(), [8, 16]);
    assert_eq!(pool.pids().len(), 2, "no more processes than were asked for");
}

#[test]
fn pol_06_17_nothing_is_called_for_nothing() {
    let pool = pool(1);
    assert_eq!(pool.map(square, []).unwrap(), []);
    assert_eq!(pool.imap(square, []).count(), 0);
    assert_eq!(pool.imap_unordered(square, []).count(), 0);
}

#[test]
fn pol_10_12_answers_come_as_they_are_wanted() {
    let pool = pool(2);
    let all: Result<Vec<_>, _> = pool.imap(square, 0..10).collect();
    assert_eq!(all.unwrap(), (0..10).map(|x| x * x).collect::<Vec<_>>());
    let mut many = pool.imap(square, 0..1000).chunk(100);
    for n in 0..1000_u64 {
        assert_eq!(many.next().unwrap().unwrap(), n * n);
    }
    assert!(many.next().is_none() && many.next().is_none());
    let mut any: Vec<_> =
        pool.imap_unordered(square, 0..1000).chunk(100).map(Result::unwrap).collect();
    any.sort_unstable();
    assert_eq!(any, (0..1000).map(|x| x * x).collect::<Vec<_>>());
    for (n, answer) in pool.imap_unordered(square, 10..20).with_index() {
        let x = n as u64 + 10;
        assert_eq!(answer.unwrap(), x * x);
    }
}

#[test]
fn the_next_answer_is_waited_for_as_long_as_somebody_likes() {
    let pool = pool(1);
    let mut answers = pool.imap(sleep, [150, 0]);
    assert!(matches!(answers.try_next(), Some(Err(TaskError::TimedOut))));
    let next = answers.next_timeout(Duration::from_millis(10));
    assert!(matches!(next, Some(Err(TaskError::TimedOut))));
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        match asked.get() {
            2.. => std::ops::ControlFlow::Break(()),
            _ => std::ops::ControlFlow::Continue(()),
        }
    };
    let next = answers.next_deadline(shmkit_sync::Patience::ENDLESS.interruptible(&stop));
    assert!(matches!(next, Some(Err(TaskError::Interrupted) | Ok(150))), "{next:?}");
    let left: Vec<_> = answers.map(Result::unwrap).collect();
    assert!(matches!(left[..], [150, 0] | [0]), "{left:?}");
}

#[test]
fn pol_07_11_13_inputs_are_taken_a_few_ahead_and_one_that_panics_hides_no_answer_before_it() {
    let pool = pool(2);
    let taken = std::cell::Cell::new(0);
    let endless = (0..).inspect(|_| taken.set(taken.get() + 1));
    let mut answers = pool.imap(square, endless);
    assert_eq!(answers.next().unwrap().unwrap(), 0);
    assert!(taken.get() <= 4, "{} taken for one answer", taken.get());
    drop(answers);
    let failing = (0..10_u64).inspect(|&n| assert!(n != 6, "input {n}"));
    let mut answers = pool.imap(square, failing);
    let mut got = Vec::new();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        got.extend(answers.by_ref().map(Result::unwrap));
    }));
    assert!(panic.is_err());
    assert!(got.len() >= 2 && got.iter().enumerate().all(|(n, &x)| x == (n * n) as u64), "{got:?}");
    drop(answers);
    for fails_at in [0, 3] {
        let failing = (0..10_u64).inspect(|&n| assert!(n != fails_at, "input {n}"));
        let map = std::panic::AssertUnwindSafe(|| pool.map(square, failing));
        let panic = std::panic::catch_unwind(map).unwrap_err();
        assert_eq!(*panic.downcast::<String>().unwrap(), format!("input {fails_at}"));
        assert_eq!(pool.map(square, [3]).unwrap(), [9], "the pool goes on");
    }
}

#[test]
fn pol_14_34_what_no_pool_can_be_is_refused() {
    assert_eq!(Pool::new(0).unwrap_err().kind(), PoolErrorKind::Workers(0));
    assert_eq!(Pool::new(1001).unwrap_err().kind(), PoolErrorKind::Workers(1001));
    let few = Pool::builder(4).capacity(3).build().unwrap_err();
    assert_eq!(few.kind(), PoolErrorKind::Capacity(3));
    let pool = pool(1);
    let none = std::panic::AssertUnwindSafe(|| drop(pool.chunked(square, [(1,)], 0)));
    assert!(std::panic::catch_unwind(none).is_err());
}

#[test]
fn pol_19_23_24_35_what_a_task_says_is_told_from_whether_it_could_say_it() {
    let pool = pool(2);
    let text = |text: &str| text.to_owned();
    let answers = pool.map_each(parse, [text("7"), text("x"), text("300")]);
    let [Ok(Ok(7)), Ok(Err(one)), Ok(Err(two))] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(
        (one.message(), two.message()),
        ("invalid digit found in string", "number too large to fit in target type")
    );
    let inputs = (0..9).map(|n| (n, if n % 4 == 3 { Fate::Panics } else { Fate::Lives }));
    let answers = pool.starmap_each(fate, inputs.clone());
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Err(TaskError::Panicked { panic, .. }) => {
                assert!(n % 4 == 3 && panic.message == format!("because of {n}"), "{panic:?}");
                assert!(panic.at.contains("main.rs"), "{panic:?}");
            }
            other => assert_eq!(*other.as_ref().unwrap(), n as u64),
        }
    }
    let first = pool.starmap(fate, inputs).unwrap_err();
    assert!(first.to_string().contains("because of 3"), "the lowest index: {first}");
    assert_eq!(pool.replaced(), 0, "a panic is an answer, and its worker goes on");
}

#[test]
fn pol_20_large_arguments_and_answers_take_blocks_and_give_them_back() {
    let pool = build(Pool::builder(2).memory(16 << 20));
    for _ in 0..20 {
        assert_eq!(pool.submit(length, (vec![3; 1 << 20],)).wait().unwrap(), 1 << 20);
        assert_eq!(pool.submit(sevens, (1 << 20,)).wait().unwrap(), vec![7; 1 << 20]);
    }
    // Answers that do not fit where they begin.
    let answers = pool.chunked(sevens, (0..60).map(|n| (n * 100,)), 30);
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), vec![7; n * 100]);
    }
    let too_large = pool.submit(sevens, (64 << 20,)).wait().unwrap_err();
    assert!(too_large.to_string().contains("no room for an answer of"), "{too_large}");
    let too_large = pool.submit(length, (vec![1; 64 << 20],)).wait().unwrap_err();
    assert!(matches!(too_large, TaskError::Encode { .. }), "{too_large}");
    assert_eq!(pool.submit(square, (2,)).wait().unwrap(), 4);
}

#[test]
fn pol_31_many_workers_and_more_tasks_than_can_be_under_way() {
    let pool = build(Pool::builder(50).capacity(50));
    assert_eq!(pool.map(square, 0..1000).unwrap().iter().sum::<u64>(), 332_833_500);
    let one_by_one = pool.chunked(square, (0..1000).map(|x| (x,)), 1);
    assert_eq!(one_by_one.into_iter().map(Result::unwrap).sum::<u64>(), 332_833_500);
    assert_eq!(pool.completed(), 2000);
}

/// Writes its number into a file that came with it, and returns what was in another.
#[task(crate = shmkit_process)]
fn reads(n: u32, mut to: Descriptor<File>, mut from: Descriptor<File>) -> String {
    to.write_all(format!("{n};").as_bytes()).unwrap();
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn descriptors_go_to_whichever_worker_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(2);
    let path = folder.path().join("to");
    let to = || File::options().append(true).create(true).open(&path).unwrap();
    let from = |n: u32| {
        let from = folder.path().join(n.to_string());
        std::fs::write(&from, format!("text {n}")).unwrap();
        File::open(from).unwrap()
    };
    let answers = pool.starmap(reads, (0..100).map(|n| (n, to().into(), from(n).into()))).unwrap();
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, format!("text {n}"));
    }
    for n in 0..200 {
        assert_eq!(
            pool.submit(reads, (n, to().into(), from(n).into())).wait().unwrap(),
            format!("text {n}")
        );
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.split_terminator(';').count(), 300);
}

#[task(crate = shmkit_process)]
fn puts_square(n: u64, to: Queue<u64>) {
    to.put(n * n).unwrap();
}

#[test]
fn an_object_goes_to_the_workers_as_its_handle() {
    let segment = shmkit_segment::Options::new(1 << 16).participants(8).anonymous().unwrap();
    let queue = segment.make::<Queue<u64>>("squares", 64_u64.into()).unwrap();
    let pool = pool(2);
    pool.starmap(puts_square, (0..50).map(|n| (n, queue.clone()))).unwrap();
    let mut all: Vec<_> = (0..50).map(|_| queue.try_get().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..50).map(|n| n * n).collect::<Vec<_>>());
}

/// Opens a file, and ends its process instead if it is to.
#[task(crate = shmkit_process)]
fn opens(path: PathBuf, dies: bool) -> Descriptor<File> {
    if dies {
        std::process::abort();
    }
    File::open(path).unwrap().into()
}

#[task(crate = shmkit_process)]
fn makes(n: u64) -> (u64, Value<u64>) {
    (n, shmkit_segment::arena::make::<Value<u64>>(n).unwrap())
}

#[test]
fn descriptors_and_objects_come_with_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |n: usize| folder.path().join(n.to_string());
    (0..9).for_each(|n| std::fs::write(path(n), n.to_string()).unwrap());
    let text = |file: Descriptor<File>| std::io::read_to_string(file.into_inner()).unwrap();
    let pool = pool(2);
    for answer in pool.chunked(opens, (0..9).map(|n| (path(n), false)), 4).into_iter().zip(0..9) {
        assert_eq!(text(answer.0.unwrap()), answer.1.to_string());
    }
    // Those of a chunk that were answered before its worker died.
    for (n, answer) in
        pool.chunked(opens, (0..9).map(|n| (path(n), n == 5)), 9).into_iter().enumerate()
    {
        match answer {
            Err(TaskError::WorkerDied(_)) if n == 5 => {}
            answer => assert_eq!(text(answer.unwrap()), n.to_string()),
        }
    }
    let task = pool.submit(makes, (7,));
    let (n, value) = task.wait().unwrap();
    value.update(|value| *value += n).unwrap();
    assert_eq!(value.get().unwrap(), 14);
}

/// What cannot be packed, or not be unpacked.
#[derive(Clone, Copy, Debug)]
struct Picky {
    packs: bool,
}

impl serde::Serialize for Picky {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.packs {
            true => serializer.serialize_u8(1),
            false => Err(serde::ser::Error::custom("it does not want to go")),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Picky {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("it does not want to come"))
    }
}

#[task(crate = shmkit_process)]
fn takes(number: u64, picky: Picky) -> u64 {
    number + u64::from(picky.packs)
}

#[task(crate = shmkit_process)]
fn returns(packs: bool) -> Picky {
    Picky { packs }
}

/// The workers live on.
#[test]
fn pol_05_24_38_what_cannot_be_packed_or_unpacked_is_named_with_its_task() {
    let pool = build(Pool::builder(1).name("fussy"));
    let pid = pool.submit(worker_pid, ()).wait().unwrap();
    let says = |error: &TaskError, words: &[&str]| {
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let unpacked = pool.submit(takes, (1, Picky { packs: false })).wait().unwrap_err();
    assert!(matches!(unpacked, TaskError::Encode { .. }), "{unpacked:?}");
    says(&unpacked, &["takes", "argument `picky`", "Picky"]);
    let not_there = pool.submit(takes, (1, Picky { packs: true })).wait().unwrap_err();
    assert!(matches!(not_there, TaskError::Travel { .. }), "{not_there:?}");
    says(&not_there, &["takes", "argument `picky`", "Picky", "fussy"]);
    for packs in [false, true] {
        let error = pool.submit(returns, (packs,)).wait().unwrap_err();
        says(&error, &["returns", "Picky", "fussy"]);
    }
    for _ in 0..20 {
        assert!(pool.submit(returns, (false,)).wait().is_err());
    }
    assert_eq!(pool.submit(worker_pid, ()).wait().unwrap(), pid);
}
