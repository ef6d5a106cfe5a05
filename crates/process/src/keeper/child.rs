//! One process, as the keeper's thread sees it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use shmkit_parcel::{Incoming, Kept, Outgoing, Parcel, ParcelError};

use crate::calls::answered;
use crate::keeper::order::Reaper;
use crate::keeper::{Order, Voice};
use crate::message::{ANSWER, ARRIVED, HELLO, Hello, MOST, PROTOCOL, START};
use crate::shared::{Phase, Shared};
use crate::status::Status;
use crate::{SpawnError, SpawnErrorKind, TaskError, told};

/// How much of what a process has written is kept, in bytes.
const TAIL: usize = 64 << 10;

pub(crate) struct Child {
    id: u64,
    pub(crate) shared: Arc<Shared>,
    process: Reaper,
    socket: Option<UnixStream>,
    outgoing: Option<Outgoing>,
    /// What the arguments' handles keep, until they are unpacked.
    kept: Option<Kept>,
    incoming: Incoming,
    output: Option<File>,
    /// What it has written, the last of it.
    tail: Vec<u8>,
    /// When it is killed unless it has said hello.
    pub(crate) hello_by: Option<Instant>,
    /// It has not, and was killed.
    pub(crate) is_silent: bool,
    has_said_hello: bool,
    outcome: Option<Result<Parcel, TaskError>>,
}

impl Child {
    /// Starts it.
    pub(crate) fn start(
        mut order: Order,
        id: u64,
        shared: Arc<Shared>,
        epoll: &Epoll,
    ) -> Result<Self, SpawnError> {
        let task = shared.task;
        let os = |during: &'static str| move |error| SpawnError::os(task, during, error);
        let (process, ends) = order.start(task)?;
        let kept = order.parcel.take_kept();
        let mut child = Self {
            id,
            shared,
            process,
            socket: Some(ends.socket),
            kept: Some(kept),
            outgoing: Some(Outgoing::new(START, order.parcel)),
            incoming: Incoming::new(MOST),
            output: ends.output.map(File::from),
            tail: Vec::new(),
            hello_by: Instant::now().checked_add(order.hello_within),
            is_silent: false,
            has_said_hello: false,
            outcome: None,
        };
        if let Err(errno) = child.watch(epoll) {
            // Nobody would hear of its end.
            child.kill();
            return Err(os("watch it")(errno.into()));
        }
        child.shared.change(|state| {
            state.pid = child.process.id();
            state.phase = Phase::Starting;
        });
        Ok(child)
    }

    /// Has the keeper told of it.
    fn watch(&mut self, epoll: &Epoll) -> nix::Result<()> {
        let event = |voice: Voice, flags| EpollEvent::new(flags, voice.token(self.id));
        // Nobody but us reaps it, so that the number is its own.
        // SAFETY: two numbers.
        let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, self.process.id(), 0) };
        let number = Errno::result(opened)? as RawFd;
        // SAFETY: the kernel has just made it for us.
        let pidfd = unsafe { OwnedFd::from_raw_fd(number) };
        if let Some(socket) = &self.socket {
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
            epoll.add(socket, event(Voice::Socket, flags))?;
        }
        if let Some(output) = &self.output {
            epoll.add(output, event(Voice::Output, EpollFlags::EPOLLIN))?;
        }
        epoll.add(pidfd.as_fd(), event(Voice::End, EpollFlags::EPOLLIN))?;
        // It is set once.
        let _ = self.shared.pidfd.set(pidfd);
        Ok(())
    }

    /// Ends it here and now: nothing else can be done with it.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Writes what the socket takes, and reads what has come.
    pub(crate) fn talk(&mut self, epoll: &Epoll) {
        let Some(socket) = &self.socket else { return };
        if let Some(outgoing) = &mut self.outgoing {
            match outgoing.advance(socket) {
                Ok(false) => {}
                // All was sent; or nobody is there, whose end will be heard.
                Ok(true) | Err(ParcelError::Closed) => self.outgoing = None,
                Err(error) => {
                    self.outgoing = None;
                    self.cannot_start(&error);
                }
            }
        }
        loop {
            let Some(socket) = &self.socket else { return };
            match self.incoming.advance(socket) {
                Ok(Some((kind, parcel))) => self.told(kind, parcel),
                Ok(None) => return,
                Err(error) => {
                    self.hang_up(epoll, error);
                    return;
                }
            }
        }
    }

    fn told(&mut self, kind: u32, mut parcel: Parcel) {
        match kind {
            HELLO => match parcel.take::<Hello>() {
                Ok(Hello { protocol: PROTOCOL, width })
                    if usize::from(width) == size_of::<usize>() =>
                {
                    self.hello_by = None;
                    self.has_said_hello = true;
                }
                _ => {
                    let why = "the program speaks another version of the protocol, or has another width: build both from one \
                               version of shmkit";
                    self.refuse(SpawnErrorKind::OtherProtocol, why);
                    let _ = self.shared.signal(libc::SIGKILL);
                }
            },
            ARRIVED => {
                self.kept = None;
                self.shared.change(|state| {
                    state.phase = state.phase.max(Phase::Running);
                    state.running_since = Some(Instant::now());
                });
            }
            ANSWER if self.outcome.is_none() => {
                let Shared { task, name, .. } = &*self.shared;
                self.outcome = Some(answered(task, name, &mut parcel).map(|()| parcel));
                self.shared.change(|state| state.phase = state.phase.max(Phase::Answered));
            }
            // What a later version may say; and a task says nothing twice.
            _ => {}
        }
    }

    fn refuse(&mut self, kind: SpawnErrorKind, detail: impl Into<String>) {
        let error = SpawnError::new(kind, self.shared.task, detail);
        self.outcome.get_or_insert(Err(TaskError::NotStarted(error)));
    }

    /// Ends a process that waits for arguments which cannot be sent.
    fn cannot_start(&mut self, error: &ParcelError) {
        let Shared { task, name, .. } = &*self.shared;
        let why = format!("its arguments were not sent: {error}");
        self.outcome = Some(Err(TaskError::Travel { task, name: name.clone(), why }));
        let _ = self.shared.signal(libc::SIGKILL);
    }

    /// Nothing more comes through the socket. The process may go on.
    fn hang_up(&mut self, epoll: &Epoll, error: ParcelError) {
        if let Some(socket) = self.socket.take() {
            let _ = epoll.delete(socket);
        }
        self.outgoing = None;
        // Cut short is what a death leaves, which says more.
        let broken = matches!(
            error,
            ParcelError::NoParcel { .. } | ParcelError::TooLong { .. } | ParcelError::TooManyFiles
        );
        if broken && self.outcome.is_none() {
            let Shared { task, name, .. } = &*self.shared;
            let (task, name, why) = (*task, name.clone(), error.to_string());
            self.outcome = Some(Err(TaskError::Decode { task, name, why }));
        }
    }

    /// Keeps the last of what it writes.
    pub(crate) fn listen(&mut self, epoll: &Epoll) {
        let Some(output) = &mut self.output else { return };
        let mut bytes = [0; 4096];
        loop {
            match output.read(&mut bytes) {
                Ok(0) => break,
                Ok(n) => {
                    self.tail.extend_from_slice(&bytes[..n]);
                    // Not at every read: it moves all that is kept.
                    if self.tail.len() > 2 * TAIL {
                        self.tail.drain(..self.tail.len() - TAIL);
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return,
                Err(_) => break,
            }
        }
        if let Some(output) = self.output.take() {
            let _ = epoll.delete(output);
        }
    }

    /// Waits for it, which has ended, and says what came of it.
    pub(crate) fn bury(mut self, epoll: &Epoll) {
        let status = self.process.reap();
        let files = [self.socket.as_ref().map(AsFd::as_fd), self.output.as_ref().map(AsFd::as_fd)];
        for file in files.into_iter().flatten() {
            let _ = epoll.delete(file);
        }
        if let Some(pidfd) = self.shared.pidfd.get() {
            let _ = epoll.delete(pidfd);
        }
        let extra = self.tail.len().saturating_sub(TAIL);
        let tail = self.tail.split_off(extra);
        // What a signal has ended is dead, and says nothing about its program.
        let was_told = matches!(status, Status::Signalled(_)) && !self.is_silent;
        if self.outcome.is_none() && !self.has_said_hello && !was_told {
            let written = String::from_utf8_lossy(&tail);
            let written = match written.trim_end() {
                "" => String::new(),
                written => format!("; the last of what it wrote: {written}"),
            };
            let add = "have it call `shmkit::init()` first in `main`, or add `shmkit::early!();`";
            match self.is_silent {
                true => self.refuse(
                    SpawnErrorKind::NeverSaidHello,
                    format!("its process did not say in time that it runs tasks, and was killed: {add}{written}"),
                ),
                false => self.refuse(
                    SpawnErrorKind::ExitedBeforeHello(status),
                    format!("its process {status} before it said that it runs tasks: {add}{written}"),
                ),
            }
        }
        let outcome = self.outcome.take();
        let shared = self.shared;
        shared.change(|state| {
            state.output = tail;
            state.status = Some(status);
            state.outcome = Some(outcome.unwrap_or_else(|| {
                let death = Box::new(shared.death(state, status));
                Err(match status {
                    Status::Exited(_) => TaskError::Exited(death),
                    _ => TaskError::WorkerDied(death),
                })
            }));
            state.phase = Phase::Ended;
        });
        told::ended(&shared, status);
    }
}
