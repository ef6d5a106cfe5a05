//! Borrowed views of mapped bytes.

use core::marker::PhantomData;
use core::ptr::NonNull;

#[cfg(not(loom))]
use crate::copy;
use crate::{Offset, OffsetError, Shared, ShmSafe};

/// A view of shared bytes that some owner keeps mapped for `'a`.
///
/// The owner is a segment in most programs, a mapping that the program made itself in others, and an aligned array in
/// a test: nothing above this type can tell which.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    base: NonNull<u8>,
    /// Length, in bytes.
    len: usize,
    _owner: PhantomData<&'a ()>,
}

// SAFETY: a region is an address and a length; every access through it is either atomic (`get`, `slice`, `read`,
// `write`) or `unsafe`.
unsafe impl Send for Region<'_> {}
// SAFETY: as above.
unsafe impl Sync for Region<'_> {}

impl<'a> Region<'a> {
    /// Makes a region from raw parts.
    ///
    /// # Safety
    ///
    /// `base` must be valid for reads and writes of `len` bytes for all of `'a`, and nobody may hold a reference to
    /// those bytes in that time except to `Shared` types, or under the right (a lock, a ring position) that the bytes
    /// are guarded by, or access the same bytes by atomics of different sizes while somebody writes to them. Whoever gets
    /// a copy of the region may read and write all of its bytes, atomically, at any time: it goes to those who leave the
    /// bytes of living objects alone, and [`sub`](Self::sub) is for the others.
    pub const unsafe fn from_raw_parts(base: NonNull<u8>, len: usize) -> Self {
        Self { base, len, _owner: PhantomData }
    }

    /// Returns the same bytes for a handle that keeps them mapped itself, by the keeper that lies beside this.
    ///
    /// # Safety
    ///
    /// Nobody may use the region, or what is borrowed from it, after its bytes are unmapped: it stays in the handle, and
    /// leaves it for no longer than the handle, or another copy of its keeper, is borrowed.
    pub const unsafe fn kept(self) -> Region<'static> {
        Region { base: self.base, len: self.len, _owner: PhantomData }
    }

    /// Returns the address of the first byte.
    pub const fn base(self) -> NonNull<u8> {
        self.base
    }

    /// Returns the length in bytes.
    pub const fn len(self) -> usize {
        self.len
    }

    /// Returns whether the region has no bytes.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Returns the `len` bytes that begin at byte `start`.
    ///
    /// # Errors
    ///
    /// [`OffsetError::OutOfBounds`] if they do not all lie inside this region.
    #[inline]
    pub fn sub(self, start: u64, len: u64) -> Result<Region<'a>, OffsetError> {
        let base = self.locate(start, len, 1)?;
        // `len <= self.len`, which is a usize.
        Ok(Region { base, len: len as usize, _owner: PhantomData })
    }

    /// Borrows the `T` at `at`.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if it does not lie inside the region or is not aligned there.
    #[inline]
    pub fn get<T: Shared>(self, at: Offset<T>) -> Result<&'a T, OffsetError> {
        let ptr = self.locate(at.get(), size_of::<T>() as u64, align_of::<T>() as u64)?.cast::<T>();
        // SAFETY: `ptr` is aligned and in bounds (`locate`), its bytes stay mapped for `'a` (`from_raw_parts`), and
        // `T: Shared` is valid for any bytes and only accessed atomically.
        Ok(unsafe { ptr.as_ref() })
    }

    /// Borrows `count` consecutive `T`s, the first of them at `at`.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if they do not all lie inside the region or are not aligned there.
    #[inline]
    pub fn slice<T: Shared>(self, at: Offset<T>, count: usize) -> Result<&'a [T], OffsetError> {
        let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
        let ptr = self.locate(at.get(), bytes, align_of::<T>() as u64)?.cast::<T>();
        // SAFETY: as in `get`, for `count` elements: their bytes were checked together, and did not saturate, since
        // they fit in the region.
        Ok(unsafe { core::slice::from_raw_parts(ptr.as_ptr(), count) })
    }

    /// Returns the address of `count` consecutive values, the first of them at `at`.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if they do not all lie inside the region or are not aligned there.
    #[inline]
    pub fn place<T: ShmSafe>(self, at: Offset<T>, count: usize) -> Result<NonNull<T>, OffsetError> {
        let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
        Ok(self.locate(at.get(), bytes, align_of::<T>() as u64)?.cast())
    }

    /// Copies the value at `at` out.
    ///
    /// What is read is a copy, which no peer can change between a check and its use. It is read word by word, each
    /// atomically: the whole is whole only if no peer writes at this moment.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if it does not lie inside the region or is not aligned there.
    #[cfg(not(loom))]
    #[inline]
    pub fn read<T: ShmSafe>(self, at: Offset<T>) -> Result<T, OffsetError> {
        let mut value = T::zeroed();
        self.read_into(at, &mut value)?;
        Ok(value)
    }

    /// Copies the value at `at` to where `value` is, as [`read`](Self::read) does: a large one is moved once.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); `value` is what it was then.
    #[cfg(not(loom))]
    #[inline]
    pub fn read_into<T: ShmSafe>(self, at: Offset<T>, value: &mut T) -> Result<(), OffsetError> {
        let from = self.place(at, 1)?;
        // SAFETY: aligned, in bounds and mapped (`place`), and written to atomically, or by nobody now (`from_raw_parts`).
        unsafe { copy::copy_out(from.as_ptr(), value) };
        Ok(())
    }

    /// Copies a value in, at `at`, word by word, each atomically. To be used before peers can see the bytes, or with the
    /// right to them.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if it does not lie inside the region or is not aligned there.
    #[cfg(not(loom))]
    #[inline]
    pub fn write<T: ShmSafe>(self, at: Offset<T>, value: T) -> Result<(), OffsetError> {
        self.write_from(at, &value)
    }

    /// Copies what `value` leads to in, as [`write`](Self::write) does: a large one is moved once.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    #[cfg(not(loom))]
    #[inline]
    pub fn write_from<T: ShmSafe>(self, at: Offset<T>, value: &T) -> Result<(), OffsetError> {
        let to = self.place(at, 1)?;
        // SAFETY: aligned, in bounds and mapped (`place`); who else is there accesses it atomically (`from_raw_parts`).
        unsafe { copy::copy_in(to.as_ptr(), value) };
        Ok(())
    }

    /// Copies the bytes that begin at byte `start` out, each atomically.
    ///
    /// # Errors
    ///
    /// [`OffsetError::OutOfBounds`] if they do not all lie inside this region; then nothing is copied.
    #[cfg(not(loom))]
    pub fn read_bytes(self, start: u64, to: &mut [u8]) -> Result<(), OffsetError> {
        let from = self.locate(start, to.len() as u64, 1)?;
        // SAFETY: in bounds and mapped (`locate`), and written to atomically, or by nobody now (`from_raw_parts`).
        unsafe { copy::bytes_out(from.as_ptr(), to) };
        Ok(())
    }

    /// Copies the bytes that begin at byte `start` out, in words of eight, each atomically: the last one is read whole.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if the words do not all lie inside this region, or are not aligned; then nothing is copied.
    #[cfg(not(loom))]
    #[inline]
    pub fn read_words(self, start: u64, to: &mut [u8]) -> Result<(), OffsetError> {
        let from = self.locate(start, (to.len() as u64).next_multiple_of(8), 8)?;
        // SAFETY: aligned, in bounds and mapped (`locate`), and written to atomically, or by nobody now (`from_raw_parts`).
        unsafe { copy::words_out(from.as_ptr(), to) };
        Ok(())
    }

    /// Copies bytes in, from byte `start` on, in words of eight, each atomically: the last one is filled up with zeros.
    ///
    /// # Errors
    ///
    /// As [`read_words`](Self::read_words).
    #[cfg(not(loom))]
    #[inline]
    pub fn write_words(self, start: u64, from: &[u8]) -> Result<(), OffsetError> {
        let to = self.locate(start, (from.len() as u64).next_multiple_of(8), 8)?;
        // SAFETY: aligned, in bounds and mapped (`locate`); who else is there accesses it atomically (`from_raw_parts`).
        unsafe { copy::words_in(to.as_ptr(), from) };
        Ok(())
    }

    /// Copies bytes in, from byte `start` on, each atomically.
    ///
    /// # Errors
    ///
    /// As [`read_bytes`](Self::read_bytes).
    #[cfg(not(loom))]
    #[inline]
    pub fn write_bytes(self, start: u64, from: &[u8]) -> Result<(), OffsetError> {
        let to = self.locate(start, from.len() as u64, 1)?;
        // SAFETY: in bounds and mapped (`locate`); who else is there accesses it atomically (`from_raw_parts`).
        unsafe { copy::bytes_in(to.as_ptr(), from) };
        Ok(())
    }

    /// Returns the address of byte `start`, if `bytes` bytes from there lie inside the region and the address is a
    /// multiple of `align`.
    #[inline]
    fn locate(self, start: u64, bytes: u64, align: u64) -> Result<NonNull<u8>, OffsetError> {
        let len = self.len as u64;
        let end = start.saturating_add(bytes);
        if end > len {
            return Err(OffsetError::OutOfBounds { end, len });
        }
        // SAFETY: `start <= end <= len`, a usize, so the address is inside the region or one past its end.
        let ptr = unsafe { self.base.byte_add(start as usize) };
        if !(ptr.as_ptr().addr() as u64).is_multiple_of(align) {
            return Err(OffsetError::Misaligned { bytes: start, align });
        }
        Ok(ptr)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use shmkit_atomic::AtomicU32;
    use shmkit_atomic::Ordering::Relaxed;

    use super::*;

    #[repr(align(128))]
    struct Bytes([u8; 256]);

    fn region(bytes: &mut Bytes) -> Region<'_> {
        // SAFETY: the array is borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut bytes.0).cast(), 256) }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Bytes([0; 256]);
        let region = region(&mut bytes);
        region.write(Offset::new(8).unwrap(), 0x0102_0304_u32).unwrap();
        assert_eq!(region.read::<u32>(Offset::new(8).unwrap()), Ok(0x0102_0304));
        let word = region.get::<AtomicU32>(Offset::new(8).unwrap()).unwrap();
        assert_eq!(word.load(Relaxed), 0x0102_0304);
    }

    #[test]
    fn values_of_every_width_are_copied() {
        let mut bytes = Bytes([0; 256]);
        let region = region(&mut bytes);
        region.write(Offset::new(1).unwrap(), [1_u8, 2, 3]).unwrap();
        region.write(Offset::new(6).unwrap(), [4_u16, 5]).unwrap();
        region.write(Offset::new(12).unwrap(), [6_u32, 7, 8]).unwrap();
        region.write(Offset::new(32).unwrap(), u128::MAX - 1).unwrap();
        assert_eq!(region.read::<[u8; 3]>(Offset::new(1).unwrap()), Ok([1, 2, 3]));
        assert_eq!(region.read::<[u16; 2]>(Offset::new(6).unwrap()), Ok([4, 5]));
        assert_eq!(region.read::<[u32; 3]>(Offset::new(12).unwrap()), Ok([6, 7, 8]));
        assert_eq!(region.read::<u128>(Offset::new(32).unwrap()), Ok(u128::MAX - 1));
    }

    #[test]
    fn values_of_every_length_are_copied_and_nothing_beside_them() {
        fn check<T: ShmSafe + PartialEq + core::fmt::Debug>(value: T) {
            let mut bytes = Bytes([0xEE; 256]);
            let at = Offset::new(8).unwrap();
            region(&mut bytes).write(at, value).unwrap();
            assert_eq!(region(&mut bytes).read::<T>(at), Ok(value));
            let (before, rest) = bytes.0.split_at(8);
            let (inside, after) = rest.split_at(size_of::<T>());
            assert_eq!(inside, bytemuck::bytes_of(&value));
            assert!(before.iter().chain(after).all(|byte| *byte == 0xEE));
        }
        check([0x1122_3344_5566_7788_u64; 7]);
        check(core::array::from_fn::<u64, 8, _>(|n| n as u64));
        check(core::array::from_fn::<u64, 30, _>(|n| n as u64));
        check(core::array::from_fn::<u32, 15, _>(|n| n as u32));
        check(core::array::from_fn::<u32, 61, _>(|n| n as u32));
        check(core::array::from_fn::<u8, 63, _>(|n| n as u8));
        check(core::array::from_fn::<u8, 65, _>(|n| n as u8));
        check(core::array::from_fn::<u8, 247, _>(|n| n as u8));
    }

    #[test]
    fn bytes_of_every_length_are_copied_and_nothing_beside_them() {
        for len in [0, 1, 7, 127, 128, 200] {
            let mut bytes = Bytes([0xEE; 256]);
            let written: Vec<u8> = (0..len).map(|n| n as u8).collect();
            region(&mut bytes).write_bytes(3, &written).unwrap();
            let mut read = vec![0xAA; len];
            region(&mut bytes).read_bytes(3, &mut read).unwrap();
            assert_eq!(read, written);
            let beside = bytes.0[..3].iter().chain(&bytes.0[3 + len..]);
            assert!(beside.copied().all(|byte| byte == 0xEE), "{len}");
        }
        let mut bytes = Bytes([0; 256]);
        let region = region(&mut bytes);
        assert!(region.write_bytes(250, &[1; 7]).is_err());
        assert!(region.read_bytes(u64::MAX, &mut [0]).is_err());
        assert_eq!(region.read::<[u8; 6]>(Offset::new(250).unwrap()), Ok([0; 6]));
    }

    #[test]
    fn words_of_every_length_are_copied_and_the_last_one_is_filled_up() {
        for len in [0, 1, 7, 8, 15, 127, 128, 131, 200] {
            let mut bytes = Bytes([0xEE; 256]);
            let written: Vec<u8> = (0..len).map(|n| n as u8 + 1).collect();
            region(&mut bytes).write_words(8, &written).unwrap();
            let mut read = vec![0xAA; len];
            region(&mut bytes).read_words(8, &mut read).unwrap();
            assert_eq!(read, written);
            let end = 8 + len.next_multiple_of(8);
            assert!(bytes.0[8 + len..end].iter().all(|&byte| byte == 0), "{len}");
            let beside = bytes.0[..8].iter().chain(&bytes.0[end..]);
            assert!(beside.copied().all(|byte| byte == 0xEE), "{len}");
        }
        let mut bytes = Bytes([0xEE; 256]);
        let region = region(&mut bytes);
        assert!(region.write_words(248, &[1; 9]).is_err() && region.write_words(4, &[1]).is_err());
        assert!(region.read_words(252, &mut [0]).is_err());
        assert_eq!(region.read::<[u8; 8]>(Offset::new(248).unwrap()), Ok([0xEE; 8]));
    }

    #[test]
    fn out_of_bounds_is_refused() {
        let mut bytes = Bytes([0; 256]);
        let region = region(&mut bytes);
        let at = Offset::new(256).unwrap();
        let error = OffsetError::OutOfBounds { end: 260, len: 256 };
        assert_eq!(region.get::<AtomicU32>(at).unwrap_err(), error);
        assert!(region.slice::<AtomicU32>(Offset::ZERO, 64).is_ok());
        assert!(region.slice::<AtomicU32>(Offset::ZERO, 65).is_err());
        assert!(region.slice::<AtomicU32>(Offset::new(4).unwrap(), usize::MAX).is_err());
        assert!(region.place::<u64>(Offset::new(u64::MAX - 7).unwrap(), 2).is_err());
        assert!(region.sub(250, 7).is_err());
        assert!(region.sub(u64::MAX, 2).is_err());
        assert_eq!(region.sub(250, 6).unwrap().len(), 6);
    }

    #[test]
    fn a_misaligned_base_is_refused() {
        let mut bytes = Bytes([0; 256]);
        let odd = region(&mut bytes).sub(1, 64).unwrap();
        assert!(matches!(odd.get::<AtomicU32>(Offset::ZERO), Err(OffsetError::Misaligned { .. })));
    }
}
