//! Transactions between processes: a bank whose clerks are killed.

use std::time::Duration;

use shmkit::{LockFailure, Objects, Options, Segment, TransactionError, Transactional};
use shmkit_tests::cell::{ACCOUNTS, bank, shop, stock};

use crate::support::{By, Peer, wait_until};

const LIMIT: Duration = Duration::from_secs(10);

fn segment() -> (Segment, Transactional<[i64]>) {
    let segment = Options::new(1 << 16).anonymous().unwrap();
    let accounts = bank(&segment).unwrap();
    (segment, accounts)
}

#[track_caller]
fn peer(by: By, segment: &Segment, script: &str) -> Peer {
    by.peer(&format!("cell/{script}"), &[], segment)
}

fn sum(accounts: &Transactional<[i64]>) -> i64 {
    accounts.read_timeout(|all| all.iter().sum(), LIMIT).unwrap()
}

/// Each of the clerks is killed wherever it happens to be, others go on meanwhile.
#[test]
fn the_sum_stays_whoever_is_killed() {
    let (segment, accounts) = segment();
    let transfers = segment.atomic("transfers", 0_u64).unwrap();
    let mut second = peer(By::Exec, &segment, "transfer-for-ever");
    second.expect("ready");
    for kill in 0..40 {
        let by = if kill % 10 == 0 { By::Exec } else { By::Fork };
        let mut clerk = peer(by, &segment, "transfer-for-ever");
        clerk.expect("ready");
        let before = transfers.load();
        wait_until(|| transfers.load() >= before + kill);
        clerk.kill();
        assert_eq!(sum(&accounts), 100 * ACCOUNTS as i64, "kill {kill}");
    }
    second.kill();
    assert_eq!(sum(&accounts), 100 * ACCOUNTS as i64);
}

#[test]
fn who_comes_after_one_killed_in_the_middle_finds_all_as_it_was() {
    for by in By::ALL {
        let (segment, accounts) = segment();
        let mut clerk = peer(by, &segment, "transfer-half-way");
        clerk.expect("inside");
        wait_until(|| clerk.state() == 'T');
        let busy = Err(TransactionError::Failed(LockFailure::WouldBlock));
        assert_eq!(accounts.try_read(|_| ()), busy, "stopped is not dead");
        clerk.kill();
        let undone =
            || accounts.transaction_timeout(|all| Ok((all.has_undone(), all.to_vec())), LIMIT);
        assert_eq!(undone(), Ok((true, vec![100; ACCOUNTS])));
        assert_eq!(undone(), Ok((false, vec![100; ACCOUNTS])), "told once");
    }
}

#[test]
fn a_forked_child_neither_goes_on_with_a_transaction_nor_takes_it_back() {
    let (_segment, accounts) = segment();
    let done = accounts.transaction(|all| {
        *all.change(|all| &all[0])? = 1;
        let child = Peer::fork("inherit", |_channel| {
            let refused = all.change(|all| &all[1]).unwrap_err();
            assert_eq!(refused, TransactionError::Failed(LockFailure::NotJoined));
            assert_eq!(accounts.try_read(|_| ()), Err(refused));
        });
        child.join();
        Ok(())
    });
    assert_eq!(done, Ok(()));
    assert_eq!(accounts.read(|all| (all[0], all[1])), Ok((1, 100)));
}

/// Whoever inherits the lock of a set takes back what the dead one has changed in all members, whether it knows them or not.
#[test]
fn what_a_killed_one_has_changed_in_several_things_is_taken_back_together() {
    for by in By::ALL {
        let segment = Options::new(1 << 16).anonymous().unwrap();
        let set = shop(&segment).unwrap();
        let mut clerk = peer(by, &segment, "trade-half-way");
        clerk.expect("inside");
        wait_until(|| clerk.state() == 'T');
        let busy = Err(TransactionError::Failed(LockFailure::WouldBlock));
        assert_eq!(set.try_read(|_| Ok(())), busy, "stopped is not dead");
        clerk.kill();
        assert_eq!(
            set.read(|set| set.names()),
            Ok(vec![]),
            "the members were its own, uncommitted"
        );
        let done = set.transaction(stock).unwrap();
        let mut clerk = peer(by, &segment, "trade-half-way");
        clerk.expect("inside");
        wait_until(|| clerk.state() == 'T');
        clerk.kill();
        set.read(|set| {
            assert_eq!((*set.get(&done.0)?, set.get(&done.1)?), (0, &[5; 8][..]));
            assert_eq!(set.len_of(&done.2)?, 0);
            Ok(())
        })
        .unwrap();
    }
}
