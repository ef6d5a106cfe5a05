//! Where a listener is found.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, UnixAddr};

/// Where a listener is found.
///
/// ```
/// use shmkit_connection::Address;
///
/// let unix = Address::from(std::path::Path::new("/run/user/1000/model.sock"));
/// let named = Address::abstract_name("model");
/// let tcp = Address::Tcp(([127, 0, 0, 1], 6000).into());
/// assert_eq!(format!("{unix} {named} {tcp}"), "/run/user/1000/model.sock @model 127.0.0.1:6000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A Unix socket at a path, of at most 107 bytes. Who may connect is told by the file's permissions.
    Unix(PathBuf),
    /// A Unix socket of a name in Linux's abstract namespace, at most 107 bytes (Python's `"\0name"`): nothing lies in any
    /// folder, and nothing is left. It is seen in the same network namespace only, by all users.
    Abstract(Vec<u8>),
    /// An IP address and a port; of a listener, 0 is any that is free.
    Tcp(SocketAddr),
}

impl Address {
    /// The abstract Unix socket of this name.
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Self {
        Self::Abstract(name.into())
    }

    pub(crate) fn family(&self) -> AddressFamily {
        match self {
            Self::Unix(_) | Self::Abstract(_) => AddressFamily::Unix,
            Self::Tcp(SocketAddr::V4(_)) => AddressFamily::Inet,
            Self::Tcp(SocketAddr::V6(_)) => AddressFamily::Inet6,
        }
    }

    pub(crate) fn is_unix(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// As the kernel takes it.
    pub(crate) fn sockaddr(&self) -> nix::Result<Box<dyn SockaddrLike>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixAddr::new(path)?),
            Self::Abstract(name) => Box::new(UnixAddr::new_abstract(name)?),
            Self::Tcp(address) => Box::new(SockaddrStorage::from(*address)),
        })
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Self> for Address {
    fn from(address: &Self) -> Self {
        address.clone()
    }
}

/// As Linux shows them: an abstract name with an `@` before it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LSN-08: an address of another family cannot be said, and what is none of a family is refused before a socket is made.
    #[test]
    fn lsn_08_there_are_the_families_that_linux_has() {
        let tcp = |ip: &str| Address::Tcp(ip.parse().unwrap());
        let families = [
            (Address::from(Path::new(r"\\.\pipe\test")), AddressFamily::Unix),
            (Address::abstract_name("test"), AddressFamily::Unix),
            (tcp("127.0.0.1:0"), AddressFamily::Inet),
            (tcp("[::1]:0"), AddressFamily::Inet6),
        ];
        for (address, family) in families {
            assert_eq!(address.family(), family, "{address}");
            assert_eq!(address.sockaddr().unwrap().family(), Some(family), "{address}");
        }
        for long in [Address::Unix("x".repeat(108).into()), Address::abstract_name([b'x'; 108])] {
            assert!(long.sockaddr().is_err(), "{long}");
        }
    }
}
