#[shmkit_derive::task]
fn largest<T>(all: Vec<T>) {
    drop(all);
}

fn main() {}
