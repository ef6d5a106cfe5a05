//! Who is alive: the kernel's answer, whatever the peer does.

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Offset, Region};
use shmkit_roster::{
    Description, JoinErrorKind, Judge, Link, OwnerId, Participant, Spent, Verdict,
};
use shmkit_tests::roster::{Table, is_in_use, obey};

use crate::roster_descriptors::by_mapping;
use crate::support::{Peer, new_pid_namespace, wait_until};

/// A freshly executed process that joined the table, and its id.
#[track_caller]
pub(crate) fn executed(table: &Table) -> (Peer, OwnerId) {
    let (path, slots) = (table.path(), table.roster().slots().to_string());
    let mut peer = Peer::execute("roster/member", &[path.to_str().unwrap(), &slots], |_| ());
    let id = hear_id(&mut peer);
    (peer, id)
}

/// A forked process that joined the table, and its id.
#[track_caller]
pub(crate) fn forked(table: &Table) -> (Peer, OwnerId) {
    let mut peer = Peer::fork("member", |channel| obey(table, table.join(), channel));
    let id = hear_id(&mut peer);
    (peer, id)
}

#[track_caller]
pub(crate) fn hear_id(peer: &mut Peer) -> OwnerId {
    OwnerId::from_word(peer.hear().parse().unwrap()).unwrap()
}

#[track_caller]
fn hear_pid(peer: &mut Peer) -> Pid {
    let pid = Pid::from_raw(peer.hear().parse().unwrap());
    peer.expect("done");
    pid
}

/// A process that its parent left behind; killed at the end of the test.
struct Orphan(Pid);

impl Orphan {
    fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        !matches!(state, None | Some('Z' | 'X'))
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        // Ours only once its parent is dead (`adopt_orphans`).
        let _ = nix::sys::wait::waitpid(self.0, None);
    }
}

/// A name below `/dev/shm` for one test, removed at its end.
pub(crate) struct ShmFile(PathBuf);

impl ShmFile {
    pub(crate) fn unique(test: &str) -> Self {
        Self(format!("/dev/shm/shmkit-test-{}-roster-{test}", std::process::id()).into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ShmFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Children of our dead children become ours, so that nobody else has to bury them.
fn adopt_orphans() {
    nix::sys::prctl::set_child_subreaper(true).unwrap();
}

#[track_caller]
pub(crate) fn wait_until_dead(me: &Participant<'_>, id: OwnerId) {
    wait_until(|| me.verdict(id) == Verdict::Dead);
}

#[test]
fn a_killed_peer_is_dead() {
    let table = Table::new(8);
    let me = table.join();
    for (peer, id) in [executed(&table), forked(&table)] {
        assert_eq!(me.verdict(id), Verdict::Alive);
        assert_eq!(me.person(id).unwrap().pid, peer.pid().as_raw() as u32);
        peer.kill();
        wait_until_dead(&me, id);
    }
}

#[test]
fn a_killed_peer_is_dead_before_anybody_buries_it() {
    let table = Table::new(8);
    let me = table.join();
    let (peer, id) = executed(&table);
    peer.signal(Signal::SIGKILL);
    wait_until_dead(&me, id);
    wait_until(|| peer.state() == 'Z');
    assert_eq!(me.verdict(id), Verdict::Dead);
}

#[test]
fn a_peer_that_exits_is_dead() {
    let table = Table::new(8);
    let me = table.join();
    let (mut peer, id) = executed(&table);
    peer.say("exit");
    peer.join();
    wait_until_dead(&me, id);
}

#[test]
fn a_peer_that_leaves_is_dead_at_once() {
    let table = Table::new(8);
    let me = table.join();
    let (mut peer, id) = executed(&table);
    peer.say("leave");
    peer.expect("done");
    assert_eq!(me.verdict(id), Verdict::Dead);
    peer.say("end");
    peer.join();
}

#[test]
fn a_peer_that_executes_another_program_is_dead() {
    let table = Table::new(8);
    let me = table.join();
    let (mut peer, id) = executed(&table);
    peer.say("exec");
    wait_until_dead(&me, id);
    // The same process, with the same PID and start time.
    let command = format!("/proc/{}/comm", peer.pid());
    assert_eq!(std::fs::read_to_string(command).unwrap(), "sleep\n");
    peer.kill();
}

/// Its children live on, and do not keep it alive.
#[test]
fn a_killed_peer_is_dead_though_its_children_live() {
    adopt_orphans();
    let table = Table::new(8);
    let me = table.join();
    for start in ["fork", "raw clone", "spawn"] {
        let (mut peer, id) = executed(&table);
        peer.say(start);
        let child = Orphan(hear_pid(&mut peer));
        assert_eq!(me.verdict(id), Verdict::Alive, "{start}");
        peer.kill();
        wait_until_dead(&me, id);
        assert!(child.is_running(), "{start}");
    }
}

/// As a `vfork` child of a killed parent: it can still write to what the parent had mapped.
#[test]
fn a_killed_peer_lives_as_long_as_its_memory() {
    adopt_orphans();
    let table = Table::new(8);
    let me = table.join();
    let (mut peer, id) = executed(&table);
    peer.say("share memory");
    let child = Orphan(hear_pid(&mut peer));
    peer.kill();
    assert_eq!(me.verdict(id), Verdict::Alive);
    assert!(child.is_running());
    drop(child);
    wait_until_dead(&me, id);
}

#[test]
fn a_peer_lives_without_any_descriptor() {
    let table = Table::new(8);
    let me = table.join();
    let (mut peer, id) = executed(&table);
    peer.say("close everything");
    let open = format!("/proc/{}/fd", peer.pid());
    wait_until(|| std::fs::read_dir(&open).unwrap().count() == 0);
    assert_eq!(me.verdict(id), Verdict::Alive);
    peer.kill();
    wait_until_dead(&me, id);
}

#[test]
fn a_peer_lives_though_it_opens_and_closes_the_file() {
    let table = Table::new(8);
    let me = table.join();
    let (mut peer, id) = executed(&table);
    peer.say("close others");
    peer.expect("done");
    assert_eq!(me.verdict(id), Verdict::Alive);
    peer.kill();
    wait_until_dead(&me, id);
}

#[test]
fn a_stopped_peer_lives() {
    let table = Table::new(8);
    let me = table.join();
    let (peer, id) = executed(&table);
    peer.stop();
    assert_eq!(me.verdict(id), Verdict::Alive);
    peer.kill();
    wait_until_dead(&me, id);
}

#[test]
fn a_peer_lives_after_its_main_thread() {
    let table = Table::new(8);
    let me = table.join();
    let (mut peer, id) = executed(&table);
    peer.say("end the main thread");
    wait_until(|| peer.state() == 'Z');
    assert_eq!(me.verdict(id), Verdict::Alive);
    peer.kill();
    wait_until_dead(&me, id);
}

/// The number of our descriptor leads to a stranger's file, on which nobody holds a lock.
#[test]
fn a_reused_descriptor_never_makes_a_death() {
    let name = ShmFile::unique("reused-descriptor");
    let table = Table::create(name.path(), 8);
    let stranger = Table::new(8);
    let scene = |how: &dyn Fn() -> Description, alive: &str, dead: &str| {
        let (peer, id) = forked(&table);
        let mut judge = Peer::fork("judge", |channel| {
            let me = table.try_join(how(), Link::Named).unwrap();
            let number = me.file().unwrap().as_raw_fd();
            // SAFETY: the descriptor is ours; that its owner does not know is the test.
            let replaced = unsafe { libc::dup2(stranger.file().as_raw_fd(), number) };
            assert_eq!(replaced, number);
            for _ in 0..2 {
                channel.say(&format!("{:?}", me.verdict(id)));
                channel.hear();
            }
            assert!(me.id().is_some() && !me.is_lost());
            // Leaving does not close what is not ours.
            drop(me);
            // SAFETY: asks whether a number is open.
            assert_ne!(unsafe { libc::fcntl(replaced, libc::F_GETFD) }, -1);
        });
        judge.expect(alive);
        peer.kill();
        let me = table.join();
        wait_until_dead(&me, id);
        judge.say("dead now");
        judge.expect(dead);
        judge.say("end");
        judge.join();
    };
    scene(&|| Description::Proc, by_mapping("Alive"), by_mapping("Dead"));
    // By name it finds its file again.
    scene(&|| Description::Path(name.path().to_owned()), "Alive", "Dead");
}

#[test]
fn a_name_is_never_given_twice() {
    let table = Table::new(3);
    let mut seen = std::collections::HashSet::new();
    let mut peers: Vec<Peer> = (0..3)
        .map(|_| {
            Peer::fork("joins and leaves", |channel| {
                channel.hear();
                let ids = (0..100).map(|_| table.join().id().unwrap().get().to_string());
                channel.say(&ids.collect::<Vec<_>>().join(" "));
            })
        })
        .collect();
    for peer in &mut peers {
        peer.say("go");
    }
    for mut peer in peers {
        for id in peer.hear().split(' ') {
            assert!(seen.insert(id.to_owned()), "{id} was given twice");
        }
        peer.join();
    }
    assert_eq!(seen.len(), 300);
}

/// Processes that join and leave are killed at any moment: no name comes twice, and no place is lost.
#[test]
fn a_name_is_never_given_twice_though_joiners_are_killed() {
    let table = Table::new(2);
    let (count, log) = table.log().split_first().unwrap();
    for round in 0..60 {
        let victim = Peer::fork("joins and leaves", |channel| {
            loop {
                // No panic if both places belong to others for a moment.
                if let Ok(me) = table.try_join(Description::Proc, Link::Nameless) {
                    let at = count.fetch_add(1, Relaxed) as usize;
                    match log.get(at) {
                        Some(word) => word.store(me.id().unwrap().get(), Relaxed),
                        None => drop(channel.hear()), // Enough: until it is killed.
                    }
                }
            }
        });
        // On a slow machine the log is full before the last round.
        let goal = (count.load(Relaxed) + round % 7).min(log.len() as u32);
        // A full log is enough as well: who finds it so joins no more.
        let enough = goal.min(log.len() as u32);
        wait_until(|| count.load(Relaxed) >= enough);
        victim.kill();
    }
    let mut ids: Vec<_> = log.iter().map(|id| id.load(Relaxed)).filter(|&id| id != 0).collect();
    let given = ids.len();
    assert!(given > 60, "{given}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), given, "a name was given twice");
    wait_until(|| !is_in_use(&table));
    let both = [table.join(), table.join()];
    for id in ids {
        assert_eq!(both[0].verdict(OwnerId::from_word(id).unwrap()), Verdict::Dead);
    }
}

/// A killed holder's name stays its own, though its place goes to nobody any more.
#[test]
fn a_place_without_names_goes_to_nobody() {
    // 1, 3, 5 and 2, 4.
    let table = Table::numbered(2, 5);
    let (peer, first) = forked(&table);
    let scene = Peer::fork("joins until the end", |_| {
        assert_eq!(first, OwnerId::new(1).unwrap());
        for number in [2, 4] {
            let me = table.join();
            assert_eq!(me.id(), OwnerId::new(number));
            assert_eq!(me.verdict(first), Verdict::Alive);
        }
    });
    scene.join();
    peer.kill();
    // In a process that starts no other: one that is about to execute holds what it was born with.
    let scene = Peer::fork("joins until the end", |_| {
        for number in [3, 5] {
            let me = table.join();
            assert_eq!(me.id(), OwnerId::new(number));
            wait_until_dead(&me, first);
        }
        let error = table.try_join(Description::Proc, Link::Nameless).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Exhausted { slots: 2 });
        assert!(error.to_string().contains("say how the memory is swept"), "{error}");
        assert!(!is_in_use(&table));
    });
    scene.join();
}

/// Joiners are killed at any moment, holding the word or not, while the names of their place come round many times, and
/// whoever takes the word from the dead is the only one who has it.
#[test]
fn names_come_round_though_joiners_are_killed() {
    let table = Table::numbered(2, 3);
    let (word, log) = table.log().split_first().unwrap();
    let (robbed, joined) = (&log[0], &log[1]);
    let me = table.join_swept(sweep_first_word);
    for round in 0..40 {
        let victim = Peer::fork("takes the word and keeps it", |_| {
            loop {
                let Ok(victim) = table.try_join_swept(sweep_first_word) else { continue };
                let id = victim.id().unwrap();
                joined.fetch_add(1, Relaxed);
                let now = word.load(Relaxed);
                // Nobody else can have written our name: it would be taken for a lock of ours.
                if now == id.get() {
                    robbed.fetch_add(1, Relaxed);
                }
                let dead = OwnerId::from_word(now)
                    .is_none_or(|owner| victim.verdict(owner) == Verdict::Dead);
                if dead {
                    let _ = word.compare_exchange(now, id.get(), Relaxed, Relaxed);
                }
                // It leaves with the word in its name, as if it had been killed with a lock held.
            }
        });
        let goal = joined.load(Relaxed) + 3 + round % 7;
        wait_until(|| joined.load(Relaxed) >= goal);
        victim.kill();
    }
    assert_eq!(robbed.load(Relaxed), 0, "of {}", joined.load(Relaxed));
    assert!(joined.load(Relaxed) > 40, "the name of the place came round as often");
    assert_eq!(me.verdict(me.id().unwrap()), Verdict::Alive);
}

fn sweep_first_word(log: Region<'_>, spent: &Spent) -> Result<(), &'static str> {
    spent.sweep(log.get(Offset::ZERO).map_err(|_| "no word")?);
    Ok(())
}

#[test]
fn a_full_roster_says_so_until_somebody_dies() {
    let table = Table::new(3);
    let me = table.join();
    let (one, id) = executed(&table);
    let (_two, _) = forked(&table);
    let error = table.try_join(Description::Proc, Link::Nameless).unwrap_err();
    assert_eq!(error.kind(), JoinErrorKind::Full { slots: 3 });
    assert!(error.to_string().contains("all 3 places are taken"), "{error}");
    one.kill();
    wait_until_dead(&me, id);
    let heir = table.join();
    let slot_of = |id| table.roster().slot_of(id);
    assert_eq!(slot_of(heir.id().unwrap()), slot_of(id));
    assert_ne!(heir.id(), Some(id));
}

#[test]
fn two_namespaces_with_equal_pids_are_two() {
    let table = Table::new(8);
    let me = table.join();
    // The first process of a new PID namespace: it calls itself 1.
    let start = || {
        let mut outside = Peer::fork("outside", |channel| {
            new_pid_namespace();
            // SAFETY: the child does the scene and ends.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
                obey(&table, table.join(), channel);
                std::process::exit(0);
            }
            nix::sys::wait::waitpid(Pid::from_raw(pid), None).unwrap();
        });
        let id = hear_id(&mut outside);
        (outside, id)
    };
    let (one, a) = start();
    let (mut two, b) = start();
    assert_eq!([a, b].map(|id| me.person(id).unwrap().pid), [1, 1]);
    assert_eq!([a, b].map(|id| me.verdict(id)), [Verdict::Alive; 2]);
    two.say(&format!("verdict {}", a.get()));
    two.expect("Alive");
    one.kill();
    wait_until_dead(&me, a);
    assert_eq!(me.verdict(b), Verdict::Alive);
    two.say(&format!("verdict {}", a.get()));
    two.expect("Dead");
    let heir = start();
    assert_eq!((me.verdict(a), me.verdict(heir.1)), (Verdict::Dead, Verdict::Alive));
}

#[test]
fn people_can_see_who_takes_part() {
    let table = Table::new(8);
    let (_one, a) = executed(&table);
    let (two, b) = executed(&table);
    two.kill();
    // An observer: it has not joined, and its descriptor may be read-only.
    let observer = std::fs::File::open(table.path()).unwrap();
    wait_until(|| table.roster().participants(observer.as_fd())[1].verdict == Verdict::Dead);
    let members = table.roster().participants(observer.as_fd());
    assert_eq!(members.iter().map(|m| m.id).collect::<Vec<_>>(), [a, b]);
    assert_eq!(members[0].verdict, Verdict::Alive);
    assert_eq!(members[0].person.command, "peer");
    assert!(members[0].person.start_time > 0);
}

#[test]
fn nobody_is_listed_as_dead_for_joining() {
    const SLOTS: u32 = 512;
    let table = Table::new(SLOTS);
    let mut peer = Peer::fork("joins until it is full", |channel| {
        channel.hear();
        let all: Vec<_> = (0..SLOTS).map(|_| table.join()).collect();
        channel.hear();
        drop(all);
    });
    peer.say("begin");
    let (observer, mut seen) = (table.fresh(), 0);
    wait_until(|| {
        // Nobody leaves, so nobody is dead.
        let members = table.roster().participants(observer.as_fd());
        let dead = members.iter().find(|m| m.verdict != Verdict::Alive);
        assert_eq!(dead, None, "of {}", members.len());
        assert!(members.len() >= seen);
        seen = members.len();
        seen == SLOTS as usize
    });
    peer.say("end");
    peer.join();
}
