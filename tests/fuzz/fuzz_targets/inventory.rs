//! Fuzzes `inventory::inventory`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assize_fuzz::inventory::inventory(data));
