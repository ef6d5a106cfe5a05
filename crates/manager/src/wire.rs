//! Both sides of a connection without one: what a fuzzer says to them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use shmkit_connection::Address;
use shmkit_parcel::Parcel;
use shmkit_process::__manager::apart;

use crate::blob::Blob;
use crate::context::{Context, within};
use crate::link::{Link, frame, take_answer, welcomed};
use crate::protocol::{Hello, MAGIC, VERSION};
use crate::served::Type;
use crate::server::{Session, Shared};
use crate::terms::Terms;
use crate::{Any, caller};

/// A manager that nobody can connect to, and one process that is connected with it.
pub struct Wire {
    shared: Arc<Shared>,
    session: Arc<Session>,
}

impl Wire {
    /// Makes both. Calls of this thread wait for a millisecond at most.
    ///
    /// # Panics
    ///
    /// There is no random number.
    pub fn new() -> Self {
        caller::set_longest_wait(Duration::from_millis(1));
        let address = Address::abstract_name("nobody");
        let terms = Terms { most: 1 << 16, ..Terms::default() };
        let shared = Shared::new(terms, address).expect("a random number");
        let hello = Hello { magic: MAGIC, version: VERSION, session: [1; 16], manager: None };
        let (_, session) = shared.welcome(frame(&hello).bytes().to_vec());
        Self { session: session.expect("it is let in"), shared }
    }

    /// The types that there are: the fingerprints of each, of what makes its objects, and of their methods.
    pub fn types() -> Vec<(u64, [Vec<u64>; 2])> {
        let prints = |found: &Type| (found.prints)();
        apart::<Type>().into_iter().map(|(entry, found)| (entry.print(), prints(found))).collect()
    }

    /// Says a first frame; returns whether it was let in.
    pub fn hello(&self, bytes: Vec<u8>) -> bool {
        self.shared.welcome(bytes).1.is_some()
    }

    /// Says a frame, and returns its answer.
    pub fn ask(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        self.shared.answer(&self.session, bytes).map(|answer| answer.into_parts().0)
    }

    /// Returns how many objects there are.
    pub fn objects(&self) -> usize {
        self.shared.objects.count()
    }

    /// Hears a manager's first frame, and another one, as a client does.
    pub fn hear(bytes: Vec<u8>) {
        let _ = welcomed(bytes.clone());
        // Nobody is there, who would be told of references that go.
        let Ok(link) = Link::of(Address::abstract_name("nobody"), None, 1) else { return };
        let mut answer = Parcel::from_parts(bytes, Vec::new());
        if take_answer(&mut answer, "any").is_ok() {
            let bytes = answer.bytes()[answer.bytes().len() - answer.len()..].to_vec();
            let take = |with: fn(&mut Parcel)| {
                let context = Context::Answered { link: Arc::clone(&link), objects: Vec::new() };
                let mut parcel = Parcel::from_parts(bytes.clone(), Vec::new());
                within(context, || with(&mut parcel));
            };
            take(|answer| drop(answer.take::<Any>()));
            take(|answer| drop(answer.take::<Vec<(Blob, Blob)>>()));
        }
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("objects", &self.objects()).finish_non_exhaustive()
    }
}
