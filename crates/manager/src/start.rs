//! The process of a manager.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};
use shmkit_connection::{Address, Connection, ConnectionError, Key, ValueError};
use shmkit_parcel::{Descriptor, Parcel};
use shmkit_process::__pool::{Call, answered};
use shmkit_process::{ArgumentError, Failure, Process, task};
use shmkit_sync::Patience;

use crate::link::Link;
use crate::manager::Manager;
use crate::own::{FAREWELL, Own};
use crate::terms::Terms;
use crate::travel::Place;
use crate::{Server, StartError};

/// What the manager's process is to run first: a task, and its arguments.
pub(crate) struct Initializer {
    pub(crate) task: u64,
    pub(crate) name: &'static str,
    pub(crate) args: Result<Parcel, ArgumentError>,
}

/// The same on its way.
#[derive(Serialize, Deserialize)]
struct First {
    task: u64,
    name: String,
    args: Vec<u8>,
}

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
    /// With a name of its own in the abstract namespace where there is no address, and a key of its own where there must be one.
    pub(crate) fn of(address: Option<Address>, terms: Terms) -> io::Result<Self> {
        let address = match address {
            Some(address) => address,
            None => {
                let mut drawn = [0; 8];
                getrandom::fill(&mut drawn).map_err(io::Error::from)?;
                Address::abstract_name(format!("shmkit-manager-{:016x}", u64::from_ne_bytes(drawn)))
            }
        };
        let key = match (terms.key, &address) {
            (None, Address::Tcp(_)) => Some(Key::random()?),
            (key, _) => key,
        };
        let place = Place::of(&address).ok_or(io::ErrorKind::Unsupported)?;
        let key = key.map(|key| key.bytes().to_vec());
        Ok(Self { place, key, crowd: terms.crowd, most: terms.most as u64, first: None })
    }

    pub(crate) fn address(&self) -> Address {
        match &self.place {
            Place::Unix(path) => Place::Unix(path.clone()).into(),
            Place::Abstract(name) => Place::Abstract(name.clone()).into(),
            Place::Tcp(address) => Place::Tcp(*address).into(),
        }
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms {
            key: self.key.clone().map(Key::new),
            crowd: self.crowd,
            most: usize::try_from(self.most).unwrap_or(usize::MAX),
        }
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
    Ok(Server::new(setup.terms(), setup.address())?)
}

/// Starts a process, and connects to it.
pub(crate) fn start(
    mut setup: Setup,
    name: Option<String>,
    initializer: Option<Initializer>,
) -> Result<Manager, StartError> {
    let key = setup.terms().key;
    let (mut files, mut kept) = (Vec::new(), None);
    if let Some(initializer) = initializer {
        let mut args = initializer.args.map_err(|error| StartError::Failed(error.to_string()))?;
        kept = Some(args.take_kept());
        let (bytes, sent) = args.into_parts();
        files.extend(sent.into_iter().map(Descriptor::from));
        let (task, name) = (initializer.task, initializer.name.to_owned());
        setup.first = Some(First { task, name, args: bytes });
    }
    let (ours, theirs) = UnixStream::pair().map_err(StartError::System)?;
    let name = name.unwrap_or_else(|| "Manager".into());
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
