//! How to listen.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf, absolute};
use std::thread::sleep;
use std::time::Duration;
use std::{env, process};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::sockopt::ReuseAddr;
use nix::sys::socket::{
    Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, listen, setsockopt,
    socket,
};
use nix::unistd::mkdtemp;
use shmkit_atomic::Deadline;

use crate::pending::Pending;
use crate::trust::Trust;
use crate::{Address, Listener};

/// How many may be at their handshakes at once unless it is set.
const CROWD: usize = 64;

/// How many connections wait to be accepted unless it is set.
const BACKLOG: u16 = 128;

/// How long another one that binds in the same folder is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How to listen. [`bind`](Self::bind) ends it.
#[derive(Clone)]
pub struct ListenOptions {
    pub(crate) trust: Trust,
    pub(crate) crowd: usize,
    backlog: u16,
}

impl ListenOptions {
    pub(crate) const fn new() -> Self {
        Self { trust: Trust::new(), crowd: CROWD, backlog: BACKLOG }
    }

    /// Sets how many may be at their authentications at once: 64 unless it is set, and at least one. If more come, who has been
    /// at it for longest is refused.
    #[must_use]
    pub fn handshakes(self, most: usize) -> Self {
        Self { crowd: most.max(1), ..self }
    }

    /// Sets how many may wait to be accepted: 128 unless it is set. Who comes then waits in its `connect`. The system has a limit
    /// of its own (`net.core.somaxconn`).
    #[must_use]
    pub fn backlog(self, most: u16) -> Self {
        Self { backlog: most, ..self }
    }

    /// Listens there. A socket file that nobody listens at any more, as a killed listener leaves it, is replaced; the
    /// file goes when the listener is dropped by the process that made it.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if somebody listens there, or something else lies at the path; `InvalidInput` if path or name are too long;
    /// and what the system says.
    pub fn bind(&self, address: impl Into<Address>) -> io::Result<Listener> {
        match address.into() {
            Address::Unix(path) => {
                // Where it lies must not depend on the folder in which this process is by then.
                let path = absolute(path)?;
                let _lock = lock_folder(&path)?;
                let fd = match self.open(&Address::Unix(path.clone())) {
                    Err(Errno::EADDRINUSE) if is_stale(&path)? => {
                        fs::remove_file(&path)?;
                        self.open(&Address::Unix(path.clone()))?
                    }
                    fd => fd?,
                };
                let made = Made::new(path.clone())?;
                self.listener(fd, Address::Unix(path), Some(made))
            }
            address @ Address::Abstract(_) => self.listener(self.open(&address)?, address, None),
            address @ Address::Tcp(_) => {
                let fd = self.open(&address)?;
                let bound = getsockname::<SockaddrStorage>(fd.as_raw_fd())?;
                self.listener(fd, Address::Tcp(to_std(&bound)?), None)
            }
        }
    }

    /// Listens at a Unix socket in a folder of its own, which nobody else's processes may look into: Python's default. Both go
    /// when the listener is dropped.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn bind_private(&self) -> io::Result<Listener> {
        let base = env::var_os("XDG_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from);
        let folder = mkdtemp(&base.join("shmkit-listener-XXXXXX"))?;
        let bound = self.bind(folder.join("socket"));
        match bound {
            Ok(mut listener) => {
                if let Some(made) = &mut listener.made {
                    made.folder = Some(folder);
                }
                Ok(listener)
            }
            Err(error) => {
                let _ = fs::remove_dir(folder);
                Err(error)
            }
        }
    }

    fn open(&self, address: &Address) -> nix::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(address.family(), SockType::Stream, flags, None)?;
        if !address.is_unix() {
            setsockopt(&fd, ReuseAddr, &true)?;
        }
        bind(fd.as_raw_fd(), &*address.sockaddr()?)?;
        listen(&fd, Backlog::new(i32::from(self.backlog))?)?;
        Ok(fd)
    }

    fn listener(&self, fd: OwnedFd, address: Address, made: Option<Made>) -> io::Result<Listener> {
        let pending = self.trust.key.as_ref().map(|_| Pending::new(&fd)).transpose()?;
        let (options, refused) = (self.clone(), VecDeque::new());
        Ok(Listener { fd, address, made, options, pending, refused })
    }
}

/// A socket file that this process has made.
#[derive(Debug)]
pub(crate) struct Made {
    path: PathBuf,
    folder: Option<PathBuf>,
    /// Which file it is: device and inode.
    file: (u64, u64),
    pid: u32,
}

impl Made {
    fn new(path: PathBuf) -> io::Result<Self> {
        let found = fs::symlink_metadata(&path)?;
        let file = (found.dev(), found.ino());
        Ok(Self { path, folder: None, file, pid: process::id() })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // A forked child's is its parent's.
        if self.pid != process::id() {
            return;
        }
        // Somebody may have put another one there.
        let found = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if found.is_ok_and(|found| found == self.file) {
            let _ = fs::remove_file(&self.path);
        }
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Keeps others of this crate from binding in the folder meanwhile: two who find the same file stale would remove each
/// other's new one.
fn lock_folder(path: &Path) -> io::Result<Flock<File>> {
    let deadline = Deadline::after(PATIENCE);
    let mut folder = File::open(path.parent().unwrap_or(Path::new("/")))?;
    loop {
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((unlocked, Errno::EWOULDBLOCK | Errno::EINTR)) if !deadline.has_passed() => {
                folder = unlocked;
                sleep(Duration::from_millis(1));
            }
            Err((_, errno)) => return Err(errno.into()),
        }
    }
}

/// Returns whether a socket lies there that belongs to nobody any more.
fn is_stale(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        let why = format!("{} is no socket, and is left where it is", path.display());
        return Err(io::Error::new(ErrorKind::AddrInUse, why));
    }
    // Of another type, so that whoever listens there does not see it come: that the types differ is said of a living one only.
    let flags = SockFlag::SOCK_CLOEXEC;
    let asked = socket(nix::sys::socket::AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let to = Address::from(path).sockaddr()?;
    Ok(connect(asked.as_raw_fd(), &*to) == Err(Errno::ECONNREFUSED))
}

fn to_std(address: &SockaddrStorage) -> io::Result<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    let v6 = || address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()));
    v4.or_else(v6).ok_or_else(|| io::Error::from(Errno::EAFNOSUPPORT))
}
