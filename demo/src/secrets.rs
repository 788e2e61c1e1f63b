//! Passwords, tokens and codes. What the fixed twin uses is standard (SHA-256 of FIPS 180-4, HMAC of RFC 2104,
//! PBKDF2 of RFC 8018, base64url of RFC 4648 section 5) and written out here, so that this program needs no
//! cryptographic library; the shop holds no real secret. The weak twin's checksum is weak on purpose.

use std::fs::File;
use std::io::{self, Read};

/// PBKDF2 rounds. Low enough that starting the demo does not make anyone wait; a real shop takes more.
const ROUNDS: u32 = if cfg!(debug_assertions) { 100 } else { 50_000 };

/// The weak twin's password store: fast and without salt, so equal passwords look equal.
pub(crate) fn weak_hash(password: &str) -> String {
    let hash = password.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("fnv1a:{hash:016x}")
}

/// The fixed twin's password store: `pbkdf2:SALT:KEY` in hex.
pub(crate) fn strong_hash(password: &str) -> io::Result<String> {
    let salt = random::<16>()?;
    Ok(format!("pbkdf2:{}:{}", hex(&salt), hex(&pbkdf2(password.as_bytes(), &salt, ROUNDS))))
}

/// Whether `password` made `stored`, whichever of the two kinds it is. The comparison takes the same time for
/// every wrong key.
pub(crate) fn password_fits(password: &str, stored: &str) -> bool {
    let Some(rest) = stored.strip_prefix("pbkdf2:") else { return weak_hash(password) == stored };
    let Some((salt, key)) = rest.split_once(':') else { return false };
    let Some(salt) = unhex(salt) else { return false };
    same(hex(&pbkdf2(password.as_bytes(), &salt, ROUNDS)).as_bytes(), key.as_bytes())
}

/// Equality without a shortcut at the first difference.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Bytes nobody can guess, from the system.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let six = (word >> (18 - 6 * place)) & 63;
            text.extend(ALPHABET.get(six as usize).map(|byte| char::from(*byte)));
        }
    }
    text
}

/// The bytes of a base64url text without padding.
pub(crate) fn unbase64url(text: &str) -> Option<Vec<u8>> {
    let (mut word, mut bits, mut bytes) = (0_u32, 0, Vec::with_capacity(text.len() * 3 / 4));
    for byte in text.bytes() {
        let six = ALPHABET.iter().position(|letter| *letter == byte)?;
        word = (word << 6 | u32::try_from(six).ok()?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn pbkdf2(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    let mut block = hmac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut key = block;
    for _ in 1..rounds {
        block = hmac(password, &[&block]);
        key.iter_mut().zip(block).for_each(|(key, byte)| *key ^= byte);
    }
    key
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let key = if key.len() > 64 { sha256(&[key]).to_vec() } else { key.to_vec() };
    let pad = |fill: u8| -> [u8; 64] {
        let mut pad = [fill; 64];
        pad.iter_mut().zip(&key).for_each(|(pad, byte)| *pad ^= byte);
        pad
    };
    let (inner_pad, outer_pad) = (pad(0x36), pad(0x5c));
    let mut inner: Vec<&[u8]> = vec![&inner_pad];
    inner.extend_from_slice(parts);
    sha256(&[&outer_pad, &sha256(&inner)])
}

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut message: Vec<u8> = parts.concat();
    let bits = (message.len() as u64).wrapping_mul(8);
    message.push(0x80);
    message.resize((message.len() + 8).next_multiple_of(64) - 8, 0);
    message.extend(bits.to_be_bytes());
    let mut state = START;
    for block in message.chunks_exact(64) {
        compress(&mut state, block);
    }
    let mut digest = [0; 32];
    digest.chunks_exact_mut(4).zip(state).for_each(|(out, word)| out.copy_from_slice(&word.to_be_bytes()));
    digest
}

fn compress(state: &mut [u32; 8], block: &[u8]) {
    let mut window = [0_u32; 16];
    for (word, bytes) in window.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for constant in ROUND {
        let [w0, w1, _, _, _, _, _, _, _, w9, _, _, _, _, w14, _] = window;
        let s0 = w1.rotate_right(7) ^ w1.rotate_right(18) ^ w1 >> 3;
        let s1 = w14.rotate_right(17) ^ w14.rotate_right(19) ^ w14 >> 10;
        let next = w0.wrapping_add(s0).wrapping_add(w9).wrapping_add(s1);
        let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = e & f ^ !e & g;
        let first = h.wrapping_add(sum1).wrapping_add(choice).wrapping_add(constant).wrapping_add(w0);
        let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let second = sum0.wrapping_add(a & b ^ a & c ^ b & c);
        (h, g, f, e) = (g, f, e, d.wrapping_add(first));
        (d, c, b, a) = (c, b, a, first.wrapping_add(second));
        window.rotate_left(1);
        if let Some(last) = window.last_mut() {
            *last = next;
        }
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(add);
    }
}

const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

#[rustfmt::skip]
const ROUND: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_the_standard_one() {
        assert_eq!(
            hex(&sha256(&[b"abc"])),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 0]])),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 55]])),
            "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 56]])),
            "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 57]])),
            "f13b2d724659eb3bf47f2dd6af1accc87b81f09f59f2b75e5c0bed6589dfe8c6"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 63]])),
            "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 64]])),
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 65]])),
            "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 119]])),
            "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 120]])),
            "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c"
        );
        assert_eq!(
            hex(&sha256(&[&[b'a'; 1000]])),
            "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"
        );
    }

    #[test]
    fn hmac_and_pbkdf2_are_the_standard_ones() {
        assert_eq!(
            hex(&hmac(b"key", &[b"mess", b"age"])),
            "6e9ef29b75fffc5b7abae527d58fdadb2fe42e7219011976917343065f58ed4a"
        );
        assert_eq!(
            hex(&hmac(&[b'k'; 100], &[b"message"])),
            "1c28735416d320163f56f81bdbb83d651eed508d184e6b8b03662740a533293e"
        );
        assert_eq!(
            hex(&pbkdf2(b"password", b"salt", 3)),
            "ad35240ac683febfaf3cd49d845473fbbbaa2437f5f82d5a415ae00ac76c6bfc"
        );
    }

    #[test]
    fn base64url_goes_both_ways_and_refuses_other_letters() {
        for length in 0..40_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37).wrapping_add(250)).collect();
            assert_eq!(unbase64url(&base64url(&bytes)), Some(bytes));
        }
        assert_eq!(base64url(b"\xfb\xff"), "-_8");
        assert_eq!(unbase64url("a+b="), None);
    }

    #[test]
    fn a_password_fits_only_its_own_hash() {
        let stored = strong_hash("correct horse").unwrap();
        assert!(password_fits("correct horse", &stored));
        assert!(!password_fits("correct hors", &stored));
        assert_ne!(stored, strong_hash("correct horse").unwrap(), "every hash has a salt of its own");
        assert!(password_fits("x", &weak_hash("x")) && !password_fits("y", &weak_hash("x")));
        assert!(!password_fits("x", "pbkdf2:zz"));
    }
}
