//! The process of a manager that was started here.

use std::time::Duration;

use shmkit_connection::Connection;
use shmkit_process::{Failure, Process, Status, TaskError};

/// How long a manager may take to end when it is told to; then it is killed.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// What a started manager's starter has of it.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) process: Process<Result<(), Failure>>,
    /// Whose end ends the manager.
    pub(crate) control: Option<Connection>,
}

impl Own {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends the manager in good order, and returns how its process ended.
    pub(crate) fn end(&mut self) -> Status {
        drop(self.control.take());
        if let Err(TaskError::TimedOut) = self.process.join_timeout(FAREWELL) {
            let _ = self.process.kill();
            let _ = self.process.join_timeout(FAREWELL);
        }
        self.process.status().unwrap_or(Status::Unknown)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if self.control.is_some() {
            self.end();
        }
    }
}
