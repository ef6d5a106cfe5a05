//! A parent and its child talk over a connection, of which one end is an argument.
//!
//! `cargo run -p shmkit --features connection --example talk`

use shmkit::connection::Connection;
use shmkit::{Descriptor, Failure, Process, task};

#[task]
fn answer(mut talk: Descriptor<Connection>) -> Result<u32, Failure> {
    let mut answered = 0;
    // To its end: the parent drops the other one.
    while let Ok(question) = talk.recv_bytes() {
        let question = String::from_utf8(question)?;
        talk.send_bytes(question.to_uppercase().as_bytes())?;
        answered += 1;
    }
    Ok(answered)
}

#[shmkit::main]
fn main() -> Result<(), Failure> {
    let (mut ours, theirs) = Connection::pair()?;
    let child = Process::spawn(answer, (theirs.into(),))?;
    for question in ["hello", "how are you"] {
        ours.send_bytes(question.as_bytes())?;
        println!("{question}: {}", String::from_utf8(ours.recv_bytes()?)?);
    }
    drop(ours);
    println!("{} answers", child.join()??);
    Ok(())
}
