//! What a survivor may find wrong.

use std::fmt;

/// A broken promise, and what was seen of it.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The promise that was broken.
    pub kind: Kind,
    /// What was seen.
    pub what: String,
}

/// The promises, one column of the report each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A survivor did not get through within the limit, or got an error that it should not get.
    Hung = 1,
    /// A survivor saw half-written data and was not told.
    Torn = 2,
    /// Two processes owned one lock, one permit or one name.
    DoubleOwner = 3,
    /// A permit, a file or a process was left behind.
    Leaked = 4,
    /// The harness itself did not work: no verdict on the code under test.
    Broken = 5,
}

impl Kind {
    /// Returns the kind that was written as `code`.
    pub(crate) fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Hung,
            2 => Self::Torn,
            3 => Self::DoubleOwner,
            4 => Self::Leaked,
            _ => Self::Broken,
        }
    }
}

impl Fault {
    /// Makes a [`Kind::Hung`].
    pub fn hung(what: impl Into<String>) -> Self {
        Self { kind: Kind::Hung, what: what.into() }
    }

    /// Makes a [`Kind::Torn`].
    pub fn torn(what: impl Into<String>) -> Self {
        Self { kind: Kind::Torn, what: what.into() }
    }

    /// Makes a [`Kind::DoubleOwner`].
    pub fn double_owner(what: impl Into<String>) -> Self {
        Self { kind: Kind::DoubleOwner, what: what.into() }
    }

    /// Makes a [`Kind::Leaked`].
    pub fn leaked(what: impl Into<String>) -> Self {
        Self { kind: Kind::Leaked, what: what.into() }
    }

    /// Makes a [`Kind::Broken`].
    pub fn broken(what: impl Into<String>) -> Self {
        Self { kind: Kind::Broken, what: what.into() }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hung => "hung",
            Self::Torn => "torn",
            Self::DoubleOwner => "double owner",
            Self::Leaked => "leaked",
            Self::Broken => "harness broken",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.what)
    }
}

impl std::error::Error for Fault {}

impl From<nix::Error> for Fault {
    fn from(error: nix::Error) -> Self {
        Self::broken(format!("a system call of the harness failed: {error}"))
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::broken(format!("a system call of the harness failed: {error}"))
    }
}
