//! A kitchen whose pool other programs call. With a name it serves until Ctrl-C; without, it calls itself.
//!
//! `cargo run -p shmkit --features call --example takeaway -- kitchen`, and in another terminal `shmkit call kitchen`,
//! `shmkit call kitchen cook soup 3`, `shmkit call kitchen burn`.

use std::sync::Arc;
use std::time::Duration;

use shmkit::call::{Client, Server};
use shmkit::{Failure, Pool, task};

/// Cooks plates of a dish.
#[task]
fn cook(dish: &str, plates: u32) -> Result<String, Failure> {
    match dish {
        "soup" | "rice" => Ok(format!("{plates} plates of {dish}")),
        _ => Err(Failure::new(format!("nobody here can cook {dish}"))),
    }
}

/// Costs a cook, and the call, and nothing else.
#[task]
fn burn() {
    std::process::abort();
}

#[shmkit::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Arc::new(Pool::new(2)?);
    let given = std::env::args().nth(1);
    let name = given.clone().unwrap_or_else(|| format!("takeaway-{}", std::process::id()));
    let server = Server::builder(&name).task(cook).task(burn).timeout(Duration::from_secs(10));
    let _server = server.start(&pool)?;
    if given.is_some() {
        loop {
            std::thread::park();
        }
    }

    // As any other program of this user, and `shmkit call`.
    let client = Client::new(&name)?;
    for task in client.tasks()? {
        println!("{}: {}", task.name, task.signature);
    }
    println!("{}", client.call::<String>("cook", &("soup", 3))?);
    // What a task returns as an error, and whatever else is in the way, is one here.
    let failed = client.call::<String>("cook", &("stew", 1)).unwrap_err();
    println!("{:?}: {failed}", failed.kind());
    let killed = client.call::<()>("burn", &()).unwrap_err();
    println!("{:?}, and the kitchen goes on", killed.kind());
    println!("{}", client.call::<String>("cook", &("rice", 1))?);
    Ok(())
}
