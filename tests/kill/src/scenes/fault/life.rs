//! Segments made and removed in the ways that everybody tries first.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use shmkit_roster::removal;

use crate::scenes::life::{Before, Fate, Life};
use crate::{Actor, Fault, shm};

/// Asks whether anybody lives in it, and unlinks it: somebody may come in between.
pub(crate) const PROBE_THEN_UNLINK: Life = Life {
    name: "probe-then-unlink",
    about: "an orphan is removed without keeping joiners out",
    before: Before::Orphan,
    op: probe_then_unlink,
    fate: Fate::Pause,
    floor: 4,
};

fn probe_then_unlink(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    let path = shm::file(name);
    actor.mark();
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    if !removal::in_use(file.as_fd())? {
        let _ = fs::remove_file(&path);
    }
    actor.mark();
    Ok(())
}

/// Makes the name first and fills the file afterwards.
pub(crate) const NAME_FIRST: Life = Life {
    name: "name-first",
    about: "a file is made by name, sized and filled",
    before: Before::Nothing,
    op: name_first,
    fate: Fate::Kill,
    floor: 6,
};

fn name_first(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    let path = shm::file(name);
    actor.mark();
    let mut file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    file.set_len(4096)?;
    file.write_all(b"ready")?;
    fs::remove_file(&path)?;
    actor.mark();
    Ok(())
}

/// Fills a file of another name, and gives it the right one when it is whole.
pub(crate) const TEMPORARY_NAME: Life = Life {
    name: "temporary-name",
    about: "a file is filled under another name, then renamed",
    before: Before::Nothing,
    op: temporary_name,
    fate: Fate::Kill,
    floor: 8,
};

fn temporary_name(actor: &Actor<'_>, name: &str) -> Result<(), Fault> {
    let (path, temporary) = (shm::file(name), shm::file(&format!("{name}.new")));
    actor.mark();
    fs::write(&temporary, b"whole")?;
    fs::rename(&temporary, &path)?;
    fs::remove_file(&path)?;
    actor.mark();
    Ok(())
}
