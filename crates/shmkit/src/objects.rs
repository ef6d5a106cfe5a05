//! The objects of a segment, a method for each kind.

mod segment;

use shmkit_segment::ObjectError;

use crate::{
    Array, ArraySpec, Atomic, AtomicArray, AtomicWord, Barrier, Broadcast, BroadcastSpec, Condvar,
    Count, CountingSemaphore, Data, DequeSpec, Event, Frames, Heap, Item, LifoQueue, Lock, MapSpec,
    MessageQueue, MessageSpec, Mutex, Once, OnceCell, Pipe, PriorityQueue, Queue, QueueSpec, RLock,
    ReentrantMutex, RwLock, Semaphore, ShmDeque, ShmMap, ShmSafe, ShmSet, ShmString, ShmVec,
    Snapshot, Transactional, TransactionalSet, TransactionalSetSpec, Value,
};

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Segment {}
}

/// Finds the named objects of a [`Segment`](crate::Segment), or makes them.
///
/// An object is found by name, and must be of the kind, type and length asked for; what is given as its first value
/// counts only if it is made. Finding takes no lock. Each handle has a share in the
/// segment, as a clone of it has.
///
/// An object is there until somebody [removes](crate::Segment::remove_object) it, which is refused as long as anybody alive has a
/// handle, or [unlinks](crate::Segment::unlink_object) it, which frees it with its last handle.
///
/// # Errors
///
/// All methods: [`ObjectError`] if there is another object of this name, if a length is impossible, if the directory or
/// the memory is full, if this is a forked child that has not [joined](crate::Segment::join_after_fork), or if the segment is
/// corrupt.
///
/// # If a peer dies
///
/// while it makes an object: the object is whole or absent, and then these methods make it.
pub trait Objects: sealed::Sealed {
    /// A [`Value`]: one `T` under a lock of its own.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn value<T: ShmSafe>(&self, name: &str, first: T) -> Result<Value<T>, ObjectError>;

    /// A [`Value`] that is made where it lies: `fill` gets zeros, and nothing comes to lie on the stack, however big a `T` is. It
    /// makes no other object, for the directory is locked meanwhile.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn value_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<Value<T>, ObjectError>;

    /// A [`Value`] of zeros, however big a `T` is.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn value_zeroed<T: ShmSafe>(&self, name: &str) -> Result<Value<T>, ObjectError> {
        self.value_with(name, |_| {})
    }

    /// An [`Array`]: many `T`s under one lock. A length makes zeros, a `Vec`, slice or array is copied.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn array<T: ShmSafe>(
        &self,
        name: &str,
        spec: impl Into<ArraySpec<T>>,
    ) -> Result<Array<T>, ObjectError>;

    /// An [`Array`] of so many elements that is made where it lies: `fill` gets zeros. It makes no other object, for the
    /// directory is locked meanwhile.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn array_with<T: ShmSafe>(
        &self,
        name: &str,
        len: usize,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<Array<T>, ObjectError>;

    /// An [`Atomic`]: one number without a lock.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn atomic<T: AtomicWord>(&self, name: &str, first: T) -> Result<Atomic<T>, ObjectError>;

    /// An [`AtomicArray`]: many numbers without a lock. A length makes zeros, a `Vec`, slice or array is copied.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn atomic_array<T: AtomicWord>(
        &self,
        name: &str,
        spec: impl Into<ArraySpec<T>>,
    ) -> Result<AtomicArray<T>, ObjectError>;

    /// A [`Snapshot`]: one `T` that one writer changes, and that any number read without a lock.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn snapshot<T: ShmSafe>(&self, name: &str, first: T) -> Result<Snapshot<T>, ObjectError>;

    /// A [`Snapshot`] that is made where it lies: `fill` gets zeros, and nothing comes to lie on the stack, however big a `T` is.
    /// It makes no other object, for the directory is locked meanwhile.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn snapshot_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<Snapshot<T>, ObjectError>;

    /// A [`Transactional`]: a `T` or a `[T]` that is changed in transactions, whose log has `log` bytes: what a part takes that is
    /// changed, and 16 bytes more.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn transactional<D: Data + ?Sized>(
        &self,
        name: &str,
        first: impl Into<D::First>,
        log: u64,
    ) -> Result<Transactional<D>, ObjectError>;

    /// A [`TransactionalSet`]: values, arrays and maps that are changed together in transactions, in so many bytes, with a log of so
    /// many.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn transactional_set(
        &self,
        name: &str,
        spec: TransactionalSetSpec,
    ) -> Result<TransactionalSet, ObjectError>;

    /// A [`Mutex`] with the data that it guards.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn mutex<T: ShmSafe>(&self, name: &str, first: T) -> Result<Mutex<T>, ObjectError>;

    /// A [`Mutex`] that is made where it lies: `fill` gets zeros, and nothing comes to lie on the stack, however big a `T` is. It
    /// makes no other object, for the directory is locked meanwhile.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn mutex_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<Mutex<T>, ObjectError>;

    /// A [`Mutex`] of zeros, however big a `T` is.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn mutex_zeroed<T: ShmSafe>(&self, name: &str) -> Result<Mutex<T>, ObjectError> {
        self.mutex_with(name, |_| {})
    }

    /// A [`ReentrantMutex`] with the data that it guards.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn reentrant_mutex<T: ShmSafe>(
        &self,
        name: &str,
        first: T,
    ) -> Result<ReentrantMutex<T>, ObjectError>;

    /// A [`ReentrantMutex`] that is made where it lies: `fill` gets zeros, and nothing comes to lie on the stack, however big a `T` is. It
    /// makes no other object, for the directory is locked meanwhile.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn reentrant_mutex_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<ReentrantMutex<T>, ObjectError>;

    /// A [`ReentrantMutex`] of zeros, however big a `T` is.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn reentrant_mutex_zeroed<T: ShmSafe>(
        &self,
        name: &str,
    ) -> Result<ReentrantMutex<T>, ObjectError> {
        self.reentrant_mutex_with(name, |_| {})
    }

    /// A [`Lock`], without data, that anybody may release.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn lock(&self, name: &str) -> Result<Lock, ObjectError>;

    /// A [`Condvar`], to wait with the lock that it is [made with](Condvar::with_lock) or first used with.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn condvar(&self, name: &str) -> Result<Condvar, ObjectError>;

    /// An [`RLock`], without data, that its owner may acquire again.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn rlock(&self, name: &str) -> Result<RLock, ObjectError>;

    /// An [`RwLock`] with the data that it guards.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn rwlock<T: ShmSafe>(&self, name: &str, first: T) -> Result<RwLock<T>, ObjectError>;

    /// An [`RwLock`] that is made where it lies: `fill` gets zeros, and nothing comes to lie on the stack, however big a `T` is. It
    /// makes no other object, for the directory is locked meanwhile.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn rwlock_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<RwLock<T>, ObjectError>;

    /// An [`RwLock`] of zeros, however big a `T` is.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn rwlock_zeroed<T: ShmSafe>(&self, name: &str) -> Result<RwLock<T>, ObjectError> {
        self.rwlock_with(name, |_| {})
    }

    /// A [`Semaphore`] of so many permits.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn semaphore(&self, name: &str, permits: u32) -> Result<Semaphore, ObjectError>;

    /// A [`CountingSemaphore`]: Python's `Semaphore`, without a bound if only a number is given. A [`Count`] may have one
    /// above its first value, as `Count::bounded(8).starting_at(0)`.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn counting_semaphore(
        &self,
        name: &str,
        count: impl Into<Count>,
    ) -> Result<CountingSemaphore, ObjectError>;

    /// A [`CountingSemaphore`] that is never released above its first value: Python's `BoundedSemaphore`.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn bounded_semaphore(&self, name: &str, value: u32) -> Result<CountingSemaphore, ObjectError> {
        self.counting_semaphore(name, Count::bounded(value))
    }

    /// A [`Barrier`] for so many parties, 1 to 65,536; with a time-out of its own if made by
    /// `object(name, Parties::new(n).timeout(t))`.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn barrier(&self, name: &str, parties: u32) -> Result<Barrier, ObjectError>;

    /// A [`Once`].
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn once(&self, name: &str) -> Result<Once, ObjectError>;

    /// A [`OnceCell`], which is empty if it is made.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn once_cell<T: ShmSafe>(&self, name: &str) -> Result<OnceCell<T>, ObjectError>;

    /// An [`Event`], which is not set if it is made.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn event(&self, name: &str) -> Result<Event, ObjectError>;

    /// A [`Heap`] of so many bytes, its tables included: blocks of any size, for structures that grow. Or
    /// [one that grows](crate::HeapSpec::growing) up to so many, in a segment that may.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn heap(&self, name: &str, spec: impl Into<crate::HeapSpec>) -> Result<Heap, ObjectError>;

    /// A [`ShmMap`] of so many bytes, or [one that grows](MapSpec::growing), from keys to values, each a `ShmSafe` type, `str`,
    /// `[u8]`, or what `serde` knows.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn map<Q: Item + ?Sized, V: Item + ?Sized>(
        &self,
        name: &str,
        spec: impl Into<MapSpec>,
    ) -> Result<ShmMap<Q, V>, ObjectError>;

    /// A [`ShmSet`] of so many bytes of keys, each a `ShmSafe` type, `str` or `[u8]`.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn set<Q: Item + ?Sized>(
        &self,
        name: &str,
        spec: impl Into<MapSpec>,
    ) -> Result<ShmSet<Q>, ObjectError>;

    /// A [`ShmVec`] of so many bytes, all included; of `u8`, it is a [`ShmBytes`](crate::ShmBytes).
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn vec<T: ShmSafe>(&self, name: &str, bytes: u64) -> Result<ShmVec<T>, ObjectError>;

    /// A [`ShmDeque`] of so many bytes, all included; a [`DequeSpec`] may bound its length, as
    /// `DequeSpec::bytes(1 << 20).max_len(100)`.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn deque<T: ShmSafe>(
        &self,
        name: &str,
        spec: impl Into<DequeSpec>,
    ) -> Result<ShmDeque<T>, ObjectError>;

    /// A [`ShmString`] of so many bytes, all included.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn string(&self, name: &str, bytes: u64) -> Result<ShmString, ObjectError>;

    /// A [`Pipe`] that can hold at least `capacity` items; it is rounded up to a power of two.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn pipe<T: ShmSafe>(&self, name: &str, capacity: u64) -> Result<Pipe<T>, ObjectError>;

    /// [`Frames`]: a pipe of messages of any length, of at least `bytes` bytes; that is rounded up to a power of two. Messages of up
    /// to half of it lie there in one piece.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn frames(&self, name: &str, bytes: u64) -> Result<Frames, ObjectError>;

    /// A [`Queue`] that holds so many items; a [`QueueSpec`] says more.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn queue<T: ShmSafe>(
        &self,
        name: &str,
        spec: impl Into<QueueSpec>,
    ) -> Result<Queue<T>, ObjectError>;

    /// A [`MessageQueue`]: a queue of messages of any length.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn message_queue(&self, name: &str, spec: MessageSpec) -> Result<MessageQueue, ObjectError>;

    /// A [`LifoQueue`] that holds so many items.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn lifo_queue<T: ShmSafe>(
        &self,
        name: &str,
        capacity: u64,
    ) -> Result<LifoQueue<T>, ObjectError>;

    /// A [`PriorityQueue`] that holds so many items.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn priority_queue<T: ShmSafe>(
        &self,
        name: &str,
        capacity: u64,
    ) -> Result<PriorityQueue<T>, ObjectError>;

    /// A [`Broadcast`] that can hold at least so many items, rounded up to a power of two; a [`BroadcastSpec`] says more.
    ///
    /// # Errors
    ///
    /// See [`Objects`].
    fn broadcast<T: ShmSafe>(
        &self,
        name: &str,
        spec: impl Into<BroadcastSpec>,
    ) -> Result<Broadcast<T>, ObjectError>;
}
