//! Many calls of one task: how they are cut into chunks, and their answers put together again.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shmkit_parcel::Parcel;
use shmkit_process::{Task, TaskError};
use shmkit_sync::{GivenUp, Patience};

use crate::Retry;
use crate::answers::Reader;
use crate::book::{Later, News, Order, Sink};
use crate::inner::{Inner, Spot};
use crate::luggage::Luggage;

/// What was told of the calls of a course, and nobody has looked at.
#[derive(Default)]
struct Inbox {
    news: Mutex<Vec<News>>,
}

impl Sink for Inbox {
    fn take(self: Arc<Self>, news: News) -> Option<Later> {
        self.add(news);
        None
    }
}

impl Inbox {
    fn add(&self, news: News) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }

    fn empty(&self) -> Vec<News> {
        std::mem::take(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_empty(&self) -> bool {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Many calls of one task.
pub(crate) struct Course<'p, T: Task> {
    inner: &'p Inner,
    inbox: Arc<Inbox>,
    chunk: usize,
    limit: Option<Duration>,
    retry: Retry,
    /// What is to be sent next: its arguments, where each call's end, and the first call's number.
    parcel: Parcel,
    ends: Vec<usize>,
    first: usize,
    /// How many calls were given, and how many of them told.
    pub(crate) given: usize,
    pub(crate) told: usize,
    /// What was sent, for who calls it off.
    spots: Vec<Spot>,
    task: PhantomData<fn() -> T>,
}

impl<'p, T: Task> Course<'p, T> {
    pub(crate) fn new(inner: &'p Inner, chunk: usize) -> Self {
        Self {
            inner,
            inbox: Arc::default(),
            chunk,
            limit: inner.builder.timeout,
            retry: inner.builder.retry,
            parcel: Parcel::new(),
            ends: Vec::new(),
            first: 0,
            given: 0,
            told: 0,
            spots: Vec::new(),
            task: PhantomData,
        }
    }

    pub(crate) fn chunk(&self) -> usize {
        self.chunk
    }

    pub(crate) fn set_chunk(&mut self, calls: usize) {
        self.chunk = calls;
    }

    /// Gives it the next call. One that cannot be sent is told of like others. Returns whether it has sent a chunk.
    #[inline]
    pub(crate) fn give(&mut self, args: &T::Args) -> bool {
        let index = self.given;
        self.given += 1;
        let why = match T::pack(args, &mut self.parcel) {
            Ok(()) => {
                self.ends.push(self.parcel.bytes().len());
                let is_full = self.ends.len() >= self.chunk;
                if is_full {
                    self.send();
                }
                return is_full;
            }
            Err(error) => error.to_string(),
        };
        // Of several arguments, some may be in the parcel: they do not go.
        self.send();
        self.parcel = Parcel::new();
        self.first = index + 1;
        self.inbox.add(News::Failed { index, error: TaskError::Encode { task: T::NAME, why } });
        true
    }

    /// Sends what is there.
    pub(crate) fn send(&mut self) {
        if self.ends.is_empty() {
            self.first = self.given;
            return;
        }
        let calls = self.ends.len();
        // The next ones will be about as many, and as long.
        let next = Parcel::with_capacity(self.parcel.bytes().len());
        let ends = std::mem::replace(&mut self.ends, Vec::with_capacity(calls));
        let (mut bytes, luggage) = Luggage::of(std::mem::replace(&mut self.parcel, next));
        bytes.truncate(ends.last().copied().unwrap_or(0));
        let order = Order {
            task: T::NAME,
            print: T::PRINT,
            sink: self.inbox.clone(),
            first: self.first,
            ends,
            bytes,
            luggage,
            limit: self.limit,
            retry: self.retry,
            deaths: 0,
            killed: None,
        };
        self.first += order.calls();
        match self.inner.dispatch(order, &Patience::ENDLESS) {
            Ok(spot) => self.spots.push(spot),
            Err(why) => {
                let (error, order) = *why;
                // One error for all: they say the same.
                let why = error.to_string();
                let mut error = Some(error);
                for n in 0..order.calls() {
                    let error = error.take().unwrap_or_else(|| match self.inner.book().refusal() {
                        Some(refusal) => refusal,
                        None => TaskError::Encode { task: T::NAME, why: why.clone() },
                    });
                    self.inbox.add(News::Failed { index: order.first + n, error });
                }
            }
        }
    }

    /// Has what is finished be told.
    pub(crate) fn look(&self) {
        self.inner.drain_now();
    }

    /// Hands over what was told, call by call; waits for something, as long as the patience says.
    ///
    /// # Errors
    ///
    /// There is nothing yet.
    pub(crate) fn receive(
        &mut self,
        patience: Option<&Patience<'_>>,
        mut each: impl FnMut(usize, Result<T::Output, TaskError>),
    ) -> Result<(), GivenUp> {
        if let Some(patience) = patience
            && self.told < self.given
        {
            self.inner.work_until(patience, |_| (!self.inbox.is_empty()).then_some(()))?;
        }
        let name = &self.inner.builder.name;
        for news in self.inbox.empty() {
            match news {
                News::Failed { index, error } => {
                    self.told += 1;
                    each(index, Err(error));
                }
                News::Answers { first, calls, mut packed } => {
                    self.told += calls;
                    let mut answers = Reader::new(&mut packed);
                    (0..calls).for_each(|n| each(first + n, answers.next(T::NAME, name)));
                }
            }
        }
        if self.told == self.given {
            self.spots.clear();
        }
        Ok(())
    }
}

/// What has not begun is called off.
impl<T: Task> Drop for Course<'_, T> {
    fn drop(&mut self) {
        for spot in self.spots.drain(..) {
            self.inner.cancel(spot, false);
        }
    }
}
