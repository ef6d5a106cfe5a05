//! Whether it works: a segment is made, locked, judged and removed.

use std::path::Path;
use std::process;

use shmkit::tracker::{What, list};
use shmkit::{Objects, Options, Segment};

use super::Report;

/// More than a roster of a few and two objects take.
const BYTES: u64 = 1 << 16;

pub(super) fn look(at: &Path, report: &mut Report) {
    match try_named(at) {
        Ok(()) => report.fine("named segments", "made, locked, judged and removed"),
        Err(error) => report.finding(
            "named segments",
            format!("{error:#}"),
            "programs that share by name get this error, too",
            "see the error; `--directory` tries another place",
        ),
    }
    match try_anonymous() {
        Ok(()) => report.fine("anonymous segments", "made, locked and judged"),
        Err(error) => report.finding(
            "anonymous segments",
            format!("{error:#}"),
            "children cannot be handed shared memory",
            "mount -t proc proc /proc",
        ),
    }
}

fn try_named(at: &Path) -> anyhow::Result<()> {
    let name = format!("doctor-{}", process::id());
    let segment = Options::new(BYTES).directory(at).create(&name)?;
    try_lock(&segment)?;
    // Somebody else, to whom the kernel says who lives.
    let found = list(at)?.into_iter().find(|found| found.name == name);
    let living = match found.map(|found| found.what) {
        Some(What::Segment(summary)) => summary.living(),
        _ => 0,
    };
    anyhow::ensure!(living == 1, "1 participant lives, and {living} were found: its locks fail");
    Ok(())
}

fn try_anonymous() -> anyhow::Result<()> {
    try_lock(&Options::new(BYTES).anonymous()?)
}

fn try_lock(segment: &Segment) -> anyhow::Result<()> {
    segment.value("number", 0_u64)?.update(|n| *n += 1)?;
    Ok(())
}
