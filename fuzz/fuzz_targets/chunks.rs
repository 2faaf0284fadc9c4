//! Fuzzes `concertina::http1`: see `fuzz::chunks` there for what is promised.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| concertina::http1::fuzz::chunks(bytes));
