use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
struct Reading {
    celsius: Option<f64>,
}

fn main() {}
