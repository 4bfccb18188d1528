#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    image_composer::fuzzing::lock(bytes);
});
