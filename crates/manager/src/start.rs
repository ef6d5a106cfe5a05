//! The process of a manager.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shmkit_connection::{Address, Connection, ConnectionError, Key, ValueError};
use shmkit_parcel::{Descriptor, Parcel};
use shmkit_process::__pool::{Call, answered};
use shmkit_process::{Failure, Process, Status, TaskError, task};
use shmkit_sync::Patience;

use crate::builder::{Builder, First};
use crate::link::Link;
use crate::proxy::Place;
use crate::{Manager, Server, StartError};

/// How long a manager may take to end when it is told to; then it is killed.
const FAREWELL: Duration = Duration::from_secs(5);

/// What its process is told.
#[derive(Serialize, Deserialize)]
pub(crate) struct Setup {
    place: Place,
    key: Option<Vec<u8>>,
    crowd: u32,
    most: u64,
    first: Option<First>,
}

/// What it says once.
#[derive(Serialize, Deserialize)]
enum Said {
    Listens(Place),
    Failed(String),
}

impl Setup {
    pub(crate) fn of(builder: &Builder) -> io::Result<Self> {
        let address = match &builder.address {
            Some(address) => address.clone(),
            None => {
                let mut drawn = [0; 8];
                getrandom::fill(&mut drawn).map_err(io::Error::from)?;
                Address::abstract_name(format!("shmkit-manager-{:016x}", u64::from_ne_bytes(drawn)))
            }
        };
        let key = match (&builder.key, &address) {
            (Some(key), _) => Some(key.clone()),
            (None, Address::Tcp(_)) => Some(Key::random()?),
            _ => None,
        };
        let place = Place::of(&address).ok_or(io::ErrorKind::Unsupported)?;
        let key = key.map(|key| key.bytes().to_vec());
        Ok(Self { place, key, crowd: builder.crowd, most: builder.most as u64, first: None })
    }

    pub(crate) fn address(&self) -> Address {
        match &self.place {
            Place::Unix(path) => Place::Unix(path.clone()).into(),
            Place::Abstract(name) => Place::Abstract(name.clone()).into(),
            Place::Tcp(address) => Place::Tcp(*address).into(),
        }
    }

    pub(crate) fn key(&self) -> Option<Key> {
        self.key.clone().map(Key::new)
    }
}

/// The process itself.
#[task(crate = shmkit_process)]
fn manager(
    setup: Setup,
    files: Vec<Descriptor<OwnedFd>>,
    control: Descriptor<UnixStream>,
) -> Result<(), Failure> {
    let control = control.into_inner();
    let mut say = Connection::from(control.try_clone()?);
    match prepared(&setup, files) {
        Ok(server) => {
            let place =
                Place::of(server.address()).ok_or(io::Error::from(io::ErrorKind::Unsupported))?;
            say.send_value(&Said::Listens(place))?;
            Ok(server.serve_until(control)?)
        }
        Err(failure) => Ok(say.send_value(&Said::Failed(failure.to_string()))?),
    }
}

fn prepared(setup: &Setup, files: Vec<Descriptor<OwnedFd>>) -> Result<Server, Failure> {
    if let Some(First { task, name, args }) = &setup.first {
        let files = files.into_iter().map(Descriptor::into_inner).collect();
        let mut answer = Parcel::new();
        match Call::find(*task) {
            Ok(call) => {
                call.run(&mut Parcel::from_parts(args.clone(), files), &mut answer);
            }
            Err(why) => answer = *why,
        }
        answered("initializer", name, &mut answer)?;
        answer.take::<Result<(), Failure>>()??;
    }
    let mut builder = Builder::new().key(setup.key()).connections(setup.crowd);
    builder.most = usize::try_from(setup.most).unwrap_or(usize::MAX);
    Ok(Server::new(&builder, setup.address())?)
}

/// What a started manager's starter has of it.
#[derive(Debug)]
pub(crate) struct Own {
    process: Process<Result<(), Failure>>,
    /// Whose end ends the manager.
    control: Option<Connection>,
}

impl Own {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends the manager in good order, and returns how its process ended.
    pub(crate) fn end(&mut self) -> Status {
        drop(self.control.take());
        if let Err(TaskError::TimedOut) = self.process.join_timeout(FAREWELL) {
            let _ = self.process.kill();
            let _ = self.process.join_timeout(FAREWELL);
        }
        self.process.status().unwrap_or(Status::Unknown)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if self.control.is_some() {
            self.end();
        }
    }
}

/// Starts a process, and connects to it.
pub(crate) fn start(builder: Builder) -> Result<Manager, StartError> {
    let mut setup = Setup::of(&builder).map_err(StartError::System)?;
    let key = setup.key();
    let (mut files, mut kept) = (Vec::new(), None);
    if let Some(initializer) = builder.initializer {
        let mut args = initializer.args.map_err(|error| StartError::Failed(error.to_string()))?;
        kept = Some(args.take_kept());
        let (bytes, sent) = args.into_parts();
        files.extend(sent.into_iter().map(Descriptor::from));
        let (task, name) = (initializer.task, initializer.name.to_owned());
        setup.first = Some(First { task, name, args: bytes });
    }
    let (ours, theirs) = UnixStream::pair().map_err(StartError::System)?;
    let name = builder.name.unwrap_or_else(|| "Manager".into());
    // It ends with this program, and nobody waits for it at the end of `main`.
    let started = Process::named(name).daemon(true).spawn(manager, (setup, files, theirs.into()));
    let mut process = started.map_err(StartError::Spawn)?;
    let mut control = Connection::from(ours);
    let said = control.recv_value::<Said>();
    drop(kept);
    let address = match said {
        Ok(Said::Listens(place)) => Address::from(place),
        Ok(Said::Failed(why)) => return Err(StartError::Failed(why)),
        Err(ValueError::Transport(ConnectionError::System(error))) => {
            return Err(StartError::System(error));
        }
        // It has ended, or does not speak as it should.
        Err(error) => {
            return Err(match process.join_timeout(FAREWELL) {
                Err(ended) => StartError::Ended(ended),
                Ok(_) => StartError::Failed(error.to_string()),
            });
        }
    };
    let own = Own { process, control: Some(control) };
    let link = Link::connect(address, key, Patience::from(FAREWELL));
    Ok(Manager::of(link.map_err(StartError::Unreachable)?, Some(own)))
}
