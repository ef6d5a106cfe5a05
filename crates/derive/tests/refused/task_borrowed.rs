#[shmkit_derive::task]
fn fill(numbers: &mut [u64]) {
    numbers.fill(0);
}

fn main() {}
