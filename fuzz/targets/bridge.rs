#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shmkit_fuzz::bridge::run(bytes));
