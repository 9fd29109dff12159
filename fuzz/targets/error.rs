//! Answers that are not 2xx.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::error(data));
