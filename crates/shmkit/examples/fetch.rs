//! Pages from a server on this machine, several at a time. One hangs: its worker is killed, and that page is told to be missing.
//!
//! `cargo run -p shmkit --example fetch`

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use shmkit::{Failure, Pool, TaskError, task};

/// Fetches a page, and returns how many bytes it has.
#[task]
fn fetch(port: u16, path: String) -> Result<usize, Failure> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    server.read_to_string(&mut answer)?;
    let (_, page) = answer.split_once("\r\n\r\n").ok_or_else(|| Failure::new("no HTTP"))?;
    Ok(page.len())
}

/// A server whose pages are as long as their names say; one never comes.
fn serve(listener: TcpListener) {
    for client in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let mut lines = BufReader::new(&client).lines();
            let first = lines.next().transpose()?.unwrap_or_default();
            // To its end: a socket that is closed before that resets the connection.
            lines
                .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
                .for_each(drop);
            match first.split([' ', '/']).find_map(|word| word.parse().ok()) {
                Some(size) => write!(&client, "HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(size)),
                None => {
                    std::thread::sleep(Duration::from_secs(600));
                    Ok(())
                }
            }
        });
    }
}

#[shmkit::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(|| serve(listener));

    let pool = Pool::builder(4).timeout(Duration::from_secs(1)).build()?;
    let pages = ["/100", "/2000", "/hangs", "/30000", "/7"];
    let answers = pool.starmap_each(fetch, pages.map(|page| (port, page.to_owned())));
    for (page, answer) in pages.iter().zip(answers) {
        match answer {
            Ok(Ok(bytes)) => println!("{page}: {bytes} bytes"),
            Ok(Err(failure)) => println!("{page}: {failure}"),
            Err(TaskError::Overran(_)) => {
                println!("{page}: did not come, and its worker was killed")
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
