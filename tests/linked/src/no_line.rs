//! A program that does not know that a library of its starts processes.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", shmkit_linked::isolated(21)?);
    Ok(())
}
