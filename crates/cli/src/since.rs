//! For how long a process has run.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};
use shmkit::roster::Person;

/// Seconds since the process started; nothing where that is not known.
pub(crate) fn seconds(person: &Person) -> Option<u64> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: u64 = uptime.split('.').next()?.parse().ok()?;
    let ticks = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let start = person.start_time.checked_div(ticks)?;
    (person.start_time > 0).then(|| uptime.saturating_sub(start))
}

/// `3 min`, rounded down.
pub(crate) fn text(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn times_are_rounded_down() {
        let times = [0, 59, 60, 3599, 3600, 86_399, 86_400].map(text);
        assert_eq!(times, ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d"]);
    }
}
