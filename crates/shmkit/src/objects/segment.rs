//! A segment finds its objects by name, or makes them.

use shmkit_layout::{Filled, InPlace};
use shmkit_roster::Seat;
use shmkit_segment::ObjectError;

use super::Objects;
use crate::{
    Array, ArraySpec, Atomic, AtomicArray, AtomicWord, Barrier, Broadcast, BroadcastSpec, Condvar,
    Count, CountingSemaphore, Data, DequeSpec, Event, Frames, Heap, Item, LifoQueue, Lock, MapSpec,
    MessageQueue, MessageSpec, Mutex, Once, OnceCell, Parties, Pipe, PriorityQueue, Queue,
    QueueSpec, RLock, ReentrantMutex, RwLock, Seated, Segment, Semaphore, ShmDeque, ShmMap,
    ShmSafe, ShmSet, ShmString, ShmVec, Snapshot, Transactional, TransactionalSet,
    TransactionalSetSpec, TransactionalSpec, Value,
};

/// Finds an object, or makes it where it lies.
fn in_place<O, F>(segment: &Segment, name: &str, size: O::Size, fill: F) -> Result<O, ObjectError>
where
    O: InPlace<Seat>,
    F: FnOnce(&mut O::Values),
{
    segment.object::<Filled<O, F>>(name, (size, fill)).map(Filled::into_inner)
}

impl Objects for Segment {
    fn value<T: ShmSafe>(&self, name: &str, first: T) -> Result<Value<T>, ObjectError> {
        self.object(name, first)
    }

    fn value_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<Value<T>, ObjectError> {
        in_place(self, name, (), fill)
    }

    fn array<T: ShmSafe>(
        &self,
        name: &str,
        spec: impl Into<ArraySpec<T>>,
    ) -> Result<Array<T>, ObjectError> {
        self.object(name, spec.into())
    }

    fn array_with<T: ShmSafe>(
        &self,
        name: &str,
        len: usize,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<Array<T>, ObjectError> {
        in_place(self, name, len, fill)
    }

    fn atomic<T: AtomicWord>(&self, name: &str, first: T) -> Result<Atomic<T>, ObjectError> {
        self.object(name, first)
    }

    fn atomic_array<T: AtomicWord>(
        &self,
        name: &str,
        spec: impl Into<ArraySpec<T>>,
    ) -> Result<AtomicArray<T>, ObjectError> {
        self.object(name, spec.into())
    }

    fn snapshot<T: ShmSafe>(&self, name: &str, first: T) -> Result<Snapshot<T>, ObjectError> {
        self.object(name, first)
    }

    fn snapshot_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<Snapshot<T>, ObjectError> {
        in_place(self, name, (), fill)
    }

    fn transactional<D: Data + ?Sized>(
        &self,
        name: &str,
        first: impl Into<D::First>,
        log: u64,
    ) -> Result<Transactional<D>, ObjectError> {
        self.object(name, TransactionalSpec::new(first, log))
    }

    fn transactional_set(
        &self,
        name: &str,
        spec: TransactionalSetSpec,
    ) -> Result<TransactionalSet, ObjectError> {
        self.object(name, spec)
    }

    fn mutex<T: ShmSafe>(&self, name: &str, first: T) -> Result<Mutex<T>, ObjectError> {
        self.object(name, first)
    }

    fn mutex_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<Mutex<T>, ObjectError> {
        in_place(self, name, (), fill)
    }

    fn reentrant_mutex<T: ShmSafe>(
        &self,
        name: &str,
        first: T,
    ) -> Result<ReentrantMutex<T>, ObjectError> {
        self.object(name, first)
    }

    fn reentrant_mutex_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<ReentrantMutex<T>, ObjectError> {
        in_place(self, name, (), fill)
    }

    fn lock(&self, name: &str) -> Result<Lock, ObjectError> {
        self.object(name, ())
    }

    fn condvar(&self, name: &str) -> Result<Condvar, ObjectError> {
        self.object(name, Seated::new(()))
    }

    fn rlock(&self, name: &str) -> Result<RLock, ObjectError> {
        self.object(name, ())
    }

    fn rwlock<T: ShmSafe>(&self, name: &str, first: T) -> Result<RwLock<T>, ObjectError> {
        self.object(name, Seated::new(first))
    }

    fn rwlock_with<T: ShmSafe>(
        &self,
        name: &str,
        fill: impl FnOnce(&mut T),
    ) -> Result<RwLock<T>, ObjectError> {
        in_place(self, name, Seated::new(()), fill)
    }

    fn semaphore(&self, name: &str, permits: u32) -> Result<Semaphore, ObjectError> {
        self.object(name, Seated::new(permits))
    }

    fn counting_semaphore(
        &self,
        name: &str,
        count: impl Into<Count>,
    ) -> Result<CountingSemaphore, ObjectError> {
        self.object(name, count.into())
    }

    fn barrier(&self, name: &str, parties: u32) -> Result<Barrier, ObjectError> {
        self.object(name, Parties::new(parties))
    }

    fn once(&self, name: &str) -> Result<Once, ObjectError> {
        self.object(name, ())
    }

    fn once_cell<T: ShmSafe>(&self, name: &str) -> Result<OnceCell<T>, ObjectError> {
        self.object(name, ())
    }

    fn event(&self, name: &str) -> Result<Event, ObjectError> {
        self.object(name, ())
    }

    fn heap(&self, name: &str, spec: impl Into<crate::HeapSpec>) -> Result<Heap, ObjectError> {
        self.object(name, spec.into())
    }

    fn map<Q: Item + ?Sized, V: Item + ?Sized>(
        &self,
        name: &str,
        spec: impl Into<MapSpec>,
    ) -> Result<ShmMap<Q, V>, ObjectError> {
        self.object(name, spec.into())
    }

    fn set<Q: Item + ?Sized>(
        &self,
        name: &str,
        spec: impl Into<MapSpec>,
    ) -> Result<ShmSet<Q>, ObjectError> {
        self.object(name, spec.into())
    }

    fn vec<T: ShmSafe>(&self, name: &str, bytes: u64) -> Result<ShmVec<T>, ObjectError> {
        self.object(name, bytes)
    }

    fn deque<T: ShmSafe>(
        &self,
        name: &str,
        spec: impl Into<DequeSpec>,
    ) -> Result<ShmDeque<T>, ObjectError> {
        self.object(name, spec.into())
    }

    fn string(&self, name: &str, bytes: u64) -> Result<ShmString, ObjectError> {
        self.object(name, bytes)
    }

    fn pipe<T: ShmSafe>(&self, name: &str, capacity: u64) -> Result<Pipe<T>, ObjectError> {
        self.object(name, capacity)
    }

    fn frames(&self, name: &str, bytes: u64) -> Result<Frames, ObjectError> {
        self.object(name, bytes)
    }

    fn queue<T: ShmSafe>(
        &self,
        name: &str,
        spec: impl Into<QueueSpec>,
    ) -> Result<Queue<T>, ObjectError> {
        self.object(name, spec.into())
    }

    fn message_queue(&self, name: &str, spec: MessageSpec) -> Result<MessageQueue, ObjectError> {
        self.object(name, spec)
    }

    fn lifo_queue<T: ShmSafe>(
        &self,
        name: &str,
        capacity: u64,
    ) -> Result<LifoQueue<T>, ObjectError> {
        self.object(name, capacity)
    }

    fn priority_queue<T: ShmSafe>(
        &self,
        name: &str,
        capacity: u64,
    ) -> Result<PriorityQueue<T>, ObjectError> {
        self.object(name, capacity)
    }

    fn broadcast<T: ShmSafe>(
        &self,
        name: &str,
        spec: impl Into<BroadcastSpec>,
    ) -> Result<Broadcast<T>, ObjectError> {
        self.object(name, spec.into())
    }
}
