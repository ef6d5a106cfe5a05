//! Leaving in good order: the last one out removes what was made, wherever it has moved since, or says why it cannot.

use std::fs;
use std::path::Path;

use nix::unistd::{chdir, chroot, mkdir};
use shmkit_segment::{ErrorKind, Leave, OpenOptions, Segment};
use shmkit_tests::segment::small;
use shmkit_tests::segment_faults::become_nobody;

use crate::segment::{directory, leave};
use crate::support::Peer;

fn names(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn the_last_handle_says_what_became_of_the_segment() {
    let directory = directory();
    let ours = small(directory.path()).create("it").unwrap();
    let again = OpenOptions::new().directory(directory.path()).open("it").unwrap();
    assert_eq!(again.leave().unwrap(), Leave::Kept);
    let path = directory.path().to_str().unwrap();
    let mut peer = Peer::execute("segment/open", &[path, "it"], |_| ());
    peer.expect("joined");
    assert_eq!(ours.leave().unwrap(), Leave::Left);
    let ours = OpenOptions::new().directory(directory.path()).open("it").unwrap();
    leave(peer);
    assert_eq!(ours.leave().unwrap(), Leave::Removed);
    assert_eq!(names(directory.path()), 0);
    let persistent = small(directory.path()).persistent(true).create("it").unwrap();
    assert_eq!(persistent.leave().unwrap(), Leave::Left);
    assert_eq!(small(directory.path()).anonymous().unwrap().leave().unwrap(), Leave::Left);
}

#[test]
fn a_relative_directory_is_the_one_that_it_was() {
    let directory = directory();
    let scene = |open: &dyn Fn() -> Segment| {
        Peer::fork("daemon", |_| {
            chdir(directory.path()).unwrap();
            let ours = open();
            chdir("/").unwrap();
            assert!(ours.is_linked());
            assert!(ours.path().unwrap().is_absolute());
            assert_eq!(ours.leave().unwrap(), Leave::Removed);
        })
        .join();
        assert_eq!(names(directory.path()), 0);
    };
    scene(&|| small(Path::new(".")).create("it").unwrap());
    scene(&|| {
        let creator = small(Path::new(".")).create("it").unwrap();
        let file = creator.file().unwrap().try_clone_to_owned().unwrap();
        drop(small(Path::new("")).open_or_create("it").unwrap());
        let opened = Segment::from_owned_fd(file).unwrap();
        assert_eq!(creator.leave().unwrap(), Leave::Kept);
        opened
    });
}

/// The folder is renamed, or cannot be named any more at all.
#[test]
fn a_folder_that_has_moved_is_the_one_that_it_was() {
    let directory = directory();
    let (here, there) = (directory.path().join("here"), directory.path().join("there"));
    let mode = nix::sys::stat::Mode::S_IRWXU;
    mkdir(&here, mode).unwrap();
    let [one, two] = ["one", "two"].map(|name| small(&here).create(name).unwrap());
    fs::rename(&here, &there).unwrap();
    mkdir(&here, mode).unwrap();
    assert!(one.is_linked());
    // Of another segment of this name, in another folder of this name, no byte is touched.
    let other = small(&here).create("one").unwrap();
    assert_eq!(one.leave().unwrap(), Leave::Removed);
    assert!(other.is_linked());
    drop(two);
    assert_eq!((names(&here), names(&there)), (1, 0));
    assert_eq!(other.leave().unwrap(), Leave::Removed);
    if nix::unistd::geteuid().is_root() {
        Peer::fork("jailed", |_| {
            let ours = small(&there).create("it").unwrap();
            chroot(&here).unwrap();
            chdir("/").unwrap();
            assert!(ours.is_linked());
            assert_eq!(ours.leave().unwrap(), Leave::Removed);
        })
        .join();
    }
    assert_eq!((names(&here), names(&there)), (0, 0));
}

/// What a daemon does in between: the folder's descriptor is somebody else's.
#[test]
fn a_folder_whose_descriptor_was_closed_is_found_by_its_path() {
    let directory = directory();
    Peer::fork("daemon", |_| {
        let ours = small(directory.path()).create("it").unwrap();
        let [log, other] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let folder = fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
            let path = entry.ok()?.path();
            let is_it = fs::read_link(&path).ok()? == directory.path();
            is_it.then(|| path.file_name()?.to_str()?.parse().ok()).flatten()
        });
        let number: i32 = folder.expect("it is held");
        // SAFETY: the number is the folder's; that its owner does not know is the test.
        assert_eq!(unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&log), number) }, number);
        assert!(ours.is_linked());
        assert_eq!(ours.leave().unwrap(), Leave::Removed);
        // SAFETY: asks whether a number is open.
        assert_ne!(unsafe { libc::fcntl(number, libc::F_GETFD) }, -1, "not ours to close");
        drop((log, other));
    })
    .join();
}

#[test]
fn who_may_not_remove_the_name_says_so() {
    if !nix::unistd::geteuid().is_root() {
        return; // Nobody can become somebody who may not.
    }
    // The file is root's alone, or everybody's in a sticky folder.
    let sticky = directory();
    let everything = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    fs::set_permissions(sticky.path(), everything).unwrap();
    for mode in [0o600, 0o666] {
        Peer::fork("daemon", |channel| {
            let ours = small(sticky.path()).mode(mode).create("it").unwrap();
            let mut peer = Peer::fork("other", |channel| {
                ours.join_after_fork().unwrap();
                channel.say("joined");
                channel.hear();
                // SAFETY: ends the process at once, as a kill does, but with the right status.
                unsafe { libc::_exit(0) };
            });
            peer.expect("joined");
            become_nobody();
            let file = ours.file().unwrap().try_clone_to_owned().unwrap();
            let others_live = ours.clone();
            assert_eq!(ours.leave().unwrap(), Leave::Kept);
            assert_eq!(others_live.leave().unwrap(), Leave::Left, "somebody lives there");
            channel.say("left");
            peer.say("end");
            peer.join();
            drop(file);
        })
        .join();
        fs::remove_file(sticky.path().join("shmkit.it")).unwrap();
        Peer::fork("daemon", |_| {
            let ours = small(sticky.path()).mode(mode).create("it").unwrap();
            become_nobody();
            let error = ours.leave().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            let owner = format!("belongs to user 0 and has mode {mode:04o}");
            for part in ["leave segment \"it\"", "user 65534 may not remove", &owner, "shmkit gc"] {
                assert!(error.to_string().contains(part), "{error}");
            }
        })
        .join();
        fs::remove_file(sticky.path().join("shmkit.it")).unwrap();
    }
}
