//! What the feature `process` adds.

#[doc(inline)]
pub use shmkit_parcel as parcel;
pub use shmkit_parcel::Descriptor;
#[doc(inline)]
pub use shmkit_process as process;
#[doc(hidden)]
pub use shmkit_process::__task;
pub use shmkit_process::{
    Death, Failure, Nursery, Process, SpawnError, SpawnErrorKind, Status, TaskError, early, init,
    main, task,
};
