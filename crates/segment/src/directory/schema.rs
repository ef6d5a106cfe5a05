//! The definitions of types, each an object of its own, so that who was built from another one learns where the two differ.
//!
//! A definition is made after the first object of its type, if there is room for it: it never takes what an object needs,
//! and whoever is killed in between leaves a type that is refused as before, by its hash, without a field to name.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{
    Definition, Kind, NameWords, Object, Offset, Region, Shape, ShapeError, TypeTag,
};

use super::{Directory, Keeper};

/// The most bytes of a definition.
const MOST: u64 = 1 << 16;

impl Directory<'_> {
    /// Keeps the definition of what `O` holds, if its name does not say all and nobody else has kept it.
    pub(super) fn keep_schema<O: Object<K>, K: Clone, U: Keeper<K>>(self, keeper: &U) {
        let Some(schema) = O::SCHEMA.filter(|schema| schema.has_parts()) else { return };
        let Some(bytes) = schema.encode() else { return };
        // At most every second of the first entries: no table is made for it. Relaxed: a count that is late is as good.
        let used = self.used().map_or(u32::MAX, |used| used.load(Relaxed));
        if u64::from(used) * 2 > self.entries.into() {
            return;
        }
        // SAFETY: the handle is used no more when this returns, and the region is mapped as long.
        let kept: Result<Stored, _> =
            unsafe { self.object_with(&name(&TypeTag::of(schema)), bytes, keeper) };
        // There is no room for it, or somebody holds the directory: the object is there without it.
        drop(kept);
    }

    /// Says in what the type that `O` holds here differs from what was found there, if it has the same kind and name.
    pub(super) fn differs<O: Object<K>, K, U: Keeper<K>>(
        self,
        found: &Shape,
        keeper: &U,
    ) -> Option<String> {
        let here = O::SCHEMA?;
        if (found.kind, found.tag.name()) != (O::KIND, TypeTag::of(here).name()) {
            return None;
        }
        // SAFETY: the handle is used no more when this returns, and the region is mapped as long.
        let kept: Option<Stored> = unsafe { self.find_with(&name(&found.tag), keeper) }.ok();
        let there = kept.and_then(|kept| Definition::decode(&kept.bytes).ok());
        let difference = there.and_then(|there| Definition::from(here).difference(&there));
        Some(match difference {
            Some(difference) => difference.to_string(),
            None => "its definition was not kept, for want of room".into(),
        })
    }
}

/// Returns what the definition of a type is called.
fn name(tag: &TypeTag) -> String {
    format!("shmkit.schema/{:016x}", tag.hash())
}

/// The bytes of a definition.
struct Stored {
    bytes: Vec<u8>,
}

// SAFETY: kind and tag are given to this layout alone.
unsafe impl<K> Object<K> for Stored {
    const KIND: Kind = Kind::new("schema");
    const TAG: TypeTag = TypeTag::NONE;

    type Spec = Vec<u8>;

    fn shape(spec: &Vec<u8>, _: u32) -> Result<Shape, ShapeError> {
        let len = spec.len() as u64;
        let names = NameWords::NONE.alone();
        Ok(Shape {
            kind: Kind::new("schema"),
            tag: TypeTag::NONE,
            len,
            bytes: len,
            align: 8,
            names,
        })
    }

    unsafe fn init(region: Region<'_>, spec: Vec<u8>, _: K) -> Result<Self, ShapeError> {
        for (at, byte) in spec.iter().enumerate() {
            region.write(Offset::new(at as u64)?, *byte)?;
        }
        Ok(Self { bytes: spec })
    }

    unsafe fn attach(region: Region<'_>, len: u64, _: K) -> Result<Self, ShapeError> {
        if len > MOST {
            return Err(ShapeError::Length { found: len, min: 0, max: MOST });
        }
        let read = |at| Ok(region.read::<u8>(Offset::new(at)?)?);
        Ok(Self { bytes: (0..len).map(read).collect::<Result<_, ShapeError>>()? })
    }
}
