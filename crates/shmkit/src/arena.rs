//! Objects without a segment: `Value::new(0)`.

use shmkit_segment::arena::{ArenaError, make};

use crate::{
    Array, ArraySpec, Atomic, AtomicArray, AtomicWord, Barrier, Condvar, Count, CountingSemaphore,
    DequeSpec, Event, Frames, Item, Lock, MapSpec, MessageQueue, MessageSpec, Mutex, Once,
    OnceCell, Parties, Pipe, Queue, QueueSpec, RLock, ReentrantMutex, RwLock, Semaphore, ShmDeque,
    ShmMap, ShmSafe, ShmSet, ShmString, ShmVec, Snapshot, Value,
};

/// Makes an object of what it begins with, in the [arena](crate::segment::arena) of this process: a value, an array, a lock with what
/// it guards.
///
/// It needs no segment and no name: its handle is handed to other processes, as an argument of a task.
///
/// ```
/// use shmkit::{Array, Event, Mutex, New, NewPlain, Queue, Value};
///
/// let total = Value::new(0_i64)?;
/// total.update(|n| *n += 1)?;
/// let bins = Array::<u64>::new(256)?; // zeros
/// let names = Array::new([1_u8, 2, 3])?;
/// let jobs = Queue::<u64>::new(64)?;
/// let (board, ready) = (Mutex::new([0.0; 12])?, Event::new()?);
/// # jobs.put(bins.get(7)?)?;
/// # drop((names, board, ready));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait New<From>: Sized {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// [`ArenaError`]: a length is impossible, or there is no memory or no descriptor.
    fn new(from: From) -> Result<Self, ArenaError>;
}

/// Makes an object that begins with nothing, in the [arena](crate::segment::arena) of this process; see [`New`].
pub trait NewPlain: Sized {
    /// Makes it.
    ///
    /// # Errors
    ///
    /// [`ArenaError`]: there is no memory or no descriptor.
    fn new() -> Result<Self, ArenaError>;
}

/// Of the value itself.
macro_rules! of_value {
    ($([$Bound:ident] $Handle:ident)*) => {$(
        impl<T: $Bound> New<T> for $Handle<T> {
            fn new(first: T) -> Result<Self, ArenaError> {
                make::<Self>(first.into())
            }
        }
    )*};
}

of_value! { [ShmSafe] Value [ShmSafe] Snapshot [ShmSafe] Mutex [ShmSafe] ReentrantMutex [ShmSafe] RwLock [AtomicWord] Atomic }

/// Of whatever its spec can be made of.
macro_rules! of_spec {
    ($([$($generics:tt)*] $Handle:ty, $Spec:ty;)*) => {$(
        impl<S: Into<$Spec>, $($generics)*> New<S> for $Handle {
            fn new(spec: S) -> Result<Self, ArenaError> {
                make::<Self>(spec.into().into())
            }
        }
    )*};
}

of_spec! {
    [T: ShmSafe] Array<T>, ArraySpec<T>;
    [T: AtomicWord] AtomicArray<T>, ArraySpec<T>;
    [T: ShmSafe] Queue<T>, QueueSpec;
    [] MessageQueue, MessageSpec;
    [T: ShmSafe] Pipe<T>, u64;
    [] Frames, u64;
    [] Barrier, Parties;
    [] CountingSemaphore, Count;
    [] Semaphore, u32;
    [Q: Item + ?Sized, V: Item + ?Sized] ShmMap<Q, V>, MapSpec;
    [Q: Item + ?Sized] ShmSet<Q>, MapSpec;
    [T: ShmSafe] ShmVec<T>, u64;
    [T: ShmSafe] ShmDeque<T>, DequeSpec;
    [] ShmString, u64;
}

macro_rules! plain {
    ($([$($generics:tt)*] $Handle:ty;)*) => {$(
        impl<$($generics)*> NewPlain for $Handle {
            fn new() -> Result<Self, ArenaError> {
                make::<Self>(().into())
            }
        }
    )*};
}

plain! {
    [] Event;
    [] Condvar;
    [] Lock;
    [] RLock;
    [] Once;
    [T: ShmSafe] OnceCell<T>;
}
