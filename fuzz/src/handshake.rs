//! Any bytes from somebody who does not know the key, to a listener and to a client: nobody is let in, and it is told at once.

use std::io::Write;
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shmkit::connection::{Address, Client, ConnectionError, Key, Listener};

/// A name in the abstract namespace that nobody else has.
fn new_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("shmkit-fuzz-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// To the listener the bytes come in two pieces, of which the first byte says how long they are.
///
/// # Panics
///
/// If somebody is let in, or a refusal is a time-out.
pub fn run(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let (first, second) = bytes.split_at(bytes.len().min(cut.into()));
    let key = Key::new("secret");

    let name = new_name();
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let mut listener =
        Listener::options().key(key.clone()).bind(Address::abstract_name(&*name)).expect("bind");
    let mut bare = UnixStream::connect_addr(&address).expect("connect");
    let mut refusals = Vec::new();
    for piece in [first, second] {
        // Who was refused writes no more.
        if refusals.is_empty() {
            bare.write_all(piece).expect("write");
            assert!(matches!(listener.try_accept(), Err(ConnectionError::WouldBlock)), "let in");
            refusals = listener.refusals();
        }
    }
    // Not by its drop, as for the names: a child that is forked meanwhile may have a copy. Who was refused has nobody to tell.
    let _ = bare.shutdown(Shutdown::Write);
    assert!(matches!(listener.try_accept(), Err(ConnectionError::WouldBlock)), "let in");
    refusals.extend(listener.refusals());
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(!refusals[0].is_timeout(), "{refusals:?}");
    let name = new_name();
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let bare = UnixListener::bind_addr(&address).expect("bind");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // At once: who is refused in between has nobody to write to.
            let (mut accepted, _) = bare.accept().expect("accept");
            accepted.write_all(bytes).expect("write");
            let _ = accepted.shutdown(Shutdown::Write);
        });
        let error = Client::new().key(key).connect(Address::abstract_name(&*name)).unwrap_err();
        assert!(!error.is_timeout(), "{error}");
    });
}
