//! The first bytes of a segment file.

use core::error::Error;
use core::fmt;

use bytemuck::{Pod, Zeroable};

#[cfg(not(loom))]
use shmkit_atomic::crash::in_program_order;
#[cfg(not(loom))]
use shmkit_atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::TypeTag;
use crate::plain::opaque;
#[cfg(not(loom))]
use crate::{Offset, Region};

/// The first eight bytes of every segment file. The line ends and the byte above 127 show a copy through a text
/// channel, as in PNG.
pub const MAGIC: [u8; 8] = *b"\x9fshmk\r\n\0";

/// The version of everything that lies in a segment: header, roster, directory and every primitive.
pub const VERSION: u32 = 4;

/// Reads as 0x01020304 where it was written on a machine of the same byte order.
const ORDER: u32 = 0x0102_0304;

/// The header of a segment.
///
/// ```text
///  0 magic  8 version  12 order  16 word width  20 flags  24 size  32 cookie
/// 40 roster offset  48 roster slots  52 directory entries  56 directory offset  64 content  112 expiry  120 limit  128
/// ```
///
/// It is written once, before the segment has a name, and only read from then on; but for the flags, of which whoever opens
/// a segment may [take one away](Self::end_persistence), whether it is [persistent](Self::set_persistence), and for the size of one that grows, which is its
/// [published length](Self::length).
///
/// Magic, version, byte order, word width, flags and expiry are frozen: they lie where they lie, and mean what they mean,
/// in every version. So does what tells whether anybody lives in a segment, which takes no byte of it but the file's record locks
/// (`range` of the roster). That is all it takes to sweep the dead of other versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    magic: [u8; 8],
    /// [`VERSION`].
    version: u32,
    /// [`ORDER`].
    order: u32,
    /// Bits of a pointer: a 32-bit process has other atomics than a 64-bit one.
    width: u32,
    /// Bit 0: persistent. Bit 1: until somebody opens it. The others are 0.
    flags: u32,
    /// Size of the whole segment, in bytes: as of now, if it [grows](Self::grows).
    pub size: u64,
    /// A random number, never 0, that tells this segment from every other of the same name.
    pub cookie: u64,
    /// Where the roster begins, in bytes from the base.
    pub roster: u64,
    /// How many participants the roster has room for, 1 to 16384.
    pub roster_slots: u32,
    /// How many objects the directory has room for at first.
    pub directory_entries: u32,
    /// Where the directory begins, in bytes from the base; 0 if there is none.
    pub directory: u64,
    /// What the application calls the contents.
    pub content: TypeTag,
    /// Until when it is persistent, in seconds since 1970; 0: for ever.
    expiry: u64,
    /// How large the whole segment may become, in bytes; 0 if it does not grow.
    limit: u64,
}

opaque!(Header => "shmkit.Header/3",);

const _: () = assert!(size_of::<Header>() == 128, "part of the segment format");

/// The segment outlives its participants.
const PERSISTENT: u32 = 1;
/// But not those that open it.
const UNTIL_OPENED: u32 = 2;

impl Header {
    /// Makes the header of a segment of `size` bytes. Roster and directory are for the caller to fill in.
    pub fn new(size: u64, cookie: u64, persistent: bool, content: TypeTag) -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            order: ORDER,
            width: usize::BITS,
            flags: if persistent { PERSISTENT } else { 0 },
            size,
            cookie,
            content,
            ..Self::zeroed()
        }
    }

    /// Has a persistent segment be so only until somebody opens it, and only until a moment, in seconds since 1970; 0: for
    /// ever.
    pub fn persistent_until(self, opened: bool, expiry: u64) -> Self {
        let flags = self.flags | if opened { UNTIL_OPENED } else { 0 };
        Self { flags, expiry, ..self }
    }

    /// Has the segment grow up to so many bytes.
    pub fn growing_to(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Returns whether the segment is one that grows, or did: not all memory of its objects need be there.
    pub fn grows(&self) -> bool {
        self.limit != 0
    }

    /// Returns how large the whole segment may become, in bytes: its size, if it does not grow.
    pub fn limit(&self) -> u64 {
        if self.grows() { self.limit } else { self.size }
    }

    /// Borrows the word that says how large the segment is, in the header at the base of a region. In one that grows it only
    /// ever gets larger: whoever makes room first has the memory, and then stores the new length with Release.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Truncated`] if the region is smaller than the header.
    #[cfg(not(loom))]
    pub fn length(region: Region<'_>) -> Result<&AtomicU64, HeaderError> {
        let truncated = HeaderError::Truncated { found: region.len() as u64, expected: 128 };
        let size = Offset::<AtomicU64>::new(core::mem::offset_of!(Self, size) as u64);
        size.and_then(|at| region.get(at)).map_err(|_| truncated)
    }

    /// Returns whether the segment outlives its participants, `now` seconds after 1970.
    pub fn is_persistent(&self, now: u64) -> bool {
        self.flags & PERSISTENT != 0 && (self.expiry == 0 || now < self.expiry)
    }

    /// Returns whether the segment outlives its participants until it is unlinked.
    pub fn is_persistent_for_ever(&self) -> bool {
        self.flags == PERSISTENT && self.expiry == 0
    }

    /// Returns whether it is persistent until somebody opens it, who has not.
    pub fn waits_for_opener(&self) -> bool {
        self.flags == PERSISTENT | UNTIL_OPENED
    }

    /// Notes in the header at the base of a region that somebody has opened the segment, which was persistent until then.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Truncated`] if the region is smaller than the header.
    #[cfg(not(loom))]
    pub fn end_persistence(region: Region<'_>) -> Result<(), HeaderError> {
        let truncated = HeaderError::Truncated { found: region.len() as u64, expected: 128 };
        let flags = Offset::<AtomicU32>::new(core::mem::offset_of!(Self, flags) as u64);
        let flags = flags.and_then(|at| region.get(at)).map_err(|_| truncated)?;
        // Relaxed: who removes reads it from the file, with the lock that nobody has who takes part. Not if somebody has made
        // it persistent, or ordinary, since.
        let _ = flags.compare_exchange(PERSISTENT | UNTIL_OPENED, UNTIL_OPENED, Relaxed, Relaxed);
        Ok(())
    }

    /// Has the segment with its header at the base of a region outlive its participants from now on, until it is unlinked; or
    /// no longer than its last one.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Truncated`] if the region is smaller than the header.
    #[cfg(not(loom))]
    pub fn set_persistence(region: Region<'_>, is_wanted: bool) -> Result<(), HeaderError> {
        let truncated = |_| HeaderError::Truncated { found: region.len() as u64, expected: 128 };
        let at = core::mem::offset_of!(Self, expiry) as u64;
        let expiry = Offset::<AtomicU64>::new(at).and_then(|at| region.get(at));
        let expiry = expiry.map_err(truncated)?;
        let at = core::mem::offset_of!(Self, flags) as u64;
        let flags = Offset::<AtomicU32>::new(at).and_then(|at| region.get(at));
        let flags = flags.map_err(truncated)?;
        // Relaxed: as in `end_persistence`. The moment goes first: killed between the two, what was persistent until then is
        // so for ever, as was asked for.
        if is_wanted {
            expiry.store(0, Relaxed);
            in_program_order();
        }
        flags.swap(if is_wanted { PERSISTENT } else { 0 }, Relaxed);
        Ok(())
    }

    /// Returns whether a segment of whatever version outlives its participants, `now` seconds after 1970, from a copy of
    /// the file's first bytes. A file that is too short to say so is not persistent.
    ///
    /// Where the magic number, the byte order mark, the flags and the expiry lie, and what the first flag means, is the same
    /// in all versions, so that each can sweep what another has left. So is that whoever lives in a segment holds a record
    /// lock between the remover's byte and the end of its file (`roster`), and that whoever joins takes its lock before it
    /// looks whether the file still has a name.
    pub fn is_persistent_in(bytes: &[u8], now: u64) -> bool {
        let Some(&copy) = bytes.first_chunk::<{ size_of::<Self>() }>() else { return false };
        let header: Self = bytemuck::cast(copy);
        let (flags, expiry) = match header.order {
            ORDER => (header.flags, header.expiry),
            _ => (header.flags.swap_bytes(), header.expiry.swap_bytes()),
        };
        header.magic == MAGIC && Self { flags, expiry, ..header }.is_persistent(now)
    }

    /// Reads and checks the header of a segment file that has `region.len()` bytes.
    ///
    /// # Errors
    ///
    /// [`HeaderError`], in the order of its variants: what is not ours at all first.
    #[cfg(not(loom))]
    pub fn read(region: Region<'_>) -> Result<Self, HeaderError> {
        let truncated = HeaderError::Truncated { found: region.len() as u64, expected: 128 };
        let header: Self = region.read(Offset::ZERO).map_err(|_| truncated)?;
        header.check(region.len() as u64)?;
        Ok(header)
    }

    /// Reads and checks the header of a segment file of `file` bytes, from a copy of the file's first bytes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read). A file that is too short for a header and does not begin like one is foreign.
    pub fn parse(bytes: &[u8], file: u64) -> Result<Self, HeaderError> {
        let Some(copy) = bytes.get(..size_of::<Self>()) else {
            let start = bytes.len().min(MAGIC.len());
            if bytes[..start] != MAGIC[..start] {
                let mut found = [0; 8];
                found[..start].copy_from_slice(&bytes[..start]);
                return Err(HeaderError::Magic { found });
            }
            return Err(HeaderError::Truncated { found: bytes.len() as u64, expected: 128 });
        };
        let header: Self = bytemuck::pod_read_unaligned(copy);
        header.check(file)?;
        Ok(header)
    }

    /// Writes the header at the base of a region.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Truncated`] if the region is smaller than the header.
    #[cfg(not(loom))]
    pub fn write(self, region: Region<'_>) -> Result<(), HeaderError> {
        let truncated = HeaderError::Truncated { found: region.len() as u64, expected: 128 };
        region.write(Offset::ZERO, self).map_err(|_| truncated)
    }

    fn check(&self, file: u64) -> Result<(), HeaderError> {
        if self.magic != MAGIC {
            return Err(HeaderError::Magic { found: self.magic });
        }
        if self.order == ORDER.swap_bytes() {
            return Err(HeaderError::ByteOrder);
        }
        if self.version != VERSION {
            return Err(HeaderError::Version { found: self.version });
        }
        if self.width != usize::BITS {
            return Err(HeaderError::Width { found: self.width });
        }
        if self.size > file {
            return Err(HeaderError::Truncated { found: file, expected: self.size });
        }
        let corrupt = |field, found| Err(HeaderError::Corrupt { field, found });
        if self.order != ORDER {
            return corrupt("byte order mark", self.order.into());
        }
        if self.flags & !(PERSISTENT | UNTIL_OPENED) != 0 {
            return corrupt("flags", self.flags.into());
        }
        if self.size < 128 {
            return corrupt("size", self.size);
        }
        if self.limit() < self.size {
            return corrupt("limit", self.limit);
        }
        if self.cookie == 0 {
            return corrupt("cookie", 0);
        }
        Ok(())
    }
}

/// Why a file is not a segment that this program can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file does not begin with [`MAGIC`]: it belongs to somebody else.
    Magic {
        /// The first eight bytes found.
        found: [u8; 8],
    },
    /// The segment was made on a machine of the other byte order.
    ByteOrder,
    /// The segment was made by another version of shmkit.
    Version {
        /// The version found.
        found: u32,
    },
    /// The segment was made by a process of another word width.
    Width {
        /// The width found, in bits.
        found: u32,
    },
    /// The file is shorter than its header says, or than a header.
    Truncated {
        /// Size of the file, in bytes.
        found: u64,
        /// Size that the header says, in bytes.
        expected: u64,
    },
    /// A field has a value that no program of this version writes.
    Corrupt {
        /// What the field means.
        field: &'static str,
        /// The value found.
        found: u64,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic { found } => write!(
                f,
                "it begins with \"{}\" where a shmkit segment has \"{}\": the file belongs to another program, use another name",
                found.escape_ascii(),
                MAGIC.escape_ascii()
            ),
            Self::ByteOrder => f.write_str(
                "it was made on a machine of the other byte order: make the segment anew on this machine",
            ),
            Self::Version { found } => write!(
                f,
                "its layout version is {found}, this program's is {VERSION}: build both sides with the same version of shmkit"
            ),
            Self::Width { found } => write!(
                f,
                "it was made by a process of {found} bits, this one has {}: build both sides for the same word width",
                usize::BITS
            ),
            Self::Truncated { found, expected } => write!(
                f,
                "the file has {found} bytes where its header needs {expected}: it was cut off, remove it and make it anew"
            ),
            Self::Corrupt { field, found } => write!(
                f,
                "its {field} is {found:#x}, which no program of this version writes: remove it and make it anew"
            ),
        }
    }
}

impl Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Header {
        Header::new(4096, 7, false, TypeTag::named("test"))
    }

    #[test]
    fn a_new_header_is_good() {
        assert_eq!(good().check(4096), Ok(()));
        assert_eq!(good().check(8192), Ok(()));
    }

    #[test]
    fn a_short_file_is_truncated_or_foreign() {
        let bytes = bytemuck::bytes_of(&good()).to_vec();
        assert_eq!(Header::parse(&bytes, 4096), Ok(good()));
        for len in [0, 5, 8, 127] {
            let found = len as u64;
            let truncated = Err(HeaderError::Truncated { found, expected: 128 });
            assert_eq!(Header::parse(&bytes[..len], found), truncated);
        }
        let found = *b"text\0\0\0\0";
        assert_eq!(Header::parse(b"text", 4), Err(HeaderError::Magic { found }));
    }

    #[test]
    fn every_version_says_where_it_is_persistent() {
        let persistent = Header { flags: 1, version: 9, size: 3, ..good() };
        let says = |header: &Header, now| Header::is_persistent_in(bytemuck::bytes_of(header), now);
        assert!(says(&persistent, u64::MAX));
        let foreign = Header { flags: 1 << 24, order: ORDER.swap_bytes(), ..persistent };
        assert!(says(&foreign, u64::MAX));
        let expires = Header { expiry: 500, ..persistent };
        let foreign_expires = Header { expiry: 500_u64.swap_bytes(), ..foreign };
        for header in [expires, foreign_expires] {
            assert!(says(&header, 499) && !says(&header, 500));
        }
        for passing in
            [good(), Header { flags: 2, ..persistent }, Header { order: ORDER, ..foreign }]
        {
            assert!(!says(&passing, 0));
        }
        assert!(!Header::is_persistent_in(&bytemuck::bytes_of(&persistent)[..127], 0));
    }

    #[test]
    fn every_defect_is_named() {
        assert!(matches!(
            Header { magic: *b"\x7fELF\0\0\0\0", ..good() }.check(4096),
            Err(HeaderError::Magic { .. })
        ));
        assert_eq!(
            Header { version: 1, ..good() }.check(4096),
            Err(HeaderError::Version { found: 1 })
        );
        assert_eq!(
            Header { order: 0x0403_0201, version: 1 << 24, ..good() }.check(4096),
            Err(HeaderError::ByteOrder)
        );
        assert_eq!(
            Header { width: 96 - usize::BITS, ..good() }.check(4096),
            Err(HeaderError::Width { found: 96 - usize::BITS })
        );
        assert_eq!(good().check(4095), Err(HeaderError::Truncated { found: 4095, expected: 4096 }));
        for bad in [
            Header { cookie: 0, ..good() },
            Header { flags: 4, ..good() },
            Header { size: 5, ..good() },
            Header { limit: 4095, ..good() },
            Header { order: 5, ..good() },
        ] {
            assert!(matches!(bad.check(4096), Err(HeaderError::Corrupt { .. })), "{bad:?}");
        }
    }
}
