//! What a handle says of its object to another process, and how that finds it there.

use std::os::fd::OwnedFd;

use shmkit_layout::{Kind, TypeTag};
use shmkit_roster::Seat;
use shmkit_roster::travel::{Arrived, Packed};

use crate::attach::{self, Source};
use crate::error::Failure;
use crate::keeper::{Counted, kept_by};
use crate::status::Identity;
use crate::token::duplicate;
use crate::{ObjectError, OpenOptions, Segment, SegmentError, pass};

impl Segment {
    /// Returns what is to be said of what a seat keeps, with descriptors to be sent along: of the segment's file, and the
    /// [ticket](Self::ticket), if one could be made. `None` if the seat keeps no segment.
    ///
    /// # Errors
    ///
    /// [`NoDescriptor`](crate::ErrorKind::NoDescriptor), [`TooManyFiles`](crate::ErrorKind::TooManyFiles).
    pub fn pack(seat: &Seat) -> Option<Result<Carried, SegmentError>> {
        let (shared, object) = kept_by(seat)?;
        let run = || {
            let file = attach::own_file(shared.participant())?;
            let ticket = attach::reopen(file).ok();
            let Identity { device, inode, cookie } = shared.identity();
            let packed = Packed { cookie, device, inode, file: 0, ticket: None, object };
            Ok((
                packed,
                duplicate(file).map_err(|errno| Failure::os(errno, "duplicating it"))?,
                ticket,
            ))
        };
        let during = |failure: Failure| failure.during("pack a segment");
        let carried = run().map_err(during);
        Some(carried.map(|(packed, file, ticket)| Carried { packed, file, ticket }))
    }

    /// Returns what would be said of it, without descriptors. `None` if the seat keeps no segment.
    pub fn packed(seat: &Seat) -> Option<Packed> {
        let (shared, object) = kept_by(seat)?;
        let Identity { device, inode, cookie } = shared.identity();
        Some(Packed { cookie, device, inode, file: 0, ticket: None, object })
    }

    /// Joins the segment of which this was said, by the descriptors that came along.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::receive`].
    pub fn unpack(
        packed: &Packed,
        file: OwnedFd,
        ticket: Option<OwnedFd>,
    ) -> Result<Self, SegmentError> {
        let &Packed { cookie, device, inode, .. } = packed;
        let source = ticket.map_or(Source::Descriptor, Source::Ticket);
        let joined =
            pass::join_sent(file, source, Identity { device, inode, cookie }, &OpenOptions::new());
        joined.map_err(|failure| failure.during("join a segment that came in a parcel"))
    }

    /// Finds the object of which this was said.
    ///
    /// # Errors
    ///
    /// [`ObjectError`]: it has gone, or it is of another kind or type.
    pub fn find_packed(
        &self,
        packed: &Packed,
        kind: Kind,
        tag: TypeTag,
    ) -> Result<Arrived, ObjectError> {
        let run = || {
            let directory = self.shared().directory()?;
            let (entry, generation) = packed.object.unwrap_or((u32::MAX, 0));
            let keeper = Counted(self.shared());
            let (region, len, seat) = directory.find_at(entry, generation, (kind, tag), &keeper)?;
            // SAFETY: a seat keeps the mapping.
            Ok(Arrived { region: unsafe { region.kept() }, len, seat })
        };
        run().map_err(|reason: crate::directory::Reason| reason.of("that came in a parcel"))
    }

    /// Returns the segment that a seat keeps, if it keeps one.
    pub fn of_seat(seat: &Seat) -> Option<Self> {
        crate::keeper::shared_of(seat).map(Self::of)
    }
}

/// What is said of what a seat keeps, and what goes along.
#[derive(Debug)]
pub struct Carried {
    /// What is said, with no numbers of descriptors yet.
    pub packed: Packed,
    /// Leads to the segment's file.
    pub file: OwnedFd,
    /// The description by which the receiver takes part where it cannot open the file anew.
    pub ticket: Option<OwnedFd>,
}

impl serde::Serialize for Segment {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        shmkit_roster::travel::serialize_seat("a segment", &self.seat(), to)
    }
}

impl<'de> serde::Deserialize<'de> for Segment {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seat = shmkit_roster::travel::deserialize_seat(from)?;
        Self::of_seat(&seat).ok_or_else(|| serde::de::Error::custom("what came is no segment"))
    }
}
