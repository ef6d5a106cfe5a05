//! What is no segment, and goes with its last owner all the same: a socket file, whose maker may be killed at any moment.
//!
//! `cargo run --example left_behind`

use std::error::Error;
use std::os::unix::net::UnixListener;

use shmkit::tracker::{Kind, Tracker};

fn main() -> Result<(), Box<dyn Error>> {
    let tracker = Tracker::new()?;
    // From now on somebody hears of deaths: one process for this user, whoever asks.
    println!("a watcher: {:?}", tracker.start()?);

    let path = std::env::temp_dir().join(format!("left-behind-{}", std::process::id()));
    tracker.announce(Kind::Socket, &path)?; // Killed from here on …
    let listener = UnixListener::bind(&path)?;
    tracker.register(Kind::Socket, &path)?; // … to wherever: the file is removed.
    println!("{} is registered: kill -9 {} removes it", path.display(), std::process::id());
    if std::env::args().any(|word| word == "--stay") {
        let _ = listener.accept();
    }

    // In good order it is this program's to remove.
    drop(listener);
    std::fs::remove_file(&path)?;
    assert!(tracker.unregister(Kind::Socket, &path)?);
    Ok(())
}
