//! A segment that this process takes part in.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shmkit_layout::{Header, Region};
use shmkit_roster::{Description, Judge, OwnerId, Participant, Seat};

use crate::directory::TIME_LIMIT;
use crate::error::{Failure, SegmentError};
use crate::inspect::{self, Plan};
use crate::keeper::Whole;
use crate::leave::Leave;
use crate::name::Place;
use crate::shared::Shared;
use crate::told;
use crate::{OpenOptions, RemoveOutcome, attach, inherit, remove};

/// A segment of shared memory that this process takes part in: a mapping, a place in the roster, a descriptor.
///
/// However often a process opens a segment, it has one of each; clones are handles to the same, and so is every object in
/// it, so that nobody leaves while somebody still uses a lock. When the last of them is dropped, the process leaves, and
/// the last process to leave removes the name, unless the segment is persistent.
///
/// # If a peer dies
///
/// the segment stays whole, and the other participants go on. If everybody is killed, the name stays until the next
/// visitor: an opener adopts the segment, a creator or a [sweep](crate::sweep) removes it.
///
/// # Soundness
///
/// Safe code borrows shared bytes on the strength of the locks that guard them. What writes to them in another way, from
/// whichever process, is outside that contract, as writing to `/proc/self/mem` is, though every call of it may be safe:
///
/// - Writing to the file: through [its descriptor](Self::file), a [ticket](Self::ticket), its path or `/proc`, by `write`,
///   by a mapping of one's own, by `io_uring`. A descriptor is for handing over.
/// - Cutting the file off, or punching holes into it. Its users die by SIGBUS at their next access. A segment without a
///   name is sealed against that; nothing keeps whoever may write to a named one from it.
/// - Using a guard in an exit handler (`atexit`) that was registered before the process joined its first segment, and
///   runs after it has [left](Self::leak).
/// - A [ticket](crate::OpenOptions::from_ticket) for two, or one whose maker keeps a duplicate: the locks of its bearer
///   are invisible to whoever shares it, and say to them that the bearer is dead. A participant's own descriptor is refused.
/// - Using in a forked child, before it has [joined](Self::join_after_fork), what reads or writes without asking who it is,
///   an atomic above all, when somebody has [removed](Self::remove_object) the object meanwhile: to the others the child uses
///   nothing yet.
/// - Two ways of access to the same bytes at a time, in what is [yours](Self::data): it is for one kind of atomic.
///
/// # Foreign removal
///
/// Nobody who uses this crate can give a living segment's name to another file. Somebody else can: `rm`, or systemd
/// with RemoveIPC when the user logs out. [`is_linked`](Self::is_linked) tells.
///
/// Nor is there a defence against who cuts the file off (`truncate`, `: > file`): every process that touches a byte
/// behind the new end dies of SIGBUS. An [anonymous](crate::Options::anonymous) segment is sealed against that. Whoever opens
/// it afterwards, has it [grow](crate::Options::max), or finds that it has grown, is told (`Truncated`). The name
/// stays: [`create`](crate::Options::create) refuses it, an ordinary sweep leaves it, and
/// [`remove_if_dead`](OpenOptions::remove_if_dead) for the [damaged](OpenOptions::damaged), or `shmkit gc --damaged`,
/// removes it when nobody lives there any more.
#[derive(Clone)]
pub struct Segment {
    shared: Arc<Shared>,
    was_created: bool,
    /// How long a maker of an object waits for another one.
    pub(crate) object_time_limit: Duration,
}

impl Segment {
    /// A handle to what this process takes part in already.
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared, was_created: false, object_time_limit: TIME_LIMIT }
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Self {
        told::came(&shared, false);
        Self::of(shared)
    }

    pub(crate) fn from_created(shared: Arc<Shared>) -> Self {
        told::came(&shared, true);
        Self { was_created: true, ..Self::of(shared) }
    }

    /// Returns whether the call that returned this handle, or the one that it is a clone of, made the segment: of any
    /// number of callers of [`open_or_create`](crate::Options::open_or_create), threads of this process included, one.
    pub fn was_created(&self) -> bool {
        self.was_created
    }

    /// Sets how long whoever makes an object through this handle, or through a clone of it, waits for a peer that makes
    /// one: by default 30 s. Finding one waits for nobody.
    pub fn object_time_limit(mut self, time_limit: Duration) -> Self {
        self.object_time_limit = time_limit;
        self
    }

    /// Joins the segment called `name`, of this user and of any content; see [`OpenOptions`] for more.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`].
    pub fn open(name: &str) -> Result<Self, SegmentError> {
        OpenOptions::new().open(name)
    }

    /// Joins the segment that a descriptor is open on; see [`OpenOptions::from_owned_fd`].
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::from_owned_fd`].
    pub fn from_owned_fd(file: OwnedFd) -> Result<Self, SegmentError> {
        OpenOptions::new().from_owned_fd(file)
    }

    /// Joins the segment that a descriptor is open on, and leaves the descriptor to its owner.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::from_owned_fd`].
    pub fn from_fd(file: BorrowedFd<'_>) -> Result<Self, SegmentError> {
        let file = file.try_clone_to_owned().map_err(|error| {
            let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Failure::os(errno, "duplicating it").during("join the segment of a descriptor")
        })?;
        OpenOptions::new().from_owned_fd(file)
    }

    /// Joins the segment that the parent shared with this program under `key`
    /// ([`share_segment`](crate::ShareSegment::share_segment)).
    ///
    /// # Errors
    ///
    /// [`NotInherited`](crate::ErrorKind::NotInherited) if nothing was shared under this key, or if the descriptor does not
    /// lead to what was shared; and those of [`OpenOptions::from_owned_fd`].
    pub fn inherited(key: &str) -> Result<Self, SegmentError> {
        inherit::inherited(key)
            .map_err(|failure| failure.during(format!("inherit segment {key:?}")))
            .map(Self::from_shared)
    }

    /// Removes the segment's name, whoever lives in it. They keep it, and nobody can join it any more; another segment may
    /// have the name. [`OpenOptions::unlink`] does it for who takes no part.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if it has no name, or if that leads to another file by now;
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied).
    pub fn unlink(&self) -> Result<(), SegmentError> {
        let run = || match self.shared.place() {
            Some(place) => remove::unlink_this(place, self.shared.identity()),
            None => Err(remove::nameless()),
        };
        run().map_err(|failure| failure.during(format!("unlink {self}")))
    }

    /// Has the segment outlive its participants from now on, until somebody [unlinks](Self::unlink) it; it has no moment any
    /// more at which it [expires](crate::Options::expires_after).
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if it has no name: nothing could lead to it.
    ///
    /// # If a peer dies
    ///
    /// it makes no difference. Who is killed in the middle of this has made it persistent or not.
    pub fn persist(&self) -> Result<(), SegmentError> {
        self.set_persistence(true)
            .map_err(|failure| failure.during(format!("make {self} persistent")))
    }

    /// Has the segment be an ordinary one from now on: the last one out removes its name, or the next visitor if all are
    /// killed.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if it has no name.
    ///
    /// # If a peer dies
    ///
    /// it makes no difference.
    pub fn unpersist(&self) -> Result<(), SegmentError> {
        self.set_persistence(false)
            .map_err(|failure| failure.during(format!("make {self} an ordinary one")))
    }

    fn set_persistence(&self, is_wanted: bool) -> Result<(), Failure> {
        if !self.shared.is_named() {
            return Err(remove::nameless());
        }
        Ok(Header::set_persistence(self.whole(), is_wanted)?)
    }

    /// Removes the name of a segment if nobody lives in it and it is not persistent.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::remove_if_dead`].
    ///
    /// # If a peer dies
    ///
    /// while it does this: the name is there or not, and the next one is not held up.
    pub fn remove_if_dead(name: &str) -> Result<RemoveOutcome, SegmentError> {
        OpenOptions::new().remove_if_dead(name)
    }

    /// Returns all bytes of the segment: header, roster, directory and what they lead to.
    ///
    /// # Safety
    ///
    /// A region lets safe code write to all of its bytes. Nothing may be written to header, roster and directory, nor to
    /// any object that the directory has or will have. For reading, and for bytes that are yours: [`data`](Self::data)
    /// of a segment without a directory has them.
    pub unsafe fn region(&self) -> Region<'_> {
        self.whole().sub(0, self.len()).unwrap_or(self.whole())
    }

    pub(crate) fn whole(&self) -> Region<'_> {
        self.shared.region()
    }

    /// Returns the bytes that are yours: those after header and roster, if the segment was made with
    /// [`objects(0)`](crate::Options::objects). None, if it has a directory: then they are its objects'.
    ///
    /// # Safety
    ///
    /// A region lends atomics of any size at any place, and copies by atomics as wide as the copied type is aligned, up to
    /// 8 bytes. Whoever has the region, in whichever process, must access each byte by atomics of one size, as long as
    /// somebody may write to it meanwhile: to mix sizes is a data race.
    pub unsafe fn data(&self) -> Region<'_> {
        let header = self.header();
        // Cannot fail: it is mapped.
        let region = self.whole().sub(0, self.len()).unwrap_or(self.whole());
        let start = match header.directory_entries {
            0 => Plan::new(header.roster_slots, 0).data,
            _ => region.len() as u64,
        };
        // Checked at attach and planned at create: `start` lies inside.
        region.sub(start, region.len() as u64 - start).expect("the plan lies inside the segment")
    }

    /// Returns this process's part in the segment, which the primitives ask who is alive.
    pub fn participant(&self) -> &Participant<'_> {
        self.shared.participant()
    }

    /// Returns a share in the segment, the keeper that its objects have. As long as one is left, the segment stays mapped
    /// and this process takes part.
    pub fn seat(&self) -> Seat {
        Seat::new(Arc::new(Whole(self.shared.clone())))
    }

    /// Returns the size of the segment, in bytes: what was [asked for](crate::Options::new), and header, roster and directory.
    /// Of one that [grows](crate::Options::max) it is the size as of now.
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> u64 {
        self.shared.len()
    }

    /// Returns how large the segment may become, in bytes: its size, if it does not [grow](crate::Options::max).
    pub fn limit(&self) -> u64 {
        self.header().limit()
    }

    /// Returns the header, as it was when this process joined.
    pub fn header(&self) -> &Header {
        self.shared.header()
    }

    /// Returns the name, if the segment was made or opened by one, and nobody gave the file one that is no text.
    pub fn name(&self) -> Option<&str> {
        self.shared.place()?.name().to_str()
    }

    /// Returns the file's path, if the segment was made or opened by name.
    pub fn path(&self) -> Option<&Path> {
        self.shared.place().map(Place::path)
    }

    /// Returns whether the name still leads to this segment, so that others can join. A segment without a name is
    /// never linked.
    pub fn is_linked(&self) -> bool {
        let leads_here = |place: &Place| inspect::names(place, self.shared.identity());
        let place = self.shared.place();
        place.is_some_and(|place| {
            leads_here(place) || (place.is_held() && leads_here(&place.by_path()))
        })
    }

    /// Returns a descriptor of the segment's file, to be sent to a process that
    /// [joins by it](OpenOptions::from_owned_fd). It stays the segment's: do not close it.
    ///
    /// It is looked at first: something in this process may have closed it, and opened another file under its number.
    /// Then the segment is opened anew by its name.
    ///
    /// # Errors
    ///
    /// [`NoDescriptor`](crate::ErrorKind::NoDescriptor): it was closed, and the segment has no name.
    pub fn file(&self) -> Result<BorrowedFd<'_>, SegmentError> {
        attach::own_file(self.participant())
            .map_err(|failure| failure.during(format!("find the file of {self}")))
    }

    /// Makes the description by which *one other* process joins where it cannot open the file anew itself
    /// ([`OpenOptions::from_ticket`]). Send it along with the [descriptor](Self::file), then drop it at once: as long as a
    /// copy of it is open here, the receiver's death may go unnoticed.
    ///
    /// # Errors
    ///
    /// What keeps this process from opening the file anew.
    pub fn ticket(&self) -> Result<OwnedFd, SegmentError> {
        let reopen = || attach::reopen(attach::own_file(self.participant())?);
        reopen().map_err(|failure| failure.during("make a ticket for a segment"))
    }

    /// Joins in a forked child, which takes part in nothing that its parent joined. It does nothing in a process that
    /// has its place.
    ///
    /// Guards, ends and permits that the child inherited stay inert: they are its parent's.
    ///
    /// A child that gives up its privileges joins before, or is one of those that [join at the
    /// fork](crate::join_all_at_fork). If the *parent* has given up its own since it joined, nobody here may open the file
    /// any more: it makes a [ticket](Self::join_after_fork_by) for each child while it may.
    ///
    /// # Errors
    ///
    /// [`Unlinked`](crate::ErrorKind::Unlinked) if the parent and everybody else left in the meantime: the last one out has
    /// removed the segment's name. Join in the child before the parent leaves, or make the segment persistent.
    /// [`Full`](crate::ErrorKind::Full) if the roster is.
    pub fn join_after_fork(&self) -> Result<OwnerId, SegmentError> {
        attach::rejoin(&self.shared)
            .map_err(|failure| failure.during(format!("join {self} in a forked child")))
    }

    /// Joins in a forked child that may not open the file anew, as another user above all, by a
    /// [ticket](Self::ticket) that was made for it: by its parent before it forked, or before it dropped its privileges.
    /// A ticket is good for one process, and all others close it.
    ///
    /// ```no_run
    /// use nix::unistd::{ForkResult, Uid, fork, setuid};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let segment = shmkit_segment::Options::new(1 << 20).create("jobs")?; // As root, for root alone.
    /// let ticket = segment.ticket()?;
    /// // SAFETY: this process has one thread.
    /// match unsafe { fork() }? {
    ///     ForkResult::Child => {
    ///         setuid(Uid::from_raw(65534))?;
    ///         segment.join_after_fork_by(ticket)?; // `join_after_fork` would be refused.
    ///     }
    ///     ForkResult::Parent { .. } => drop(ticket), // Or the child's death would not be noticed.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`join_after_fork`](Self::join_after_fork).
    pub fn join_after_fork_by(&self, ticket: OwnedFd) -> Result<OwnerId, SegmentError> {
        attach::rejoin_by(&self.shared, Description::Ticket(ticket))
            .map_err(|failure| failure.during(format!("join {self} in a forked child, by ticket")))
    }

    /// Leaves, and says what became of the segment. It is what a drop does, which has nobody to tell.
    ///
    /// # Errors
    ///
    /// This process was the last one, and cannot remove the name.
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied): it has dropped its privileges, or the folder is sticky (as
    /// `/dev/shm` is) and the file another user's. It has left all the same, and the name stays until the next visitor who
    /// may remove it.
    ///
    /// # Examples
    ///
    /// ```
    /// use shmkit_segment::{Leave, Options};
    ///
    /// # fn main() -> Result<(), shmkit_segment::SegmentError> {
    /// # let name = format!("test-{}-leave", std::process::id());
    /// let segment = Options::new(4096).create(&name)?;
    /// let other = segment.clone();
    /// assert_eq!(other.leave()?, Leave::Kept);
    /// assert_eq!(segment.leave()?, Leave::Removed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn leave(self) -> Result<Leave, SegmentError> {
        let name = self.to_string();
        match Arc::into_inner(self.shared) {
            Some(shared) => {
                shared.leave().map_err(|failure| failure.during(format!("leave {name} in order")))
            }
            None => Ok(Leave::Kept),
        }
    }

    /// Keeps the segment to the end of the process, so that threads can borrow its objects for ever.
    ///
    /// At the end nobody runs the drop. A process that *exits*, by the end of `main` or by [`std::process::exit`], leaves
    /// in order all the same: if it is the last one, it removes the name. (If it has other threads then, it keeps its
    /// place until they have ended, and two such that exit in the same moment may leave the name to the next visitor.)
    /// Objects that are used by later exit handlers find that this process is nobody. One that ends in another way
    /// (`_exit`, `abort`, a signal) dies as if killed.
    pub fn leak(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "segment {name:?}"),
            None => f.write_str("an anonymous segment"),
        }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("path", &self.path())
            .field("size", &self.len())
            .field("limit", &self.limit())
            .field("content", &self.header().content)
            .field("me", &self.participant().me())
            .finish_non_exhaustive()
    }
}

// Threads share the handles, and the objects that borrow them.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Segment>();
};
