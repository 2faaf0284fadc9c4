//! Fuzzes `concertina::decode`: see `fuzz::body` there for what is promised.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| concertina::decode::fuzz::body(bytes));
