//! Queues of values and of messages, as one thing.

use shmkit::{
    Delivery, Lease, MessageLease, MessageQueue, Patience, Queue, QueueError, ShmSafe, bytemuck,
};

use crate::frame::Tag;
use crate::talk::Why;

/// What can be put into and taken from.
pub(super) trait Line: Clone + Send + Sync + 'static {
    type Lease<'l>
    where
        Self: 'l;

    fn tag() -> Option<Tag<'static>>;
    fn take(&self, patience: Patience<'_>) -> Result<Self::Lease<'_>, QueueError>;
    fn put(&self, item: &[u8], patience: Patience<'_>) -> Result<(), Why>;
    fn bytes<'a>(lease: &'a Self::Lease<'_>) -> &'a [u8];
    fn done(lease: Self::Lease<'_>) -> Result<(), QueueError>;
    fn close(&self) -> Result<(), QueueError>;
    /// Length, capacity, whether it is closed.
    fn facts(&self) -> Result<(u64, u64, bool), QueueError>;
    fn delivery(&self) -> Delivery;
}

impl<T: ShmSafe> Line for Queue<T> {
    type Lease<'l> = Lease<'l, T>;

    fn tag() -> Option<Tag<'static>> {
        Some(tag_of::<T>())
    }

    fn take(&self, patience: Patience<'_>) -> Result<Lease<'_, T>, QueueError> {
        self.take_deadline(patience)
    }

    fn put(&self, item: &[u8], patience: Patience<'_>) -> Result<(), Why> {
        let item = bytemuck::try_pod_read_unaligned(item).map_err(|_| Why::NoSuchValue)?;
        self.put_deadline(item, patience).map_err(|error| why(&error.error))
    }

    fn bytes<'a>(lease: &'a Lease<'_, T>) -> &'a [u8] {
        bytemuck::bytes_of(&**lease)
    }

    fn done(lease: Lease<'_, T>) -> Result<(), QueueError> {
        lease.done()
    }

    fn close(&self) -> Result<(), QueueError> {
        Queue::close(self)
    }

    fn facts(&self) -> Result<(u64, u64, bool), QueueError> {
        Ok((self.len()? as u64, self.capacity() as u64, self.is_closed()))
    }

    fn delivery(&self) -> Delivery {
        Queue::delivery(self)
    }
}

impl Line for MessageQueue {
    type Lease<'l> = MessageLease<'l>;

    fn tag() -> Option<Tag<'static>> {
        None
    }

    fn take(&self, patience: Patience<'_>) -> Result<MessageLease<'_>, QueueError> {
        self.take_deadline(patience)
    }

    fn put(&self, item: &[u8], patience: Patience<'_>) -> Result<(), Why> {
        self.put_deadline(item, patience).map_err(|error| why(&error))
    }

    fn bytes<'a>(lease: &'a MessageLease<'_>) -> &'a [u8] {
        lease
    }

    fn done(lease: MessageLease<'_>) -> Result<(), QueueError> {
        lease.done()
    }

    fn close(&self) -> Result<(), QueueError> {
        MessageQueue::close(self)
    }

    fn facts(&self) -> Result<(u64, u64, bool), QueueError> {
        Ok((self.len()? as u64, self.capacity() as u64, self.is_closed()))
    }

    fn delivery(&self) -> Delivery {
        MessageQueue::delivery(self)
    }
}

/// The type of values that lie in shared memory, as both sides know it.
pub(crate) fn tag_of<T: ShmSafe>() -> Tag<'static> {
    /// A place for what [`Tag`] borrows.
    struct Of<T>(std::marker::PhantomData<T>);
    impl<T: ShmSafe> Of<T> {
        const TAG: shmkit::TypeTag = T::TAG;
        const REF: &'static shmkit::TypeTag = &Self::TAG;
    }
    tag(Of::<T>::REF)
}

pub(crate) fn tag(tag: &shmkit::TypeTag) -> Tag<'_> {
    Tag { name: tag.name(), size: tag.size(), align: tag.align(), hash: tag.hash() }
}

pub(super) fn why(error: &QueueError) -> Why {
    match error {
        QueueError::Full => Why::Full,
        QueueError::Empty => Why::Empty,
        QueueError::TimedOut | QueueError::Interrupted => Why::TimedOut,
        QueueError::Closed => Why::Closed,
        &QueueError::TooLong { length, most } => Why::TooLong { length, most },
        error => Why::Other(error.to_string()),
    }
}
