//! `shmkit rm`: removes segments by name, persistent ones above all.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use shmkit::OpenOptions;
use shmkit::tracker::{DIRECTORY, Found, What, list, name_of};

use crate::print::{complain, print};
use crate::words::{chain, count, shown};

/// Remove segments by name: persistent ones, which nothing else removes.
///
/// Whoever lives in a segment keeps it when its name is gone, and nobody can join it any more: so one that is in use is
/// removed with --force only.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if all were removed, 1 if one could not be, 2 if the directory cannot be read."
)]
pub(crate) struct Args {
    /// What they are called: the files' names without `shmkit.`, in any bytes.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<OsString>,
    /// Also what somebody lives in.
    #[arg(short, long)]
    force: bool,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let found = list(&args.directory)?;
    let mut status = ExitCode::SUCCESS;
    for name in &args.names {
        match remove(name, &args.directory, args.force, &found) {
            Ok(()) => print(&format!("removed {}\n", shown(name)))?,
            Err(error) => {
                complain(&format!("{error:#}"));
                status = ExitCode::FAILURE;
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
