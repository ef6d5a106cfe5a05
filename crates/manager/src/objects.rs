//! The objects of a manager, each there as long as somebody has a reference to it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use shmkit_process::__manager::catch;

use crate::served::Callable;

/// All objects, by their numbers, which are not given twice.
#[derive(Default)]
pub(crate) struct Objects(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// The last number that was given.
    last: u64,
    all: HashMap<u64, Weak<Object>>,
}

impl Objects {
    /// Takes an object in.
    pub(crate) fn add(self: &Arc<Self>, of: Box<dyn Callable>) -> Held {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.last += 1;
        let (number, objects) = (table.last, Arc::downgrade(self));
        let object = Arc::new(Object { number, of, objects });
        table.all.insert(number, Arc::downgrade(&object));
        Held(Some(object))
    }

    /// Finds one.
    pub(crate) fn find(&self, number: u64) -> Option<Held> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = table.all.get(&number).and_then(Weak::upgrade);
        drop(table);
        found.map(|object| Held(Some(object)))
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all.len()
    }
}

/// One object.
pub(crate) struct Object {
    pub(crate) number: u64,
    pub(crate) of: Box<dyn Callable>,
    objects: Weak<Objects>,
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(objects) = self.objects.upgrade() {
            objects.0.lock().unwrap_or_else(PoisonError::into_inner).all.remove(&self.number);
        }
    }
}

/// A reference to an object. The last one takes it along; objects in objects go one after the other, and not each inside of
/// the one before, for there may be any number of them.
#[derive(Clone)]
pub(crate) struct Held(Option<Arc<Object>>);

impl Held {
    /// The object.
    pub(crate) fn object(&self) -> &Object {
        self.0.as_ref().unwrap_or_else(|| unreachable!("taken by the drop alone"))
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.object().number).finish()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(object) = self.0.take().and_then(Arc::into_inner) {
            bury(object);
        }
    }
}

thread_local! {
    /// What is to go after what this thread is just dropping.
    static NEXT: RefCell<Option<Vec<Object>>> = const { RefCell::new(None) };
}

fn bury(object: Object) {
    let mut object = Some(object);
    // A thread that ends may have no such place any more: then one goes inside of the other.
    let is_first = NEXT.try_with(|next| {
        let mut next = next.borrow_mut();
        match &mut *next {
            Some(next) => {
                next.extend(object.take());
                false
            }
            none => {
                *none = Some(Vec::new());
                true
            }
        }
    });
    // What a type's own drop throws is not thrown on: the others are to go as well.
    while let Some(this) = object.take() {
        let _ = catch(|| drop(this));
        if is_first == Ok(true) {
            object = NEXT.with_borrow_mut(|next| next.as_mut().and_then(Vec::pop));
        }
    }
    if is_first == Ok(true) {
        NEXT.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Answer;
    use crate::served::{Args, Returned};

    struct Nested(#[expect(dead_code, reason = "for its drop")] Option<Held>);
    impl Callable for Nested {
        fn call(&self, _: u64, _: &mut Args) -> Result<Returned, Answer> {
            Err(Answer::Not)
        }
    }

    #[test]
    fn objects_in_objects_go_one_after_the_other() {
        let objects = Arc::new(Objects::default());
        let mut last = None;
        for _ in 0..200_000 {
            last = Some(objects.add(Box::new(Nested(last.take()))));
        }
        assert_eq!(objects.count(), 200_000);
        drop(last);
        assert_eq!(objects.count(), 0);
    }

    #[test]
    fn an_object_is_there_as_long_as_it_is_held_and_its_number_is_not_given_again() {
        let objects = Arc::new(Objects::default());
        let one = objects.add(Box::new(Nested(None)));
        let number = one.object().number;
        let again = objects.find(number).unwrap();
        drop(one);
        assert!(objects.find(number).is_some());
        drop(again);
        assert!(objects.find(number).is_none());
        assert_ne!(objects.add(Box::new(Nested(None))).object().number, number);
    }
}
