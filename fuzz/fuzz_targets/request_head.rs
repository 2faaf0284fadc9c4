//! Fuzzes `concertina::http1`: see `fuzz::request_head` there for what is promised.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| concertina::http1::fuzz::request_head(bytes));
