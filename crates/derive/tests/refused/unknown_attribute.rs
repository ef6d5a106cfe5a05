use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout, nmae = "Reading")]
#[repr(C)]
struct Reading {
    celsius: f64,
}

fn main() {}
