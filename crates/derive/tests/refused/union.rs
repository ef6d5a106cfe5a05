use shmkit_layout::ShmSafe;

#[derive(Clone, Copy, ShmSafe)]
#[shm(crate = shmkit_layout)]
#[repr(C)]
union Word {
    whole: u64,
    bytes: [u8; 8],
}

fn main() {}
