//! `shmkit top`: what is seen while others work, once and on a screen.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use shmkit::{Objects, OpenOptions, Options, Pool, Process, Segment, task};
use tempfile::TempDir;

use crate::support::{LIMIT, end};
use crate::terminal::pty;

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn top(args: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
    command.arg("top").args(args).arg("--directory").arg(directory);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Puts and takes for as long as there is something to take.
#[task]
fn cook(directory: PathBuf) -> bool {
    let segment = OpenOptions::new().directory(&directory).open("kitchen").unwrap();
    let orders = segment.queue::<u64>("orders", 64).unwrap();
    let sleeper = thread::spawn(move || {
        let pan = segment.mutex("pan", 0_u64).unwrap();
        pan.lock_timeout(LIMIT).is_ok()
    });
    while orders.get_timeout(LIMIT).is_ok() {}
    sleeper.join().unwrap()
}

/// A kitchen with a queue in use, and a lock that this process holds and a cook waits for.
struct Kitchen {
    directory: TempDir,
    segment: Segment,
    cook: Process<bool>,
    feeder: Option<thread::JoinHandle<()>>,
}

impl Kitchen {
    fn open() -> Self {
        let directory = directory();
        let options = Options::new(1 << 20).directory(directory.path()).content("kitchen/1");
        let segment = options.create("kitchen").unwrap();
        let orders = segment.queue::<u64>("orders", 64).unwrap();
        let pipe = segment.pipe::<[u64; 2]>("pipe", 16).unwrap();
        pipe.sender().unwrap().send([1, 2]).unwrap();
        segment.mutex("pan", 0_u64).unwrap();
        let left = directory.path().join("shmkit.left");
        std::fs::copy(segment.path().unwrap(), left).unwrap();
        let worker = Process::spawn(cook, (directory.path().to_owned(),)).unwrap();
        let feeder = Some(thread::spawn(move || while orders.put(1).is_ok() {}));
        Self { directory, segment, cook: worker, feeder }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn close(mut self) {
        self.segment.queue::<u64>("orders", 64).unwrap().close().unwrap();
        self.feeder.take().unwrap().join().unwrap();
        assert!(self.cook.join().unwrap());
    }
}

#[test]
fn once_says_what_went_on_for_one_interval() {
    let kitchen = Kitchen::open();
    let pan = kitchen.segment.mutex("pan", 0_u64).unwrap();
    let held = pan.lock().unwrap();
    let me = json!(std::process::id());
    let begun = Instant::now();
    let find = |seen: &Value, rows: &str, object: &str| -> Value {
        // There is one of that name in what is left as well.
        let is_it = |row: &&Value| row["object"] == object && row["segment"] == "kitchen";
        let found = seen[rows].as_array().unwrap().iter().find(is_it);
        found.unwrap_or_else(|| panic!("{seen:#}")).clone()
    };
    // Until the cook sleeps at the lock, and takes orders beside it.
    let (seen, orders) = loop {
        let args = ["--once", "--json", "--interval", "0.5"];
        let seen = end(top(&args, kitchen.path()).spawn().unwrap());
        assert_eq!((seen.code, &*seen.stderr), (Some(0), ""));
        let seen = seen.json();
        let waiting = seen["locks"].as_array().unwrap().iter().any(|lock| lock["waiting"] == 1);
        let orders = find(&seen, "flows", "orders");
        if waiting && orders["per_second"].as_f64().unwrap() > 100.0 {
            break (seen, orders);
        }
        assert!(begun.elapsed() < LIMIT, "{seen:#}");
    };
    let rate = orders["per_second"].as_f64().unwrap();
    let bytes = orders["bytes_per_second"].as_f64().unwrap();
    assert!((bytes / rate - 8.0).abs() < 1e-6, "{orders}");
    assert_eq!((&orders["segment"], &orders["of"]), (&json!("kitchen"), &json!(64)));
    let pipe = find(&seen, "flows", "pipe");
    assert_eq!((&pipe["per_second"], &pipe["inside"]), (&json!(0.0), &json!(1)));
    assert_eq!(pipe["fill"], 1.0 / 16.0);
    let pan = find(&seen, "locks", "pan");
    assert_eq!((&pan["held"], &pan["holders"][0]["pid"]), (&json!(1.0), &me));
    assert!(pan["holders"][0]["seconds"].as_f64().unwrap() > 0.1, "{pan}");
    assert!(pan["waited_for"].as_f64().unwrap() > 0.0, "{pan}");
    assert_eq!(seen["orphans"][0]["segment"], "left");
    assert_eq!(seen["totals"]["living"], 2);

    let args = ["--once", "--interval", "0.1", "--filter", "pan"];
    let text = end(top(&args, kitchen.path()).spawn().unwrap()).stdout;
    assert!(text.contains("kitchen/pan") && !text.contains("orders"), "{text}");
    drop(held);
    kitchen.close();
}

#[test]
fn json_goes_on_until_a_signal_comes() {
    let directory = directory();
    let args = ["--json", "--interval", "0.05"];
    let mut child = top(&args, directory.path()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let mut documents = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
    for _ in 0..3 {
        assert_eq!(documents.next().unwrap().unwrap()["totals"]["segments"], 0);
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    drop(documents);
    assert_eq!(end(child).code, Some(143));
}

#[test]
fn what_is_no_terminal_is_not_drawn_on() {
    let directory = directory();
    let ended = end(top(&[], directory.path()).spawn().unwrap());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("--once"), "{}", ended.stderr);
    for bad in [&["--interval", "0"][..], &["--interval", "x"], &["--sort", "x"]] {
        assert_eq!(end(top(bad, directory.path()).spawn().unwrap()).code, Some(2), "{bad:?}");
    }
}

/// A terminal of so many columns and lines, with the command on it.
struct Screen {
    child: Child,
    keys: File,
    shown: Arc<Mutex<vt100::Parser>>,
    reader: thread::JoinHandle<()>,
}

fn number(of: u16) -> NonZero<u16> {
    NonZero::new(of).unwrap()
}

impl Screen {
    fn of(columns: u16, lines: u16, command: &mut Command) -> Self {
        let (master, slave) = pty(columns, lines);
        let both: [OwnedFd; 2] = [slave.try_clone().unwrap(), slave.try_clone().unwrap()];
        let [input, error] = both;
        let child = command.stdin(input).stdout(slave).stderr(error).spawn().unwrap();
        // What still holds the terminal's other side would keep its reader.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let shown = Arc::new(Mutex::new(vt100::Parser::new(number(lines), number(columns), 0)));
        let (mut from, to) = (File::from(master), shown.clone());
        let keys = from.try_clone().unwrap();
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // EIO at the end: nobody has the other side any more.
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { child, keys, shown, reader }
    }

    fn text(&self) -> String {
        self.shown.lock().unwrap().screen().contents()
    }

    #[track_caller]
    fn until(&self, is_so: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(begun.elapsed() < LIMIT, "it never came to that: {text}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end, and returns its status, and whether the terminal is as it was before.
    fn ended(mut self) -> (Option<i32>, bool) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < LIMIT, "it does not end: {}", self.text());
            thread::sleep(Duration::from_millis(5));
        };
        self.reader.join().unwrap();
        let shown = self.shown.lock().unwrap();
        let screen = shown.screen();
        (status.code(), !screen.alternate_screen() && !screen.hide_cursor())
    }
}

#[test]
fn a_screen_of_any_size_shows_all_of_it_and_obeys_keys() {
    let kitchen = Kitchen::open();
    let pan = kitchen.segment.mutex("pan", 0_u64).unwrap();
    let held = pan.lock().unwrap();
    for (columns, lines) in [(80, 24), (200, 50)] {
        let mut command = top(&["--interval", "0.1"], kitchen.path());
        let mut screen = Screen::of(columns, lines, &mut command);
        let text = screen.until(|text| {
            ["kitchen/orders", "kitchen/pan", "left", "k", "q quit"]
                .iter()
                .all(|part| text.contains(part))
        });
        assert!(text.lines().count() <= lines.into(), "{text}");
        for title in ["1 pipes and queues (", "2 locks (", "3 pools (", "4 orphans ("] {
            assert!(text.contains(title), "{title}: {text}");
        }
        screen.press("/pan\r");
        screen.until(|text| text.contains("filter: pan") && !text.contains("kitchen/orders"));
        screen.press("\x1b");
        screen.until(|text| text.contains("kitchen/orders"));
        screen.press("ss");
        screen.until(|text| text.contains("sort: fill"));
        screen.press("q");
        assert_eq!(screen.ended(), (Some(0), true));
    }
    let mut screen = Screen::of(80, 24, &mut top(&[], kitchen.path()));
    screen.until(|text| text.contains("kitchen/pan"));
    screen.press("\x03");
    assert_eq!(screen.ended(), (Some(130), true), "Ctrl-C");
    let screen = Screen::of(80, 24, &mut top(&[], kitchen.path()));
    screen.until(|text| text.contains("kitchen/pan"));
    kill(Pid::from_raw(screen.child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(screen.ended(), (Some(143), true), "a signal");
    drop(held);
    kitchen.close();
}

#[task]
fn wait_for(directory: PathBuf) -> u32 {
    let segment = OpenOptions::new().directory(&directory).open("kitchen").unwrap();
    segment.event("go").unwrap().wait_timeout(LIMIT).unwrap();
    std::process::id()
}

/// A pool's segment has no name: it is found by who has it open.
#[test]
fn a_pools_workers_are_seen_at_their_tasks() {
    let directory = directory();
    let segment = Options::new(1 << 16).directory(directory.path()).create("kitchen").unwrap();
    let go = segment.event("go").unwrap();
    let pool = Pool::new(2).unwrap();
    let place = || (directory.path().to_owned(),);
    let pending: Vec<_> = (0..3).map(|_| pool.submit(wait_for, place())).collect();
    let ours = format!("{}:", std::process::id());
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shmkit"));
        command.args(args).stdin(Stdio::null());
        end(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let begun = Instant::now();
    let found = loop {
        let seen = run(&["top", "--once", "--json", "--interval", "0.1", "--filter", &ours]).json();
        let pools = seen["pools"].as_array().unwrap();
        if let Some(pool) = pools.iter().find(|pool| pool["busy"] == 2) {
            break pool.clone();
        }
        assert!(begun.elapsed() < LIMIT, "{seen:#}");
    };
    assert_eq!((&found["workers"], &found["queued"]), (&json!(2), &json!(1)), "{found}");
    assert!(found["longest"].as_f64().unwrap() > 0.0, "{found}");
    let name = found["segment"].as_str().unwrap();
    let table = run(&["inspect", &format!("{name}/table"), "--json"]).json();
    let workers = table["workers"].as_array().unwrap();
    let pids: Vec<_> = workers.iter().map(|who| who["pid"].as_u64().unwrap() as u32).collect();
    let mut expected = pool.pids();
    expected.sort_unstable();
    let mut sorted = pids.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    for worker in workers {
        assert_eq!((&worker["state"], &worker["calls"]), (&json!("busy"), &json!([1, 0])));
        assert!(worker["seconds"].is_f64() && worker["task"].is_string(), "{worker}");
    }
    let text = run(&["inspect", name]).stdout;
    assert!(text.contains("unnamed, pool") && text.contains("busy"), "{text}");
    go.set().unwrap();
    for pending in pending {
        assert!(pids.contains(&pending.wait().unwrap()));
    }
    let table = run(&["inspect", &format!("{name}/table"), "--json"]).json();
    assert_eq!(table["state"]["answered"], 3, "{table}");
    pool.close();
    pool.join_timeout(LIMIT).unwrap();
}
