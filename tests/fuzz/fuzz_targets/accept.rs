//! Fuzzes `wire::accept`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assize_fuzz::wire::accept(data));
