//! Calling a method: packing what goes, unpacking what comes.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shmkit_parcel::Parcel;
use shmkit_sync::Patience;

use crate::CallError;
use crate::context::{Context, within};
use crate::link::{Link, error_of, frame, take_answer};
use crate::objects::Held;
use crate::protocol::{Answer, Ask};
use crate::proxy::{Counted, Proxy, Target};
use crate::served::{Args, Known, NO_FILES, Returned};

impl Proxy {
    /// Calls a method.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn call<A: Serialize, R: DeserializeOwned>(
        &self,
        method: &Known,
        args: &A,
    ) -> Result<R, CallError> {
        self.call_by(method, args, self.patience())
    }

    /// The same, for as long as the patience says.
    pub(crate) fn call_by<A: Serialize, R: DeserializeOwned>(
        &self,
        method: &Known,
        args: &A,
        patience: Patience<'_>,
    ) -> Result<R, CallError> {
        let Target { link, object, counted } = &*self.target;
        if let Counted::Here(held) = counted {
            return call_here(link, held, method, args);
        }
        let ask = Ask::Call { object: *object, method: method.print };
        let mut answer = link.ask(packed(link, &ask, method, args)?.bytes(), patience)?;
        match take_answer(&mut answer, method.name)? {
            Answer::Returned => unpacked(link, &mut answer, method),
            other => Err(error_of(other, method, link)),
        }
    }
}

/// Packs a question and what is behind it.
pub(crate) fn packed<A: Serialize>(
    link: &Link,
    ask: &Ask,
    method: &Known,
    args: &A,
) -> Result<Parcel, CallError> {
    let mut parcel = frame(ask);
    pack(link, &mut parcel, method, args)?;
    Ok(parcel)
}

/// Packs a value for a manager, and returns the references to its objects that are in the value.
fn pack<A: Serialize>(
    link: &Link,
    parcel: &mut Parcel,
    method: &Known,
    args: &A,
) -> Result<Vec<Proxy>, CallError> {
    let refuse = |why: String| CallError::Encode { method: method.text(), why };
    let context = Context::Calling { manager: link.manager, objects: Vec::new() };
    let (result, context) = within(context, || parcel.add(args));
    result.map_err(|error| refuse(error.to_string()))?;
    match context {
        _ if parcel.has_files() => Err(refuse(NO_FILES.into())),
        Some(Context::Calling { objects, .. }) => Ok(objects),
        _ => Ok(Vec::new()),
    }
}

/// Unpacks what a method has returned.
pub(crate) fn unpacked<R: DeserializeOwned>(
    link: &Arc<Link>,
    answer: &mut Parcel,
    method: &Known,
) -> Result<R, CallError> {
    unpacked_with(link, Vec::new(), answer, method)
}

fn unpacked_with<R: DeserializeOwned>(
    link: &Arc<Link>,
    objects: Vec<Proxy>,
    answer: &mut Parcel,
    method: &Known,
) -> Result<R, CallError> {
    let context = Context::Answered { link: Arc::clone(link), objects };
    let (result, _) = within(context, || answer.take());
    result.map_err(|error| CallError::Decode { method: method.text(), why: error.to_string() })
}

/// Packs a value by itself, for an object that keeps it as it is.
pub(crate) fn pack_alone<T: Serialize>(
    link: &Link,
    method: &Known,
    value: &T,
) -> Result<(Vec<u8>, Vec<Proxy>), CallError> {
    let mut parcel = Parcel::new();
    let objects = pack(link, &mut parcel, method, value)?;
    Ok((parcel.into_parts().0, objects))
}

/// Unpacks one, in which are references to these objects.
pub(crate) fn unpack_alone<T: DeserializeOwned>(
    link: &Arc<Link>,
    method: &Known,
    bytes: &[u8],
    objects: Vec<Proxy>,
) -> Result<T, CallError> {
    unpacked_with(link, objects, &mut Parcel::from_parts(bytes.to_vec(), Vec::new()), method)
}

/// Calls a method of an object of this very process.
fn call_here<A: Serialize, R: DeserializeOwned>(
    link: &Arc<Link>,
    held: &Held,
    method: &Known,
    args: &A,
) -> Result<R, CallError> {
    let here = link.manager_here().ok_or_else(|| link.gone())?;
    let mut parcel = Parcel::new();
    pack(link, &mut parcel, method, args)?;
    let called = here.call(held, method.print, Args(parcel));
    // What is in the answer is held until it is unpacked.
    let (Returned(mut answer), _objects) =
        called.map_err(|answer| error_of(answer, method, link))?;
    match take_answer(&mut answer, method.name)? {
        Answer::Returned => unpacked(link, &mut answer, method),
        other => Err(error_of(other, method, link)),
    }
}
