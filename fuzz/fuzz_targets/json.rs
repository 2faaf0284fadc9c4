//! Fuzzes `concertina::json`: see `fuzz::document` there for what is promised.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| concertina::json::fuzz::document(bytes));
