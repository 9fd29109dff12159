//! Pages of blocks that come, change and go.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::blocks(data));
