//! Segments and the objects in them.

use std::sync::Once;

use shmkit_layout::{Kind, TypeTag};
use shmkit_roster::Seat;
use shmkit_roster::travel::{self, Arrived, Carrier, Packed};
use shmkit_segment::{Carried, Segment};

use crate::CannotTravel;
use crate::luggage;

/// Brings objects by the luggage that is open in the thread.
struct ByLuggage;

/// Has handles of this process travel in parcels.
#[inline]
pub(crate) fn enable() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| travel::set_carrier(&ByLuggage));
}

// SAFETY: `find` hands on what a segment's directory has found, and checked for kind and tag.
unsafe impl Carrier for ByLuggage {
    fn pack(&self, what: &str, seat: &Seat) -> Result<Packed, String> {
        said(luggage::with(what, true, |luggage| {
            let cannot = |why: String| CannotTravel::new(what, why);
            let packed = Segment::packed(seat).ok_or_else(|| {
                cannot(
                    "it lies in memory that is no segment of this crate: hand that over yourself"
                        .into(),
                )
            })?;
            // Used here until it is used there.
            luggage.kept.push(seat.clone());
            let is_same = |sent: &&Packed| {
                (sent.cookie, sent.device, sent.inode)
                    == (packed.cookie, packed.device, packed.inode)
            };
            if let Some(sent) = luggage.sent.iter().find(is_same) {
                return Ok(Packed { object: packed.object, ..*sent });
            }
            let carried = Segment::pack(seat).unwrap_or_else(|| unreachable!("it was a segment's"));
            let Carried { mut packed, file, ticket } =
                carried.map_err(|error| cannot(texts(&error)))?;
            packed.file = luggage.add(file);
            packed.ticket = ticket.map(|ticket| luggage.add(ticket));
            luggage.sent.push(packed);
            Ok(packed)
        }))
    }

    fn find(&self, packed: &Packed, kind: Kind, tag: TypeTag) -> Result<Arrived, String> {
        let what = kind.to_string();
        let segment = joined(&what, packed)?;
        let found = segment.find_packed(packed, kind, tag);
        said(found.map_err(|error| CannotTravel::new(what, texts(&error))))
    }

    fn join(&self, packed: &Packed) -> Result<Seat, String> {
        joined("a segment", packed).map(|segment| segment.seat())
    }
}

/// Joins the segment that an object has come with, once for all of a parcel's objects.
fn joined(what: &str, packed: &Packed) -> Result<Segment, String> {
    let cannot = |why: String| CannotTravel::new(what, why);
    // Not while the luggage is borrowed: to join takes long, and may run handlers.
    let found = luggage::with(what, false, |luggage| {
        let there = luggage.joined.iter().find(|(file, _)| *file == packed.file);
        if let Some((_, segment)) = there {
            return match segment.header().cookie == packed.cookie {
                true => Ok(Err(segment.clone())),
                false => Err(cannot("its parcel says two things of one segment".into())),
            };
        }
        let no_file = || cannot("its parcel has no descriptor of its segment".into());
        let file = luggage.remove(packed.file).ok_or_else(no_file)?;
        let ticket = packed.ticket.and_then(|ticket| luggage.remove(ticket));
        Ok(Ok((file, ticket)))
    });
    let (file, ticket) = match said(found)? {
        Err(segment) => return Ok(segment),
        Ok(files) => files,
    };
    let segment = Segment::unpack(packed, file, ticket);
    let segment = said(segment.map_err(|error| cannot(texts(&error))))?;
    let kept = luggage::with(what, false, |luggage| {
        luggage.joined.push((packed.file, segment.clone()));
        Ok(())
    });
    said(kept)?;
    Ok(segment)
}

/// Remembers why something cannot travel, for the parcel's error: that of a format has no text.
fn said<T>(result: Result<T, CannotTravel>) -> Result<T, String> {
    result.map_err(|why| luggage::say(why, |text| text))
}

/// An error's text, and those of its causes.
fn texts(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use shmkit_cell::{Array, Value};
    use shmkit_segment::Options;
    use shmkit_sync::Mutex;

    use crate::{Incoming, Outgoing, Parcel, ParcelError};

    fn through_a_socket(parcel: Parcel) -> Parcel {
        let (here, there) = UnixStream::pair().unwrap();
        Outgoing::new(1, parcel).finish(&here).unwrap();
        Incoming::new(1 << 20).finish(&there).unwrap().1
    }

    #[test]
    fn objects_of_one_segment_come_with_one_descriptor_of_it() {
        let segment = Options::new(1 << 16).anonymous().unwrap();
        let value = segment.make::<Value<u64>>("v", 5).unwrap();
        let array = segment.make::<Array<i32>>("a", vec![1, 2].into()).unwrap();
        let mut parcel = Parcel::new();
        parcel.add(&(&value, "text", &array, &value)).unwrap();
        parcel.add(&segment).unwrap();
        // Gone but for what the parcel keeps.
        segment.unlink_object("v").unwrap();
        drop(value);
        let kept = parcel.take_kept();
        let (bytes, files) = parcel.into_parts();
        assert_eq!(files.len(), 2, "with its ticket");
        let mut parcel = through_a_socket(Parcel::from_parts(bytes, files));
        type All = (Value<u64>, String, Array<i32>, Value<u64>);
        let (value, _, array, again): All = parcel.take().unwrap();
        drop(kept);
        value.set(7).unwrap();
        assert_eq!((again.get().unwrap(), array.get(1).unwrap()), (7, 2));
        let there: shmkit_segment::Segment = parcel.take().unwrap();
        assert_eq!(there.header().cookie, segment.header().cookie);
    }

    #[test]
    fn what_is_of_another_type_or_has_gone_is_refused_and_says_why() {
        let segment = Options::new(1 << 16).anonymous().unwrap();
        let value = segment.make::<Value<u64>>("v", 5).unwrap();
        let pack = |value: &Value<u64>| {
            let mut parcel = Parcel::new();
            parcel.add(value).unwrap();
            parcel
        };
        let refused = |error: ParcelError, says: &str| {
            assert!(matches!(error, ParcelError::CannotTravel(_)), "{error:?}");
            assert!(error.to_string().contains(says), "{error}");
        };
        let error = through_a_socket(pack(&value)).take::<Mutex<u64>>().unwrap_err();
        refused(error, "mutex cannot travel");
        let mut parcel = pack(&value);
        drop(parcel.take_kept());
        drop(value);
        segment.remove_object("v").unwrap();
        let mut parcel = through_a_socket(parcel);
        let another = segment.make::<Value<u64>>("another", 5).unwrap();
        refused(parcel.take::<Value<u64>>().unwrap_err(), "value cannot travel");
        // Outside of a parcel.
        assert!(postcard::to_allocvec(&another).is_err());
    }
}
