//! Circles among those who wait for each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::waits::{Waiting, Waits};

/// Processes that wait for each other in a circle.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deadlock {
    /// The waits: each is for what the next one's process holds, and the last one's for what the first one's does.
    pub waits: Vec<Waiting>,
    /// Nobody can end it but by a kill: all threads of all these processes sleep on what others hold, and where one of
    /// several permits would do, all who have one are in the circle. Otherwise another thread may be about to.
    pub certain: bool,
}

impl Waits {
    /// Returns the circles: every process that is in one is in one of these at least, and the shortest ones are told.
    pub fn deadlocks(&self) -> Vec<Deadlock> {
        let mut found: Vec<Deadlock> = Vec::new();
        let mut told = BTreeSet::new();
        for &pid in self.edges().keys() {
            if told.contains(&pid) {
                continue;
            }
            if let Some(waits) = self.circle(pid) {
                told.extend(waits.iter().map(|waiting| waiting.pid));
                let certain = self.is_certain(&waits);
                found.push(Deadlock { waits, certain });
            }
        }
        found
    }

    /// Returns the waits that lead on from a process: its own, those of the living whom it waits for, and so on, each
    /// process's once, with how far from the first it is.
    pub fn chain(&self, pid: u32) -> Vec<(usize, Waiting)> {
        let edges = self.edges();
        let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
        let mut stack = vec![(0, pid)];
        while let Some((depth, pid)) = stack.pop() {
            if !seen.insert(pid) {
                continue;
            }
            for &waiting in edges.get(&pid).into_iter().flatten() {
                out.push((depth, waiting.clone()));
                stack.extend(living(waiting).map(|next| (depth + 1, next)));
            }
        }
        out
    }

    /// What the threads of each process wait for.
    fn edges(&self) -> BTreeMap<u32, Vec<&Waiting>> {
        let mut edges: BTreeMap<u32, Vec<&Waiting>> = BTreeMap::new();
        for waiting in &self.waiting {
            edges.entry(waiting.pid).or_default().push(waiting);
        }
        edges
    }

    /// The shortest circle that leads from a process back to it.
    fn circle(&self, start: u32) -> Option<Vec<Waiting>> {
        let edges = self.edges();
        // By which wait each process was come to.
        let mut by: BTreeMap<u32, &Waiting> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(pid) = queue.pop_front() {
            for &waiting in edges.get(&pid).into_iter().flatten() {
                for next in living(waiting) {
                    if next == start {
                        let mut waits = vec![waiting.clone()];
                        while waits[0].pid != start {
                            let before = by.get(&waits[0].pid)?;
                            waits.insert(0, (*before).clone());
                        }
                        return Some(waits);
                    }
                    by.entry(next).or_insert_with(|| {
                        queue.push_back(next);
                        waiting
                    });
                }
            }
        }
        None
    }

    fn is_certain(&self, waits: &[Waiting]) -> bool {
        let pids: BTreeSet<u32> = waits.iter().map(|waiting| waiting.pid).collect();
        let sleeps = |pid: &u32| {
            self.processes.get(pid).is_some_and(|process| process.asleep >= process.threads)
        };
        let all_in = |waiting: &Waiting| living(waiting).all(|pid| pids.contains(&pid));
        pids.iter().all(sleeps) && waits.iter().all(|waiting| !waiting.any || all_in(waiting))
    }
}

/// The living who keep somebody waiting.
fn living(waiting: &Waiting) -> impl Iterator<Item = u32> {
    waiting.holders.iter().filter(|holder| holder.is_alive).map(|holder| holder.pid)
}

#[cfg(test)]
mod tests {
    use shmkit_layout::Kind;
    use shmkit_roster::OwnerId;

    use super::*;
    use crate::holders::Holder;
    use crate::waits::Process;

    fn waits(edges: &[(u32, &str, &[u32])]) -> Waits {
        let mut waits = Waits::default();
        for &(pid, kind, holders) in edges {
            let process = waits.processes.entry(pid).or_insert(Process {
                command: "x".into(),
                threads: 1,
                asleep: 0,
            });
            process.asleep += 1;
            let holder = |&pid: &u32| Holder {
                id: OwnerId::new(pid).unwrap(),
                pid,
                command: "x".into(),
                is_alive: pid < 100,
            };
            waits.waiting.push(Waiting {
                pid,
                thread: pid,
                segment: "s".into(),
                object: "o".into(),
                kind: Kind::new(kind),
                holders: holders.iter().map(holder).collect(),
                any: kind == "sema",
            });
        }
        waits
    }

    fn circles(waits: &Waits) -> Vec<(Vec<u32>, bool)> {
        let pids = |found: &Deadlock| found.waits.iter().map(|waiting| waiting.pid).collect();
        waits.deadlocks().iter().map(|found| (pids(found), found.certain)).collect()
    }

    #[test]
    fn a_circle_is_found_and_a_chain_is_none() {
        let chain = waits(&[(1, "mutex", &[2]), (2, "mutex", &[3])]);
        assert_eq!(circles(&chain), []);
        let depths: Vec<_> = chain.chain(1).iter().map(|(depth, w)| (*depth, w.pid)).collect();
        assert_eq!(depths, [(0, 1), (1, 2)]);
        let circle = waits(&[(1, "mutex", &[2]), (2, "mutex", &[3]), (3, "rwlock", &[4, 1])]);
        assert_eq!(circles(&circle), [(vec![1, 2, 3], true)]);
        assert_eq!(circle.chain(2).len(), 3, "each process once");
        assert_eq!(circles(&waits(&[(1, "mutex", &[1])])), [(vec![1], true)]);
        let two = waits(&[
            (1, "mutex", &[2]),
            (2, "mutex", &[1]),
            (3, "mutex", &[4]),
            (4, "mutex", &[3]),
        ]);
        assert_eq!(circles(&two), [(vec![1, 2], true), (vec![3, 4], true)]);
    }

    #[test]
    fn who_is_dead_keeps_nobody_waiting() {
        assert_eq!(circles(&waits(&[(1, "mutex", &[101]), (101, "mutex", &[1])])), []);
    }

    #[test]
    fn another_thread_or_another_permit_may_end_it() {
        let mut circle = waits(&[(1, "mutex", &[2]), (2, "mutex", &[1])]);
        circle.processes.get_mut(&2).unwrap().threads = 2;
        assert_eq!(circles(&circle), [(vec![1, 2], false)]);
        let permits = waits(&[(1, "sema", &[2, 3]), (2, "mutex", &[1])]);
        assert_eq!(circles(&permits), [(vec![1, 2], false)]);
        let permits = waits(&[(1, "sema", &[2]), (2, "mutex", &[1])]);
        assert_eq!(circles(&permits), [(vec![1, 2], true)]);
    }
}
