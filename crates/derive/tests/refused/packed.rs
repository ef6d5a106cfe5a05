use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C, packed)]
struct Reading {
    small: u8,
    celsius: f64,
}

fn main() {}
