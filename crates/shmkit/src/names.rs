//! What programs use by its name alone, of all crates.

pub use shmkit_cell::{
    Array, ArrayError, ArrayGuard, ArrayPart, ArrayRangeGuard, ArraySpec, Atomic, AtomicArray,
    AtomicInteger, AtomicNumber, AtomicWord, Data, GivenLock, MapMember, Member, OutOfRange,
    OwnedArrayGuard, OwnedValueGuard, SetError, SetTransaction, SetView, Snapshot, SnapshotError,
    SnapshotWriter, Strided, StridedMut, Synchronized, Transaction, TransactionError,
    Transactional, TransactionalSet, TransactionalSetSpec, TransactionalSpec, TypeCode,
    UnknownTypeCode, Value, ValueGuard,
};
#[cfg(feature = "serde")]
pub use shmkit_collections::Postcard;
pub use shmkit_collections::{DequeGuard, DequeSpec, Item, MapEntry, MapError, MapSpec, SeqError};
pub use shmkit_collections::{IntTooWide, ListError, ListItem, ShareableList};
pub use shmkit_collections::{ShmBytes, ShmDeque, ShmMap, ShmSet, ShmString, ShmVec};
pub use shmkit_collections::{StringGuard, VecGuard};
pub use shmkit_heap::{Account, Block, BlockId, Heap, HeapError, HeapSpec, Swap};
#[doc(hidden)]
pub use shmkit_layout::__derive;
pub use shmkit_layout::{
    Checked, InvalidValue, Object, Pad, Region, Shape, ShapeError, ShmChecked, ShmSafe, TypeTag,
};
#[cfg(feature = "rkyv")]
pub use shmkit_pipe::ArchiveError;
pub use shmkit_pipe::{
    BatchError, ClaimError, Pipe, PipeError, Receiver, SendError, Sender, Waiting,
};
pub use shmkit_pipe::{Draft, Frame, FrameReceiver, FrameSender, Frames};
pub use shmkit_queue::{
    Broadcast, BroadcastError, BroadcastSpec, Overrun, Peeked, Publisher, Start, Subscriber,
    Unpublished,
};
pub use shmkit_queue::{ByPriority, LifoQueue, NewestFirst, OrderedQueue, PriorityQueue};
pub use shmkit_queue::{Delivery, Lease, PutError, Queue, QueueError, QueueSpec};
pub use shmkit_queue::{MessageLease, MessageQueue, MessageSpec};
pub use shmkit_roster::{Expected, Judge, OwnerId, Participant, PeerId, Seat};
pub use shmkit_segment::{
    Entry, ErrorKind, Leave, LocateError, Located, Locator, ObjectError, ObjectErrorKind, Observer,
    OpenOptions, Options, RawOptions, RawSegment, Scope, SealedMemory, Segment, SegmentError,
    ShareSegment, Sharing, join_all_after_fork, join_all_at_fork,
};
pub use shmkit_sync::{
    Acquired, Condvar, Lock, LockGuard, NotOwner, NotifyError, RLock, RLockGuard, ReentrantMutex,
    ReentrantMutexGuard, UnlockError, WaitError, Waitable, Wakeup,
};
pub use shmkit_sync::{
    ActionError, Barrier, BarrierError, Count, CountingError, CountingSemaphore, Event, EventError,
    InitError, Once, OnceCell, OnceError, OnceState, Parties, Party,
};
pub use shmkit_sync::{
    Guard, LockError, LockFailure, MappedMutexGuard, Mutex, MutexGuard, OwnedMutexGuard,
    OwnedPermit, OwnedReentrantMutexGuard, Patience, Permit, ReleaseError, Seated, Semaphore,
    SemaphoreError, Slices,
};
pub use shmkit_sync::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard,
    RwLock, RwLockReadGuard, RwLockWriteGuard,
};
#[cfg(feature = "serde")]
pub use shmkit_value::ValueError;
