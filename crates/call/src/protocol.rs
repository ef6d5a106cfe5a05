//! What client and server say to each other, and where they meet.

use std::borrow::Cow;

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shmkit_connection::Address;

use crate::{CallError, CallErrorKind};

/// The version of what is spoken.
pub(crate) const VERSION: u32 = 1;

/// The longest name, in bytes: with what stands before it, it fits into an address.
const LONGEST: usize = 80;

/// What a client asks.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request<'a> {
    /// The version.
    pub(crate) call: u32,
    /// Which task; without one, all are listed.
    #[serde(borrow, default)]
    pub(crate) task: Option<Cow<'a, str>>,
    /// Its arguments: an array.
    #[serde(borrow, default)]
    pub(crate) args: Option<&'a RawValue>,
    /// For how long to wait, in seconds; as long as the server lets it, if it is not said.
    #[serde(default)]
    pub(crate) timeout: Option<f64>,
}

/// What it is answered.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    Returned(Box<RawValue>),
    Failed { kind: CallErrorKind, message: String },
    Tasks(Vec<Callable>),
}

impl Reply {
    pub(crate) fn failed(kind: CallErrorKind, message: impl Into<String>) -> Self {
        Self::Failed { kind, message: message.into() }
    }
}

/// A task that can be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Callable {
    /// Its name, with the path of its module. The last part is enough, if no other has the same.
    pub name: String,
    /// Its signature, as it stands in the source.
    pub signature: String,
}

/// Returns where a server of this name is found by processes of this user.
///
/// # Errors
///
/// [`Name`](CallErrorKind::Name).
pub(crate) fn address(name: &str) -> Result<Address, CallError> {
    if name.is_empty() || name.len() > LONGEST || name.contains(char::is_control) {
        let message = format!(
            "{name:?} is no name of a server: 1 to {LONGEST} bytes were expected, without control characters"
        );
        return Err(CallError::new(CallErrorKind::Name, message));
    }
    Ok(Address::abstract_name(format!("shmkit-call-{}-{name}", geteuid())))
}
