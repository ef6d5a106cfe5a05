//! NumPy computes in an array of ours, in place: nothing is copied.
//!
//! ```text
//! cargo run --example numpy_array
//! cargo run --example numpy_array -- path/to/python    # an interpreter that has NumPy
//! ```
//!
//! What Python has to know of an array stands in the segment's directory: at which byte its elements begin, what they are,
//! and how many. `shmkit ls --json` prints the same for any array that there is. `numpy_array.py` beside this file is the other
//! end: `mmap` and one line of NumPy.
//!
//! Python takes no lock: this program holds the array's while Python works. Readers and writers that keep to the lock
//! see the array before or after.

use std::error::Error;
use std::process::Command;

use shmkit::cell::elements_at;
use shmkit::{Objects, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let python = std::env::args().nth(1).unwrap_or("python3".to_owned());
    let name = format!("numpy-{}", std::process::id());
    let segment = Options::new(1 << 20).create(&name)?;
    let prices = segment.array("prices", vec![1.5, 2.5, 3.0])?;

    let path = segment.path().ok_or("it was made by a name")?;
    let entries = segment.objects()?;
    let entry = entries.iter().find(|entry| entry.name == "prices").ok_or("it was made")?;
    let dtype = entry.shape.tag.dtype().ok_or("a number of a type that NumPy has")?;
    let at = entry.offset + elements_at(&entry.shape).ok_or("an array")?;
    println!("{}: {} of {dtype} at byte {at}", path.display(), entry.shape.len);

    // For as long as Python works.
    let guard = prices.lock()?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/numpy_array.py");
    let mut command = Command::new(&python);
    command.arg(script).arg(path).args([&at.to_string(), dtype, &entry.shape.len.to_string()]);
    let status = command.status().map_err(|error| format!("cannot start {python}: {error}"))?;
    if !status.success() {
        return Err(format!("{python} failed; it needs NumPy: `pip install numpy`").into());
    }
    drop(guard);
    println!("{:?}", prices.to_vec()?);
    assert_eq!(prices.to_vec()?, [3.0, 5.0, 6.0]);
    Ok(())
}
