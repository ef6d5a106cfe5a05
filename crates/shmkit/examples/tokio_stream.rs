//! A tokio task that gets messages and bytes from another process, and does something else meanwhile.
//!
//! `cargo run -p shmkit --features tokio --example tokio_stream`

use std::error::Error;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use shmkit::tokio::Async;
use shmkit::{Objects, Options, Segment};
use tokio::io::AsyncReadExt;

/// Messages of the child, and bytes.
const COUNT: usize = 1000;

/// Ticks that pass while nothing comes, before there is a child.
const BEFORE: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("child") {
        return send(&args.next().ok_or("child NAME")?);
    }
    let name = format!("example-tokio-{}", std::process::id());
    let segment = Options::new(1 << 16).create(&name)?;
    let mut news = Async::new(segment.frames("news", 4096)?.receiver()?)?;
    let mut film = Async::new(segment.pipe::<u8>("film", 4096)?.receiver()?)?;
    let mut child = None;

    let watching = tokio::spawn(async move {
        let mut bytes = Vec::new();
        film.read_to_end(&mut bytes).await.map(|_| bytes.len())
    });
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let (mut messages, mut ticks) = (0, 0);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                ticks += 1; // What was waited for beside it is lost to nobody.
                if ticks == BEFORE {
                    child = Some(Command::new(std::env::current_exe()?).args(["child", &name]).spawn()?);
                }
            }
            message = news.recv() => match message? {
                Some(_) => messages += 1,
                None => break,
            },
        }
    }
    let bytes = watching.await??;
    println!("{messages} messages, {bytes} bytes; ticks in between: {}", ticks >= BEFORE);
    let mut child = child.ok_or("messages came before there was anybody to send them")?;
    if !child.wait()?.success() || (messages, bytes) != (COUNT, COUNT) {
        return Err(format!("expected {COUNT} of each").into());
    }
    Ok(())
}

/// Knows no runtime, and need not.
fn send(name: &str) -> Result<(), Box<dyn Error>> {
    let segment = Segment::open(name)?;
    let mut news = segment.frames("news", 4096)?.sender()?;
    let mut film = segment.pipe::<u8>("film", 4096)?.sender()?;
    for number in 0..COUNT {
        news.send(format!("message {number}").as_bytes())?;
        film.write_all(&[7])?;
    }
    Ok(())
}
