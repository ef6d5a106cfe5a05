//! One of the processes of a storm.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use shmkit::segment::{OpenOptions, Options};
use shmkit::tracker::{Kind, Tracker};

/// Names that all processes use.
const SHARED: usize = 24;

/// Most things of a sort that it has at a time.
const MOST: usize = 6;

/// Does one thing after the other until it is killed, or ends without tidying up.
pub(crate) fn run(folder: &Path, seed: u64, is_watched: bool) {
    let mut draw = fastrand::Rng::with_seed(seed);
    let mut worker = Worker { folder, tracker: None, segments: Vec::new(), mine: BTreeMap::new() };
    loop {
        match draw.u32(0..100) {
            0..20 => worker.create(&mut draw),
            20..35 => worker.attach(&mut draw),
            35..50 => drop(worker.take_segment(&mut draw)),
            50..65 => worker.make_own(&mut draw),
            65..75 => worker.remove_own(&mut draw),
            75..85 => worker.make_shared(&mut draw),
            85..88 if is_watched => worker.start(),
            88 if draw.u32(0..40) == 0 => return,
            89 if draw.u32(0..40) == 0 => {
                // Without a destructor or an exit handler.
                end::at_once();
            }
            _ => std::thread::sleep(std::time::Duration::from_micros(draw.u64(0..3000))),
        }
        worker.check();
    }
}

mod end {
    pub(super) fn at_once() -> ! {
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) }
    }
}

struct Worker<'f> {
    folder: &'f Path,
    tracker: Option<Tracker>,
    segments: Vec<shmkit::Segment>,
    /// Semaphores that it has registered, and the files' numbers.
    mine: BTreeMap<String, u64>,
}

impl Worker<'_> {
    fn tracker(&mut self) -> &Tracker {
        let folder = self.folder;
        self.tracker.get_or_insert_with(|| match Tracker::in_directory(folder) {
            Ok(tracker) => tracker,
            Err(error) => fail(folder, &format!("no tracker: {error:?}")),
        })
    }

    fn start(&mut self) {
        if let Err(error) = self.tracker().start() {
            fail(self.folder, &format!("no watcher: {error:?}"));
        }
    }

    fn create(&mut self, draw: &mut fastrand::Rng) {
        if self.segments.len() < MOST {
            let name = format!("s{}", draw.usize(0..SHARED));
            let options = Options::new(4096).directory(self.folder);
            match options.open_or_create(&name) {
                Ok(segment) => self.segments.push(segment),
                Err(error) => fail(self.folder, &format!("open_or_create: {error:?}")),
            }
        }
    }

    fn attach(&mut self, draw: &mut fastrand::Rng) {
        if self.segments.len() < MOST {
            let name = format!("s{}", draw.usize(0..SHARED));
            let found = OpenOptions::new().directory(self.folder).open(&name);
            self.segments.extend(found);
        }
    }

    fn take_segment(&mut self, draw: &mut fastrand::Rng) -> Option<shmkit::Segment> {
        let len = self.segments.len();
        (len > 0).then(|| self.segments.swap_remove(draw.usize(0..len)))
    }

    /// A semaphore whose name nobody else has.
    fn make_own(&mut self, draw: &mut fastrand::Rng) {
        if self.mine.len() < MOST {
            let name = format!("own-{}-{}", std::process::id(), draw.u32(..));
            self.make(name);
        }
    }

    /// One whose name others use; it is removed by the tracker alone.
    fn make_shared(&mut self, draw: &mut fastrand::Rng) {
        let name = format!("shared-{}", draw.usize(0..SHARED));
        if self.mine.contains_key(&name) {
            return;
        }
        self.make(name);
    }

    fn make(&mut self, name: String) {
        let path = self.folder.join(format!("sem.{name}"));
        // It may be there already; then it is only registered.
        let is_announced = self.tracker().announce(Kind::Semaphore, &name).is_ok();
        if is_announced {
            match fs::File::create_new(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    fail(self.folder, &format!("create {name}: {error}"))
                }
                _ => {}
            }
        }
        match self.tracker().register(Kind::Semaphore, &name) {
            Ok(()) => {
                // From now on nobody removes it.
                let inode = fs::metadata(&path).map_or(0, |found| found.ino());
                self.mine.insert(name, inode);
            }
            // Who had it is dead, and it was removed before it was registered here.
            Err(error) if error.kind() == shmkit::tracker::ErrorKind::NotFound && !is_announced => {
            }
            Err(error) => fail(self.folder, &format!("register {name}: {error:?}")),
        }
    }

    fn remove_own(&mut self, draw: &mut fastrand::Rng) {
        let own: Vec<_> =
            self.mine.keys().filter(|name| name.starts_with("own")).cloned().collect();
        let Some(name) = draw.choice(own) else { return };
        let path = self.folder.join(format!("sem.{name}"));
        // Killed between the two, it is removed all the same: it is unregistered last.
        if let Err(error) = fs::remove_file(&path) {
            fail(self.folder, &format!("{name} was removed: {error}"));
        }
        if !matches!(self.tracker().unregister(Kind::Semaphore, &name), Ok(true)) {
            fail(self.folder, &format!("{name} was not registered"));
        }
        self.mine.remove(&name);
    }

    /// Nothing that it has was taken away.
    fn check(&self) {
        for segment in &self.segments {
            if !segment.is_linked() {
                fail(self.folder, &format!("{segment:?} has lost its name"));
            }
        }
        for (name, inode) in &self.mine {
            let now = fs::metadata(self.folder.join(format!("sem.{name}")));
            if now.as_ref().map(MetadataExt::ino).ok() != Some(*inode) {
                fail(self.folder, &format!("{name} was removed: {now:?}"));
            }
        }
    }
}

/// Says what went wrong, where the director finds it.
fn fail(folder: &Path, what: &str) -> ! {
    let name = format!("wrong-{}-{}", std::process::id(), fastrand::u32(..));
    let _ = fs::write(folder.join(name), what);
    std::process::exit(1)
}
