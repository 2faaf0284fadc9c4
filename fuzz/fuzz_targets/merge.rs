//! Fuzzes `concertina::orchestrate`: see `fuzz::parts` there for what is promised.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| concertina::orchestrate::fuzz::parts(bytes));
