//! `shmkit rm`: removes segments by name, persistent ones above all, and objects in them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use shmkit::tracker::{DIRECTORY, Found, What, list, name_of};
use shmkit::{ObjectErrorKind, OpenOptions};

use crate::print::{complain, print};
use crate::status;
use crate::words::{chain, count, shown};

/// Remove segments by name: persistent ones, which nothing else removes. Or single objects of them.
///
/// Whoever lives in a segment keeps it when its name is gone, and nobody can join it any more: so one that is in use is
/// removed with --force only. An object that somebody uses is not removed either; with --force its name is, and its bytes
/// are free with its last user.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if all were removed, 1 if one could not be.\n\nExamples:\n  shmkit rm weather\n  shmkit rm --force weather/table"
)]
pub(crate) struct Args {
    /// What they are called: the files' names without `shmkit.`, in any bytes; or an object in one, by its name.
    #[arg(required = true, value_name = "NAME[/OBJECT]")]
    names: Vec<OsString>,
    /// Also what somebody lives in, or uses.
    #[arg(short, long)]
    force: bool,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let found = list(&args.directory)?;
    let mut status = status::SUCCESS;
    for name in &args.names {
        // No segment has a slash in its name.
        let object = name.to_str().and_then(|name| name.split_once('/'));
        let removed = match object {
            Some((segment, object)) => remove_object(segment, object, &args.directory, args.force),
            None => remove(name, &args.directory, args.force, &found),
        };
        match removed {
            Ok(()) => print(&format!("removed {}\n", shown(name)))?,
            Err(error) => {
                complain(&format!("{error:#}"));
                status = status::FAILURE;
            }
        }
    }
    Ok(status)
}

fn remove(name: &OsStr, directory: &Path, force: bool, found: &[Found]) -> Result<()> {
    let named = found.iter().find(|found| name_of(&found.path) == Some(name));
    let named = named.map(|found| &found.what);
    match named {
        Some(What::Segment(segment)) if segment.in_use && !force => bail!(
            "{} is in use by {}: end them, or remove it with --force; they keep it then, and nobody joins them",
            shown(name),
            count(segment.living(), "participant"),
        ),
        Some(What::Foreign(why)) if !force => {
            bail!("{}: {}; remove it with --force if it is yours", shown(name), chain(why))
        }
        // What cannot be removed says so by itself, and so does what is not there.
        _ => Ok(OpenOptions::new().directory(directory).unlink(name)?),
    }
}

fn remove_object(segment: &str, object: &str, directory: &Path, force: bool) -> Result<()> {
    let segment = OpenOptions::new().directory(directory).open(segment)?;
    match segment.remove_object(object) {
        Err(error) if force && error.kind() == ObjectErrorKind::InUse => {
            Ok(segment.unlink_object(object)?)
        }
        Err(error) if error.kind() == ObjectErrorKind::InUse => {
            Err(error).context("with --force only its name is removed")
        }
        removed => Ok(removed?),
    }
}
