//! Fuzzes `wire::frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assize_fuzz::wire::frame(data));
