//! Transactions: all or nothing, a log that is bounded, and what a dead owner leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use shmkit_cell::{Transaction, TransactionError, Transactional, TransactionalSpec};
use shmkit_layout::{Object, Region, ShapeError, ShmSafe};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::LockFailure;

use crate::support::{Memory, attach, make};

/// Books whose parts belong together.
#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
struct Books {
    accounts: [i64; 8],
    entries: [[u32; 4]; 16],
    count: u64,
}

const BOOKS: Books = Books { accounts: [100; 8], entries: [[0; 4]; 16], count: 0 };

/// Bytes of the log of all books below.
const LOG: u64 = 256;

fn two() -> [ModelJudge; 2] {
    ModelJudge::new(2).try_into().unwrap()
}

fn books<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Transactional<Books, &'a ModelJudge> {
    make(region, TransactionalSpec::new(BOOKS, LOG), judge)
}

fn book(books: &mut Transaction<'_, Books>, n: i64) -> Result<(), TransactionError> {
    *books.change(|b| &b.accounts[0])? -= n;
    *books.change(|b| &b.accounts[1])? += n;
    let count = books.count;
    books.change(|b| &b.entries[count as usize])?[0] = n as u32;
    *books.change(|b| &b.count)? += 1;
    Ok(())
}

#[test]
fn a_transaction_changes_all_that_it_changes() {
    let [me, other] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let data = books(region, &me);
    data.transaction(|b| book(b, 30)).unwrap();
    let theirs: Transactional<Books, _> = attach(region, 1, &other);
    let found = theirs.read(|b| *b).unwrap();
    assert_eq!((found.accounts[..3].to_vec(), found.count), (vec![70, 130, 100], 1));
    assert_eq!(found.entries[0], [30, 0, 0, 0]);
}

#[test]
fn what_fails_or_panics_has_changed_nothing() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let data = books(memory.region(), &me);
    data.transaction(|b| book(b, 1)).unwrap();
    let before = data.read(|b| *b).unwrap();
    let aborted = data.transaction(|b| {
        book(b, 5)?;
        assert_eq!(b.accounts[0], 94, "it sees its own changes");
        Err::<(), _>(TransactionError::Aborted)
    });
    assert_eq!(aborted, Err(TransactionError::Aborted));
    assert_eq!(data.read(|b| *b), Ok(before));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        data.transaction(|b| -> Result<(), TransactionError> {
            book(b, 5)?;
            panic!("in the middle")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(data.try_read(|b| *b), Ok(before), "and the lock is free");
}

#[test]
fn what_was_changed_twice_is_what_it_was_before_the_first_change() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let data = make::<_, Transactional<[u64], _>>(
        memory.region(),
        TransactionalSpec::new(vec![1, 2, 3], LOG),
        &me,
    );
    let aborted = data.transaction(|all| {
        *all.change(|all| &all[1])? = 7;
        all.change(|all| &all[..2])?.fill(8);
        *all.change(|all| &all[1])? = 9;
        Err::<(), _>(TransactionError::Aborted)
    });
    assert_eq!(aborted, Err(TransactionError::Aborted));
    assert_eq!(data.read(<[u64]>::to_vec), Ok(vec![1, 2, 3]));
}

#[test]
fn a_log_without_room_refuses_a_change_before_it_is_made() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let data = books(memory.region(), &me);
    let refused = data.transaction(|b| {
        *b.change(|b| &b.count)? = 9; // 24 bytes of the log
        let error = b.change(|b| &b.entries).unwrap_err();
        assert_eq!(error, TransactionError::TooLong { needed: 256 + 16, left: 256 - 24 });
        assert_eq!(b.entries, BOOKS.entries);
        Err::<(), _>(error)
    });
    assert!(refused.unwrap_err().to_string().contains("272 bytes of its log are needed"));
    assert_eq!(data.read(|b| *b), Ok(BOOKS));
    // The log is empty again, as often as it is used.
    for _ in 0..10 {
        data.transaction(|b| b.change(|b| &b.entries[..15]).map(drop)).unwrap();
    }
}

#[test]
fn what_is_no_part_of_the_data_is_not_changed() {
    static ELSEWHERE: u64 = 5;
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let data = books(memory.region(), &me);
    let error = data.transaction(|b| b.change(|_| &ELSEWHERE).map(drop));
    assert_eq!(error, Err(TransactionError::Elsewhere));
    // What has no bytes is everywhere; nothing is changed by it.
    let _ = data.transaction(|b| b.change(|b| &b.entries[16..]).map(drop));
    assert_eq!(data.read(|b| *b), Ok(BOOKS));
}

/// The dead owner is a thread that never goes on, with all that it has: nothing of it ends.
#[test]
fn who_takes_the_lock_of_a_dead_owner_finds_all_as_it_was() {
    let judges: &'static [ModelJudge] = ModelJudge::new(2).leak();
    let region = Box::leak(Box::new(Memory::<4096>::new())).region();
    let data = books(region, &judges[0]);
    data.transaction(|b| book(b, 1)).unwrap();
    let before = data.read(|b| *b).unwrap();
    let (told, tell) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        data.transaction(|b| -> Result<(), TransactionError> {
            book(b, 50)?;
            told.send(b.accounts[0]).unwrap();
            loop {
                std::thread::park();
            }
        })
    });
    assert_eq!(tell.recv(), Ok(49), "it has changed something");
    judges[0].die();
    let heir: Transactional<Books, _> = attach(region, 1, &judges[1]);
    let limit = Duration::from_secs(10);
    assert_eq!(heir.read_timeout(|b| *b, limit), Ok(before));
    heir.transaction(|b| book(b, 2)).unwrap();
    assert_eq!(heir.read(|b| b.accounts[0]), Ok(97));
}

#[test]
fn a_lock_that_is_held_is_waited_for_as_long_as_asked() {
    let [me, other] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let data = books(region, &me);
    let theirs: Transactional<Books, _> = attach(region, 1, &other);
    let busy = Err(TransactionError::Failed(LockFailure::WouldBlock));
    let late = Err(TransactionError::Failed(LockFailure::TimedOut));
    let limit = Duration::from_millis(2);
    data.transaction(|_| {
        assert_eq!(theirs.try_read(|_| ()), busy);
        assert_eq!(theirs.try_transaction(|_| Ok(())), busy);
        assert_eq!(theirs.read_timeout(|_| (), limit), late);
        assert_eq!(theirs.transaction_timeout(|_| Ok(()), limit), late);
        assert_eq!(theirs.transaction_deadline(|_| Ok(()), std::time::Instant::now()), late);
        Ok(())
    })
    .unwrap();
    assert_eq!(theirs.try_read(|b| b.count), Ok(0));
}

/// Any bytes as a log that counts: they are refused, or put back inside of the data, and nothing else is touched.
#[test]
fn a_log_that_was_written_over_is_refused_and_leads_nowhere() {
    let [me, _] = two();
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..2000 {
        let mut memory = Memory::<4096>::new();
        let _ = make::<_, Transactional<[u8], _>>(
            memory.region(),
            TransactionalSpec::new(vec![1; 64], LOG),
            &me,
        );
        let bytes = memory.bytes();
        let used = if round % 2 == 0 { next() % (LOG + 64) } else { next() };
        bytes[16..24].copy_from_slice(&used.to_ne_bytes());
        for at in (32..32 + LOG as usize).step_by(8) {
            let word = if next() % 4 == 0 { next() } else { next() % 96 };
            bytes[at..at + 8].copy_from_slice(&word.to_ne_bytes());
        }
        bytes[32 + LOG as usize + 64..].fill(0xa5);
        let data: Transactional<[u8], _> = attach(memory.region(), 64, &me);
        let found = data.read(|_| ());
        assert!(matches!(found, Ok(()) | Err(TransactionError::Corrupt)), "{found:?}");
        assert!(memory.bytes()[32 + LOG as usize + 64..].iter().all(|byte| *byte == 0xa5));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    type Numbers<'a> = Transactional<[u64], &'a ModelJudge>;
    let spec = |log| TransactionalSpec::<shmkit_cell::ArraySpec<u64>>::new(8_usize, log);
    let shape = Numbers::shape(&spec(61), 2).unwrap();
    assert_eq!((shape.bytes, shape.len), (32 + 64 + 64, 8));
    assert!(matches!(Numbers::shape(&spec(8), 2), Err(ShapeError::Length { found: 8, .. })));
    assert!(Numbers::shape(&spec(u64::MAX), 2).is_err());
    let short = region.sub(0, shape.bytes - 1).unwrap();
    // SAFETY: fresh, zeroed bytes.
    let error = unsafe { Numbers::init(short, spec(61), &me) }.unwrap_err();
    assert!(matches!(error, ShapeError::Place(_)), "{error}");
    let _ = make::<_, Numbers<'_>>(region, spec(61), &me);
    memory.bytes()[24..32].copy_from_slice(&7_u64.to_ne_bytes());
    // SAFETY: made above, and damaged, which is refused.
    let error = unsafe { Numbers::attach(memory.region(), 8, &me) }.unwrap_err();
    assert_eq!(error, ShapeError::Corrupt { field: "log", found: 7 });
}
