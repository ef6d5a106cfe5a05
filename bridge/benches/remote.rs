//! A task on another host beside zenoh's own query, over loopback, in one run: `cargo xtask bridge --bench`.
//!
//! Rounds of both take turns, and what counts is the ratio within a round. The query is answered in the thread that it comes in; a task goes on
//! to a worker, another process, and back.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use shmkit::{Event, New, NewPlain, Pool, Queue, ShmMap, task};
use shmkit_bridge::{Config, Node, RemoteMap, RemotePool, RemoteQueue};
use shmkit_process::Process;
use zenoh::Wait;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How many rounds there are.
const ROUNDS: usize = 7;
/// How many are asked for one after the other.
const ONE_BY_ONE: usize = 2000;
/// How many are asked for with so many under way.
const MANY: usize = 20_000;
const UNDER_WAY: u64 = 64;

#[task]
fn echo(n: u64) -> u64 {
    n
}

/// The other host: a pool, and beside it a queryable of zenoh's.
#[task]
fn serve(ours: u16, theirs: u16, ready: Event, ends: Event) {
    let run = || -> Outcome<()> {
        let node = Node::open(&Config::new().host("there").listen(at(ours)))?;
        let workers = std::env::var("WORKERS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
        let _served = node.serve_pool("bench", &Arc::new(Pool::new(workers)?))?;
        let session = session("listen", theirs)?;
        let answer = |query: zenoh::query::Query| {
            let bytes = query.payload().map(|bytes| bytes.to_bytes().into_owned());
            let _ = query.reply("bench/echo", bytes.unwrap_or_default()).wait();
        };
        let _queryable = session
            .declare_queryable("bench/echo")
            .callback(answer)
            .wait()
            .map_err(|error| error.to_string())?;
        ready.set()?;
        ends.wait()?;
        Ok(())
    };
    if let Err(error) = run() {
        eprintln!("the other host: {error}");
    }
}

fn at(port: u16) -> String {
    format!("tcp/127.0.0.1:{port}")
}

fn session(side: &str, port: u16) -> Outcome<zenoh::Session> {
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("listen/endpoints", "[]".to_owned()),
        ("scouting/multicast/enabled", "false".into()),
        (&format!("{side}/endpoints"), format!("[\"{}\"]", at(port))),
    ] {
        config.insert_json5(key, &value).map_err(|error| error.to_string())?;
    }
    Ok(zenoh::open(config).wait().map_err(|error| error.to_string())?)
}

fn port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The median and the 99th part of a hundred, in microseconds.
fn quantiles(mut took: Vec<Duration>) -> (f64, f64) {
    took.sort();
    let at = |part: usize| took[took.len() * part / 100].as_secs_f64() * 1e6;
    (at(50), at(99))
}

fn one_by_one(mut ask: impl FnMut(u64)) -> (f64, f64) {
    (0..100).for_each(&mut ask);
    let took = (0..ONE_BY_ONE as u64).map(|n| {
        let start = Instant::now();
        ask(n);
        start.elapsed()
    });
    quantiles(took.collect())
}

/// Asks with so many under way, and returns how many are answered in a second. `ask` has what is called with each answer.
fn many(mut ask: impl FnMut(u64, Box<dyn FnOnce() + Send + Sync>)) -> f64 {
    let state = Arc::new((Mutex::new(0_u64), Condvar::new()));
    let start = Instant::now();
    for n in 0..MANY as u64 {
        let mut under_way = state.0.lock().unwrap_or_else(|_| std::process::abort());
        while *under_way >= UNDER_WAY {
            under_way = state.1.wait(under_way).unwrap_or_else(|_| std::process::abort());
        }
        *under_way += 1;
        drop(under_way);
        let told = state.clone();
        ask(
            n,
            Box::new(move || {
                *told.0.lock().unwrap_or_else(|_| std::process::abort()) -= 1;
                told.1.notify_one();
            }),
        );
    }
    let mut under_way = state.0.lock().unwrap_or_else(|_| std::process::abort());
    while *under_way > 0 {
        under_way = state.1.wait(under_way).unwrap_or_else(|_| std::process::abort());
    }
    MANY as f64 / start.elapsed().as_secs_f64()
}

#[shmkit::main]
fn main() -> Outcome<()> {
    let (ours, theirs) = (port()?, port()?);
    let (ready, ends) = (Event::new()?, Event::new()?);
    let _host = Process::spawn(serve, (ours, theirs, ready.clone(), ends.clone()))?;
    ready.wait_timeout(Duration::from_secs(30))?;
    let node = Node::open(&Config::new().host("here").connect(at(ours)))?;
    let pool = RemotePool::connect(&node, "bench")?;
    let session = session("connect", theirs)?;
    let start = Instant::now();
    while session.get("bench/echo").wait().map_err(|e| e.to_string())?.recv().is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            return Err("zenoh's queryable is not found".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let query = |n: u64| {
        let bytes = n.to_le_bytes().to_vec();
        let replies = session.get("bench/echo").payload(bytes).wait();
        let reply = replies.ok().and_then(|replies| replies.recv().ok());
        let is_it = reply
            .and_then(|reply| reply.into_result().ok())
            .is_some_and(|reply| *reply.payload().to_bytes() == n.to_le_bytes());
        assert!(is_it, "zenoh has answered query {n}");
    };
    let run = |n: u64| assert_eq!(pool.submit(echo, (n,)).wait().ok(), Some(n));
    println!(
        "{:>12} {:>12} {:>7}   {:>12} {:>12} {:>7}   {:>12} {:>7}",
        "query p50", "task p50", "ratio", "queries/s", "tasks/s", "ratio", "map calls/s", "ratio"
    );
    let mut ratios = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let both = |first: &dyn Fn() -> (f64, f64), second: &dyn Fn() -> (f64, f64)| {
            // Whoever comes first is not always the same.
            if round % 2 == 0 {
                let one = first();
                (one, second())
            } else {
                let two = second();
                (first(), two)
            }
        };
        let ((query_p50, query_p99), (task_p50, task_p99)) =
            both(&|| one_by_one(query), &|| one_by_one(run));
        let wrong = AtomicU64::new(0);
        let queries = || {
            many(|n, done| {
                let bytes = n.to_le_bytes().to_vec();
                let mut done = Some(done);
                let answered = move |_: zenoh::query::Reply| {
                    if let Some(done) = done.take() {
                        done();
                    }
                };
                let get = session.get("bench/echo").payload(bytes).callback_mut(answered).wait();
                if get.is_err() {
                    wrong.fetch_add(1, SeqCst);
                }
            })
        };
        let tasks = || {
            many(|n, done| {
                pool.submit(echo, (n,))
                    .then(move |answer| {
                        assert_eq!(answer.as_ref().ok(), Some(&n));
                        done();
                    })
                    .detach();
            })
        };
        let ((query_rate, _), (task_rate, _)) = both(&|| (queries(), 0.0), &|| (tasks(), 0.0));
        assert_eq!(wrong.load(SeqCst), 0);
        let start = Instant::now();
        let all = pool.map(echo, 0..200_000)?;
        let map_rate = all.len() as f64 / start.elapsed().as_secs_f64();
        assert!(all.into_iter().eq(0..200_000));
        let round = [task_p50 / query_p50, task_rate / query_rate, map_rate / query_rate];
        println!(
            "{query_p50:>9.1} µs {task_p50:>9.1} µs {:>6.2}x   {query_rate:>12.0} {task_rate:>12.0} {:>6.2}x   {map_rate:>12.0} {:>6.1}x   (p99 {query_p99:.0} and {task_p99:.0} µs)",
            round[0], round[1], round[2]
        );
        ratios.iter_mut().zip(round).for_each(|(all, ratio)| all.push(ratio));
    }
    for (all, what) in ratios.iter_mut().zip([
        "p50 of a task, to zenoh's query (limit 1.5)",
        "throughput with 64 under way, to zenoh's (at least 0.8)",
        "throughput of `map`, to zenoh's queries",
    ]) {
        all.sort_by(f64::total_cmp);
        let (least, median, most) = (all[0], all[all.len() / 2], all[all.len() - 1]);
        println!("{what}: {median:.2} ({least:.2} to {most:.2})");
    }
    beside(&pool)?;
    ends.set()?;
    Ok(())
}

/// What `docs/scale.md` reckons with: the same on one host, and the rest that can be used from another.
fn beside(remote: &RemotePool) -> Outcome<()> {
    let pool = Pool::new(2)?;
    let (p50, p99) = one_by_one(|n| assert_eq!(pool.submit(echo, (n,)).wait().ok(), Some(n)));
    println!("a task on this host, two workers: p50 {p50:.1} µs, p99 {p99:.1} µs");
    let start = Instant::now();
    let calls = pool.map(echo, 0..1_000_000)?.len();
    println!("`map` of empty calls on this host: {:.0}/s", rate(calls, start));
    let bytes = vec![7_u8; 1 << 20 >> 1];
    let start = Instant::now();
    let answers = remote.chunked(weigh, (0..200).map(|_| (bytes.clone(),)), 1);
    let all: u64 = answers.into_iter().sum::<Result<u64, _>>()?;
    println!(
        "arguments of half a mebibyte, to the other host: {:.0} MB/s",
        rate(all as usize, start) / 1e6
    );
    // In this process, both sides: by loopback all the same.
    let port = port()?;
    let server = Node::open(&Config::new().host("server").listen(at(port)))?;
    let client = Node::open(&Config::new().host("client").connect(at(port)))?;
    let queue = Queue::<[u64; 7]>::new(4096)?;
    let _queue = server.serve_queue("q", &queue)?;
    let far = RemoteQueue::<[u64; 7]>::connect(&client, "q")?;
    let (p50, _) = one_by_one(|n| {
        assert!(far.put(&[n; 7]).is_ok());
        assert_eq!(queue.get().ok(), Some([n; 7]));
    });
    println!("put of 56 bytes into a queue of another host, and its answer: p50 {p50:.1} µs");
    let items = vec![[7; 7]; 2000];
    let start = Instant::now();
    for _ in 0..100 {
        far.put_all(&items).map_err(|(_, error)| error)?;
        let mut left = items.len();
        let mut batch = [[0; 7]; 512];
        while left > 0 {
            left -= queue.get_batch(&mut batch)?;
        }
    }
    println!("the same, 2,000 at a time: {:.0}/s", rate(200_000, start));
    let map = ShmMap::<u64, u64>::new(8 << 20)?;
    let _map = server.serve_map("m", &map)?;
    let far = RemoteMap::<u64, u64>::connect(&client, "m")?;
    (0..10_000).try_for_each(|n| map.insert(&n, &n).map(|_| ()))?;
    let (p50, _) = one_by_one(|n| assert_eq!(far.get(&n), Ok(Some(n))));
    println!("`get` from a map of another host: p50 {p50:.1} µs");
    let copy = far.replica()?;
    let start = Instant::now();
    for n in 0..1_000_000_u64 {
        assert_eq!(copy.get(&(n % 10_000))?, Some(n % 10_000));
    }
    println!("`get` from a copy of it: {:.0}/s", rate(1_000_000, start));
    let lags = (0..50).map(|n| {
        let before = copy.version();
        let start = Instant::now();
        let _ = map.insert(&n, &(n + 1_000_000));
        let _ = copy.wait_beyond(before, Duration::from_secs(5));
        start.elapsed()
    });
    let (p50, p99) = quantiles(lags.collect());
    println!("until a copy has a change: p50 {p50:.0} µs, p99 {p99:.0} µs");
    Ok(())
}

fn rate(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

#[task]
fn weigh(bytes: Vec<u8>) -> u64 {
    bytes.len() as u64
}
