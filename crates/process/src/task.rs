//! Functions that another process can run, known by their names.
//!
//! Each `#[task]` puts the address of its entry into a section of the program, whose two ends the linker names. No
//! constructor runs, so that there is no order to get wrong; and the entry is there though nobody names the task. What else
//! a program has that another process knows by a name, as the types of a manager, stands in the same section, and is no task.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_parcel::{Parcel, ParcelError};

use crate::message::Returned;

/// What entries of this layout begin with. Another version of this crate in the same program has another one, in the same
/// section.
const FORMAT: u64 = u64::from_ne_bytes(*b"shmtask\x03");

/// A function that another process can run; [`#[task]`](macro@crate::task) makes it of a function.
///
/// Its arguments are packed and unpacked one by one, so that an error can say which.
pub trait Task: Copy + Send + Sync + 'static {
    /// Its arguments, as a tuple.
    type Args;
    /// What it answers.
    type Output: Serialize + DeserializeOwned;

    /// Its name, with the path of its module.
    const NAME: &'static str;
    /// Its signature, as it stands in the source.
    const SIGNATURE: &'static str;
    /// What it is known by to another process: the [fingerprint] of name, signature and version.
    const PRINT: u64;
    /// Whether it says of itself that to run it twice does no harm: a bridge gives it to another host when the one that had it has
    /// died. A pool of one machine does not ask; there, the pool says whether a task is run again.
    const IDEMPOTENT: bool = false;

    /// Puts the arguments into a parcel.
    ///
    /// # Errors
    ///
    /// Which argument was not packed, and why.
    fn pack(args: &Self::Args, parcel: &mut Parcel) -> Result<(), ArgumentError>;

    /// Takes the arguments out of a parcel.
    ///
    /// # Errors
    ///
    /// Which argument was not unpacked, and why.
    fn unpack(parcel: &mut Parcel) -> Result<Self::Args, ArgumentError>;

    /// Calls the function.
    fn call(args: Self::Args) -> Self::Output;
}

/// An argument that was not packed or unpacked.
#[derive(Debug)]
pub struct ArgumentError {
    /// The argument, as its function names it.
    pub argument: &'static str,
    /// Why.
    pub error: ParcelError,
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "argument `{}`: {}", self.argument, self.error)
    }
}

impl std::error::Error for ArgumentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// As an error of input and output, with the argument's name.
impl From<ArgumentError> for io::Error {
    fn from(error: ArgumentError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// What the section of the tasks has the addresses of.
#[repr(C)]
pub struct Entry {
    format: u64,
    print: u64,
    name: &'static str,
    signature: &'static str,
    place: &'static str,
    run: Run,
}

/// What is done with an entry.
enum Run {
    Task(fn(&mut Parcel, &mut Parcel, &mut dyn FnMut()) -> Ran),
    /// It is no task: who knows the type knows what it is.
    Apart(&'static (dyn Any + Send + Sync)),
}

impl Entry {
    /// Makes the entry of a task that stands at `place` of its source.
    pub const fn of<T: Task>(place: &'static str) -> Self {
        let (print, name, signature) = (T::PRINT, T::NAME, T::SIGNATURE);
        Self { format: FORMAT, print, name, signature, place, run: Run::Task(run::<T>) }
    }

    /// Makes the entry of something that is no task, and that nobody can have run.
    pub const fn apart(
        name: &'static str,
        place: &'static str,
        what: &'static (dyn Any + Send + Sync),
    ) -> Self {
        let (print, signature) = (fingerprint(name, "", 0), "");
        Self { format: FORMAT, print, name, signature, place, run: Run::Apart(what) }
    }

    /// Returns the task's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the task's signature.
    pub fn signature(&self) -> &'static str {
        self.signature
    }

    /// Returns what the task is known by.
    pub fn print(&self) -> u64 {
        self.print
    }

    /// Takes the arguments out of a parcel, says that it has, runs the function, and puts what it returns behind what is in
    /// `answer`.
    #[inline]
    pub(crate) fn run(
        &self,
        args: &mut Parcel,
        answer: &mut Parcel,
        arrived: &mut dyn FnMut(),
    ) -> Ran {
        match self.run {
            Run::Task(run) => run(args, answer, arrived),
            // None of those that are found as tasks.
            Run::Apart(_) => Ran::Undecodable(format!("`{}` is no task", self.name)),
        }
    }

    /// Returns where it stands in the source.
    pub fn place(&self) -> &'static str {
        self.place
    }
}

/// Returns what stands in the section, is no task, and is a `T`; with the entries, in the order of their names.
pub fn apart<T: Any>() -> Vec<(&'static Entry, &'static T)> {
    let found =
        section().filter(|entry| entry.format == FORMAT).filter_map(|entry| match entry.run {
            Run::Apart(what) => what.downcast_ref().map(|what| (entry, what)),
            Run::Task(_) => None,
        });
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|(entry, _)| (entry.name, entry.place));
    // As with tasks.
    found.dedup_by(|(one, _), (other, _)| ptr::eq(*one, *other));
    found
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("place", &self.place).finish()
    }
}

/// What became of a task in its process.
pub(crate) enum Ran {
    /// The whole answer is packed.
    Returned,
    Panicked,
    /// The arguments were not unpacked.
    Undecodable(String),
    /// The answer was not packed.
    Unencodable(String),
}

fn run<T: Task>(args: &mut Parcel, answer: &mut Parcel, arrived: &mut dyn FnMut()) -> Ran {
    let args = match T::unpack(args) {
        Ok(args) => args,
        Err(error) => return Ran::Undecodable(error.to_string()),
    };
    arrived();
    ran(answer, || T::call(args))
}

/// Runs what answers, and packs that.
pub(crate) fn ran<T: Serialize>(answer: &mut Parcel, run: impl FnOnce() -> T) -> Ran {
    // The process does nothing after this but answer: nobody sees what is half-changed.
    let Ok(output) = catch_unwind(AssertUnwindSafe(run)) else {
        return Ran::Panicked;
    };
    match answer.add(&Returned::Returned(output)) {
        Ok(()) => Ran::Returned,
        Err(error) => Ran::Unencodable(error.to_string()),
    }
}

/// Returns the fingerprint of a task: FNV-1a of 64 bits, of its name, its signature and its version.
pub const fn fingerprint(name: &str, signature: &str, version: u64) -> u64 {
    const fn more(mut hash: u64, bytes: &[u8]) -> u64 {
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x100_0000_01b3);
            i += 1;
        }
        // So that a name's end and a signature's begin do not change places.
        (hash ^ 0xff).wrapping_mul(0x100_0000_01b3)
    }
    let hash = more(0xcbf2_9ce4_8422_2325, name.as_bytes());
    more(more(hash, signature.as_bytes()), &version.to_le_bytes())
}

/// An element of the section that names no task, so that it has a begin and an end in a program without any.
#[used]
#[unsafe(link_section = "shmkit_tasks")]
static NONE: Option<&Entry> = None;

unsafe extern "C" {
    #[link_name = "__start_shmkit_tasks"]
    static START: [usize; 0];
    #[link_name = "__stop_shmkit_tasks"]
    static STOP: [usize; 0];
}

/// All tasks of this program, by their fingerprints.
pub(crate) struct Tasks(Vec<&'static Entry>);

impl Tasks {
    /// Returns those of this program: sorted once.
    pub(crate) fn all() -> &'static Self {
        static ALL: OnceLock<Tasks> = OnceLock::new();
        ALL.get_or_init(|| Self::sorted(section()))
    }

    fn sorted(entries: impl Iterator<Item = &'static Entry>) -> Self {
        let is_task = |entry: &&Entry| entry.format == FORMAT && matches!(entry.run, Run::Task(_));
        let mut all: Vec<_> = entries.filter(is_task).collect();
        all.sort_by_key(|entry| (entry.print, entry.place));
        // One that two units of code have put there.
        all.dedup_by(|one, other| ptr::eq(*one, *other));
        Self(all)
    }

    /// Returns the task of a fingerprint.
    ///
    /// # Errors
    ///
    /// There is none, or there are two.
    pub(crate) fn find(&self, print: u64, name: &str) -> Result<&'static Entry, NotFound> {
        let first = self.0.partition_point(|entry| entry.print < print);
        let mut found = self.0[first..].iter().take_while(|entry| entry.print == print);
        match (found.next(), found.next()) {
            (Some(entry), None) => Ok(entry),
            (Some(one), Some(other)) => Err(NotFound::Twice([one.place, other.place])),
            (None, _) => match self.0.iter().find(|entry| entry.name == name) {
                Some(entry) => Err(NotFound::Differs(entry.signature)),
                None => Err(NotFound::Unknown(self.names())),
            },
        }
    }

    /// The names of all, in order.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names
    }
}

/// Why a task is not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    Unknown(Vec<&'static str>),
    /// The task of this name has this signature, or another version.
    Differs(&'static str),
    /// Two functions have one name and signature, at these places.
    Twice([&'static str; 2]),
}

/// What stands in the section.
fn section() -> impl Iterator<Item = &'static Entry> {
    // Named, so that whoever links this function links an element.
    std::hint::black_box(&raw const NONE);
    if cfg!(miri) {
        // It does not know the symbols.
        return [].iter().copied().flatten();
    }
    let (start, stop) = (&raw const START, &raw const STOP);
    let len = (stop.addr() - start.addr()) / size_of::<Option<&Entry>>();
    // SAFETY: between the two symbols the linker has put what programs put into this section: addresses of entries, and ours
    // of none. They lie there without gaps, being of one size and alignment, and are never written to.
    let all = unsafe { std::slice::from_raw_parts(start.cast::<Option<&'static Entry>>(), len) };
    all.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn entry(print: u64, place: &'static str) -> Entry {
        let run = Run::Task(|_: &mut Parcel, _: &mut Parcel, _: &mut dyn FnMut()| Ran::Panicked);
        Entry { format: FORMAT, print, name: "some::task", signature: "fn()", place, run }
    }

    #[test]
    fn a_task_is_found_by_its_fingerprint_and_nothing_else() {
        static ONE: Entry = entry(1, "a.rs:1");
        static TWO: Entry = entry(2, "a.rs:2");
        static TWIN: Entry = entry(2, "b.rs:7");
        static FOREIGN: Entry = Entry { format: 5, ..entry(3, "c.rs:1") };
        let tasks = Tasks::sorted([&TWIN, &ONE, &TWO, &FOREIGN, &ONE].into_iter());
        assert_eq!(tasks.find(1, "").unwrap().place, "a.rs:1");
        assert_eq!(tasks.find(2, "").unwrap_err(), NotFound::Twice(["a.rs:2", "b.rs:7"]));
        assert_eq!(tasks.find(3, "some::task").unwrap_err(), NotFound::Differs("fn()"));
        assert!(
            matches!(tasks.find(3, "x").unwrap_err(), NotFound::Unknown(all) if all.len() == 3)
        );
    }

    #[test]
    fn a_fingerprint_tells_names_signatures_and_versions_apart() {
        let one = fingerprint("a::b", "fn(u8)", 0);
        for (name, signature, version) in [
            ("a::b", "fn(u8)", 1),
            ("a::bf", "n(u8)", 0),
            ("a::c", "fn(u8)", 0),
            ("a::b", "fn(u16)", 0),
        ] {
            assert_ne!(fingerprint(name, signature, version), one);
        }
    }
}
