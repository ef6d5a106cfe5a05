use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
struct Reading {
    name: &'static str,
}

fn main() {}
