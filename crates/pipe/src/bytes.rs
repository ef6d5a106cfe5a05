//! Pipes of bytes as streams of the standard library.

use std::io::{self, Read, Write};

use shmkit_roster::Judge;

use crate::{BatchError, ClaimError, PipeError, Receiver, SendError, Sender};

/// As a file: waits for room for the first byte, and writes what there is room for. Each write is published at once.
impl<K: Judge> Write for Sender<u8, K> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.send_some(bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As a file: waits for the first byte, and reads what there is; 0 at the end of file. A sender that died is an error, so
/// that a truncated stream is not taken for a whole one.
impl<K: Judge> Read for Receiver<u8, K> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.recv_batch(bytes) {
            Err(PipeError::Closed) => Ok(0),
            read => Ok(read?),
        }
    }
}

impl From<PipeError> for io::Error {
    fn from(error: PipeError) -> Self {
        let kind = match error {
            PipeError::Full | PipeError::Empty => io::ErrorKind::WouldBlock,
            PipeError::TimedOut => io::ErrorKind::TimedOut,
            // Not `Interrupted`: `read_exact`, `write_all` and `copy` would ask again, and be told to stop again, for ever.
            PipeError::Interrupted => io::ErrorKind::ConnectionAborted,
            PipeError::Closed => io::ErrorKind::BrokenPipe,
            PipeError::PeerDied { .. } => io::ErrorKind::ConnectionReset,
            PipeError::NeverCame { .. } | PipeError::ProcessEnded { .. } => {
                io::ErrorKind::NotConnected
            }
            PipeError::TooMany { .. } | PipeError::TooShort { .. } => io::ErrorKind::InvalidInput,
            PipeError::Corrupt { .. } | PipeError::TooLong { .. } => io::ErrorKind::InvalidData,
            PipeError::NoMemory { .. } => io::ErrorKind::OutOfMemory,
            PipeError::Torn { .. } => io::ErrorKind::UnexpectedEof,
            PipeError::NotJoined | PipeError::NotMine | PipeError::CannotJudge { .. } => {
                io::ErrorKind::Other
            }
        };
        Self::new(kind, error)
    }
}

impl From<ClaimError> for io::Error {
    fn from(error: ClaimError) -> Self {
        let kind = match error {
            ClaimError::Taken { .. } => io::ErrorKind::ResourceBusy,
            ClaimError::Corrupt { .. } => io::ErrorKind::InvalidData,
            ClaimError::NotJoined | ClaimError::CannotJudge { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl<T> From<SendError<T>> for io::Error {
    fn from(SendError { error, .. }: SendError<T>) -> Self {
        error.into()
    }
}

impl From<BatchError> for io::Error {
    fn from(BatchError { error, .. }: BatchError) -> Self {
        error.into()
    }
}
