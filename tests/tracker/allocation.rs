//! A watcher is forked from a program with many threads, of which any may have had the allocator locked: it allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicI32, Ordering};

use shmkit_tracker::{Cleaner, Kind, Tracker, command};

use crate::support::{Peer, wait_until};
use crate::watcher::{Folder, told};

/// The only process that may allocate; 0: all may.
static ALLOWED: AtomicI32 = AtomicI32::new(0);

struct Strict;

impl Strict {
    fn check() {
        let allowed = ALLOWED.load(Ordering::Relaxed);
        // SAFETY: a plain call.
        if allowed != 0 && unsafe { libc::getpid() } != allowed {
            // SAFETY: ends the process.
            unsafe { libc::_exit(99) }
        }
    }
}

// SAFETY: the system's, or none.
unsafe impl GlobalAlloc for Strict {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::check();
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::check();
        // SAFETY: the caller's word.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static STRICT: Strict = Strict;

fn clean(name: &[u8]) {
    let path = std::ffi::CStr::from_bytes_until_nul(name).unwrap();
    // SAFETY: a string with its end.
    unsafe { libc::unlink(path.as_ptr()) };
}

static CLEANERS: [Cleaner; 1] = [Cleaner { kind: "mine", clean }];

#[test]
fn a_watcher_allocates_nothing_beside_threads_that_do_all_the_time() {
    let folder = Folder::new();
    let mut starter = Peer::fork("starter", |channel| {
        let tracker = Tracker::in_directory(folder.path()).unwrap();
        // SAFETY: one system call.
        let tracker = unsafe { tracker.cleaners(&CLEANERS) };
        ALLOWED.store(std::process::id().cast_signed(), Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for n in 0.. {
                        std::hint::black_box(vec![0_u8; n % 100_000]);
                    }
                });
            }
            tracker.start().unwrap();
            channel.say("started");
            channel.hear();
        });
    });
    starter.expect("started");
    wait_until(|| folder.watchers().len() == 1);
    let watcher = folder.watchers()[0];
    let at = |name: &str| folder.path().join(name);
    for file in ["sem.s", "file", "made", "own"] {
        fs::write(at(file), "").unwrap();
    }
    fs::create_dir_all(at("folder/in/it")).unwrap();
    let mut client = Peer::fork("client", |channel| {
        let tracker = Tracker::in_directory(folder.path()).unwrap();
        let options = shmkit_segment::Options::new(64).directory(folder.path());
        let _segment = options.create("made").unwrap();
        tracker.register(Kind::Semaphore, "s").unwrap();
        tracker.register(Kind::File, at("file")).unwrap();
        tracker.register(Kind::Directory, at("folder")).unwrap();
        let rm = [&b"/bin/rm"[..], at("made").as_os_str().as_bytes()].map(<[u8]>::to_vec);
        tracker.register(Kind::Command, command(rm)).unwrap();
        let own = [at("own").as_os_str().as_bytes(), b"\0"].concat();
        tracker.register(Kind::Custom("mine"), own).unwrap();
        channel.say("ready");
        channel.hear();
    });
    let mut attached = folder.client();
    client.expect("ready");
    told(&mut attached, "open made", "opened");
    client.kill();
    wait_until(|| folder.names() == ["shmkit.made"]);
    attached.kill();
    wait_until(|| folder.names().is_empty());
    assert_eq!(folder.watchers(), [watcher], "it was never replaced");
    starter.kill();
    wait_until(|| folder.watchers().is_empty() && !folder.has_register());
}
