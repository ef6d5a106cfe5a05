//! x
use std::time::Duration;
/// x
#[derive(Debug, serde::Serialize)]
pub struct Chaos {
    pub ok: bool,
}
impl std::fmt::Display for Chaos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")
    }
}
/// x
pub fn run(_: Duration, _: &mut dyn FnMut(Duration, u64)) -> Chaos {
    Chaos { ok: true }
}
