//! How it is told on another machine what has become of a task.

#![expect(missing_docs, reason = "the words of `TaskError` and `Death`")]

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Death, Panic, Status, TaskError};

/// Why there is no result of a task, as bytes: its name goes without saying to who has sent it.
///
/// Closed: both sides are of one version, and know them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    Panicked {
        name: String,
        panic: Panic,
    },
    WorkerDied(Fate),
    Exited(Fate),
    Overran(Fate),
    Travel {
        name: String,
        why: String,
    },
    Decode {
        name: String,
        why: String,
    },
    Cancelled,
    Broken(String),
    Closed,
    Encode(String),
    /// Whatever else it was, in words.
    Other(String),
}

/// A [`Death`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    name: String,
    pid: u32,
    /// The exit status, or the signal.
    status: Option<Result<i32, i32>>,
    ran_for: Option<Duration>,
    attempt: u32,
    output: String,
}

impl From<Box<Death>> for Fate {
    fn from(death: Box<Death>) -> Self {
        let Death { name, pid, status, ran_for, attempt, output, .. } = *death;
        let status = match status {
            Status::Exited(code) => Some(Ok(code)),
            Status::Signalled(signal) => Some(Err(signal)),
            Status::Unknown => None,
        };
        Self { name, pid, status, ran_for, attempt, output }
    }
}

impl Fate {
    fn of(self, task: &'static str) -> Box<Death> {
        let Self { name, pid, status, ran_for, attempt, output } = self;
        let status = match status {
            Some(Ok(code)) => Status::Exited(code),
            Some(Err(signal)) => Status::Signalled(signal),
            None => Status::Unknown,
        };
        Box::new(Death { task, name, pid, status, ran_for, attempt, output })
    }
}

impl From<TaskError> for Told {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Panicked { name, panic, .. } => Self::Panicked { name, panic },
            TaskError::WorkerDied(death) => Self::WorkerDied(death.into()),
            TaskError::Exited(death) => Self::Exited(death.into()),
            TaskError::Overran(death) => Self::Overran(death.into()),
            TaskError::Travel { name, why, .. } => Self::Travel { name, why },
            TaskError::Decode { name, why, .. } => Self::Decode { name, why },
            TaskError::Cancelled => Self::Cancelled,
            TaskError::Broken(why) => Self::Broken(why),
            TaskError::Closed => Self::Closed,
            TaskError::Encode { why, .. } => Self::Encode(why),
            error => Self::Other(error.to_string()),
        }
    }
}

impl Told {
    /// Makes it the error of a task of this program.
    pub fn of(self, task: &'static str) -> TaskError {
        match self {
            Self::Panicked { name, panic } => TaskError::Panicked { task, name, panic },
            Self::WorkerDied(fate) => TaskError::WorkerDied(fate.of(task)),
            Self::Exited(fate) => TaskError::Exited(fate.of(task)),
            Self::Overran(fate) => TaskError::Overran(fate.of(task)),
            Self::Travel { name, why } => TaskError::Travel { task, name, why },
            Self::Decode { name, why } => TaskError::Decode { task, name, why },
            Self::Cancelled => TaskError::Cancelled,
            Self::Broken(why) => TaskError::Broken(why),
            Self::Closed => TaskError::Closed,
            Self::Encode(why) => TaskError::Encode { task, why },
            Self::Other(why) => TaskError::Travel { task, name: "pool".into(), why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_told_elsewhere_as_it_was() {
        let death = Death {
            task: "a::b",
            name: "pool-1".into(),
            pid: 7,
            status: Status::Signalled(9),
            ran_for: Some(Duration::from_millis(3)),
            attempt: 2,
            output: "oh".into(),
        };
        for error in [
            TaskError::WorkerDied(Box::new(death.clone())),
            TaskError::Exited(Box::new(death.clone())),
            TaskError::Overran(Box::new(death)),
            TaskError::Cancelled,
            TaskError::Closed,
            TaskError::Broken("why".into()),
        ] {
            let text = error.to_string();
            assert_eq!(Told::from(error).of("a::b").to_string(), text);
        }
        let other = Told::from(TaskError::NotOurs).of("a::b");
        assert!(other.to_string().contains("forked"), "{other}");
    }
}
