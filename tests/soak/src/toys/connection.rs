//! Connections through sockets: what comes back is what was sent, or the other end is gone.

use std::io::ErrorKind;
use std::process;
use std::time::Duration;

use shmkit::connection::{
    Address, Client, Connection, ConnectionError, HandshakeError, Key, Listener,
};

use super::{SHORT, Toy, failed, message};
use crate::witness::Me;

/// Longer than the socket holds.
const LONGEST: usize = 1 << 20;

/// Where all of this run meet: nothing is left there by a killed listener.
fn address(number: u32) -> Address {
    Address::abstract_name(format!("shmkit-soak-{number}"))
}

fn key() -> Key {
    Key::new(b"soak")
}

/// What may become of a connection whose other end may be killed at any time.
fn may_be<T>(what: &str, result: Result<T, ConnectionError>) -> Result<Option<T>, String> {
    match result {
        Ok(got) => Ok(Some(got)),
        Err(
            ConnectionError::TimedOut
            | ConnectionError::Closed
            | ConnectionError::Reset
            | ConnectionError::CutShort { .. }
            // Its time was over in the middle: the connection is given up.
            | ConnectionError::Unfinished { .. },
        ) => Ok(None),
        Err(error) => Err(failed(what, error)),
    }
}

pub(crate) struct Serving(u32);

impl Serving {
    /// Of the process that starts all others.
    pub(crate) fn new() -> Self {
        Self(process::id())
    }
}

impl Toy for Serving {
    fn name(&self) -> &'static str {
        "connection/serve"
    }

    fn play(&self, me: Me<'_>, n: usize, _: &mut fastrand::Rng) -> Result<(), String> {
        let mut listener = match Listener::options().key(key()).bind(address(self.0)) {
            Ok(listener) => listener,
            Err(error) if error.kind() == ErrorKind::AddrInUse => return Ok(()),
            Err(error) => return Err(failed("bind", error)),
        };
        me.enter(n, None)?;
        while let Some(mut connection) = may_be("accept", listener.accept_timeout(SHORT))? {
            while let Some(got) = may_be("recv", connection.recv_bytes_timeout(SHORT))? {
                message::check(&got)?;
                if may_be("send", connection.send_bytes_timeout(&got, SHORT))?.is_none() {
                    break;
                }
            }
        }
        me.leave(n)
    }

    fn patience(&self) -> Duration {
        SHORT * 2
    }
}

pub(crate) struct Calling(u32);

impl Calling {
    /// As [`Serving::new`].
    pub(crate) fn new() -> Self {
        Self(process::id())
    }

    fn connect(&self) -> Result<Option<Connection>, String> {
        match Client::new().key(key()).connect_timeout(address(self.0), SHORT) {
            Ok(connection) => Ok(Some(connection)),
            Err(HandshakeError::Connection(ConnectionError::System(error)))
                if error.kind() == ErrorKind::ConnectionRefused =>
            {
                Ok(None)
            }
            Err(HandshakeError::Connection(error)) => may_be("connect", Err(error)),
            Err(error) => Err(failed("connect", error)),
        }
    }
}

impl Toy for Calling {
    fn name(&self) -> &'static str {
        "connection/call"
    }

    fn play(&self, me: Me<'_>, _: usize, random: &mut fastrand::Rng) -> Result<(), String> {
        let Some(mut connection) = self.connect()? else { return Ok(()) };
        for number in 0..random.u64(..20) {
            let longest = if random.u8(..) < 16 { LONGEST } else { 500 };
            let sent = message::make(me.number(), number, random.usize(..longest));
            if may_be("send", connection.send_bytes_timeout(&sent, SHORT))?.is_none() {
                break;
            }
            match may_be("recv", connection.recv_bytes_timeout(SHORT))? {
                Some(back) if back == sent => {}
                Some(_) => return Err("another message came back".into()),
                None => break,
            }
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        SHORT * 3
    }
}
