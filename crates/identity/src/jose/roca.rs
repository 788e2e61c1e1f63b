//! RSA moduli whose factors a faulty generator made (CVE-2017-15361, "ROCA"; Nemec et al., CCS 2017).

/// The small primes by which the faulty generator leaves its mark.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether the big-endian `modulus` is, for every small prime, a power of 65537. The faulty generator's always are;
/// another modulus is with a probability below 2^-80.
pub(crate) fn is_vulnerable(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|&prime| {
        let residue = modulus.iter().fold(0u32, |rest, &byte| (rest << 8 | u32::from(byte)) % prime);
        let step = 65537 % prime;
        let mut power = 1;
        loop {
            if power == residue {
                return true;
            }
            power = power * step % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_the_generator_are_marked() {
        assert!(is_vulnerable(&[1]));
        assert!(is_vulnerable(&65537u32.to_be_bytes()));
        assert!(is_vulnerable(&(65537u128 * 65537 * 65537 * 65537).to_be_bytes()));
        for other in [0u64, 2, 3, 6, 65539, 0xdead_beef] {
            assert!(!is_vulnerable(&other.to_be_bytes()), "{other}");
        }
    }
}
