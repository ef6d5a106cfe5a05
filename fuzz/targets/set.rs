#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmkit_fuzz::set::run(bytes));
