//! Who is alive, asked by a program that does as it likes with descriptors.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::unistd::{Uid, setuid};
use shmkit_roster::{Judge, OwnerId, Participant, Verdict};
use shmkit_tests::Channel;
use shmkit_tests::roster::Table;

use crate::roster::{forked, wait_until_dead};
use crate::support::Peer;

/// Whether this process may open the files that it has mapped, as root may.
fn may_open_mappings() -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapping = maps.split(' ').next().unwrap();
    File::open(format!("/proc/self/map_files/{mapping}")).is_ok()
}

/// What is known of somebody by way of a mapping alone.
pub(crate) fn by_mapping(verdict: &str) -> &str {
    if may_open_mappings() { verdict } else { "Unknown" }
}

fn close_descriptor(me: &Participant<'_>) {
    // SAFETY: the descriptor is ours; that its owner does not know is the test.
    assert_eq!(unsafe { libc::close(me.file().unwrap().as_raw_fd()) }, 0);
}

/// Says what it knows of somebody, and again when it hears that that one is dead.
fn say_before_and_after(channel: &mut Channel, me: &Participant<'_>, id: OwnerId) {
    for _ in ["alive", "dead"] {
        channel.say(&format!("{:?}", me.verdict(id)));
        channel.hear();
    }
}

/// Hears that from a judge without a descriptor of its own, and kills that somebody in between.
#[track_caller]
fn hear_before_and_after(mut judge: Peer, peer: Peer, table: &Table, id: OwnerId) {
    judge.expect(by_mapping("Alive"));
    peer.kill();
    wait_until_dead(&table.join(), id);
    judge.say("dead now");
    judge.expect(by_mapping("Dead"));
    judge.say("end");
    judge.join();
}

fn own_table() {
    // SAFETY: this thread has copies of all descriptors from now on; nothing else changes.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
}

/// The number of our descriptor leads to another roster's file, whose participants bear the same names.
#[test]
fn a_strangers_locks_never_answer_for_ours() {
    // The namesake of the judge alone, so that the peer would seem to be dead; and that of the peer, too.
    for namesakes in [1, 2] {
        let table = Table::new(8);
        let mut judge = Peer::fork("judge", |channel| {
            let me = table.join();
            channel.say("joined");
            let id = OwnerId::from_word(channel.hear().parse().unwrap()).unwrap();
            let stranger = Table::new(8);
            let others: Vec<_> = (0..namesakes).map(|_| stranger.join()).collect();
            assert_eq!(others[0].id(), me.id());
            assert_eq!(others.iter().any(|other| other.id() == Some(id)), namesakes == 2);
            // SAFETY: the descriptor is ours; that its owner does not know is the test.
            let replaced =
                unsafe { libc::dup2(stranger.file().as_raw_fd(), me.file().unwrap().as_raw_fd()) };
            assert_ne!(replaced, -1);
            say_before_and_after(channel, &me, id);
            assert!(me.id().is_some() && !me.is_lost());
        });
        judge.expect("joined");
        let (peer, id) = forked(&table);
        judge.say(&id.get().to_string());
        hear_before_and_after(judge, peer, &table, id);
    }
}

#[test]
fn a_closed_descriptor_never_makes_a_death() {
    let table = Table::new(8);
    let (peer, id) = forked(&table);
    let judge = Peer::fork("judge", |_| {
        let me = table.join();
        close_descriptor(&me);
        assert_eq!(format!("{:?}", me.verdict(id)), by_mapping("Alive"));
        assert!(me.id().is_some());
    });
    judge.join();
    peer.kill();
}

#[test]
fn a_nameless_roster_without_a_descriptor_is_asked_by_its_mapping() {
    let table = Table::new(8);
    let (peer, id) = forked(&table);
    let judge = Peer::fork("judge", |channel| {
        let me = table.join();
        close_descriptor(&me);
        say_before_and_after(channel, &me, id);
        if Uid::effective().is_root() {
            // Who may not open it that way cannot tell, and is not told of a death.
            setuid(Uid::from_raw(65534)).unwrap();
            assert_eq!(me.verdict(id), Verdict::Unknown);
        }
        assert!(me.id().is_some() && !me.is_lost());
    });
    hear_before_and_after(judge, peer, &table, id);
}

/// One thread closes our number in a table of its own, the others go on with theirs.
#[test]
fn a_thread_with_its_own_descriptors_is_not_misled_nor_misleads() {
    let table = Table::new(8);
    let (peer, id) = forked(&table);
    let mut judge = Peer::fork("judge", |channel| {
        let me = table.join();
        let stranger = Table::new(8);
        let _namesake = stranger.join();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                own_table();
                let number = me.file().unwrap().as_raw_fd();
                // SAFETY: the copy is of this thread alone.
                assert_eq!(unsafe { libc::dup2(stranger.file().as_raw_fd(), number) }, number);
                assert_eq!(format!("{:?}", me.verdict(id)), by_mapping("Alive"));
                // A roster that this thread alone has a descriptor of.
                let own = Table::new(2);
                assert!(own.join().id().is_some());
            });
        });
        assert_eq!(me.verdict(id), Verdict::Alive, "the others' table is as it was");
        channel.say("looked");
        channel.hear();
        assert_eq!(me.verdict(id), Verdict::Dead);
    });
    judge.expect("looked");
    peer.kill();
    wait_until_dead(&table.join(), id);
    judge.say("dead now");
    judge.join();
}

/// `/proc/self` is the main thread's, whose descriptors are gone with it.
#[test]
fn a_process_whose_main_thread_has_ended_joins_and_joins_again() {
    let table = Table::new(8);
    let mut peer = Peer::fork("without a main thread", |channel| {
        let before = table.join();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let stat = || std::fs::read_to_string("/proc/self/stat").unwrap();
                while !stat().contains(") Z ") {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let ids = [table.join().id(), before.rejoin().ok()].map(|id| id.unwrap().get());
                channel.say(&format!("{} {}", ids[0], ids[1]));
                std::process::exit(0);
            });
            // SAFETY: ends this thread without unwinding; what the other borrows stays where it is.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        });
    });
    let ids = peer.hear();
    assert!(ids.split(' ').all(|id| OwnerId::from_word(id.parse().unwrap()).is_some()), "{ids}");
    peer.join();
}
