use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
enum Mode {
    Slow,
    Fast,
}

fn main() {}
