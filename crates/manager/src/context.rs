//! On whose behalf a proxy is packed or unpacked by this thread.

use std::cell::RefCell;
use std::sync::Arc;

use crate::link::Link;
use crate::objects::Held;
use crate::proxy::Proxy;

/// Who packs or unpacks, and for whom.
pub(crate) enum Context {
    /// Packed for this manager by one who calls: references to its objects that are in it.
    Calling { manager: u64, objects: Vec<Proxy> },
    /// Unpacked by one who has called this manager. Each reference in it was counted there, but for those of these objects, which
    /// are here.
    Answered { link: Arc<Link>, objects: Vec<Proxy> },
    /// Arguments unpacked and what is returned packed by the manager that this leads to: the objects in that, once for each
    /// reference.
    Serving { link: Arc<Link>, objects: Vec<Held> },
}

thread_local! {
    static OPEN: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Runs something in a context, and returns what became of that.
pub(crate) fn within<R>(context: Context, run: impl FnOnce() -> R) -> (R, Option<Context>) {
    /// Puts back what was open before, after a panic, too.
    struct Outer(Option<Context>);
    impl Drop for Outer {
        fn drop(&mut self) {
            drop(OPEN.replace(self.0.take()));
        }
    }
    let outer = Outer(OPEN.replace(Some(context)));
    let result = run();
    let context = OPEN.take();
    drop(outer);
    (result, context)
}

/// Looks at the context of this thread. Nothing may be dropped in it that could pack or unpack.
pub(crate) fn look<R>(with: impl FnOnce(Option<&mut Context>) -> R) -> R {
    OPEN.with_borrow_mut(|open| with(open.as_mut()))
}
