//! Whatever comes through a socket is a parcel or an error, and takes no more memory than has come.

use std::io::Write;
use std::os::unix::net::UnixStream;

use shmkit::parcel::{Descriptor, Incoming};
use shmkit::{Array, Event, Mutex, Segment, Value};

/// How many bytes a parcel may have.
const MOST: u64 = 1 << 16;

/// The first byte says what is taken out, all others come through the socket.
pub fn run(bytes: &[u8]) {
    let Some((what, bytes)) = bytes.split_first() else { return };
    let Ok((mut here, there)) = UnixStream::pair() else { return };
    // What a socket takes at once: nobody reads meanwhile.
    let bytes = &bytes[..bytes.len().min(1 << 15)];
    if here.write_all(bytes).is_err() {
        return;
    }
    drop(here);
    let mut incoming = Incoming::new(MOST);
    while let Ok(Some((_, mut parcel))) = incoming.advance(&there) {
        assert!(parcel.len() as u64 <= MOST);
        let before = parcel.len();
        let taken = match what % 9 {
            0 => parcel.take::<(u64, String, Vec<u8>)>().is_ok(),
            1 => parcel.take::<Descriptor>().is_ok(),
            2 => parcel.take::<Value<u64>>().is_ok(),
            3 => parcel.take::<Array<u8>>().is_ok(),
            4 => parcel.take::<(Mutex<u32>, Event)>().is_ok(),
            5 => parcel.take::<Segment>().is_ok(),
            6 => parcel.take::<Vec<String>>().is_ok(),
            7 => parcel.take::<Option<Result<(), shmkit::Failure>>>().is_ok(),
            _ => parcel.take::<Vec<Descriptor>>().is_ok_and(|all| all.is_empty()),
        };
        // No descriptor has come, so that nothing that needs one has either.
        assert!(!taken || !matches!(what % 9, 1..=5), "{what} was taken");
        assert!(parcel.len() <= before);
    }
}
