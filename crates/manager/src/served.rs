//! Types whose objects a manager has, and what of them can be called.

use std::cell::RefCell;
use std::ptr;
use std::sync::{PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_parcel::Parcel;
use shmkit_process::__manager::fingerprint;

use crate::protocol::Answer;

/// A type that a manager serves: `#[manager]` implements it.
pub trait Served: Send + Sync + Sized + 'static {
    /// Its name, with the path of its module.
    const NAME: &'static str;
    /// What makes objects.
    const MAKERS: &'static [Maker<Self>];
    /// What can be called.
    const METHODS: &'static [Method<Self>];
}

/// What a method is known by.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    pub(crate) type_name: &'static str,
    /// The fingerprint of type, name, signature and version.
    pub(crate) print: u64,
    /// The type's.
    pub(crate) kind: u64,
}

impl Known {
    /// Of a method of this type, name, signature and version.
    pub const fn new(
        type_name: &'static str,
        name: &'static str,
        signature: &str,
        version: u64,
    ) -> Self {
        let kind = fingerprint(type_name, "", 0);
        let print = fingerprint(name, signature, kind ^ version);
        Self { name, type_name, print, kind }
    }

    /// For errors.
    pub(crate) fn text(&self) -> String {
        let owner = self.type_name.rsplit("::").next().unwrap_or(self.type_name);
        format!("{owner}::{}", self.name)
    }
}

/// Why there is nothing to run, or nothing to answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// An argument is none.
    Undecodable(String),
    /// What was returned cannot travel.
    Unencodable(String),
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Undecodable(why) => Self::Undecodable(why),
            Refusal::Unencodable(why) => Self::Unencodable(why),
        }
    }
}

/// Arguments that have come.
#[derive(Debug)]
pub struct Args(pub(crate) Parcel);

impl Args {
    /// Takes the next one.
    ///
    /// # Errors
    ///
    /// It is none of this type.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Refusal> {
        let taken = self.0.take();
        taken.map_err(|error| Refusal::Undecodable(format!("argument `{name}`: {error}")))
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Returned(pub(crate) Parcel);

/// A parcel that most questions and answers fit into as it is.
pub(crate) fn roomy() -> Parcel {
    Parcel::from_parts(Vec::with_capacity(128), Vec::new())
}

/// Packs what a method has returned.
///
/// # Errors
///
/// It cannot travel.
pub fn returned<T: Serialize>(value: &T) -> Result<Returned, Refusal> {
    packed(&Answer::Returned, value)
}

/// Packs the error of what was to make an object.
///
/// # Errors
///
/// It cannot travel.
pub fn not_made<T: Serialize>(value: &T) -> Result<Returned, Refusal> {
    packed(&Answer::NotMade, value)
}

fn packed<T: Serialize>(answer: &Answer, value: &T) -> Result<Returned, Refusal> {
    let refuse = |error: &dyn std::fmt::Display| {
        Refusal::Unencodable(format!("what was returned was not packed: {error}"))
    };
    let mut parcel = roomy();
    parcel.add(answer).and_then(|()| parcel.add(value)).map_err(|error| refuse(&error))?;
    match parcel.has_files() {
        true => Err(refuse(&NO_FILES)),
        false => Ok(Returned(parcel)),
    }
}

/// Why what has a descriptor does not go into a call.
pub(crate) const NO_FILES: &str = "it is more than bytes, which do not go to a manager: handles to shared memory and descriptors go \
                                   as arguments of tasks";

/// How a call is run once it has its arguments and the object.
type Looks<T> = fn(&mut Args) -> Result<Box<dyn FnOnce(&T) -> Result<Returned, Refusal>>, Refusal>;
type Changes<T> =
    fn(&mut Args) -> Result<Box<dyn FnOnce(&mut T) -> Result<Returned, Refusal>>, Refusal>;

#[derive(Debug)]
enum Run<T> {
    Looks(Looks<T>),
    Changes(Changes<T>),
}

/// A method that can be called.
#[derive(Debug)]
pub struct Method<T> {
    known: Known,
    run: Run<T>,
}

impl<T> Method<T> {
    /// One that takes `&self`.
    pub const fn looks(known: Known, run: Looks<T>) -> Self {
        Self { known, run: Run::Looks(run) }
    }

    /// One that takes `&mut self`.
    pub const fn changes(known: Known, run: Changes<T>) -> Self {
        Self { known, run: Run::Changes(run) }
    }
}

/// An object, or the error with which it was not made.
type Made<T> = Result<T, Returned>;

/// What makes an object.
#[derive(Debug)]
pub struct Maker<T> {
    known: Known,
    make: fn(&mut Args) -> Result<Made<T>, Refusal>,
}

impl<T> Maker<T> {
    /// One of this name.
    pub const fn new(known: Known, make: fn(&mut Args) -> Result<Made<T>, Refusal>) -> Self {
        Self { known, make }
    }
}

type Make = fn(u64, &mut Args) -> Result<Made<Box<dyn Callable>>, Answer>;

/// A type, as the section of the program's names has it.
#[derive(Debug)]
pub struct Type {
    pub(crate) make: Make,
    /// The fingerprints of what makes objects, and of what can be called.
    pub(crate) prints: fn() -> [Vec<u64>; 2],
}

impl Type {
    /// That of `T`.
    pub const fn of<T: Served>() -> Self {
        Self { make: make::<T>, prints: prints::<T> }
    }
}

fn prints<T: Served>() -> [Vec<u64>; 2] {
    let makers = T::MAKERS.iter().map(|maker| maker.known.print);
    [makers.collect(), T::METHODS.iter().map(|method| method.known.print).collect()]
}

fn make<T: Served>(method: u64, args: &mut Args) -> Result<Made<Box<dyn Callable>>, Answer> {
    let Some(maker) = T::MAKERS.iter().find(|maker| maker.known.print == method) else {
        return Err(no_such(T::MAKERS.iter().map(|maker| maker.known.text())));
    };
    let made = (maker.make)(args)?;
    Ok(made.map(|object| Box::new(Locked(RwLock::new(object))) as Box<dyn Callable>))
}

fn no_such(names: impl Iterator<Item = String>) -> Answer {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    Answer::NoSuchMethod(match &*names {
        [] => "nothing that can be called".into(),
        names => names.join(", "),
    })
}

/// An object whatever its type is.
pub(crate) trait Callable: Send + Sync {
    /// Runs a method, and returns the whole answer.
    fn call(&self, method: u64, args: &mut Args) -> Result<Returned, Answer>;
}

/// `&self` together, `&mut self` alone.
struct Locked<T>(RwLock<T>);

impl<T: Served> Callable for Locked<T> {
    fn call(&self, method: u64, args: &mut Args) -> Result<Returned, Answer> {
        let Some(method) = T::METHODS.iter().find(|found| found.known.print == method) else {
            return Err(no_such(T::METHODS.iter().map(|method| method.known.text())));
        };
        let Some(_turn) = Turn::take(ptr::from_ref(self).addr()) else {
            return Err(Answer::Recursive);
        };
        // What a panic left is what there is: the one who called was told.
        Ok(match method.run {
            Run::Looks(run) => {
                let run = run(args)?;
                let object = self.0.read().unwrap_or_else(PoisonError::into_inner);
                run(&object)?
            }
            Run::Changes(run) => {
                let run = run(args)?;
                let mut object = self.0.write().unwrap_or_else(PoisonError::into_inner);
                run(&mut object)?
            }
        })
    }
}

thread_local! {
    /// The objects whose methods this thread is in, which would wait for themselves.
    static CALLED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// That this thread is in a method of an object.
struct Turn;

impl Turn {
    fn take(object: usize) -> Option<Self> {
        CALLED.with_borrow_mut(|called| {
            let is_free = !called.contains(&object);
            is_free.then(|| called.push(object)).map(|()| Self)
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        CALLED.with_borrow_mut(Vec::pop);
    }
}
