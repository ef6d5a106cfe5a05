//! The kernel: what it has, and in which namespaces this process sees it.

use std::fs;

use nix::sys::utsname::uname;

use super::Report;

/// The first one that all of it works with.
const NEEDED: (u32, u32) = (5, 6);
/// The first one in which a thread sleeps for several words at once (`futex_waitv`).
const SEVERAL: (u32, u32) = (5, 16);

/// The number of the first PID namespace of every kernel (`PROC_PID_INIT_INO` of `linux/proc_ns.h`).
const FIRST: &str = "pid:[4026531836]";

pub(super) fn look(report: &mut Report) {
    release(report);
    if fs::read_link("/proc/self/exe").is_err() {
        report.finding(
            "/proc",
            "it is not mounted",
            "no anonymous segment can be joined, and no child started",
            "mount -t proc proc /proc",
        );
    }
    if let Ok(namespace) = fs::read_link("/proc/self/ns/pid") {
        let first = namespace.as_os_str() == FIRST;
        let found = if first { "the machine's" } else { "one of its own: a container" };
        report.fine("processes seen", found);
    }
    if let Ok(pages) = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled") {
        let chosen = pages.split(['[', ']']).nth(1).unwrap_or("?").to_owned();
        report.fine("huge pages", format!("{chosen} (advise or always for `Options::huge_pages`)"));
    }
}

fn release(report: &mut Report) {
    let Ok(name) = uname() else { return };
    let release = name.release().to_string_lossy().into_owned();
    match version(&release) {
        Some(version) if version < NEEDED => report.finding(
            "kernel",
            release,
            format!("{}.{} is the first that all of this works with", NEEDED.0, NEEDED.1),
            "upgrade the kernel",
        ),
        Some(version) if version < SEVERAL => {
            let without = "without futex_waitv: a thread for each thing that is waited for at once";
            report.fine("kernel", format!("{release}, {without}"));
        }
        _ => report.fine("kernel", release),
    }
}

/// Reads `6.18.5-something`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn releases_of_any_vendor_are_read() {
        assert_eq!(version("6.18.5"), Some((6, 18)));
        assert_eq!(version("5.15-generic+x"), Some((5, 15)));
        assert_eq!(version("4.4.0-1-amd64"), Some((4, 4)));
        assert_eq!(version("none"), None);
    }
}
