use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
struct Switch {
    on: bool,
}

fn share<T: ShmSafe>() {}

fn shared() {
    share::<shmkit_layout::Checked<Switch>>();
    share::<Switch>();
}

fn main() {}
