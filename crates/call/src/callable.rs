//! A task that can be called, whatever its types.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use shmkit_pool::{Pending, Pool};
use shmkit_process::{Task, TaskError};
use shmkit_sync::Patience;

use crate::CallErrorKind as Kind;
use crate::arguments::{Arguments, is_result};
use crate::protocol::{Callable, Reply};

/// For how long the answer of a task is waited for that has one, and could not be killed.
const MOMENT: Duration = Duration::from_secs(1);

/// Runs it in a pool, with these arguments, as long as the patience says.
type Run = Box<dyn Fn(&Pool, &[&RawValue], Patience<'_>) -> Reply + Send + Sync>;

/// A task that can be called.
pub(crate) struct Entry {
    pub(crate) shown: Callable,
    pub(crate) run: Run,
}

impl Entry {
    pub(crate) fn of<T>(task: T) -> Self
    where
        T: Task<Args: DeserializeOwned, Output: Send + 'static>,
    {
        let shown = Callable { name: T::NAME.into(), signature: squeezed(T::SIGNATURE) };
        let is_result = is_result::<T::Output>();
        let run = move |pool: &Pool, args: &[&RawValue], patience: Patience<'_>| {
            let args = match T::Args::deserialize(Arguments(args)) {
                Ok(args) => args,
                Err(error) => {
                    let signature = squeezed(T::SIGNATURE);
                    let message = format!("task `{}` is `{signature}`: {error}", T::NAME);
                    return Reply::failed(Kind::Arguments, message);
                }
            };
            let mut pending = pool.submit_deadline(task, args, patience);
            let answer = match pending.wait_deadline(patience) {
                Err(TaskError::TimedOut) => overdue(&mut pending),
                answer => answer,
            };
            match answer {
                Ok(output) => returned(T::NAME, &output, is_result),
                Err(error) => not_returned(T::NAME, &error),
            }
        };
        Self { shown, run: Box::new(run) }
    }

    /// Returns whether it is called so: by its name, or the last part of that.
    pub(crate) fn is(&self, asked: &str) -> bool {
        let name = &self.shown.name;
        name == asked || name.rsplit("::").next() == Some(asked)
    }
}

/// The time is over: the task is called off, or its worker killed, unless it has answered.
fn overdue<T: DeserializeOwned + Send + 'static>(pending: &mut Pending<T>) -> Result<T, TaskError> {
    match pending.kill() {
        true => Err(TaskError::TimedOut),
        // It has; or it was never the pool's.
        false => match pending.wait_timeout(MOMENT) {
            Err(TaskError::Taken) => Err(TaskError::TimedOut),
            answer => answer,
        },
    }
}

/// What it has returned, as JSON.
fn returned(task: &str, output: &impl Serialize, is_result: bool) -> Reply {
    let encoded = to_raw_value(output).and_then(|json| match is_result {
        true => serde_json::from_str(json.get()),
        false => Ok(Ok(json)),
    });
    match encoded {
        Ok(Ok(value)) => Reply::Returned(value),
        Ok(Err(error)) => Reply::failed(Kind::Failed, told(&error)),
        Err(error) => {
            let message =
                format!("what task `{task}` has returned cannot be said in JSON: {error}");
            Reply::failed(Kind::NotAnswered, message)
        }
    }
}

/// A task's own error as people read it: a text, or a `Failure` with its causes; else as it is.
fn told(error: &Value) -> String {
    let causes = error["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    match error.as_str().or_else(|| error["message"].as_str()) {
        Some(message) => {
            let causes = causes.iter().filter_map(Value::as_str);
            causes.fold(message.to_owned(), |told, cause| format!("{told}: {cause}"))
        }
        None => error.to_string(),
    }
}

fn not_returned(task: &str, error: &TaskError) -> Reply {
    match error {
        TaskError::TimedOut => Reply::failed(
            Kind::TimedOut,
            format!(
                "task `{task}` has not answered in time: it was called off, or its worker was killed if it had begun"
            ),
        ),
        // By the server: whoever has gone is not answered.
        TaskError::Interrupted => Reply::failed(
            Kind::Closed,
            format!(
                "the server was closed before task `{task}` answered: if it had begun, it goes on"
            ),
        ),
        TaskError::Overran(_) => Reply::failed(Kind::TimedOut, error.to_string()),
        TaskError::Closed => Reply::failed(Kind::Closed, error.to_string()),
        error => Reply::failed(Kind::NotAnswered, error.to_string()),
    }
}

/// A signature as it is read: its source is kept with a blank between any two words.
fn squeezed(signature: &str) -> String {
    let mut text = signature.replace(" ,", ",");
    for (spaced, tight) in
        [(" :: ", "::"), (" < ", "<"), (" >", ">"), ("& ", "&"), ("[ ", "["), (" ]", "]")]
    {
        text = text.replace(spaced, tight);
    }
    text.replace(" ->", "->").replace("->", " ->").replace("( ", "(").replace(" )", ")")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_signature_is_as_people_write_it() {
        let kept = "fn(u16, & str, Vec < Option < u8 > >) -> Result < [u8 ; 4] , std :: string :: String >";
        let read = "fn(u16, &str, Vec<Option<u8>>) -> Result<[u8 ; 4], std::string::String>";
        assert_eq!(squeezed(kept), read);
        assert_eq!(squeezed("fn() -> ()"), "fn() -> ()");
    }

    #[test]
    fn an_error_of_a_task_is_told_with_its_causes() {
        assert_eq!(told(&json!("no soup")), "no soup");
        assert_eq!(
            told(&json!({"message": "no soup", "causes": ["no pot", "no water"]})),
            "no soup: no pot: no water"
        );
        assert_eq!(told(&json!({"code": 7})), r#"{"code":7}"#);
    }
}
