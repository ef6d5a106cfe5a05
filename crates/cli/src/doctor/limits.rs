//! What this user may have at most.

use nix::sys::resource::{Resource, getrlimit};

use super::Report;
use crate::words::bytes;

/// Fewer open files are too few for a program with some segments and some children.
const FILES: u64 = 1024;

pub(super) fn look(report: &mut Report) {
    let soft = |which| getrlimit(which).map(|(soft, _)| soft).unwrap_or(u64::MAX);
    let files = soft(Resource::RLIMIT_NOFILE);
    if files < FILES {
        report.finding(
            "open files",
            format!("{files} at most"),
            "a segment takes two or three, a child two more",
            "ulimit -n 4096",
        );
    } else {
        report.fine("open files", at_most(files, |n| n.to_string()));
    }
    let space = soft(Resource::RLIMIT_AS);
    if space == u64::MAX {
        report.fine("address space", "as much as there is");
    } else {
        report.finding(
            "address space",
            format!("{} at most", bytes(space)),
            "a segment that may grow is mapped to its limit at once, without taking memory",
            "ulimit -v unlimited",
        );
    }
    let size = soft(Resource::RLIMIT_FSIZE);
    if size != u64::MAX {
        report.finding(
            "size of a file",
            format!("{} at most", bytes(size)),
            "a segment is a file; beyond it, its maker is killed by SIGXFSZ",
            "ulimit -f unlimited",
        );
    }
    // Asked for by `Options::locked` alone, which says when it is too little.
    report.fine("locked memory", at_most(soft(Resource::RLIMIT_MEMLOCK), bytes));
    report.fine("processes", at_most(soft(Resource::RLIMIT_NPROC), |n| n.to_string()));
}

fn at_most(limit: u64, say: impl Fn(u64) -> String) -> String {
    if limit == u64::MAX { "no limit".to_owned() } else { format!("{} at most", say(limit)) }
}
