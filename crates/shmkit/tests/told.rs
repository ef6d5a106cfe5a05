//! What a subscriber hears.
#![cfg(all(feature = "tracing", feature = "pool"))]

use std::fmt;
use std::sync::{Arc, Mutex};

use shmkit::tracker::{Kind, Sweep, Tracker};
use shmkit::{OpenOptions, Options, Pool, Process, task};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

shmkit::early!();

#[task]
fn half(n: u64) -> u64 {
    if n == 13 {
        std::process::abort();
    }
    n / 2
}

/// Registers a file, makes a segment, and dies in it.
#[task]
fn leave(folder: String) {
    let _segment = Options::new(4096).directory(&folder).create("left").unwrap();
    let file = format!("{folder}/left");
    std::fs::write(&file, "").unwrap();
    Tracker::in_directory(folder).unwrap().register(Kind::File, file).unwrap();
    std::process::abort();
}

/// Keeps the text of each event.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(format!("{} ", event.metadata().level()));
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn who_subscribes_hears_of_segments_processes_and_tasks() {
    let ear = Ear::default();
    tracing::subscriber::set_global_default(ear.clone()).unwrap();
    let pool = Pool::builder(1).name("heard").build().unwrap();
    let pid = pool.pids()[0];
    assert_eq!(pool.submit(half, (4,)).wait().unwrap(), 2);
    pool.submit(half, (13,)).wait().unwrap_err();
    drop(pool);
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let at = |end: &str| format!("{}/{end}", folder.path().display());
    let segment = Options::new(4096).directory(folder.path()).create("seen").unwrap();
    drop((OpenOptions::new().directory(folder.path()).open("seen").unwrap(), segment));
    Process::spawn(leave, (at(""),)).unwrap().join().unwrap_err();
    Sweep::new().directory(folder.path()).run().unwrap();
    let heard = ear.0.lock().unwrap();
    let is_heard = |words: &[&str]| {
        let of = |text: &String| words.iter().all(|word| text.contains(word));
        assert!(heard.iter().any(of), "{words:?}: {heard:#?}");
    };
    let pid = format!("pid={pid}");
    is_heard(&["DEBUG", "process started", &pid]);
    is_heard(&["DEBUG", "worker started", "heard", &pid]);
    is_heard(&["TRACE", "task answered", "half", "calls=1"]);
    is_heard(&["WARN", "worker died", "heard", &pid, "SIGABRT"]);
    is_heard(&["DEBUG", "task failed", "half", "SIGABRT"]);
    is_heard(&["DEBUG", "process ended", &pid]);
    is_heard(&["DEBUG", "segment created", &at("shmkit.seen")]);
    is_heard(&["DEBUG", "segment opened", &at("shmkit.seen")]);
    is_heard(&["DEBUG", "segment removed", &at("shmkit.left")]);
    is_heard(&["DEBUG", "released", "file", &at("left"), "Done"]);
}
