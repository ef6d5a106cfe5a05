//! `peer <subject>/<script> [ARG…]`: the freshly executed process at the other end.

use shmkit_tests::Channel;

fn main() {
    // A peer never outlives the test that started it.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("prctl");
    let mut args = std::env::args().skip(1);
    let script = args.next().expect("usage: peer <subject>/<script> [ARG…]");
    shmkit_tests::run(&script, &args.collect::<Vec<_>>(), &mut Channel::standard());
}
