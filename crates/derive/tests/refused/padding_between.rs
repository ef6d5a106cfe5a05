use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
struct Reading {
    station: u8,
    celsius: f64,
}

fn main() {}
