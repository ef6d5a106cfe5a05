use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
struct Pair<A, B> {
    first: A,
    second: B,
}

const PADDED: &shmkit_layout::Schema = <Pair<u8, u32> as shmkit_layout::ShmChecked>::SCHEMA;

fn main() {}
