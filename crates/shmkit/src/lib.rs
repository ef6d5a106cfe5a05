//! Shared memory between processes, with locks, values, arrays, pipes and queues in it that survive `kill -9`.
//!
//! It is the shared-memory half of Python's `multiprocessing`, for Rust on Linux:
//!
//! > **Any participant may be killed with SIGKILL at any instruction. No survivor hangs, no survivor reads a half-written
//! > value as whole, two processes never own one lock, and nothing stays behind in `/dev/shm`** (if everybody is killed
//! > at once: until the next visitor).
//!
//! This page is a tour of ten minutes. What it does *not* do stands [at its end](#guarantees).
//!
//! # A first segment
//!
//! A [`Segment`] is a piece of memory that processes share. It has a directory of *objects*, each with a name, a kind and
//! a type. [`Objects`] has a method for each kind, which finds the object of this name, or makes it:
//!
//! ```
//! use shmkit::{Objects, Options, Segment};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = &format!("doc-weather-{}", std::process::id());
//! # let shown = "weather";
//! let segment = Options::new(1 << 20).create(name)?; // `/dev/shm/shmkit.weather`, with a mebibyte for objects
//! let hits = segment.value("hits", 0_i64)?;
//! hits.update(|n| *n += 1)?;
//!
//! // In any other process of this user:
//! let segment = Segment::open(name)?;
//! let hits = segment.value("hits", 0_i64)?; // It is there: the first value given here does not count.
//! assert_eq!(hits.get()?, 1);
//!
//! let error = segment.value("hits", 0_u8).unwrap_err();
//! assert!(error.to_string().contains("i64"), "a wrong type is refused, with both sides named: {error}");
//! # Ok(())
//! # }
//! ```
//!
//! Each handle (`segment`, `hits`) has a share in the segment. When the last of them is dropped, the process *leaves*; the
//! last process to leave removes the file, unless the segment was made [`persistent`](Options::persistent). A segment
//! without a name ([`Options::anonymous`]) is handed to children, or [sent](Segment::send) through a Unix socket, and
//! cannot leak at all. An [`Observer`] only looks, and takes no part. For programs that know nothing of shmkit, Python's among
//! them, a [`RawSegment`] is bytes and a name.
//!
//! So handles stand in a struct, in a `static`, in threads and tasks, and outlive the [`Segment`] that they were found
//! through. Guards borrow their handle; where that is in the way, `lock_owned` and its like give one that does not:
//!
//! ```
//! use shmkit::{Mutex, Objects, Options, Sender, Value};
//!
//! /// What this program has in shared memory.
//! struct Station {
//!     hits: Value<i64>,
//!     table: Mutex<[f64; 12]>,
//!     readings: Sender<f64>,
//! }
//!
//! impl Station {
//!     fn note(&mut self, month: usize, celsius: f64) -> Result<(), Box<dyn std::error::Error>> {
//!         self.hits.update(|n| *n += 1)?;
//!         let mut table = self.table.lock_or_repair(|table| table.fill(0.0))?;
//!         table[month] = celsius;
//!         Ok(self.readings.send(celsius)?)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let segment = Options::new(1 << 20).anonymous()?;
//! let mut station = Station {
//!     hits: segment.value("hits", 0)?,
//!     table: segment.mutex("table", [0.0; 12])?,
//!     readings: segment.pipe("readings", 1024)?.sender()?,
//! };
//! drop(segment); // the station keeps it
//! std::thread::spawn(move || station.note(6, 21.5).unwrap()).join().unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! # Sharing with a child process
//!
//! [`ShareSegment::share_segment`] hands a segment to a program that you start, under a key; [`Segment::inherited`] takes
//! it there. It works for segments with and without a name:
//!
//! ```no_run
//! use std::process::Command;
//! use shmkit::{Objects, Options, Segment, ShareSegment};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! if std::env::args().nth(1).as_deref() == Some("child") {
//!     let segment = Segment::inherited("work")?;
//!     segment.value("hits", 0_i64)?.update(|n| *n += 1)?;
//!     return Ok(());
//! }
//! let segment = Options::new(4096).anonymous()?;
//! let hits = segment.value("hits", 41_i64)?;
//! Command::new(std::env::current_exe()?).arg("child").share_segment("work", &segment)?.status()?;
//! assert_eq!(hits.get()?, 42);
//! # Ok(())
//! # }
//! ```
//!
//! A *forked* child inherits the mapping but not the place of its parent: every operation answers
//! [`NotJoined`](LockFailure::NotJoined) until it calls [`Segment::join_after_fork`]. Guards and ends that it inherited
//! are inert: dropping them releases nothing of its parent's.
//!
//! # Values
//!
//! A [`Value`] has its own lock. [`get`](Value::get) and [`set`](Value::set) are whole; `get` followed by `set` is two
//! steps, [`update`](Value::update) is one. A writer that is killed half-way leaves the old value. For counters and
//! flags there is [`Atomic`], which has no lock at all and is exact:
//!
//! ```
//! # use shmkit::{Objects, Options};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let hits = segment.atomic("hits", 0_u64)?;
//! assert_eq!(hits.fetch_add(1), 0);
//!
//! let level = segment.value("level", 7_i32)?;
//! assert!(level.set_from(1_u64 << 40).is_err(), "a conversion is refused, never wrapped");
//! # Ok(())
//! # }
//! ```
//!
//! Your own types go in when they are plain bytes: `repr(C)`, no padding, no pointers. What not every bit pattern is a value
//! of, as `bool` and enums, is [`Checked`] when it is read, a field or a whole. The segment keeps the definition: a program
//! that was built from another one is refused, and told which field differs:
//!
//! ```
//! use shmkit::{Checked, Objects, Options, Pad, ShmSafe};
//!
//! #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
//! #[repr(C)]
//! struct Reading {
//!     celsius: f64,
//!     station: u32,
//!     quality: Checked<Quality>,
//!     _pad: Pad<3>,
//! }
//!
//! #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
//! #[repr(u8)]
//! enum Quality {
//!     Poor,
//!     Good,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let quality = Quality::Good.into();
//! let last = segment.value("last", Reading { celsius: 21.5, station: 4, quality, _pad: Pad::ZERO })?;
//! last.update(|reading| reading.celsius += 0.5)?;
//! assert_eq!(last.get()?.celsius, 22.0);
//! assert_eq!(last.get()?.quality.get()?, Quality::Good);
//! # Ok(())
//! # }
//! ```
//!
//! # Arrays
//!
//! An [`Array`] is many values under one lock. One element is written whole or not at all. A bulk write that is cut
//! short by a death is told to whoever comes next:
//!
//! ```
//! # use shmkit::{Objects, Options};
//! use shmkit::{ArrayError, LockError};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let bins = segment.array::<u64>("bins", 256)?; // zeros; `segment.array("bins", [1, 2, 3])` copies values in
//! bins.update(65, |n| *n += 1)?;
//! bins.write_range(..3, &[7, 8, 9])?;
//! assert_eq!(bins.read_range(..3)?, [7, 8, 9]);
//! assert!(bins.get(256).is_err(), "out of range is an error value");
//!
//! match bins.lock() {
//!     Ok(mut bins) => bins.reverse(), // a slice, in place
//!     Err(LockError::OwnerDied(mut bins)) => {
//!         bins.fill(0); // as your program sees fit
//!         bins.make_consistent();
//!     }
//!     Err(error) => return Err(ArrayError::from(error).into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Things that belong together are changed in a transaction, of a [`Transactional`] or a [`TransactionalSet`], all or none:
//!
//! ```
//! # use shmkit::{Objects, Options, TransactionalSetSpec};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let shop = segment.transactional_set("shop", TransactionalSetSpec::new(1 << 14, 1024))?;
//! shop.transaction(|shop| {
//!     let (sum, orders) = (shop.member::<u64>("sum", 0)?, shop.map::<u64, u32>("orders", 100)?);
//!     *shop.change(&sum, |sum| sum)? += 7; // killed from here on: whoever comes next finds neither
//!     shop.insert(&orders, &1001, &2)
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! # Big values
//!
//! A value of 8 MiB must not come to lie on a stack, which is no bigger. Whatever takes a first value can be made where it
//! lies, of zeros or by a closure; guards and `update` show it there:
//!
//! ```
//! # use shmkit::{Objects, Options};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! type Frame = [u8; 8 << 20];
//! # let segment = Options::new(65 << 20).anonymous()?;
//! let frame = segment.mutex_zeroed::<Frame>("frame 0")?;
//! frame.lock()?.fill(7);
//!
//! let mean = segment.value_with::<Frame>("mean", |mean| mean.fill(128))?;
//! mean.update(|mean| mean[0] = 0)?; // killed half-way: the old frame, whole
//! assert_eq!(mean.lock()?[..2], [0, 128]); // `get` would copy it
//!
//! let largest = segment.once_cell::<Frame>("largest")?;
//! assert_eq!(largest.get_or_init_with(|largest| largest.fill(255))?[1], 255);
//! # Ok(())
//! # }
//! ```
//!
//! The example `frames` hands such frames to worker processes and back, by their numbers.
//!
//! # Locks
//!
//! A [`Mutex`] guards data in place, like `std`'s. If its owner dies, the next one gets the lock *and is told*:
//! [`LockError::OwnerDied`] carries the guard, and whoever has repaired the data says so. A panic is another thing than a
//! death, and is reported as [`LockError::Poisoned`]. A [`Semaphore`]'s permits come back when their holder dies.
//!
//! ```
//! # use std::time::Duration;
//! # use shmkit::{LockError, Objects, Options};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let account = segment.mutex("account", [100_i64, 0])?; // two balances; their sum is 100
//! let mut balances = match account.lock_timeout(Duration::from_secs(5)) {
//!     Err(LockError::OwnerDied(mut balances)) => {
//!         balances[1] = 100 - balances[0];
//!         balances.make_consistent();
//!         balances
//!     }
//!     other => other?, // a time-out, or data that another heir has given up
//! };
//! balances[0] -= 30;
//! balances[1] += 30; // killed between these two lines: `OwnerDied`
//! drop(balances);
//!
//! let printers = segment.semaphore("printers", 2)?;
//! let permit = printers.acquire()?;
//! assert_eq!(printers.available(), 1);
//! drop(permit);
//! # Ok(())
//! # }
//! ```
//!
//! An [`RwLock`] lets many processes look at the data together, or one change them; a writer can go on as a reader:
//!
//! ```
//! # use shmkit::{Objects, Options};
//! use shmkit::RwLockWriteGuard;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let rates = segment.rwlock("rates", [1.0_f64; 4])?;
//! let mut writing = rates.write()?;
//! writing[2] = 1.25; // killed here: readers and writers are told, until a writer has repaired it
//! let reading = RwLockWriteGuard::downgrade(writing);
//! assert_eq!(rates.read()?[2], reading[2]); // killed while reading: nobody minds
//! # Ok(())
//! # }
//! ```
//!
//! # Waiting for each other
//!
//! An [`Event`] is a flag to wait for, of which no pulse is missed; a [`Barrier`] lets nobody pass before all have come, and
//! a dead party breaks it instead of holding all the others up; the value of a [`OnceCell`] is made by whoever comes first:
//!
//! ```
//! # use std::time::Duration;
//! # use shmkit::{Objects, Options};
//! use shmkit::BarrierError;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let seed = *segment.once_cell::<u64>("seed")?.get_or_init(|| 4711)?; // in all processes: one value
//!
//! let ready = segment.event("ready")?;
//! ready.set()?; // in one process, in a signal handler if need be
//! ready.wait()?; // in all others
//!
//! let lap = segment.barrier("lap", 2)?;
//! match lap.wait_timeout(Duration::from_millis(5)) {
//!     Ok(number) => println!("{number} came before this one"),
//!     Err(BarrierError::PartyDied(who)) => println!("{who} was killed"), // until somebody calls `lap.reset()`
//!     Err(error) => println!("{error}"),
//! }
//! # assert!(lap.is_broken() && seed == 4711);
//! # Ok(())
//! # }
//! ```
//!
//! To take a lock, or to wait for something, exists in four forms: `lock`, `try_lock`, `lock_timeout` and `lock_deadline`, and
//! so on. The last form takes an `Instant`, or a [`Patience`] that Ctrl-C ends as well, or the death of
//! who was to end the wait.
//!
//! # Pipes
//!
//! A [`Pipe`] leads from one sender to one receiver, without a lock and, unless somebody sleeps, without a system call:
//!
//! ```
//! # use shmkit::{Objects, Options, PipeError};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let readings = segment.pipe::<u64>("readings", 1024)?;
//! let mut sender = readings.sender()?; // in one process
//! let mut receiver = readings.receiver()?; // in another
//! sender.send(1)?;
//! sender.send_all(&[2, 3])?;
//! drop(sender);
//! assert_eq!((receiver.recv()?, receiver.recv()?, receiver.recv()?), (1, 2, 3));
//! assert_eq!(receiver.recv(), Err(PipeError::Closed)); // end of file; `PeerDied` if the sender was killed
//! # Ok(())
//! # }
//! ```
//!
//! [`Frames`] are a pipe of messages, each as long as it is: written and read in place, gathered from several parts, and, if one is
//! longer than half of the pipe, streamed.
//!
//! ```
//! # use shmkit::{Objects, Options};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let segment = Options::new(1 << 20).anonymous()?;
//! let orders = segment.frames("orders", 1 << 16)?;
//! let (mut sender, mut receiver) = (orders.sender()?, orders.receiver()?);
//! sender.send(b"burger")?;
//! let mut draft = sender.reserve(100)?; // in place
//! draft.bytes()[..4].copy_from_slice(b"cola");
//! draft.commit(4)?; // killed before this: nothing was sent
//!
//! assert_eq!(receiver.recv()?, b"burger");
//! let order = receiver.peek()?; // in place
//! assert_eq!(order.bytes(), b"cola");
//! order.release()?; // killed before this: a successor gets it again
//! # Ok(())
//! # }
//! ```
//!
#![doc = include_str!("queues.md")]
//!
#![doc = include_str!("if_a_peer_dies.md")]
//!
//! # Guarantees
//!
//! * **T0, cooperating peers**: they run this code, and may be killed at any instruction. The promise above holds.
//! * **T1, buggy peers**: every number that shmkit reads from shared memory is checked before it is used. A peer that
//!   writes where it must not can make a value wrong; it cannot make an index wild.
//! * **T2, hostile peers**: outside what Rust can promise today. Whoever may write to a segment may do anything to its
//!   contents. Share with them only what is sealed against writing: [`SealedMemory`].
//!
//! Not promised: fairness; other systems than Linux 5.6 or later, 64 bits; processes that are
//! checkpointed and restored; `io_uring` or `O_DIRECT` into shared buffers. A foreign `rm` in `/dev/shm` separates those
//! who are in from those who come later: [`Segment::is_linked`] tells.
//!
#![doc = include_str!("from_python.md")]
//!
//! # Where to go from here
//!
//! Each crate below is of use alone, in a mapping of your own: [`sync`], [`cell`], [`pipe`], [`queue`] (primitives), [`roster`] (who is
//! alive), [`layout`] (what may lie in shared memory), [`segment`], [`tracker`]. The `examples` folder of this crate has a
//! program per idea: `nine`, `negate`, `lines`, `producers`, `talk`, `counter`, `prices`, `weather`, `bank`, `shop`, `pipe`, `orders`, `tokio_stream`, `jobs`, `burgers`, `broadcast`, `pool`, `takeaway`, `halves`, `cache`, `words`, `frames`, `phases`,
//! `kitchen`, `migration`, `printer`, `prefork`, `left_behind`, `echo`, `ledger`, `derive`, `numpy_array`.
//!
//! What lies in shared memory ends with its machine. Pools, queues, broadcasts and maps are used from others by `shmkit-bridge`, a package
//! of its own in the folder `bridge`, and no feature of this one: it stands on zenoh, two hundred crates.
//!
//! # Features
//!
//! * `call`: [`call`], tasks of a pool that scripts call by name, with arguments and answers of JSON.
//! * `derive`: `#[derive(ShmSafe)]`; by default.
//! * `connection`: [`connection`], messages over Unix sockets and TCP, which Python understands; and [`duplex`], two programs that
//!   find each other by name and talk through shared memory.
//! * `manager`: [`manager`](mod@manager), objects in a process of their own that others call, on other machines, too.
//! * `pool`: [`Pool`], many tasks on a few processes; by default.
//! * `process`: tasks in processes of their own; by default.
//! * `serde`: handles are values that travel to other processes in parcels; [`Located`] ones are serialised as where they are, and
//!   open themselves on the other side. And values of any type go through [`Frames`].
//! * `ndarray`: a locked [`Array`] as `ndarray`'s views, in place.
//! * `tracing`: events of segments, sweeps, processes and pools, to whoever subscribes to them: what is made, opened and removed,
//!   workers that come, leave and die, tasks that are answered. Nothing is printed.
//! * `rkyv`: a [`Frame`] that is an archive of `rkyv`, checked and read in place.
//! * `tokio`: ends of pipes and queues in a tokio runtime: `tokio::Async`.
//! * `shared_memory`: that of [`shmkit-segment`](https://docs.rs/shmkit-segment), for programs that move over from the crate of
//!   this name.

#![forbid(unsafe_code)]

mod arena;
mod names;
mod objects;
#[cfg(feature = "process")]
mod tasks;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

pub use bytemuck;

#[cfg(feature = "call")]
#[doc(inline)]
pub use shmkit_call as call;
#[doc(inline)]
pub use shmkit_cell as cell;
#[doc(inline)]
pub use shmkit_collections as collections;
#[cfg(feature = "connection")]
#[doc(inline)]
pub use shmkit_connection as connection;
#[cfg(feature = "connection")]
#[doc(inline)]
pub use shmkit_duplex as duplex;
#[doc(inline)]
pub use shmkit_heap as heap;
#[doc(inline)]
pub use shmkit_layout as layout;
#[doc(inline)]
pub use shmkit_pipe as pipe;
#[doc(inline)]
pub use shmkit_queue as queue;
#[doc(inline)]
pub use shmkit_roster as roster;
#[doc(inline)]
pub use shmkit_segment as segment;
#[doc(inline)]
pub use shmkit_sync as sync;
#[doc(inline)]
pub use shmkit_tracker as tracker;

pub use crate::arena::{New, NewPlain};
pub use crate::names::*;
pub use crate::objects::Objects;
#[cfg(feature = "process")]
pub use crate::tasks::*;

#[cfg(feature = "manager")]
#[doc(inline)]
pub use shmkit_manager as manager;
#[cfg(feature = "manager")]
#[doc(hidden)]
pub use shmkit_manager::__manager;
#[cfg(feature = "manager")]
pub use shmkit_manager::{CallError, Manager, manager};

#[cfg(feature = "pool")]
#[doc(inline)]
pub use shmkit_pool as pool;
#[cfg(feature = "pool")]
pub use shmkit_pool::{AfterDeath, PartsError, Pending, Pool, PoolError, PoolErrorKind, Retry};

/// The ends of pipes, and queues, in a tokio runtime.
#[cfg(feature = "tokio")]
#[doc(inline)]
pub use shmkit_tokio as tokio;
/// Waiting for many things at once: [`wait`](wait::wait) for one of several, and descriptors for what has none.
#[doc(no_inline)]
pub use shmkit_wait as wait;
