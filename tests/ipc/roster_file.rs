//! The file below a roster: its name, its file system, and how a description of one's own is come by.

use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use nix::unistd::{getegid, geteuid};
use shmkit_roster::{
    Description, JoinErrorKind, Judge, Link, NoForks, Participant, Verdict, removal,
};
use shmkit_tests::Channel;
use shmkit_tests::roster::Table;

use crate::roster::{ShmFile, forked, hear_id, wait_until_dead};
use crate::support::{Peer, wait_until};

#[test]
fn a_file_without_its_name_is_not_joined() {
    let name = ShmFile::unique("unlinked");
    let table = Table::create(name.path(), 4);
    let by_name = || Description::Path(name.path().to_owned());
    let me = table.try_join(by_name(), Link::Named).unwrap();
    fs::remove_file(name.path()).unwrap();
    let error = table.try_join(Description::Proc, Link::Named).unwrap_err();
    assert_eq!(error.kind(), JoinErrorKind::Unlinked);
    assert!(error.to_string().contains("open or create the name again"), "{error}");
    assert!(table.try_join(Description::Proc, Link::Nameless).is_ok());
    // A child cannot take a place there either.
    Peer::fork("child", |_| {
        assert_eq!(me.rejoin().unwrap_err().kind(), JoinErrorKind::Description, "by name");
        let error = me.rejoin_with(Description::Proc).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Unlinked);
        assert_eq!(me.me(), None);
    })
    .join();
    // Another file of this name is another file.
    let _other = Table::create(name.path(), 4);
    let error = table.try_join(by_name(), Link::Named).unwrap_err();
    assert_eq!(error.kind(), JoinErrorKind::OtherFile);
}

#[test]
fn a_remover_keeps_joiners_of_other_processes_out_until_it_dies() {
    let table = Table::new(4);
    let mut remover = Peer::fork("remover", |channel| {
        let fresh = table.fresh();
        let removal = removal::nobody_alive(fresh.as_fd()).unwrap().expect("nobody is there");
        channel.say("removing");
        channel.hear();
        drop(removal);
    });
    remover.expect("removing");
    let error = table.try_join(Description::Proc, Link::Nameless).unwrap_err();
    assert_eq!(error.kind(), JoinErrorKind::Removing);
    assert!(removal::in_use(table.file().as_fd()).unwrap());
    remover.kill();
    let me = table.join();
    let (peer, id) = forked(&table);
    let fresh = table.fresh();
    assert!(removal::nobody_alive(fresh.as_fd()).unwrap().is_none());
    peer.kill();
    wait_until_dead(&me, id);
    drop(me);
    wait_until(|| removal::nobody_alive(fresh.as_fd()).unwrap().is_some());
}

/// Lets this process mount what it likes where nobody else sees it.
fn own_mounts() {
    let (uid, gid) = (geteuid(), getegid());
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        // Not root: as root of a user namespace of one's own.
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).unwrap();
        fs::write("/proc/self/setgroups", "deny").unwrap();
        fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
        fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
    }
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
}

/// On overlayfs a mapping keeps the description of the file below, and the locks fall with the descriptor.
#[test]
fn a_file_system_whose_mappings_carry_no_locks_is_unsupported() {
    Peer::fork("on an overlay", |_| {
        own_mounts();
        mount(Some("none"), "/mnt", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        for dir in ["lower", "upper", "work", "all"] {
            fs::create_dir(format!("/mnt/{dir}")).unwrap();
        }
        let layers = "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work,userxattr";
        mount(Some("none"), "/mnt/all", Some("overlay"), MsFlags::empty(), Some(layers)).unwrap();
        let table = Table::create("/mnt/all/file".as_ref(), 4);
        let error = table.try_join(Description::Proc, Link::Named).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Unsupported);
        assert!(error.to_string().contains("put the file on a tmpfs"), "{error}");
        assert!(!removal::in_use(table.file().as_fd()).unwrap());
        // The same on the file system below.
        let table = Table::create("/mnt/upper/other".as_ref(), 4);
        assert!(table.try_join(Description::Proc, Link::Named).is_ok());
    })
    .join();
}

/// A kernel, or a sandbox, that has no such locks at all.
#[test]
fn a_kernel_without_such_locks_is_unsupported() {
    Peer::fork("in a sandbox", |_| {
        let table = Table::new(4);
        refuse_locks(libc::EINVAL);
        let error = table.try_join(Description::Proc, Link::Nameless).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Unsupported);
        assert!(removal::in_use(table.file().as_fd()).is_err());
        assert!(removal::nobody_alive(table.file().as_fd()).is_err());
    })
    .join();
}

/// A sandbox that begins to refuse when we have joined: nobody is dead for it.
#[test]
fn an_error_is_never_a_death() {
    let table = Table::new(4);
    let (peer, id) = forked(&table);
    let mut judge = Peer::fork("in a sandbox", |channel| {
        let me = table.join();
        assert_eq!(me.verdict(id), Verdict::Alive);
        refuse_locks(libc::EPERM);
        channel.say("ready");
        channel.hear();
        assert_eq!(me.verdict(id), Verdict::Unknown);
        assert!(me.id().is_some() && !me.is_lost());
        let members = table.roster().participants(table.file().as_fd());
        assert!(members.iter().all(|m| m.verdict == Verdict::Unknown), "{members:?}");
    });
    judge.expect("ready");
    let me = table.join();
    peer.kill();
    wait_until_dead(&me, id);
    judge.say("it is dead");
    judge.join();
}

/// From now on every record lock of an open file description fails with `errno` in this process.
fn refuse_locks(errno: i32) {
    const fn statement(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let at_least = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let above = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    let ret = libc::BPF_RET | libc::BPF_K;
    // `struct seccomp_data`: the call's number at 0, the lower half of its second argument at 24 (or 28).
    let second = if cfg!(target_endian = "little") { 24 } else { 28 };
    // fcntl, and GETLK, SETLK or SETLKW, which are three numbers in a row.
    let mut filter = [
        statement(load, 0, 0, 0),
        statement(equal, 0, 4, libc::SYS_fcntl as u32),
        statement(load, 0, 0, second),
        statement(at_least, 0, 2, libc::F_OFD_GETLK as u32),
        statement(above, 1, 0, libc::F_OFD_SETLKW as u32),
        statement(ret, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        statement(ret, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs().unwrap();
    // SAFETY: the program is live for the call, and the kernel checks it.
    let failed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn without_descriptors_nobody_joins() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    Peer::fork("poor", |_| {
        let table = Table::new(4);
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        // The lowest free number: all below it are in use, and the limit leaves none above.
        let data = table.file().try_clone().unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, data.as_raw_fd() as u64 + 1, hard).unwrap();
        // SAFETY: it does not come so far.
        let error =
            unsafe { Participant::join(table.roster(), data, Description::Proc, Link::Nameless) };
        let error = error.unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Description);
        assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
    })
    .join();
}

/// Another process opens the file for us, sends the description, and closes its own copy.
#[test]
fn a_ticket_does_without_proc() {
    let table = Table::new(4);
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let me = table.join();
    let mut peer = Peer::fork("without /proc", |channel| {
        own_mounts();
        // Nothing lies where `/proc` was.
        mount(Some("none"), "/proc", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let error = table.try_join(Description::Proc, Link::Nameless).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Description);
        assert!(error.to_string().contains("ticket"), "{error}");
        channel.say("a ticket, please");
        let ticket = receive(&theirs);
        let me = table.try_join(Description::Ticket(ticket), Link::Nameless).unwrap();
        let person = me.person(me.id().unwrap()).unwrap();
        assert_eq!((person.pid, person.start_time), (std::process::id(), 0));
        assert!(!person.command.is_empty());
        channel.say(&me.id().unwrap().get().to_string());
        channel.hear();
    });
    peer.expect("a ticket, please");
    send(&ours, table.fresh());
    let id = hear_id(&mut peer);
    assert_eq!(me.verdict(id), Verdict::Alive);
    peer.kill();
    wait_until_dead(&me, id);
}

/// Its locks would stand for both, so that the death of one would be nobody's as long as the other lives.
#[test]
fn a_ticket_is_good_for_one() {
    let table = Table::new(4);
    let me = table.join();
    // A child of another test that is forked now would have the ticket, too.
    let no_forks = NoForks::hold().unwrap();
    let ticket = table.fresh();
    let join = |channel: &mut Channel| {
        own_mounts();
        mount(Some("none"), "/proc", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let ticket = ticket.try_clone().unwrap();
        match table.try_join(Description::Ticket(ticket), Link::Nameless) {
            Ok(me) => channel.say(&me.id().unwrap().get().to_string()),
            Err(error) => channel.say(&format!("{:?}", error.kind())),
        }
        channel.hear();
    };
    let mut first = Peer::fork("first", join);
    let id = hear_id(&mut first);
    let mut second = Peer::fork("second", join);
    second.expect("TicketUsed");
    second.kill();
    drop(ticket);
    drop(no_forks);
    assert_eq!(me.verdict(id), Verdict::Alive);
    first.kill();
    wait_until_dead(&me, id);
}

/// To its owner, locks of its own description would look like nobody's.
#[test]
fn a_ticket_that_is_somebody_elses_data_descriptor_makes_no_death() {
    let table = Table::new(4);
    let me = table.join();
    let mut peer = Peer::fork("with a wrong ticket", |channel| {
        let ticket = Description::Ticket(table.file().try_clone().unwrap());
        // SAFETY: the table is mapped from this file.
        let them =
            unsafe { Participant::join(table.roster(), table.fresh(), ticket, Link::Nameless) };
        channel.say(&them.as_ref().unwrap().id().unwrap().get().to_string());
        channel.hear();
    });
    let id = hear_id(&mut peer);
    assert_eq!(me.verdict(id), Verdict::Alive);
    peer.kill();
    wait_until_dead(&me, id);
}

fn send(socket: &OwnedFd, ticket: OwnedFd) {
    let fds = [ticket.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let byte = [IoSlice::new(b"t")];
    sendmsg::<()>(socket.as_raw_fd(), &byte, &rights, MsgFlags::empty(), None).unwrap();
}

fn receive(socket: &OwnedFd) -> OwnedFd {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut iov = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut space), flags).unwrap();
    match message.cmsgs().unwrap().next() {
        // SAFETY: the kernel has just made it, for us.
        Some(ControlMessageOwned::ScmRights(fds)) => unsafe { OwnedFd::from_raw_fd(fds[0]) },
        other => panic!("{other:?}"),
    }
}
