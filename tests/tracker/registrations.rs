//! What is registered: that it is released at its owner's death, and nothing else ever is.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::UNIX_EPOCH;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use shmkit_tracker::{Cleaner, ErrorKind, Kind, Outcome, Sweep, Tracker, command};

use crate::support::{Peer, wait_until};
use crate::watcher::{Folder, told};

/// What a sweep of the folder releases, in words, sorted.
fn sweep(folder: &Folder, dry_run: bool) -> Vec<String> {
    let report = Sweep::new().directory(folder.path()).dry_run(dry_run).run().unwrap();
    let words =
        |released: shmkit_tracker::Released| format!("{} {:?}", released.kind, released.outcome);
    let mut words: Vec<_> = report.released.unwrap().into_iter().map(words).collect();
    words.sort();
    words
}

/// One thing of each kind, as a client says it, and a file that shows whether it is there.
fn make_all(folder: &Folder) -> Vec<(String, std::path::PathBuf)> {
    let at = |name: &str| folder.path().join(name);
    fs::write(at("sem.s"), "").unwrap();
    fs::write(at("psm_1"), "").unwrap();
    drop(UnixListener::bind(at("socket")).unwrap());
    fs::write(at("file"), "").unwrap();
    fs::create_dir_all(at("folder/in/it")).unwrap();
    fs::write(at("folder/in/it/file"), "").unwrap();
    fs::write(at("made"), "").unwrap();
    let text = folder.text();
    let kinds = [
        ("semaphore /s".to_owned(), at("sem.s")),
        ("memory psm_1".to_owned(), at("psm_1")),
        (format!("socket {text}/socket"), at("socket")),
        (format!("file {text}/file"), at("file")),
        (format!("folder {text}/folder"), at("folder")),
        (format!("command /bin/rm\\x00{text}/made"), at("made")),
    ];
    kinds.into()
}

#[test]
fn every_kind_is_released_by_a_sweep_and_by_a_watcher() {
    for is_watched in [false, true] {
        let folder = Folder::new();
        let mut client = folder.client();
        let all = make_all(&folder);
        for (thing, _) in &all {
            told(&mut client, &format!("register {thing}"), "registered");
        }
        assert_eq!(sweep(&folder, false), Vec::<String>::new());
        let mut starter = is_watched.then(|| folder.client());
        if let Some(starter) = &mut starter {
            told(starter, "start", "Started");
        }
        client.kill();
        if !is_watched {
            assert_eq!(sweep(&folder, true).len(), 6);
            assert!(all.iter().all(|(_, path)| path.exists()), "a dry run removes nothing");
            let released = sweep(&folder, false);
            assert_eq!(released.len(), 6, "{released:?}");
            assert!(released.iter().all(|what| what.ends_with("Some(Done)")), "{released:?}");
            assert!(!folder.has_register(), "the register goes with the last thing in it");
        }
        wait_until(|| folder.names().is_empty());
    }
}

#[test]
fn what_was_unregistered_is_its_makers_to_remove() {
    let folder = Folder::new();
    let mut client = folder.client();
    for (thing, path) in make_all(&folder) {
        for line in ["register", "register"] {
            told(&mut client, &format!("{line} {thing}"), "registered");
        }
        // TRK-17: twice registered is twice unregistered; and no more is no error.
        for answer in ["true", "true", "false"] {
            told(&mut client, &format!("unregister {thing}"), answer);
        }
        assert!(path.exists());
    }
    client.kill();
    assert_eq!(sweep(&folder, false), Vec::<String>::new());
    assert_eq!(folder.names().len(), 6);
    assert!(!folder.has_register());
}

#[test]
fn what_somebody_alive_has_registered_too_stays() {
    let folder = Folder::new();
    let (mut one, mut two) = (folder.client(), folder.client());
    for (thing, _) in make_all(&folder) {
        for client in [&mut one, &mut two] {
            told(client, &format!("register {thing}"), "registered");
        }
    }
    one.kill();
    assert_eq!(sweep(&folder, false), Vec::<String>::new());
    assert_eq!(folder.names().len(), 6);
    two.kill();
    assert_eq!(sweep(&folder, false).len(), 6);
    assert!(folder.names().is_empty());
}

/// TRK-06: what a sweep has to say tells who has unregistered what it made from who has not. (`gc`'s exit status says it, too.)
#[test]
fn who_unregistered_leaves_nothing_to_be_said() {
    let folder = Folder::new();
    let (mut tidy, mut untidy) = (folder.client(), folder.client());
    fs::write(folder.path().join("sem.s"), "").unwrap();
    told(&mut tidy, "register semaphore s", "registered");
    told(&mut tidy, "unregister semaphore s", "true");
    tidy.say("end");
    tidy.join();
    assert_eq!(sweep(&folder, true), Vec::<String>::new());
    told(&mut untidy, "register semaphore s", "registered");
    untidy.say("end");
    untidy.join();
    assert_eq!(sweep(&folder, true), ["semaphore None"]);
}

/// TRK-07: a program makes a thing as it begins, and a fresh process that it starts does the same as *it* begins.
#[test]
fn what_a_started_process_has_registered_once_more_is_not_left_behind_by_it() {
    let folder = Folder::new();
    let mut main = folder.client();
    fs::write(folder.path().join("sem.global"), "").unwrap();
    told(&mut main, "register semaphore global", "registered");
    let mut child = folder.client();
    told(&mut child, "register semaphore global", "registered");
    child.say("end");
    child.join();
    assert_eq!(sweep(&folder, false), Vec::<String>::new());
    assert_eq!(folder.names(), ["sem.global"], "it is its maker's still");
    told(&mut main, "unregister semaphore global", "true");
    fs::remove_file(folder.path().join("sem.global")).unwrap();
    main.say("end");
    main.join();
    assert_eq!(sweep(&folder, false), Vec::<String>::new());
}

#[test]
fn what_somebody_has_made_anew_is_left_alone() {
    let folder = Folder::new();
    let mut client = folder.client();
    let all = make_all(&folder);
    for (thing, _) in &all {
        told(&mut client, &format!("register {thing}"), "registered");
    }
    for (_, path) in &all[..5] {
        let aside = path.with_extension("aside");
        fs::rename(path, aside).unwrap();
    }
    make_all(&folder);
    client.kill();
    let released = sweep(&folder, false);
    let replaced = released.iter().filter(|what| what.ends_with("Some(Replaced)")).count();
    assert_eq!((released.len(), replaced), (6, 5), "{released:?}");
    assert!(all[..5].iter().all(|(_, path)| path.exists()));
    assert!(folder.path().join("folder/in/it/file").exists());
    assert_eq!(sweep(&folder, false), Vec::<String>::new());
}

#[test]
fn names_may_have_any_byte() {
    let folder = Folder::new();
    let mut client = folder.client();
    let odd: Vec<u8> = (1..=255_u8).filter(|&byte| byte != b'/').take(200).collect();
    let escaped: String = odd.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let path = |bytes: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(bytes));
    fs::write(path(&odd), "").unwrap();
    let long = "x".repeat(255);
    fs::write(path(long.as_bytes()), "").unwrap();
    told(&mut client, &format!("register memory {escaped}"), "registered");
    told(&mut client, &format!("register file {}/{escaped}", folder.text()), "registered");
    told(&mut client, &format!("register file {}/{long}", folder.text()), "registered");
    client.kill();
    sweep(&folder, false);
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn what_is_wrong_is_said() {
    let folder = Folder::new();
    let tracker = Tracker::in_directory(folder.path()).unwrap();
    let path = folder.path().join("it");
    let fails = |kind: Kind<'_>, name: &Path| tracker.register(kind, name).unwrap_err();
    let missing = fails(Kind::File, &path);
    assert_eq!((missing.kind(), missing.errno()), (ErrorKind::NotFound, Some(libc::ENOENT)));
    assert!(missing.to_string().contains("announce it"), "{missing}");
    fs::create_dir(&path).unwrap();
    for kind in [Kind::File, Kind::Socket] {
        assert_eq!(fails(kind, &path).kind(), ErrorKind::WrongKind);
    }
    assert_eq!(tracker.announce(Kind::File, &path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let fails = |kind, name: &str| tracker.register(kind, name).unwrap_err().kind();
    assert_eq!(fails(Kind::Semaphore, "a/b"), ErrorKind::InvalidName);
    assert_eq!(fails(Kind::Command, "rm"), ErrorKind::InvalidName);
    assert_eq!(tracker.registered().unwrap(), []);
    let error = Tracker::in_directory("/no/such").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Register);
}

/// Between making a thing and registering it lies an instant at which its maker may be killed.
#[test]
fn what_was_announced_is_released_if_it_was_made_since() {
    let folder = Folder::new();
    let path = folder.path().join("sem.s");
    let announced = || {
        let mut client = folder.client();
        told(&mut client, "announce semaphore s", "announced");
        client
    };
    announced().kill();
    assert_eq!(sweep(&folder, false), ["semaphore Some(Gone)"]);
    let client = announced();
    fs::write(&path, "").unwrap();
    client.kill();
    assert_eq!(sweep(&folder, false), ["semaphore Some(Done)"]);
    let mut client = announced();
    fs::write(&path, "").unwrap();
    told(&mut client, "register semaphore s", "registered");
    // It is one registration.
    told(&mut client, "unregister semaphore s", "true");
    client.kill();
    assert_eq!(sweep(&folder, false), Vec::<String>::new());
    assert!(path.exists());
}

#[test]
fn what_is_older_than_its_announcement_is_left_alone() {
    let folder = Folder::new();
    let older = folder.path().join("older");
    fs::write(&older, "").unwrap();
    // The clock of the announcement has steps, and a file may be born between two of them.
    let born = fs::metadata(&older).unwrap().created().unwrap();
    let born = TimeSpec::from_duration(born.duration_since(UNIX_EPOCH).unwrap());
    wait_until(|| clock_gettime(ClockId::CLOCK_REALTIME_COARSE).unwrap() > born);
    let mut client = folder.client();
    told(&mut client, "announce semaphore s", "announced");
    fs::rename(&older, folder.path().join("sem.s")).unwrap();
    client.kill();
    assert_eq!(sweep(&folder, false), ["semaphore Some(Replaced)"]);
    assert_eq!(folder.names(), ["sem.s"]);
}

#[test]
fn what_another_has_made_that_was_announced_is_not_released() {
    let folder = Folder::new();
    let (mut one, mut two) = (folder.client(), folder.client());
    for client in [&mut one, &mut two] {
        told(client, "announce semaphore s", "announced");
    }
    let path = folder.path().join("sem.s");
    fs::write(&path, "").unwrap();
    told(&mut two, "register semaphore s", "registered");
    one.kill();
    assert_eq!(sweep(&folder, false), Vec::<String>::new());
    assert!(path.exists());
}

#[test]
fn a_forked_childs_registrations_are_its_own() {
    let folder = Folder::new();
    fs::write(folder.path().join("sem.parent"), "").unwrap();
    fs::write(folder.path().join("sem.child"), "").unwrap();
    let mut parent = Peer::fork("parent", |channel| {
        let tracker = Tracker::in_directory(folder.path()).unwrap();
        tracker.register(Kind::Semaphore, "parent").unwrap();
        // SAFETY: glibc's malloc works in the child; its parent waits for it.
        let child = unsafe { libc::fork() };
        if child == 0 {
            tracker.register(Kind::Semaphore, "child").unwrap();
            assert!(!tracker.unregister(Kind::Semaphore, "parent").unwrap(), "its parent's");
            // SAFETY: ends without exit handlers.
            unsafe { libc::_exit(0) };
        }
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).unwrap();
        let mut names: Vec<_> = tracker.registered().unwrap();
        names.sort_by_key(|what| what.is_alive);
        let names: Vec<_> = names.iter().map(|what| (&what.name[..], what.is_alive)).collect();
        assert_eq!(names, [(&b"child"[..], false), (b"parent", true)]);
        channel.say("checked");
        channel.hear();
    });
    parent.expect("checked");
    assert_eq!(sweep(&folder, false), ["semaphore Some(Done)"]);
    assert_eq!(folder.names(), ["sem.parent"]);
    parent.kill();
    sweep(&folder, false);
    assert!(folder.names().is_empty());
}

/// TRK-13.
#[test]
fn a_child_that_is_forked_while_others_register_can() {
    let folder = Folder::new();
    let mut peer = Peer::fork("parent", |channel| {
        let tracker = Tracker::in_directory(folder.path()).unwrap();
        let go_on = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (tracker, go_on) = (&tracker, &go_on);
                scope.spawn(move || {
                    let name = format!("/bin/true\0{thread}");
                    while go_on.load(std::sync::atomic::Ordering::Relaxed) {
                        tracker.register(Kind::Command, &name).unwrap();
                        assert!(tracker.unregister(Kind::Command, &name).unwrap());
                    }
                });
            }
            for _ in 0..30 {
                // SAFETY: glibc's malloc works in the child; its parent waits for it.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    let done = tracker.register(Kind::Command, "/bin/true");
                    let done = done.and_then(|()| tracker.unregister(Kind::Command, "/bin/true"));
                    // SAFETY: ends without exit handlers.
                    unsafe { libc::_exit(i32::from(!matches!(done, Ok(true)))) };
                }
                let status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None);
                assert!(
                    matches!(status, Ok(nix::sys::wait::WaitStatus::Exited(_, 0))),
                    "{status:?}"
                );
            }
            go_on.store(false, std::sync::atomic::Ordering::Relaxed);
        });
        channel.say("done");
    });
    peer.expect("done");
    peer.join();
    assert_eq!(sweep(&folder, false), Vec::<String>::new());
    assert!(!folder.has_register());
}

#[test]
fn a_kind_of_its_own_waits_for_who_can_clean_it_up() {
    let folder = Folder::new();
    let mut client = folder.client();
    told(&mut client, "start", "Started");
    told(&mut client, "register gpu a\\x00b", "registered");
    client.kill();
    wait_until(|| folder.watchers().is_empty());
    assert!(folder.has_register(), "what nobody can clean up stays registered");
    static CLEANED: std::sync::Mutex<Vec<Vec<u8>>> = std::sync::Mutex::new(Vec::new());
    let cleaner =
        Cleaner { kind: "gpu", clean: |name| CLEANED.lock().unwrap().push(name.to_owned()) };
    let report = Sweep::new().directory(folder.path()).cleaners([cleaner]).run().unwrap();
    assert_eq!(report.released.unwrap()[0].outcome, Some(Outcome::Done));
    assert_eq!(*CLEANED.lock().unwrap(), [b"a\0b"]);
    assert!(!folder.has_register());
}

#[test]
fn a_function_of_its_starter_cleans_up_in_the_watcher() {
    fn clean(name: &[u8]) {
        let path = std::ffi::CStr::from_bytes_until_nul(name).unwrap();
        // SAFETY: a string with its end.
        unsafe { libc::unlink(path.as_ptr()) };
    }
    static CLEANERS: [Cleaner; 1] = [Cleaner { kind: "mine", clean }];
    let folder = Folder::new();
    let path = folder.path().join("it");
    fs::write(&path, "").unwrap();
    let mut peer = Peer::fork("starter", |channel| {
        let tracker = Tracker::in_directory(folder.path()).unwrap();
        // SAFETY: one system call.
        let tracker = unsafe { tracker.cleaners(&CLEANERS) };
        tracker.start().unwrap();
        let name = [path.as_os_str().as_bytes(), b"\0"].concat();
        tracker.register(Kind::Custom("mine"), name).unwrap();
        channel.say("registered");
        channel.hear();
    });
    peer.expect("registered");
    peer.kill();
    wait_until(|| folder.names().is_empty() && !folder.has_register());
}

#[test]
fn a_command_that_hangs_holds_nobody_up() {
    let folder = Folder::new();
    let mut observer = folder.client();
    told(&mut observer, "start", "Started");
    let mut client = folder.client();
    let hangs = command(["/bin/sleep", "1000"]).escape_ascii().to_string();
    told(&mut client, &format!("register command {hangs}"), "registered");
    told(&mut client, "create a", "created");
    client.kill();
    wait_until(|| folder.names().is_empty());
    let mut other = folder.client();
    told(&mut other, "create b", "created");
    other.kill();
    wait_until(|| folder.names().is_empty());
}
