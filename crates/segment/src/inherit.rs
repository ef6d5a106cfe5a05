//! Joining the segments that the parent handed over.
//!
//! The environment says which numbers the descriptors have that the parent made for this program, and which file they
//! must lead to. Much may have happened since: the numbers are looked at before they are believed.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::attach::{self, Source};
use crate::error::{ErrorKind, Failure};
use crate::inspect::{self, Expected, Room};
use crate::list::List;
use crate::memory::Memory;
use crate::patience::PATIENCE;
use crate::shared::Shared;
use crate::status::Status;
use crate::table;
use crate::token::{Token, duplicate, variable};

/// The descriptors of the environment that this process has taken, and closed: their numbers may be anything by now.
static TAKEN: List<Vec<RawFd>> = List::new(Vec::new());

/// Joins the segment that was shared under `key`.
pub(crate) fn inherited(key: &str) -> Result<Arc<Shared>, Failure> {
    let variable = variable(key)?;
    let value = std::env::var_os(&variable).ok_or_else(|| {
        not_inherited(format!(
            "the environment has no {variable}: start this program with `share_segment({key:?}, …)`"
        ))
    })?;
    let token = Token::from_value(&value).ok_or_else(|| {
        not_inherited(format!(
            "{variable} is {value:?}, where a descriptor and a file's identity were expected: \
             leave it to `share_segment`"
        ))
    })?;
    token.join()
}

impl Token {
    /// Joins the segment, and closes the descriptor when that is done: what fails may be tried again.
    fn join(&self) -> Result<Arc<Shared>, Failure> {
        if let Some(shared) = table::find(self.identity) {
            return self.join_again(shared);
        }
        self.join_anew().or_else(|failure| match table::find(self.identity) {
            // Another thread was faster, and has taken the descriptor, or the last place.
            Some(shared) => self.join_again(shared),
            None => Err(failure),
        })
    }

    fn join_anew(&self) -> Result<Arc<Shared>, Failure> {
        if self.is_taken() {
            return Err(not_inherited(
                "it was joined before and left since, and the descriptor is closed: keep the \
                 first one"
                    .into(),
            ));
        }
        // Whose it is and who may use it were the parent's decisions.
        let expected = Expected {
            owner: None,
            mode: 0o777,
            content: None,
            room: Room::default(),
            memory: Memory::default(),
            time_limit: PATIENCE,
        };
        let source = self.ticket().map_or(Source::Descriptor, Source::Ticket);
        let shared = attach::by_descriptor(self.duplicate()?, source, &expected)?;
        self.take();
        Ok(shared)
    }

    /// The process has the segment, with a descriptor of its own: by this key, by another, or by name.
    fn join_again(&self, shared: Arc<Shared>) -> Result<Arc<Shared>, Failure> {
        attach::rejoin(&shared)?;
        // Children of this process have no use for it.
        self.take();
        Ok(shared)
    }

    /// A duplicate of the descriptor that no child inherits, if it leads to what was shared. It is looked at only
    /// when it is this thread's own.
    fn duplicate(&self) -> Result<OwnedFd, Failure> {
        let fd = self.fd;
        let elsewhere = || {
            not_inherited(format!(
                "descriptor {fd} does not lead to the segment that was shared: it was closed or \
                 used again before this, or the variable is another program's"
            ))
        };
        let file = duplicate(borrowed(fd)).map_err(|error| match error {
            Errno::EBADF => elsewhere(),
            errno => Failure::os(errno, "duplicating it"),
        })?;
        let found = Status::of(file.as_fd()).ok().filter(|found| found.is_file_of(self.identity));
        let header = found.and_then(|found| inspect::read(file.as_fd(), found.size).ok());
        if header.is_none_or(|header| header.cookie != self.identity.cookie) {
            return Err(elsewhere());
        }
        Ok(file)
    }

    /// A duplicate of the ticket, if there is one.
    fn ticket(&self) -> Option<OwnedFd> {
        let ticket = duplicate(borrowed(self.ticket?)).ok()?;
        self.is_file(ticket.as_fd()).then_some(ticket)
    }

    fn is_file(&self, file: BorrowedFd<'_>) -> bool {
        Status::of(file).is_ok_and(|found| found.is_file_of(self.identity))
    }

    fn is_taken(&self) -> bool {
        TAKEN.lock().contains(&self.fd)
    }

    /// Closes the descriptors, once.
    fn take(&self) {
        let mut taken = TAKEN.lock_with_room();
        if taken.contains(&self.fd) {
            return;
        }
        taken.push(self.fd);
        drop(taken);
        for fd in [Some(self.fd), self.ticket].into_iter().flatten() {
            if self.is_inherited(borrowed(fd)) {
                // SAFETY: our parent made this number for us and for nobody else (`is_inherited`), and it is taken once
                // (`TAKEN`).
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }

    /// Returns whether this is the descriptor that the parent made. It may be closed by now, and the number used by
    /// somebody in this process, and for this very file: but what was opened here is closed on exec, which what came
    /// through an exec is not. (What a program marks so that inherited it is left to it: no child gets it.)
    fn is_inherited(&self, file: BorrowedFd<'_>) -> bool {
        let flags = fcntl(file, FcntlArg::F_GETFD).map(FdFlag::from_bits_retain);
        flags.is_ok_and(|flags| !flags.contains(FdFlag::FD_CLOEXEC)) && self.is_file(file)
    }
}

/// A descriptor of the environment, to be asked what it is.
fn borrowed<'f>(fd: RawFd) -> BorrowedFd<'f> {
    // SAFETY: not -1 (`Token::from_value`), and used for system calls only: a number that is not open answers EBADF.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

fn not_inherited(detail: String) -> Failure {
    Failure::new(ErrorKind::NotInherited, detail)
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;
    use std::os::unix::fs::FileExt;
    use std::sync::Mutex;

    use super::*;

    /// Held by each test that closes descriptors: what is known as closed is known by its number, which a program's
    /// parent gives once, but two tests of one process get twice.
    static NUMBERS: Mutex<()> = Mutex::new(());

    /// A segment that nobody lives in, and tokens for it.
    fn left<const N: usize>(participants: u32) -> (tempfile::TempDir, std::fs::File, [Token; N]) {
        let directory =
            tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let options = crate::Options::new(512).participants(participants).objects(0);
        let segment = options.persistent(true).directory(directory.path()).create("it").unwrap();
        let identity = segment.shared().identity();
        let token = |_| {
            let fd = duplicate(segment.file().unwrap()).unwrap();
            fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
            Token { fd: fd.into_raw_fd(), ticket: None, identity }
        };
        let tokens = std::array::from_fn(token);
        let path = segment.path().unwrap();
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        (directory, file, tokens)
    }

    #[test]
    fn what_fails_may_be_tried_again_until_it_is_joined() {
        let _numbers = NUMBERS.lock();
        TAKEN.lock().clear();
        let (_directory, other, [first, second]) = left(2);
        // All places are taken: their bytes begin at 2^62 and the salt, with which the roster begins, and are 2^31 each.
        let mut salt = [0; 8];
        other.read_exact_at(&mut salt, size_of::<shmkit_layout::Header>() as u64).unwrap();
        let mut lock = libc::flock {
            l_type: libc::F_WRLCK as _,
            l_whence: libc::SEEK_SET as _,
            l_start: (1 << 62) + u64::from_ne_bytes(salt) as libc::off_t,
            l_len: 2 << 31,
            l_pid: 0,
        };
        fcntl(&other, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        for _ in 0..2 {
            assert_eq!(first.join().err().unwrap().kind, ErrorKind::Full);
        }
        lock.l_type = libc::F_UNLCK as _;
        fcntl(&other, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        let shared = first.join().unwrap();
        assert!(first.is_taken());
        // The same segment under another key.
        assert!(!second.is_taken());
        assert!(Arc::ptr_eq(&shared, &second.join().unwrap()));
        assert!(second.is_taken(), "no child inherits it");
        assert!(Arc::ptr_eq(&shared, &first.join().unwrap()));
        drop(shared);
        for token in [first, second] {
            let failure = token.join().err().unwrap();
            assert_eq!(failure.kind, ErrorKind::NotInherited);
        }
    }

    #[test]
    fn threads_with_one_key_share_the_segment() {
        let _numbers = NUMBERS.lock();
        TAKEN.lock().clear();
        let (_directory, _file, tokens) = left::<50>(8);
        for token in &tokens {
            let start = std::sync::Barrier::new(2);
            let join = || {
                start.wait();
                token.join()
            };
            std::thread::scope(|scope| {
                let [one, two] = [scope.spawn(join), scope.spawn(join)];
                let [one, two] = [one, two].map(|thread| thread.join().unwrap().unwrap());
                assert!(Arc::ptr_eq(&one, &two));
            });
        }
    }
}
