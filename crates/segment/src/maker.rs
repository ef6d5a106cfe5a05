//! Who makes the segment of a name, of several that want to: one is elected before anything is allocated, and the
//! others wait for its segment instead of each allocating one for nothing.
//!
//! Nothing depends on it but memory. That a name is given to one segment only is what `linkat` decides, so whoever
//! cannot be told apart, or has waited for long enough, goes ahead.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shmkit_atomic::Deadline;
use shmkit_roster::Turn;

use crate::name::Place;

/// How long the others wait for the maker at least: it may have been stopped.
const GRACE: Duration = Duration::from_millis(100);
/// Bytes that even a busy machine allocates in a second.
const SPEED: u64 = 64 << 20;

/// The first pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
/// The longest one.
const MAX_PAUSE: Duration = Duration::from_millis(4);

/// The election of one name's maker, as one that stands for it sees it.
#[derive(Debug)]
pub(crate) struct Election {
    /// Nothing if the folder cannot be opened: it may admit new files and hide what it has.
    folder: Option<File>,
    number: u64,
    /// When it goes ahead whoever was elected.
    enough: Deadline,
    pause: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Office<'e> {
    /// To make it is this caller's, until this is dropped.
    Elected { _turn: Turn<'e> },
    /// There are no elections here.
    Unelected,
    /// Somebody else was elected, and has had time enough.
    Impatient,
}

impl Election {
    /// Prepares to stand for maker of a segment of `size` bytes.
    pub(crate) fn new(place: &Place, size: u64) -> Self {
        Self {
            // Opened here for this alone: a description that somebody shares would not keep the sharers apart.
            folder: File::open(place.directory()).ok(),
            number: number(place.name()),
            enough: Deadline::after(time_to_make(size)),
            pause: FIRST_PAUSE,
        }
    }

    /// Stands once; `None` if somebody else is elected. Who is elected looks at the name again: the one before may have
    /// made it.
    pub(crate) fn stand(&self) -> Option<Office<'_>> {
        let Some(folder) = &self.folder else { return Some(Office::Unelected) };
        match Turn::take(folder.as_fd(), self.number) {
            Ok(Some(turn)) => Some(Office::Elected { _turn: turn }),
            Ok(None) if self.enough.has_passed() => Some(Office::Impatient),
            Ok(None) => None,
            Err(_) => Some(Office::Unelected),
        }
    }

    /// Returns whether it goes ahead by now, whoever was elected.
    pub(crate) fn is_over(&self) -> bool {
        self.folder.is_none() || self.enough.has_passed()
    }

    /// Lets the elected one do its work; a little longer each time, and never as long as another does.
    pub(crate) fn wait(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        thread::sleep(self.pause + self.pause.mul_f64(f64::from(now % 1024) / 1024.0));
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}

/// How long a segment of `size` bytes may take to make.
pub(crate) fn time_to_make(size: u64) -> Duration {
    GRACE + Duration::from_secs_f64(size as f64 / SPEED as f64)
}

/// The number that a name has in all programs: FNV-1a, folded.
fn number(name: &OsStr) -> u64 {
    let hash = name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn election(name: &str, size: u64) -> Election {
        let name = format!("test-{}-{name}", std::process::id());
        Election::new(&Place::new(Path::new("/dev/shm"), &name).unwrap(), size)
    }

    #[test]
    fn one_is_elected_until_it_is_done() {
        let [one, two] = [(); 2].map(|()| election("elected", 1 << 40));
        let office = one.stand();
        assert!(matches!(office, Some(Office::Elected { .. })));
        assert!(two.stand().is_none());
        assert!(matches!(election("other", 1).stand(), Some(Office::Elected { .. })));
        drop(office);
        assert!(matches!(two.stand(), Some(Office::Elected { .. })));
    }

    #[test]
    fn who_waits_goes_ahead_when_the_elected_one_has_had_its_time() {
        let [one, mut two] = [(); 2].map(|()| election("slow", 1));
        let _office = one.stand();
        while two.stand().is_none() {
            two.wait();
        }
        assert!(matches!(two.stand(), Some(Office::Impatient)));
        assert!(two.pause <= MAX_PAUSE);
    }

    #[test]
    fn where_the_folder_is_hidden_there_is_no_election() {
        let place = Place::new(Path::new("/dev/shm/shmkit-no-such-folder"), "it").unwrap();
        assert!(matches!(Election::new(&place, 1).stand(), Some(Office::Unelected)));
    }
}
