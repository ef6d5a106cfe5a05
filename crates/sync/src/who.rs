//! Who holds something, in words for people.

use core::fmt;

use shmkit_roster::{Judge, OwnerId, Verdict, ask};

/// A holder as its `Debug` shows it: `3: 4711 (worker), started at 8123456, alive`.
///
/// What the roster says of the person was true when it joined; whether it lives is asked now, which is a system call.
pub(crate) struct Who<'j, J: ?Sized>(pub &'j J, pub OwnerId);

impl<J: Judge + ?Sized> fmt::Debug for Who<'_, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(judge, owner) = self;
        write!(f, "{owner}: ")?;
        if let Some(person) = judge.person(*owner) {
            write!(f, "{person}, started at {}, ", person.start_time)?;
        }
        let verdict = judge.me().map_or(Verdict::Unknown, |me| ask(*judge, me, *owner));
        f.write_str(match verdict {
            Verdict::Alive if judge.me() == Some(*owner) => "this process",
            Verdict::Alive => "alive",
            Verdict::Dead => "dead",
            Verdict::Unknown => "nobody can tell whether alive",
            Verdict::Nobody => "no participant can have this id",
        })
    }
}
