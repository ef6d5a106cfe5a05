//! Tasks that are called one after the other in a process, for pools.

use serde::de::DeserializeOwned;
use shmkit_parcel::{Parcel, ParcelError};

use crate::message::{Answer, RETURNED};
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

    /// Returns the task's name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Takes the arguments of one call out of a parcel, runs the function, and puts the whole answer behind what is in
    /// `answer`. In a process that was started to run tasks: that keeps what a panic says.
    ///
    /// Returns false if the arguments were not unpacked, as the answer says: where those of another call begin is not known.
    #[inline]
    pub fn run(self, args: &mut Parcel, answer: &mut Parcel) -> bool {
        let ran = self.0.run(args, answer, &mut || {});
        let is_undecodable = matches!(ran, Ran::Undecodable(_));
        if !matches!(ran, Ran::Returned) {
            // An answer of text is always packed.
            let _ = packed(ran, answer);
        }
        !is_undecodable
    }
}

/// An answer that says why there is none.
pub fn unencodable(why: String) -> Parcel {
    only(&Answer::Unencodable(why)).unwrap_or_default()
}

/// Unpacks what a task returned, of its whole answer, with which nothing goes. `None` if it did not, or it is not as it should
/// be: [`answered`] says what became of it.
#[inline]
pub fn returned<T: DeserializeOwned>(answer: &[u8]) -> Option<T> {
    let (&RETURNED, value) = answer.split_first()? else { return None };
    Parcel::read(value).ok()
}

/// Looks what became of a task, of its whole answer. What it returned is still packed.
pub fn answered(task: &'static str, name: &str, answer: &mut Parcel) -> Result<(), TaskError> {
    match answer.take::<Answer>() {
        Ok(Answer::Returned) => Ok(()),
        other => not_returned(task, name.to_owned(), other),
    }
}

#[cold]
fn not_returned(
    task: &'static str,
    name: String,
    answer: Result<Answer, ParcelError>,
) -> Result<(), TaskError> {
    let not_started =
        |kind, detail: String| Err(TaskError::NotStarted(SpawnError::new(kind, task, detail)));
    match answer {
        Ok(Answer::Returned) => Ok(()),
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
