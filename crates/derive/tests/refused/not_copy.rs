use shmkit_layout::ShmSafe;

#[derive(ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
struct Reading {
    celsius: f64,
}

fn main() {}
