//! Texts in HELP and labels.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::escaping(data));
