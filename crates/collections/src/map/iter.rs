//! Going through a map while others change it.

use core::iter::FusedIterator;

use shmkit_roster::{Judge, Seat};

use super::ShmMap;
use super::entry::Entry;
use crate::{Item, MapError};

/// Goes through a [`ShmMap`] part by part: see [`ShmMap::iter`].
pub(super) struct MapIter<'m, Q: Item + ?Sized, V: Item + ?Sized, A, K: Judge = Seat> {
    map: &'m ShmMap<Q, V, K>,
    copy: fn(&Entry<'_>) -> Option<A>,
    /// What is left of the part before `next`.
    copies: std::vec::IntoIter<A>,
    next: usize,
}

impl<'m, Q: Item + ?Sized, V: Item + ?Sized, A, K: Judge> MapIter<'m, Q, V, A, K> {
    pub(super) fn new(map: &'m ShmMap<Q, V, K>, copy: fn(&Entry<'_>) -> Option<A>) -> Self {
        Self { map, copy, copies: Vec::new().into_iter(), next: 0 }
    }

    /// Copies the next part, under its lock.
    fn part(&self) -> Result<Vec<A>, MapError> {
        let (mut all, mut bad) = (Vec::new(), None);
        self.map.part_at(self.next)?.each(|bucket, entry| match (self.copy)(&entry) {
            Some(copy) => all.push(copy),
            None => bad = Some(bucket),
        })?;
        bad.map_or(Ok(all), |bucket| Err(MapError::Corrupt { bucket }))
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized, A, K: Judge> Iterator for MapIter<'_, Q, V, A, K> {
    type Item = Result<A, MapError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(copy) = self.copies.next() {
                return Some(Ok(copy));
            }
            if self.next == self.map.shards.len() {
                return None;
            }
            let part = self.part();
            self.next += 1;
            match part {
                Ok(copies) => self.copies = copies.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<Q: Item + ?Sized, V: Item + ?Sized, A, K: Judge> FusedIterator for MapIter<'_, Q, V, A, K> {}
