//! `cargo xtask versus`: `raw_sync` 0.1.5, `shared_memory` 0.12.4, `ipc-channel` and `iceoryx2` beside shmkit, in one run. (`iceoryx2`
//! is built with libclang: Debian's libclang-dev.)
//!
//! The first two promise nothing when a process dies: a killed owner keeps their mutex for ever, a killed waiter wedges their
//! event. What is compared is the work both can do while everybody lives.

use anyhow::Result;

mod event;
mod life;
mod messages;
mod mutex;
mod theirs;

fn main() -> Result<()> {
    shmkit_benches::run(|| {
        let mut groups = vec![mutex::group()?, event::group()?, life::group()];
        groups.extend(messages::groups());
        Ok(groups)
    })
}
