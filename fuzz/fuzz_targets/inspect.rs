//! Any bytes as a value in every place: every decoder and tokenizer of the inspection. They never panic, stay within their
//! steps and their time, and what they answer is the same twice.
#![no_main]

mod oracle;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, value)) = data.split_first() else { return };
    let place = oracle::PLACES[usize::from(choice) % oracle::PLACES.len()];
    oracle::holds(value, place);
});
