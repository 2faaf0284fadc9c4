//! Fuzzes `concertina::expression`: see `fuzz::expression` there for what is promised.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| concertina::expression::fuzz::expression(bytes));
