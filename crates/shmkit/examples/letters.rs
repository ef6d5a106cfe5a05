//! Texts of any length from writers to readers, who count their words; and a reader that is killed with a text in its hands, which
//! another one counts.
//!
//! `cargo run -p shmkit --example letters`

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use shmkit::{MessageQueue, MessageSpec, Objects, Options, QueueError, Segment};

/// Letters of each writer.
const EACH: usize = 200;
const WRITERS: usize = 3;
const READERS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name] = args.as_slice() {
        return work(role, &Segment::open(name)?);
    }
    let name = format!("example-letters-{}", std::process::id());
    let segment = Options::new(1 << 20).create(&name)?;
    // 16 letters at most, of half a mebibyte together: who writes more waits.
    let letters = segment.message_queue("letters", MessageSpec::new(16, 1 << 19))?;
    let words = segment.atomic("words", 0_u64)?;
    let taken = segment.event("taken")?;
    let start = |role: &str| Command::new(std::env::current_exe()?).args([role, &name]).spawn();

    // This one takes a letter, and will never be done with it.
    letters.put("dear ".repeat(10_000).as_bytes())?;
    let mut slow = start("slow")?;
    taken.wait_timeout(Duration::from_secs(10))?;

    let writers: Vec<Child> = (0..WRITERS).map(|_| start("write")).collect::<Result<_, _>>()?;
    let readers: Vec<Child> = (0..READERS).map(|_| start("read")).collect::<Result<_, _>>()?;
    slow.kill()?;
    slow.wait()?;
    for mut writer in writers {
        writer.wait()?;
    }
    letters.join_timeout(Duration::from_secs(20))?; // every letter is read, the dead one's, too
    letters.close()?; // so the readers go home
    for mut reader in readers {
        reader.wait()?;
    }
    println!("words {}, redelivered {}", words.load(), letters.stats().redelivered);
    let expected = 10_000 + (WRITERS * (0..EACH).map(|i| i * i).sum::<usize>()) as u64;
    if words.load() == expected { Ok(()) } else { Err(format!("expected {expected}").into()) }
}

fn work(role: &str, segment: &Segment) -> Result<(), Box<dyn Error>> {
    let letters: MessageQueue = segment.find("letters")?;
    match role {
        // From none to 200 kB.
        "write" => (0..EACH).try_for_each(|i| letters.put("word ".repeat(i * i).as_bytes()))?,
        "read" => {
            let words = segment.atomic("words", 0_u64)?;
            loop {
                match letters.take() {
                    // Read where it lies. Killed between these two, it would count twice.
                    Ok(letter) => {
                        let text = std::str::from_utf8(&letter)?;
                        words.fetch_add(text.split_whitespace().count() as u64);
                        letter.done()?;
                    }
                    Err(QueueError::Closed) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        _ => {
            let _letter = letters.take()?;
            segment.event("taken")?.set()?;
            std::thread::sleep(Duration::from_secs(60)); // It is killed here.
        }
    }
    Ok(())
}
