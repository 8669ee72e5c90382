#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lbpool_http1_checks::heads(data));
