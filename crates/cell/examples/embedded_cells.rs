//! Cells in a mapping that the program made itself: a memfd, a roster in its first bytes, a value and an array behind
//! it. There is no segment.
//!
//! Run it: `cargo run -p shmkit-cell --example embedded_cells`. The program executes itself as a second process, which inherits
//! the file as its standard input.

use std::error::Error;
use std::fs::File;
use std::io::{self, stdin};
use std::os::fd::{AsFd, FromRawFd};
use std::process::{Command, Stdio};
use std::ptr::NonNull;

use memmap2::MmapRaw;
use shmkit_cell::layout::{Object, Region};
use shmkit_cell::roster::{Description, Link, Participant, Roster};
use shmkit_cell::{Array, ArraySpec, Value};

/// How many processes may take part at once.
const SLOTS: u32 = 8;
/// Where the value lies: behind the roster.
const HITS: u64 = Roster::bytes(SLOTS).next_multiple_of(128);
/// Where the array lies, and how many elements it has.
const ROW: u64 = HITS + 128;
const LEN: usize = 10;
/// Bytes of the whole file.
const SIZE: u64 = ROW + 512;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("child") {
        return child();
    }
    let file = memfd()?;
    file.set_len(SIZE)?;
    let map = MmapRaw::map_raw(&file)?;
    let region = region(&map)?;
    // SAFETY: fresh bytes of the kernel are zero, and nobody else knows of them yet.
    let roster = unsafe { Roster::init(region.sub(0, HITS)?, SLOTS)? };
    let participant = join(roster, &file)?;
    // SAFETY: as for the roster; each object has its own bytes.
    let hits: Value<u64, &Participant> =
        unsafe { Value::init(region.sub(HITS, 128)?, 40, &participant)? };
    let spec = ArraySpec::Copy((1..=LEN as i64).collect());
    // SAFETY: as above.
    let row: Array<i64, &Participant> =
        unsafe { Array::init(region.sub(ROW, 512)?, spec, &participant)? };

    let child = Command::new(std::env::current_exe()?)
        .arg("child")
        .stdin(Stdio::from(file.try_clone()?))
        .status()?;
    println!("the child ended: {child}");
    println!("value: {}, array: {:?}", hits.get()?, row.to_vec()?);
    let negated: Vec<i64> = (1..=LEN as i64).map(|n| -n).collect();
    if !child.success() || hits.get()? != 42 || row.to_vec()? != negated {
        return Err("expected 42 and the negated numbers".into());
    }
    Ok(())
}

/// Adds 2 to the value and negates the array, in the second process.
fn child() -> Result<(), Box<dyn Error>> {
    let file = File::from(stdin().as_fd().try_clone_to_owned()?);
    let map = MmapRaw::map_raw(&file)?;
    let region = region(&map)?;
    // SAFETY: the parent made a roster of this size, a value and an array at these places (and so below).
    let roster = unsafe { Roster::attach(region.sub(0, HITS)?, SLOTS)? };
    let participant = join(roster, &file)?;
    // SAFETY: as above.
    let hits: Value<u64, &Participant> =
        unsafe { Value::attach(region.sub(HITS, 128)?, 1, &participant)? };
    // SAFETY: as above.
    let row: Array<i64, &Participant> =
        unsafe { Array::attach(region.sub(ROW, 512)?, LEN as u64, &participant)? };
    hits.update(|n| *n += 2)?;
    row.update_all(|elements| elements.iter_mut().for_each(|n| *n = -*n))?;
    Ok(())
}

fn memfd() -> io::Result<File> {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"shmkit-embed".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

fn region(map: &MmapRaw) -> Result<Region<'_>, Box<dyn Error>> {
    if (map.len() as u64) < SIZE {
        return Err(format!("the file has {} bytes, {SIZE} are needed", map.len()).into());
    }
    let base = NonNull::new(map.as_mut_ptr()).ok_or("mapped at address 0")?;
    // SAFETY: `map` stays mapped for as long as the region, and nobody refers to its bytes in another way.
    Ok(unsafe { Region::from_raw_parts(base, map.len()) })
}

fn join<'a>(roster: Roster<'a>, file: &File) -> Result<Participant<'a>, Box<dyn Error>> {
    let file = file.try_clone()?.into();
    // SAFETY: the mapping that the roster lies in is of this file, and everybody joins by it.
    Ok(unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) }?)
}
