use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(u8)]
enum Mode {
    Slow,
    Fast(u8),
}

fn main() {}
