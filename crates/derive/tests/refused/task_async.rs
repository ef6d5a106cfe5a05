#[shmkit_derive::task]
async fn fetch(url: String) {
    drop(url);
}

fn main() {}
