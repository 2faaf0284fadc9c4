//! Fuzzes `concertina::config`: see `fuzz::file` there for what is promised.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| concertina::config::fuzz::file(bytes));
