//! A watcher in the foreground: the process that runs it is one.

use std::path::PathBuf;

use nix::errno::Errno;
use shmkit_segment::DIRECTORY;

use crate::error::{Failure, TrackerError};
use crate::events::Events;
use crate::release::Cleaner;
use crate::shared::{Entered, enter, open_folder};
use crate::watcher::{Watched, Watcher};

/// A watcher in this process, as `shmkit watch` is one: for a service that is started with the system, or a container's
/// first process. Programs have one [started](crate::Tracker::start).
///
/// ```no_run
/// use shmkit_tracker::{Watch, Watched};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ended = Watch::new().run(|watched| match watched {
///     Watched::Segment { name } => eprintln!("removed {}", name.escape_ascii()),
///     other => eprintln!("{other:?}"),
/// })?;
/// # let _ = ended;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is watched until `run`"]
pub struct Watch {
    directory: PathBuf,
    cleaners: &'static [Cleaner],
}

impl Watch {
    /// Watches over [`DIRECTORY`].
    pub fn new() -> Self {
        Self { directory: DIRECTORY.into(), cleaners: &[] }
    }

    /// The folder of the segments.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// What cleans up what was registered as a [kind of its own](crate::Kind::Custom).
    pub fn cleaners(mut self, cleaners: &'static [Cleaner]) -> Self {
        self.cleaners = cleaners;
        self
    }

    /// Watches to the end of the process; `told` hears of everything that is cleaned up. Returns at once if this user's
    /// segments are watched over already.
    ///
    /// # Errors
    ///
    /// The register cannot be used, or the user has no inotify instance left.
    ///
    /// # If a peer dies
    ///
    /// That is what it waits for. If this process dies, whatever was asked for a watcher starts another.
    pub fn run(&self, mut told: impl FnMut(Watched<'_>)) -> Result<(), TrackerError> {
        while self
            .round(&mut told)
            .map_err(|failure| failure.during(format!("watch over {}", self.directory.display())))?
        {
        }
        Ok(())
    }

    /// Watches until the register is removed by force; `false` if somebody else watches.
    fn round(&self, told: &mut dyn FnMut(Watched<'_>)) -> Result<bool, Failure> {
        let fails = |doing| move |errno: Errno| Failure::os(errno, doing);
        let directory = std::path::absolute(&self.directory)
            .map_err(|error| Failure::os(error, "looking for the working folder"))?;
        let Entered { shared, register, .. } = enter(&directory)?;
        if !register.try_watch().map_err(fails("asking for the watcher"))? {
            return Ok(false);
        }
        let events = Events::of(shared.path(), register.file());
        let events = events.map_err(fails("having the kernel tell of deaths"))?;
        let folder = open_folder(shared.directory())?;
        let watcher = Watcher { folder, register, events, cleaners: self.cleaners };
        watcher.run(shared.register_name(), told).map_err(fails("waiting for deaths"))?;
        Ok(true)
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}
