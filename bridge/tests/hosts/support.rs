//! Processes that serve, and a proxy that can be cut.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use shmkit::{AtomicArray, Event, NewPlain, Objects, Options, Pool, Segment, task};
use shmkit_bridge::{Config, Node};
use shmkit_process::Process;

/// Until something is there that must come.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// How many runs a host's segment has counts for.
pub(crate) const COUNTS: usize = 4096;
/// How many workers a host can have, if it is not started with more.
pub(crate) const MOST_WORKERS: u32 = 8;

/// Waits until it is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < until, "{what} within {LIMIT:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A port that is free, a moment ago.
pub(crate) fn port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub(crate) fn at(port: u16) -> String {
    format!("tcp/127.0.0.1:{port}")
}

/// A node of this process, connected with these.
pub(crate) fn client(ports: &[u16]) -> Node {
    let config = Config::new().host("client");
    let config = ports.iter().fold(config, |config, port| config.connect(at(*port)));
    Node::open(&config).unwrap()
}

/// What a host counts in: this process keeps it while hosts die.
pub(crate) struct Counts {
    pub(crate) name: String,
    pub(crate) runs: AtomicArray<u64>,
    _segment: Segment,
}

impl Counts {
    pub(crate) fn new(host: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("bridge-{}-{}-{host}", std::process::id(), NEXT.fetch_add(1, SeqCst));
        let segment = Options::new(1 << 20).create(&name).unwrap();
        let runs = segment.atomic_array::<u64>("runs", COUNTS).unwrap();
        Self { name, runs, _segment: segment }
    }

    pub(crate) fn of(&self, n: usize) -> u64 {
        self.runs.at(n).unwrap().load()
    }

    pub(crate) fn sum(&self) -> u64 {
        (0..COUNTS).map(|n| self.of(n)).sum()
    }
}

/// A process that serves a pool.
pub(crate) struct Host {
    pub(crate) process: Process<()>,
    pub(crate) port: u16,
    pub(crate) counts: Counts,
    ends: Event,
}

/// Serves a pool that counts in the segment of this name, until it is told to end.
#[task]
fn serve(
    host: String,
    listen: String,
    workers: u32,
    counts: String,
    namespace: Option<String>,
    ready: Event,
    ends: Event,
) {
    if let Some(namespace) = namespace {
        crate::namespaces::enter(&namespace);
    }
    set_counts(&counts);
    let pool = Pool::builder(workers).most_workers(workers.max(MOST_WORKERS));
    let pool = Arc::new(pool.initializer(set_counts_of, (counts,)).build().unwrap());
    let node = Node::open(&Config::new().host(host).listen(listen)).unwrap();
    let _served = node.serve_pool("test", &pool).unwrap();
    ready.set().unwrap();
    // Not without an end, whatever becomes of the test.
    let _ = ends.wait_timeout(Duration::from_secs(300));
}

static COUNTED: OnceLock<AtomicArray<u64>> = OnceLock::new();

fn set_counts(name: &str) {
    let segment = Segment::open(name).unwrap();
    let runs = segment.find::<AtomicArray<u64>>("runs").unwrap();
    let _ = COUNTED.set(runs);
    // For as long as the process.
    std::mem::forget(segment);
}

#[task]
fn set_counts_of(name: String) {
    set_counts(&name);
}

impl Host {
    pub(crate) fn start(name: &str, workers: u32) -> Self {
        let port = port();
        Self::start_at(name, workers, port, at(port), None)
    }

    pub(crate) fn start_at(
        name: &str,
        workers: u32,
        port: u16,
        listen: String,
        namespace: Option<String>,
    ) -> Self {
        let counts = Counts::new(name);
        let (ready, ends) = (Event::new().unwrap(), Event::new().unwrap());
        let args = (
            name.to_owned(),
            listen,
            workers,
            counts.name.clone(),
            namespace,
            ready.clone(),
            ends.clone(),
        );
        let process = Process::named(name).spawn(serve, args).unwrap();
        ready.wait_timeout(LIMIT).unwrap();
        Self { process, port, counts, ends }
    }

    /// SIGKILL, of the gateway alone: the kernel ends its workers.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        let _ = self.process.join_timeout(LIMIT);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.ends.set();
        let _ = self.process.join_timeout(LIMIT);
    }
}

/// Runs for so many microseconds, and counts that it has, where its host counts.
#[task]
pub(crate) fn once(n: u64, micros: u64) -> u64 {
    count(n, micros)
}

/// The same, and may run twice.
#[task(idempotent)]
pub(crate) fn again(n: u64, micros: u64) -> u64 {
    count(n, micros)
}

pub(crate) fn count(n: u64, micros: u64) -> u64 {
    if let Some(runs) = COUNTED.get() {
        runs.at(n as usize).unwrap().fetch_add(1);
    }
    thread::sleep(Duration::from_micros(micros));
    n
}

/// A link that can be cut, held up, and slowed down: a TCP proxy of the test's own.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    open: Mutex<Vec<TcpStream>>,
    /// Nobody gets through.
    is_cut: AtomicBool,
    /// What comes stays where it is.
    is_held: AtomicBool,
    delay: Duration,
    /// Of so many pieces one is late, as one that was lost and is sent again.
    lost: Option<usize>,
}

/// As long as the kernel waits at least before it sends again what was lost.
const SENT_AGAIN: Duration = Duration::from_millis(200);

impl Proxy {
    pub(crate) fn start(to: u16, delay: Duration) -> Self {
        Self::start_lossy(to, delay, None)
    }

    pub(crate) fn start_lossy(to: u16, delay: Duration, lost: Option<usize>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            to: SocketAddr::from((Ipv4Addr::LOCALHOST, to)),
            open: Mutex::default(),
            is_cut: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
            delay,
            lost,
        });
        let own = shared.clone();
        thread::spawn(move || {
            for here in listener.incoming() {
                let Ok(here) = here else { return };
                if own.is_cut.load(SeqCst) {
                    continue;
                }
                let Ok(there) = TcpStream::connect(own.to) else { continue };
                let mut open = own.open.lock().unwrap();
                open.extend([here.try_clone().unwrap(), there.try_clone().unwrap()]);
                drop(open);
                let (back_here, back_there) =
                    (here.try_clone().unwrap(), there.try_clone().unwrap());
                let (one, other) = (own.clone(), own.clone());
                thread::spawn(move || one.copy(here, there));
                thread::spawn(move || other.copy(back_there, back_here));
            }
        });
        Self { port, shared }
    }

    /// Cuts all connections, and lets none through from now on.
    pub(crate) fn cut(&self) {
        self.shared.is_cut.store(true, SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.shared.is_cut.store(false, SeqCst);
    }

    /// Holds up what comes, or lets it go on.
    pub(crate) fn hold(&self, is_held: bool) {
        self.shared.is_held.store(is_held, SeqCst);
    }
}

impl Shared {
    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 << 10];
        for piece in 1.. {
            while self.is_held.load(SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            match from.read(&mut bytes) {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    let is_lost = self.lost.is_some_and(|of| piece % of == 0);
                    thread::sleep(if is_lost { SENT_AGAIN } else { self.delay });
                    if to.write_all(&bytes[..n]).is_err() {
                        break;
                    }
                }
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
