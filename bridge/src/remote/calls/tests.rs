use std::sync::{OnceLock, Weak};

use super::super::hosts::Facts;
use super::super::job::{JobState, Packed, Sink};
use super::*;
use crate::Config;

/// What was told, and how many jobs were under way then.
#[derive(Default)]
struct Told {
    calls: OnceLock<Weak<Calls>>,
    all: Mutex<Vec<(Packed, usize)>>,
}

impl Sink for Told {
    fn take(&self, _first: usize, outcomes: Vec<Packed>) {
        let calls = self.calls.get().unwrap().upgrade().unwrap();
        let under_way = calls.state().under_way;
        self.all.lock().unwrap().extend(outcomes.into_iter().map(|outcome| (outcome, under_way)));
    }
}

/// A pool without hosts, and a link of its node to itself.
fn calls() -> (Arc<Calls>, Arc<Link>, Arc<Told>) {
    let node = Node::open(&Config::new().host("own")).unwrap();
    let id = node.inner().id.clone();
    let link = node.inner().link(&id, Instant::now() + Duration::from_secs(10)).unwrap();
    let calls = Calls::new(node, "test".into(), 1, None);
    let told = Arc::new(Told::default());
    told.calls.set(Arc::downgrade(&calls)).unwrap();
    (calls, link, told)
}

const FACTS: Facts = Facts { workers: 1, most: 1, capacity: 1 };

fn job(sink: &Arc<Told>) -> Job {
    Job {
        task: "task",
        is_idempotent: false,
        sink: sink.clone(),
        first: 0,
        calls: 1,
        told: 0,
        heard: 0,
        order: Vec::new(),
        deaths: 0,
        state: JobState::new(None),
    }
}

#[test]
fn however_many_jobs_were_called_off_they_are_answered_and_then_are_no_more_under_way() {
    const JOBS: usize = 20_000;
    let (calls, link, told) = calls();
    for _ in 0..JOBS {
        let job = job(&told);
        job.state.call_off();
        calls.state().backlog.push_back(job);
    }
    calls.state().under_way = JOBS;
    calls.state().hosts.push(Host::new("own", link, 1, FACTS));
    let own = calls.clone();
    let pumps = std::thread::Builder::new().stack_size(256 << 10);
    pumps.spawn(move || own.pump()).unwrap().join().unwrap();
    {
        let state = calls.state();
        assert_eq!((state.under_way, state.completed), (0, JOBS as u64));
        assert_eq!(state.hosts[0].under_way, 0);
    }
    let told = told.all.lock().unwrap();
    assert_eq!(told.len(), JOBS);
    assert!(told.iter().all(|(outcome, _)| matches!(outcome, Err(TaskError::Cancelled))));
    assert!(told.iter().map(|(_, under_way)| *under_way).eq((1..=JOBS).rev()));
}

#[test]
fn who_waits_for_all_waits_until_the_last_was_told_that_there_is_no_host() {
    let (calls, _link, told) = calls();
    let last = job(&told);
    calls.state().under_way = 1;
    calls.state().backlog.push_back(last);
    calls.pump();
    assert_eq!(calls.state().under_way, 0);
    let told = told.all.lock().unwrap();
    assert!(matches!(&told[..], [(Err(TaskError::Broken(_)), 1)]), "{told:?}");
}

#[test]
fn a_host_that_has_withdrawn_while_it_was_entered_is_not_taken() {
    let (calls, link, _told) = calls();
    let (node, host, facts) = (link.peer.clone(), "own".into(), FACTS.text());
    let offer = Offer { node, host, facts };
    calls.state().offers.push(offer.clone());
    calls.leave(&offer.node);
    calls.add(&offer, Host::new("own", link.clone(), 1, FACTS));
    assert!(calls.state().hosts.is_empty());
    calls.state().offers.push(offer.clone());
    calls.add(&offer, Host::new("own", link, 2, FACTS));
    assert_eq!(calls.state().hosts.len(), 1);
}
