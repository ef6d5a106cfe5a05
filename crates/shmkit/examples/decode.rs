//! A tokio program gives away what would block it. The decoder crashes over one of the pictures: that is an error of one request,
//! and the program has answered all others meanwhile.
//!
//! `cargo run -p shmkit --example decode`

use std::time::Duration;

use shmkit::{Pool, TaskError, task};

/// Decodes a picture, by a library that does not check what it reads.
#[task]
fn decode(bytes: Vec<u8>) -> Result<u32, String> {
    match bytes.as_slice() {
        [] => Err("there is nothing in it".into()),
        [0xff, ..] => std::process::abort(),
        bytes => Ok(bytes.iter().map(|&byte| u32::from(byte)).sum()),
    }
}

/// What a client gets.
async fn upload(pool: &Pool, bytes: Vec<u8>) -> String {
    match pool.submit(decode, (bytes,)).timeout(Duration::from_secs(5)).await {
        Ok(Ok(sum)) => format!("200: {sum}"),
        Ok(Err(why)) => format!("422: {why}"),
        Err(TaskError::WorkerDied(death)) => format!("502: the decoder {}", death.status),
        Err(error) => format!("503: {error}"),
    }
}

#[shmkit::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the runtime: a task's process has none.
    tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(2)?;
    let pictures = [vec![1, 2, 3], vec![0xff, 1], vec![], vec![40, 2]];
    let (one, two, three, four) = {
        let [a, b, c, d] = pictures.map(|picture| upload(&pool, picture));
        tokio::join!(a, b, c, d)
    };
    for answer in [one, two, three, four] {
        println!("{answer}");
    }
    Ok(())
}
