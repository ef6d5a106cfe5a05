//! Handing a segment to a program that is started.
//!
//! The child inherits a descriptor, and finds in its environment which number it has and which file it must lead to.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::attach::{self, Source};
use crate::error::{ErrorKind, Failure};
use crate::inspect::{self, Expected, Identity, Status};
use crate::segment::Shared;
use crate::table::List;
use crate::{Segment, SegmentError, table};

/// What the names of the environment's variables begin with.
const VARIABLE: &str = "SHMKIT_SEGMENT_";

/// The first number that no program uses for something else.
const FIRST: RawFd = 3;

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::process::Command {}
}

/// Hands segments to the programs that a [`Command`] starts.
pub trait CommandExt: sealed::Sealed {
    /// Hands a segment to the child, which joins it with [`Segment::inherited`] under the same key: 1 to 64 letters,
    /// digits and underscores.
    ///
    /// The child inherits a descriptor that this process's other children do not. It works for anonymous and for named
    /// segments. The child must join before the last participant leaves a named segment that is not persistent.
    ///
    /// # Errors
    ///
    /// [`InvalidName`](ErrorKind::InvalidName) for another key, [`TooManyFiles`](ErrorKind::TooManyFiles): the
    /// command keeps a descriptor.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use shmkit_segment::{CommandExt, Options, Segment};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let segment = Options::new(4096).anonymous()?;
    /// let child = std::process::Command::new("worker").share_segment("work", &segment)?.spawn()?;
    /// // In the child:
    /// let segment = Segment::inherited("work")?;
    /// # Ok(())
    /// # }
    /// ```
    fn share_segment(&mut self, key: &str, segment: &Segment) -> Result<&mut Self, SegmentError>;
}

impl CommandExt for Command {
    fn share_segment(&mut self, key: &str, segment: &Segment) -> Result<&mut Self, SegmentError> {
        let run = || {
            let variable = variable(key)?;
            // The command's own: it may be started long after the segment was dropped, and the number stays right.
            let file =
                duplicate(segment.as_fd()).map_err(|errno| Failure::os(errno, "duplicating it"))?;
            let token = Token { fd: file.as_raw_fd(), identity: segment.shared().identity() };
            Ok((variable, token, file))
        };
        let (variable, token, file) = run().map_err(|failure: Failure| {
            failure.during(format!("share {segment} as {key:?} with a program"))
        })?;
        self.env(variable, token.to_value());
        let pass_on =
            move || fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).map(drop).map_err(Into::into);
        // SAFETY: in the forked child it calls `fcntl`, which is async-signal-safe, and allocates nothing.
        unsafe { self.pre_exec(pass_on) };
        Ok(self)
    }
}

/// The descriptors of the environment that this process has taken, and closed: their numbers may be anything by now.
static TAKEN: List<RawFd> = List::new();

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

/// What the environment says of a segment.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    fd: RawFd,
    identity: Identity,
}

impl Token {
    fn to_value(&self) -> OsString {
        let Identity { device, inode, cookie } = self.identity;
        OsString::from_vec(format!("{}:{device:x}:{inode:x}:{cookie:x}", self.fd).into_bytes())
    }

    fn from_value(value: &OsStr) -> Option<Self> {
        let mut parts = std::str::from_utf8(value.as_bytes()).ok()?.split(':');
        let fd = parts.next()?.parse().ok().filter(|&fd| fd >= FIRST)?;
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let identity = Identity { device: number()?, inode: number()?, cookie: number()? };
        parts.next().is_none().then_some(Self { fd, identity })
    }

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
        let expected = Expected { owner: None, mode: 0o777, content: None };
        let shared = attach::by_descriptor(self.duplicate()?, Source::Descriptor, &expected)?;
        self.take();
        Ok(shared)
    }

    /// The process has the segment, with a descriptor of its own: by this key, by another, or by name.
    fn join_again(&self, shared: Arc<Shared>) -> Result<Arc<Shared>, Failure> {
        attach::rejoin(&shared)?;
        // Children of this process have no use for it.
        if !self.is_taken() && self.duplicate().is_ok() {
            self.take();
        }
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
        // SAFETY: only borrowed to be duplicated; a number that is not open answers EBADF to that.
        let file = unsafe { BorrowedFd::borrow_raw(fd) };
        let file = duplicate(file).map_err(|error| match error {
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

    fn is_taken(&self) -> bool {
        TAKEN.lock().contains(&self.fd)
    }

    /// Closes the descriptor, once.
    fn take(&self) {
        let mut taken = TAKEN.lock_with_room();
        if taken.contains(&self.fd) {
            return;
        }
        taken.push(self.fd);
        drop(taken);
        // SAFETY: our parent made this number for us and for nobody else (`duplicate` has seen that it leads to the
        // very file that was shared), and it is taken once (`TAKEN`).
        drop(unsafe { OwnedFd::from_raw_fd(self.fd) });
    }
}

fn variable(key: &str) -> Result<String, Failure> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if key.is_empty() || key.len() > 64 || !key.bytes().all(good) {
        return Err(Failure::new(
            ErrorKind::InvalidName,
            format!("the key is {key:?}: 1 to 64 letters, digits and underscores are possible"),
        ));
    }
    Ok(format!("{VARIABLE}{key}"))
}

/// Duplicates a descriptor to a number that is neither input, output nor error, and that no other child inherits.
fn duplicate(file: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let fd = fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(FIRST)).map_err(|errno| match errno {
        // The limit is below the first number.
        Errno::EINVAL => Errno::EMFILE,
        errno => errno,
    })?;
    // SAFETY: the call just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn not_inherited(detail: String) -> Failure {
    Failure::new(ErrorKind::NotInherited, detail)
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let identity = Identity { device: 25, inode: 77, cookie: u64::MAX };
        let token = Token { fd: 3, identity };
        assert_eq!(token.to_value(), "3:19:4d:ffffffffffffffff");
        assert_eq!(Token::from_value(&token.to_value()), Some(token));
    }

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
        let token = |_| Token { fd: duplicate(segment.as_fd()).unwrap().into_raw_fd(), identity };
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
        // All places are taken.
        let mut lock = libc::flock {
            l_type: libc::F_WRLCK as _,
            l_whence: libc::SEEK_SET as _,
            l_start: 1 << 61,
            l_len: 2,
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

    #[test]
    fn nonsense_in_the_environment_is_refused() {
        for value in ["", "3", "2:1:1:1", "-1:1:1:1", "3:1:1", "3:1:1:1:1", "3:x:1:1", "3: 1:1:1"] {
            assert_eq!(Token::from_value(OsStr::new(value)), None, "{value:?}");
        }
    }

    #[test]
    fn keys_are_words() {
        assert_eq!(variable("work_1").unwrap(), "SHMKIT_SEGMENT_work_1");
        for key in ["", "a=b", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(variable(key).unwrap_err().kind, ErrorKind::InvalidName);
        }
    }
}
