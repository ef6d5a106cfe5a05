//! The directory of the segments: its size, its use, and what lies in it.

use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use shmkit::tracker::{Fate, Sweep};

use super::Report;
use crate::words::{bytes, chain, count, shown};

/// What a container has if nobody says otherwise.
const CONTAINERS: u64 = 64 << 20;

pub(super) fn look(at: &Path, report: &mut Report) {
    kind(at, report);
    space(at, report);
    left(at, report);
}

fn kind(at: &Path, report: &mut Report) {
    let what = "file system";
    let place = shown(at);
    match statfs(at) {
        Ok(stat) if stat.filesystem_type() == TMPFS_MAGIC => {
            report.fine(what, format!("{place} is in memory (tmpfs)"));
        }
        Ok(_) => report.finding(
            what,
            format!("{place} is no tmpfs"),
            "every page is written to a disk in time, and on some file systems no lock outlives its descriptor",
            format!("mount -t tmpfs -o mode=1777,nosuid,nodev shm {place}"),
        ),
        Err(errno) => report.finding(
            what,
            format!("{place} cannot be looked at: {}", errno.desc()),
            "no named segment can be made",
            format!("mkdir -p {place} && mount -t tmpfs -o mode=1777,nosuid,nodev shm {place}"),
        ),
    }
}

fn space(at: &Path, report: &mut Report) {
    // What cannot be looked at is said above.
    let Ok(stat) = statvfs(at) else { return };
    let unit = stat.fragment_size();
    let (all, free) = (stat.blocks() * unit, stat.blocks_available() * unit);
    let place = shown(at);
    let found = format!("{} of {} are free", bytes(free), bytes(all));
    let larger = format!("mount -o remount,size={} {place}", (2 * all).max(1 << 30));
    // A file system without a limit says 0.
    if all > 0 && free < all / 10 {
        let why = "what does not fit is an error of the call that wanted more";
        report.finding("space", found, why, larger);
    } else if all > 0 && all <= CONTAINERS {
        let why = "that is what a container has by default, and a few segments fill";
        report.finding("space", found, why, format!("{larger}; of a container: --shm-size=1g"));
    } else {
        report.fine("space", found);
    }
    let (all, free) = (stat.files(), stat.files_available());
    if all > 0 {
        let found = format!("{free} of {all} are free");
        if free < all / 10 {
            let more = format!("mount -o remount,nr_inodes={} {place}", 2 * all);
            report.finding("files", found, "each segment is one", more);
        } else {
            report.fine("files", found);
        }
    }
}

fn left(at: &Path, report: &mut Report) {
    let Ok(swept) = Sweep::new().directory(at).dry_run(true).run() else { return };
    let place = if at == Path::new(shmkit::tracker::DIRECTORY) {
        String::new()
    } else {
        format!(" --directory {}", shown(at))
    };
    let (n, size) = (swept.dead().count(), swept.dead().map(|file| file.size).sum());
    if n > 0 {
        let found = format!("{} that nobody lives in, {}", count(n, "segment"), bytes(size));
        let why = "everybody in it was killed, and nobody has come since";
        report.finding("left behind", found, why, format!("shmkit gc --yes{place}"));
    } else {
        report.fine("left behind", "nothing");
    }
    for file in &swept.files {
        if let Fate::Unreadable(_) | Fate::Failed(_) = file.fate {
            let why = file.fate.to_string();
            report.finding("unreadable", shown(&file.path), why, "run as its owner, or as root");
        }
        if let Fate::Foreign(why @ shmkit::tracker::Foreign::Header(_)) = &file.fate {
            let rm = format!("shmkit rm --force{place} {}", shown(&file.name));
            report.finding("not usable", shown(&file.path), chain(why), rm);
        }
    }
}
