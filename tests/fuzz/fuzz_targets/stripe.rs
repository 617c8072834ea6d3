//! Fuzzes `wire::stripe`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assize_fuzz::wire::stripe(data));
