//! Words that nobody writes, and calls of those who are not in.

use super::*;

#[test]
fn a_word_that_names_nobody_is_corrupt() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let [lock] = locks(region, &judges);
    // Nobody is called so; bit 30; with and without the mark of waiters.
    for nonsense in [2, 1023, 1 << 30, 1 << 31 | 5, 3 << 30, 0x400 | 900] {
        word(region, 0).store(nonsense, Relaxed);
        let corrupt = LockFailure::Corrupt { word: nonsense };
        assert_eq!(failure(lock.read()), corrupt);
        assert_eq!(failure(lock.try_read()), corrupt);
        assert_eq!(failure(lock.write()), corrupt);
        assert_eq!(failure(lock.try_write()), corrupt);
        assert_eq!(word(region, 0).load(Relaxed), nonsense, "it is left as it was found");
    }
    word(region, 0).store(0, Relaxed);
    for nonsense in [2, 3, 8, !4] {
        word(region, 4).store(nonsense, Relaxed);
        assert!(matches!(lock.read(), Err(LockError::NotRecoverable(_))), "{nonsense}");
        assert!(matches!(lock.write(), Err(LockError::NotRecoverable(_))), "{nonsense}");
    }
}

#[test]
fn cells_that_nobody_writes_keep_nobody_out() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let [a, b] = locks(region, &judges);
    // The cells are behind frame and value; both rows are looked at.
    let cell = |n: u64| 128 + 8 * n;
    word(region, 32).store(3, Relaxed);
    // Nobody is called so.
    for (n, id) in [(3, 0x400 | 900), (5, 7)] {
        word(region, cell(n)).store(9, Relaxed);
        word(region, cell(n) + 4).store(id, Relaxed);
    }
    drop(a.try_write().unwrap());
    // As many as a cell can count: another one is found.
    let me = judges[0].me().unwrap().get();
    word(region, cell(0)).store(u32::MAX, Relaxed);
    word(region, cell(0) + 4).store(me, Relaxed);
    drop(a.read().unwrap());
    assert_eq!(failure(b.try_write()), LockFailure::WouldBlock);
}

#[test]
fn who_is_not_in_cannot_get_out() {
    let judges = ModelJudge::new(2);
    let (frame, cells) = (RwLockFrame::new(2), cells(2));
    let lock = RawRwLock::new(&frame, &cells);
    let (reading, _) = lock.try_read(&judges[0]).unwrap();
    // SAFETY: the lock guards nothing.
    assert_eq!(unsafe { lock.unlock_write(&judges[0]) }, Err(NotOwner));
    // SAFETY: the lock guards nothing.
    assert!(unsafe { lock.downgrade(&judges[0]) }.is_err());
    assert_eq!(lock.make_consistent(&judges[0]), Err(NotOwner));
    // SAFETY: the lock guards nothing.
    assert_eq!(unsafe { lock.unlock_read(&judges[1], reading) }, Err(NotOwner));
    assert_eq!(lock.readers(), 1);
}
