//! Questions that are answered one after the other, by a thread of their own, which may wait.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::frame::Decline;
use crate::link::{Reply, Session};

/// The most questions that one session has waiting, and the most bytes of them.
const MOST: usize = 64;
const MOST_BYTES: usize = 8 << 20;

/// A question that waits for its turn.
pub(super) struct Asked {
    pub(super) reply: Reply,
    pub(super) body: Vec<u8>,
}

/// What both sides know of those that wait.
#[derive(Default)]
struct Flags {
    is_over: AtomicBool,
    waiting: AtomicUsize,
    bytes: AtomicUsize,
}

impl Flags {
    /// One of them waits no more.
    fn taken(&self, len: usize) {
        self.waiting.fetch_sub(1, SeqCst);
        self.bytes.fetch_sub(len, SeqCst);
    }
}

/// The questions that wait, as the thread sees them.
pub(super) struct Inbox {
    asked: Receiver<Asked>,
    flags: Arc<Flags>,
}

impl Inbox {
    /// Waits for the next one; `None`: there will be none.
    pub(super) fn next(&self) -> Option<Asked> {
        let asked = self.asked.recv().ok()?;
        self.flags.taken(asked.body.len());
        // Whoever has asked is not there any more.
        (!self.is_over()).then_some(asked)
    }

    /// Returns the next one if it is there.
    pub(super) fn try_next(&self) -> Option<Asked> {
        match self.asked.try_recv() {
            Ok(asked) => {
                self.flags.taken(asked.body.len());
                Some(asked)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Whether nobody asks any more.
    pub(super) fn is_over(&self) -> bool {
        self.flags.is_over.load(SeqCst)
    }

    /// For a wait: goes on as long as there is nothing else to be done.
    pub(super) fn until_asked(&self) -> ControlFlow<()> {
        match self.is_over() || self.flags.waiting.load(SeqCst) > 0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// For a wait: goes on as long as somebody waits for what comes of it.
    pub(super) fn until_over(&self) -> ControlFlow<()> {
        match self.is_over() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// The other side of an [`Inbox`].
struct Turns {
    asked: Mutex<SyncSender<Asked>>,
    flags: Arc<Flags>,
}

/// Begins a session whose questions `run` answers, in a thread of its own, until there will be none.
pub(super) fn start(
    name: &str,
    run: impl FnOnce(&Inbox) + Send + 'static,
) -> Result<Arc<dyn Session>, String> {
    let (sender, asked) = sync_channel(MOST);
    let flags = Arc::<Flags>::default();
    let inbox = Inbox { asked, flags: flags.clone() };
    let thread = std::thread::Builder::new().name(format!("shmkit-{name}"));
    thread.spawn(move || run(&inbox)).map_err(|error| format!("it has no thread: {error}"))?;
    Ok(Arc::new(Turns { asked: Mutex::new(sender), flags }))
}

impl Session for Turns {
    fn ask(&self, reply: Reply, body: &[u8]) {
        if self.flags.bytes.load(SeqCst) + body.len() > MOST_BYTES {
            return reply.decline(Decline::Busy);
        }
        self.flags.waiting.fetch_add(1, SeqCst);
        self.flags.bytes.fetch_add(body.len(), SeqCst);
        let asked = Asked { reply, body: body.to_vec() };
        let sender = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = sender.try_send(asked) {
            self.flags.taken(body.len());
            match error {
                TrySendError::Full(asked) => asked.reply.decline(Decline::Busy),
                // It says so itself.
                TrySendError::Disconnected(asked) => drop(asked),
            }
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.flags.is_over.store(true, SeqCst);
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}
