//! Tasks that are called one after the other in a process, for pools.

use shmkit_parcel::Parcel;

use crate::message::Answer;
use crate::task::{Entry, Ran, Tasks};
use crate::worker::{only, packed, refusal};
use crate::{SpawnError, SpawnErrorKind, TaskError};

/// A task of this program, found by its fingerprint.
#[derive(Clone, Copy, Debug)]
pub struct Call(&'static Entry);

impl Call {
    /// Finds it. What it returns instead is an answer for who has asked.
    pub fn find(print: u64) -> Result<Self, Box<Parcel>> {
        let found = Tasks::all().find(print, "");
        found.map(Self).map_err(|error| only(&refusal(error)).unwrap_or_default().into())
    }

    /// Takes the arguments of one call out of a parcel, runs the function, and returns the whole answer. In a process that was
    /// started to run tasks: that keeps what a panic says.
    ///
    /// # Errors
    ///
    /// The arguments were not unpacked, as the answer says: where those of another call begin is not known.
    pub fn run(self, args: &mut Parcel) -> Result<Parcel, Box<Parcel>> {
        let ran = self.0.run(args, &mut || {});
        let is_undecodable = matches!(ran, Ran::Undecodable(_));
        let answer = packed(ran).0.unwrap_or_default();
        if is_undecodable { Err(answer.into()) } else { Ok(answer) }
    }
}

/// An answer that says why there is none.
pub fn unencodable(why: String) -> Parcel {
    only(&Answer::Unencodable(why)).unwrap_or_default()
}

/// Returns what a task has answered, still packed, of the whole answer.
pub fn answered(task: &'static str, name: &str, mut parcel: Parcel) -> Result<Parcel, TaskError> {
    let name = name.to_owned();
    let not_started =
        |kind, detail: String| Err(TaskError::NotStarted(SpawnError::new(kind, task, detail)));
    match parcel.take::<Answer>() {
        Ok(Answer::Returned) => Ok(parcel),
        Ok(Answer::Panicked(panic)) => Err(TaskError::Panicked { task, name, panic }),
        Ok(Answer::Undecodable(why) | Answer::Unencodable(why)) => {
            Err(TaskError::Travel { task, name, why })
        }
        Ok(Answer::Unknown(names)) => not_started(
            SpawnErrorKind::UnknownTask,
            format!("the program that was started has no such task, but {names:?}"),
        ),
        Ok(Answer::Differs(signature)) => not_started(
            SpawnErrorKind::SignatureDiffers,
            format!("the program that was started has it as `{signature}`, or of another version"),
        ),
        Ok(Answer::Twice([one, other])) => not_started(
            SpawnErrorKind::Ambiguous,
            format!(
                "two functions have this name and signature, at {one} and at {other}: rename one"
            ),
        ),
        Err(error) => Err(TaskError::Decode { task, name, why: error.to_string() }),
    }
}
