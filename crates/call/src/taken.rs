//! Who has a name that was to be served.

use std::time::Duration;

use nix::unistd::geteuid;
use shmkit_connection::{Address, Client};

use crate::{CallError, CallErrorKind as Kind};

/// How long whoever has it may take to let in who asks.
const PROMPT: Duration = Duration::from_secs(5);

/// Says who has the name.
pub(crate) fn by(name: &str, address: &Address) -> CallError {
    let client = Client::new().any_user(true);
    let there = client.connect_timeout(address, PROMPT).ok().and_then(|it| it.credentials().ok());
    match there {
        Some(there) if there.uid != geteuid().as_raw() => {
            let message =
                format!("user {} has taken the name {name:?}: choose another one", there.uid);
            CallError::new(Kind::OtherUser, message)
        }
        Some(there) if there.pid != 0 => {
            let message = format!(
                "process {} serves {name:?} already: end it, or choose another name",
                there.pid
            );
            CallError::new(Kind::Taken, message)
        }
        // It has ended meanwhile, or does not let in; or it is of another PID namespace.
        _ => CallError::new(
            Kind::Taken,
            format!("another program serves {name:?}: end it, or choose another name"),
        ),
    }
}
