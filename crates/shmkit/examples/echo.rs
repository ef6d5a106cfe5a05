//! Two programs that have nothing in common but a name: one sends back in capitals what the other one says.
//!
//! In one terminal `cargo run -p shmkit --features connection --example echo -- listen kitchen`, in another one
//! `cargo run -p shmkit --features connection --example echo -- say kitchen hello there`. Without arguments it starts both.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::iter::successors;
use std::process::{Command, Stdio};

use shmkit::PipeError;
use shmkit::duplex::{Client, Listener};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["listen", name] => listen(name),
        ["say", name, ref words @ ..] => say(name, words),
        [] => both(),
        _ => Err("echo [listen NAME | say NAME WORD…]".into()),
    }
}

/// Serves one client after the other.
fn listen(name: &str) -> Result<(), Box<dyn Error>> {
    let mut listener = Listener::bind(name)?;
    println!("listening as {name}");
    loop {
        let mut duplex = listener.accept()?;
        let peer = duplex.credentials()?.pid;
        let end = loop {
            match duplex.recv_bytes() {
                Ok(message) => duplex.send_bytes(&message.to_ascii_uppercase())?,
                Err(end) => break end,
            }
        };
        // `Closed`, or `PeerDied` if it was killed.
        println!("process {peer}: {end}");
    }
}

fn say(name: &str, words: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut duplex = match Client::connect(name) {
        Ok(duplex) => duplex,
        Err(error) => {
            // What each error says leaves out what its source does.
            let all = successors(Some(&error as &dyn Error), |&error| error.source());
            let why: Vec<_> = all.map(ToString::to_string).collect();
            eprintln!("cannot talk to {name}: {}", why.join(": "));
            std::process::exit(1);
        }
    };
    for word in words {
        duplex.send_bytes(word.as_bytes())?;
        println!("{}", String::from_utf8_lossy(&duplex.recv_bytes()?));
    }
    Ok(())
}

/// A listener, a client that says goodbye, and one that finds the listener killed.
fn both() -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let name = format!("example-echo-{}", std::process::id());
    let mut listener =
        Command::new(&program).args(["listen", &name]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(listener.stdout.take().ok_or("no output")?).lines();
    println!("{}", lines.next().ok_or("it does not listen")??);

    let said = Command::new(&program).args(["say", &name, "hello", "there"]).output()?;
    assert_eq!(String::from_utf8_lossy(&said.stdout), "HELLO\nTHERE\n");
    println!("{}", lines.next().ok_or("it has told nothing")??);

    let mut duplex = Client::connect(&name)?;
    duplex.send_bytes(b"before")?;
    assert_eq!(duplex.recv_bytes()?, b"BEFORE");
    listener.kill()?;
    let end = duplex.recv_bytes();
    listener.wait()?;
    let Err(end @ PipeError::PeerDied { .. }) = end else { return Err("it was killed".into()) };
    println!("the listener was killed: {end}");
    assert!(Client::connect(&name).is_err(), "the name has gone with it");
    Ok(())
}
