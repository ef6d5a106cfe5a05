//! Peers to whom the system gives less than they ask for. Each ends with success if it met that with an error, and
//! dies by a signal or a panic otherwise.

use std::error::Error;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Gid, Uid, fork, geteuid, pause, setgroups, setresgid, setresuid};
use shmkit_atomic::AtomicU8;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_segment::{ErrorKind, OpenOptions, Options, RawOptions, Segment, SegmentError};

use crate::segment::last;

pub(crate) fn run(script: &str, args: &[String]) {
    match script {
        "put" => {
            let segment = Segment::inherited(&args[0]).expect("inherit");
            last(&segment).store(args[1].parse().expect("a byte"), Relaxed);
        }
        "full" => full(Path::new(&args[0])),
        "huge" => huge(Path::new(&args[0])),
        "raw-full" => raw_full(Path::new(&args[0])),
        "room-for-one" => room_for_one(Path::new(&args[0])),
        "no-inodes" => no_inodes(Path::new(&args[0])),
        "full-of-dead" => full_of_dead(Path::new(&args[0])),
        "no-permission" => no_permission(Path::new(&args[0]), &args[1]),
        "no-descriptors" => no_descriptors(Path::new(&args[0]), &args[1]),
        "leave-without-descriptors" => leave_without_descriptors(Path::new(&args[0])),
        "file-limit" => file_limit(Path::new(&args[0])),
        "memory-limit" => memory_limit(Path::new(&args[0])),
        "lock-limit" => lock_limit(),
        "no-proc" => no_proc(Path::new(&args[0]), &args[1]),
        _ => panic!("no script {script}"),
    }
}

#[track_caller]
fn refused(result: Result<Segment, SegmentError>, kind: ErrorKind, says: &[&str]) -> SegmentError {
    let error = result.expect_err("it was accepted");
    assert_eq!(error.kind(), kind, "{error}");
    let message = error.to_string();
    for part in says {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    error
}

/// Begins a life in which mounts are this process's own.
fn own_mounts() {
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        let (user, group) = (geteuid(), nix::unistd::getegid());
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).expect("unshare");
        fs::write("/proc/self/setgroups", "deny").expect("setgroups");
        fs::write("/proc/self/uid_map", format!("0 {user} 1")).expect("uid_map");
        fs::write("/proc/self/gid_map", format!("0 {group} 1")).expect("gid_map");
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
}

/// Mounts a small file system of this process's own.
pub(crate) fn small_disk(directory: &Path, options: &str) {
    own_mounts();
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some(options)).expect("mount");
}

/// Writes to every byte: a page that was not allocated would be a SIGBUS.
fn fill(segment: &Segment) {
    // SAFETY: nobody else has the segment.
    let region = unsafe { segment.data() };
    for at in 0..region.len() as u64 {
        let at = shmkit_layout::Offset::new(at).expect("a byte has no alignment");
        region.write(at, 0xa5_u8).expect("inside");
    }
}

/// A file system of huge pages, if this user may mount one and some are free.
fn huge(directory: &Path) {
    own_mounts();
    let (kind, options) = (Some("hugetlbfs"), Some("pagesize=2M"));
    let free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let free = fs::read_to_string(free).ok().and_then(|pages| pages.trim().parse().ok());
    if mount(kind, directory, kind, MsFlags::empty(), options).is_err() || free.unwrap_or(0_u32) < 4
    {
        eprintln!("LEFT OUT: a segment on a hugetlbfs: not root, or vm.nr_hugepages is below 4");
        return;
    }
    for bytes in [64 << 10, 3 << 20] {
        let options = Options::new(bytes).participants(8).objects(0).directory(directory);
        let segment = options.create("it").expect("it lies there as elsewhere");
        fill(&segment);
        let again = OpenOptions::new().directory(directory).open("it").expect("it has a name");
        assert_eq!(again.len(), segment.len());
    }
    let grows = Options::new(64 << 10).max(4 << 20).directory(directory);
    let says = ["hugetlbfs", "as large as it is ever to be", "tmpfs"];
    refused(grows.create("grows"), ErrorKind::Unsupported, &says);
    assert_eq!(fs::read_dir(directory).expect("read").count(), 0, "nothing is left");
}

/// SHM-24: a file system of 1 MiB.
fn full(directory: &Path) {
    small_disk(directory, "size=1m");
    let options =
        |kib: u64| Options::new(kib << 10).objects(0).participants(8).directory(directory);
    let says = ["2", "are needed", "1048576 free", "shmkit gc", "remount"];
    let error = refused(options(2048).create("large"), ErrorKind::NoSpace, &says);
    assert!(error.source().is_some_and(|source| source.to_string().contains("ENOSPC")));
    refused(options(2048).open_or_create("large"), ErrorKind::NoSpace, &says);
    let first = options(600).create("first").expect("there is room");
    fill(&first);
    refused(options(600).create("second"), ErrorKind::NoSpace, &["free"]);
    let third = options(300).create("third").expect("there is room");
    fill(&third);
    let names = fs::read_dir(directory).expect("read").count();
    assert_eq!(names, 2, "what failed left nothing");
    drop((first, third));
    fill(&options(900).create("fourth").expect("there is room again"));
}

/// SHM-24, without a header: what is made is allocated, and what somebody else has made and not allocated is when it is opened.
fn raw_full(directory: &Path) {
    small_disk(directory, "size=1m");
    let raw = RawOptions::new().directory(directory);
    let error = raw.create("large", 2 << 20).expect_err("there is no room");
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    // As `shm_open` and `ftruncate` leave it.
    let sparse = fs::File::create(directory.join("sparse")).expect("create");
    sparse.set_len(600 << 10).expect("ftruncate");
    sparse.set_permissions(fs::Permissions::from_mode(0o600)).expect("chmod");
    let first = raw.create("first", 600 << 10).expect("there is room");
    let error = raw.open("sparse").expect_err("there is no room for its memory");
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    first.unlink().expect("unlink");
    drop(first);
    let opened = raw.open("sparse").expect("there is room again");
    let bytes = vec![0xa5; 600 << 10];
    // With nothing left, a page that was not allocated would be a SIGBUS.
    let _rest = raw.create("rest", 400 << 10).expect("there is room");
    opened.write(0, &bytes).expect("inside");
}

/// Several make the same segment at once, on a file system with room for one: one makes it, and all get it.
fn room_for_one(directory: &Path) {
    small_disk(directory, "size=1m");
    let options = Options::new(600 << 10).objects(0).directory(directory);
    for (name, several) in [("two", 2), ("eight", 8)] {
        for round in 0..15 {
            let (wait, start) = nix::unistd::pipe().expect("pipe");
            let (results, result) = nix::unistd::pipe().expect("pipe");
            let (stay, leave) = nix::unistd::pipe().expect("pipe");
            let mut start = Some(start);
            let mut leave = Some(leave);
            let children: Vec<_> = (0..several)
                // SAFETY: this process has one thread.
                .map(|_| match unsafe { fork() }.expect("fork") {
                    ForkResult::Parent { child } => child,
                    ForkResult::Child => {
                        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("prctl");
                        drop((start.take(), leave.take()));
                        nix::unistd::read(&wait, &mut [0]).expect("start");
                        let made = options.open_or_create(name);
                        nix::unistd::write(&result, &[u8::from(made.is_ok())]).expect("write");
                        nix::unistd::read(&stay, &mut [0]).expect("leave");
                        drop(made);
                        std::process::exit(0)
                    }
                })
                .collect();
            drop(start);
            let mut joined = 0;
            for _ in 0..several {
                let mut byte = [0];
                nix::unistd::read(&results, &mut byte).expect("read");
                joined += byte[0];
            }
            drop(leave);
            for child in children {
                waitpid(child, None).expect("wait");
            }
            assert_eq!(joined, several, "of {several} in round {round}");
            assert_eq!(fs::read_dir(directory).expect("read").count(), 0);
        }
    }
}

fn no_inodes(directory: &Path) {
    small_disk(directory, "size=1m,nr_inodes=3");
    let options = Options::new(512).directory(directory);
    let one = options.create("one").expect("there is room");
    let two = options.create("two").expect("there is room");
    let says = ["no room for one more file", "shmkit gc"];
    refused(options.create("three"), ErrorKind::NoSpace, &says);
    assert!(one.is_linked() && two.is_linked());
}

/// What the dead left is removed when room is needed, however much else there is to choose from.
fn full_of_dead(directory: &Path) {
    small_disk(directory, "size=1m");
    let options =
        |kib: u64| Options::new(kib << 10).objects(0).participants(8).directory(directory);
    let living: Vec<_> =
        (0..20).map(|n| options(1).create(&format!("living-{n}")).expect("create")).collect();
    let (ready, is_ready) = nix::unistd::pipe().expect("pipe");
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).expect("prctl");
            let _held = options(600).create("dead").expect("create");
            nix::unistd::write(&is_ready, b"x").expect("write");
            loop {
                pause();
            }
        }
        ForkResult::Parent { child } => {
            nix::unistd::read(&ready, &mut [0]).expect("read");
            refused(options(600).create("mine"), ErrorKind::NoSpace, &["free"]);
            kill(child, Signal::SIGKILL).expect("kill");
            waitpid(child, None).expect("wait");
        }
    }
    assert!(directory.join("shmkit.dead").exists());
    let mine = options(600).create("mine").expect("the dead made room");
    fill(&mine);
    assert!(!directory.join("shmkit.dead").exists());
    assert!(living.iter().all(Segment::is_linked));
}

/// Gives up every right.
pub fn become_nobody() {
    if geteuid().is_root() {
        let (user, group) = (Uid::from_raw(65534), Gid::from_raw(65534));
        setgroups(&[]).expect("setgroups");
        setresgid(group, group, group).expect("setresgid");
        setresuid(user, user, user).expect("setresuid");
        // Without it `/proc/self` stays root's.
        nix::sys::prctl::set_dumpable(true).expect("prctl");
    }
}

/// The directory has a segment `name` of the test's user, and admits nobody else's files.
fn no_permission(directory: &Path, name: &str) {
    let was_root = geteuid().is_root();
    become_nobody();
    let me = format!("user {}", geteuid());
    let options = Options::new(512).directory(directory);
    if was_root {
        let open = OpenOptions::new().directory(directory);
        let says = [me.as_str(), "may not read and write", "belongs to user 0", "mode 0600"];
        refused(open.open(name), ErrorKind::PermissionDenied, &says);
        refused(options.open_or_create(name), ErrorKind::PermissionDenied, &says);
        let error = open.unlink(name).expect_err("it was removed");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        let says = ["not a segment of the user", "another name"];
        refused(options.create(name), ErrorKind::AlreadyExists, &says);
    }
    let says = [me.as_str(), "not permitted", &*directory.display().to_string()];
    refused(options.create("mine"), ErrorKind::PermissionDenied, &says);
}

/// Lets this process open nothing more.
fn no_descriptors(directory: &Path, name: &str) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    let options = Options::new(512).directory(directory);
    let open = OpenOptions::new().directory(directory);
    // With each number of descriptors that is too few, every verb fails in the same way and leaves nothing.
    let free = fs::File::open("/dev/null").expect("open");
    let first = free.as_raw_fd() as u64;
    drop(free);
    let mut failed = 0;
    for limit in first..first + 8 {
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard).expect("setrlimit");
        let limit = format!("({limit})");
        let says = ["RLIMIT_NOFILE", limit.as_str(), "ulimit -n"];
        let verbs: [&dyn Fn() -> Result<Segment, SegmentError>; 4] = [
            &|| options.create("new"),
            &|| options.open_or_create("new"),
            &|| options.anonymous(),
            &|| open.open(name),
        ];
        for verb in verbs {
            match verb() {
                Ok(segment) => drop(segment),
                error => {
                    refused(error, ErrorKind::TooManyFiles, &says);
                    failed += 1;
                }
            }
        }
    }
    assert!(failed >= 4, "{failed}");
    setrlimit(Resource::RLIMIT_NOFILE, first + 32, hard).expect("setrlimit");
    let names = fs::read_dir(directory).expect("read").count();
    assert_eq!(names, 1);
    open.open(name).expect("it works again");
}

/// Leaves while another thread takes every number that comes free.
fn leave_without_descriptors(directory: &Path) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("getrlimit");
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).expect("setrlimit");
    for _ in 0..20 {
        let segment = Options::new(512).directory(directory).create("it").expect("create");
        let (is_full, stop) = (AtomicU8::new(0), AtomicU8::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut taken = Vec::new();
                while stop.load(Relaxed) == 0 {
                    match fs::File::open("/dev/null") {
                        Ok(file) => taken.push(file),
                        Err(_) => is_full.store(1, Relaxed),
                    }
                }
            });
            while is_full.load(Relaxed) == 0 {
                std::thread::yield_now();
            }
            drop(segment);
            stop.store(1, Relaxed);
        });
        assert_eq!(fs::read_dir(directory).expect("read").count(), 0);
    }
}

/// Past RLIMIT_FSIZE the kernel sends a signal, if it is let.
fn file_limit(directory: &Path) {
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).expect("getrlimit");
    setrlimit(Resource::RLIMIT_FSIZE, 64 << 10, hard).expect("setrlimit");
    let large = Options::new(1 << 20).directory(directory);
    let says = ["1", "RLIMIT_FSIZE", "ulimit -f"];
    refused(large.create("large"), ErrorKind::NoSpace, &says);
    refused(large.anonymous(), ErrorKind::NoSpace, &says);
    Options::new(512).participants(8).directory(directory).create("small").expect("it fits");
}

fn memory_limit(directory: &Path) {
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).expect("getrlimit");
    let status = fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: u64 = status.split(' ').next().expect("a number").parse().expect("a number");
    setrlimit(Resource::RLIMIT_AS, (pages * 4096) + (16 << 20), hard).expect("setrlimit");
    let large = Options::new(32 << 20).directory(directory);
    let says = ["mapping", "RLIMIT_AS", "ulimit -v"];
    refused(large.create("large"), ErrorKind::NoMemory, &says);
    refused(large.anonymous(), ErrorKind::NoMemory, &says);
    assert_eq!(fs::read_dir(directory).expect("read").count(), 0);
    Options::new(512).directory(directory).create("small").expect("it fits");
}

/// Without `/proc`, a segment can be joined by name, and none can be made.
fn no_proc(directory: &Path, name: &str) {
    own_mounts();
    let none = None::<&str>;
    mount(Some("tmpfs"), "/proc", Some("tmpfs"), MsFlags::empty(), none).expect("mount");
    let options = Options::new(512).directory(directory);
    let opened = OpenOptions::new().directory(directory).open(name).expect("by name");
    assert!(opened.is_linked());
    let says = ["/proc"];
    refused(options.create("new"), ErrorKind::Unsupported, &says);
    refused(options.anonymous(), ErrorKind::Unsupported, &says);
    assert_eq!(fs::read_dir(directory).expect("read").count(), 1);
}

/// Less locked memory than is asked for, for a user to whom that limit is one.
fn lock_limit() {
    become_nobody();
    setrlimit(Resource::RLIMIT_MEMLOCK, 64 << 10, 64 << 10).expect("setrlimit");
    let options = Options::new(4096).participants(8).locked(true);
    let says = ["RLIMIT_MEMLOCK", "65536 bytes", "ulimit -l", "`locked`"];
    refused(options.clone().max(1 << 20).anonymous(), ErrorKind::NoMemory, &says);
    options.anonymous().expect("it fits");
}
