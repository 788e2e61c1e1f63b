//! What identity costs, in CPU time of the calling thread: a known key among a million, a token that was seen before,
//! a token at first sight beside the bare signature verification, a DPoP proof, and an assertion.
//!
//! ```text
//! cargo run --profile bench -p portcullis-identity --example cost
//! ```
//!
//! Each figure is the best of several rounds; where two stand beside each other, their rounds take turns. Memory is the
//! program's own allocator's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement may stop at what it did not expect"
)]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_engine::{CredentialKind, Now, Principal};
use portcullis_identity::dpop::{Dpop, DpopRules, ProvedCall};
use portcullis_identity::jose::{Algorithm, JwkRules, KeySet, Thumbprint, VerificationKey};
use portcullis_identity::oauth::{Issuer, Issuers, TokenCache, TokenRules, Verification};
use portcullis_identity::{
    AssertedCall, AssertionSigner, KeyEntry, KeyRing, KeyRingHandle, Pepper, Presented, Verdict,
};
use serde_json::json;

#[path = "../tests/support/mod.rs"]
mod support;

use support::{SigningKey, b64, jwks};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Now = Now { unix_ns: 1_800_000_000_000_000_000, mono_ns: 1_000_000_000_000 };
const NOW_S: u64 = 1_800_000_000;

fn main() {
    api_key();
    for alg in ["ES256", "EdDSA", "RS256", "PS256", "ES384"] {
        tokens(alg);
    }
    proof();
    assertion();
}

fn api_key() {
    let pepper = Pepper::new([3; 32]);
    let entries = (0..1_000_000u32).map(|n| {
        let id = n.to_string();
        KeyEntry::new(pepper.digest(format!("pck_{n:048}")), CredentialKind::ApiKey, "shop", id)
    });
    let ring = KeyRingHandle::new(KeyRing::new(pepper.clone(), entries).unwrap());
    let client: IpAddr = "192.0.2.7".parse().unwrap();
    let secrets: Vec<String> = (0..1000u32).map(|n| format!("pck_{:048}", n * 997)).collect();
    let mut next = 0;
    let known = per_call(200_000, || {
        next = (next + 1) % secrets.len();
        assert!(matches!(ring.load().api_key(secrets[next].as_bytes(), NOW_S, client), Verdict::Found(_)));
    });
    println!("api key, one of 1,000,000        {known:>8.0} ns");
}

fn tokens(alg: &'static str) {
    let key = SigningKey::new(alg, "key-2027-01");
    let set = KeySet::parse(jwks([&key]).as_bytes(), &JwkRules::default()).unwrap();
    let issuer = |capacity| {
        let issuer =
            Issuer::fixed("https://login.example.com/realms/shop", set.clone(), TokenRules::default());
        Issuers::new([issuer], TokenCache::new([1; 32], capacity))
    };
    let (cached, first_sight) = (issuer(100_000), issuer(0));
    // As a provider issues them: some 700 bytes.
    let tokens: Vec<String> = (0..1000)
        .map(|n| {
            let claims = json!({
                "iss": "https://login.example.com/realms/shop", "aud": ["orders", "account"], "azp": "mobile-app",
                "sub": format!("7d1c9d7e-3f0b-4a57-9c47-{n:012}"), "jti": format!("b1e8a0f2-90a7-4a7f-8f6f-{n:012}"),
                "iat": NOW_S - 10, "exp": NOW_S + 300, "auth_time": NOW_S - 600, "typ": "Bearer", "acr": "1",
                "realm_access": {"roles": ["customer", "offline_access"]}, "scope": "openid orders:read orders:write",
                "sid": "f0c1c8f2-7f3e-4ac1-9d2f-2d1f7f5c4e1b", "preferred_username": "alice",
            });
            key.token(json!({"typ": "JWT"}), &claims)
        })
        .collect();
    let mut next = 0;
    let mut one = || {
        next = (next + 1) % tokens.len();
        &*tokens[next]
    };
    let verify = |issuers: &Issuers, token: &str| {
        let Verification::Verified(facts) = issuers.verify(token, NOW) else { panic!("refused") };
        facts.check(&["orders"], NOW_S, 30).unwrap();
        Presented::BEARER.check(facts.binding()).unwrap();
        black_box(facts.principal());
    };
    tokens.iter().for_each(|token| verify(&cached, token));
    let seen = per_call(200_000, || verify(&cached, one()));
    let parsed: Vec<(Vec<u8>, Vec<u8>)> = tokens
        .iter()
        .map(|token| {
            let (input, signature) = token.rsplit_once('.').unwrap();
            (input.as_bytes().to_vec(), data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap())
        })
        .collect();
    let raw_key = raw(&key);
    let mut at = 0;
    let [first, raw] = per_call_of(
        5_000,
        [&mut || verify(&first_sight, one()), &mut || {
            at = (at + 1) % parsed.len();
            let (input, signature) = &parsed[at];
            assert!(raw_key.verify_sig(input, signature).is_ok());
        }],
    );
    println!(
        "{alg:<6} token ({} bytes): known {seen:>6.0} ns, first sight {first:>8.0} ns, bare verification {raw:>8.0} ns, ratio {:.3}",
        tokens[0].len(),
        first / raw
    );
}

/// The same key as the cryptographic library takes it.
fn raw(key: &SigningKey) -> aws_lc_rs::signature::ParsedPublicKey {
    use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
    let algorithm: &'static dyn VerificationAlgorithm = match key.alg {
        "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
        "ES384" => &signature::ECDSA_P384_SHA384_FIXED,
        "EdDSA" => &signature::ED25519,
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        _ => &signature::RSA_PSS_2048_8192_SHA256,
    };
    ParsedPublicKey::new(algorithm, key.public_bytes()).unwrap()
}

fn proof() {
    let key = SigningKey::new("ES256", "client");
    let jwk = key.jwk().to_string();
    let bound = VerificationKey::from_jwk(jwk.as_bytes(), &JwkRules { algorithms: &[Algorithm::Es256] })
        .unwrap()
        .thumbprint();
    let token = "x".repeat(700);
    let ath = Thumbprint::of(token.as_bytes()).to_string();
    let proofs: Vec<String> = (0..20_000)
        .map(|n| {
            let claims = json!({
                "jti": b64(format!("jti-{n:012}")), "htm": "GET", "htu": "https://api.example.com/orders/7", "iat": NOW_S,
                "ath": ath,
            });
            let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.bare_jwk()});
            key.token_of(&header.to_string(), &claims.to_string())
        })
        .collect();
    let call = ProvedCall { method: "GET", scheme: "https", authority: "api.example.com", path: "/orders/7" };
    let rules = || DpopRules { capacity: 64 * 100_000, ..DpopRules::default() };
    let mut dpop = Dpop::new(rules(), [1; 32]);
    let mut next = 0;
    let cost = per_call(5_000, || {
        if next == proofs.len() {
            (next, dpop) = (0, Dpop::new(rules(), [1; 32]));
        }
        dpop.verify(&proofs[next], &call, &token, bound, NOW).unwrap();
        next += 1;
    });
    println!("DPoP proof, ES256                {cost:>8.0} ns");
}

fn assertion() {
    let signer =
        AssertionSigner::from_pkcs8(&AssertionSigner::generate_pkcs8().unwrap(), "gateway", 30).unwrap();
    let scopes: Arc<[Box<str>]> = Arc::from(["orders:read".into()]);
    let principal = Principal::new("shop".into(), "key-1".into(), CredentialKind::ApiKey, scopes);
    let call =
        AssertedCall { audience: "orders", method: "GET", path: "/orders/7", principal: Some(&principal) };
    let cost = per_call(5_000, || drop(black_box(signer.sign(&call, [7; 16], NOW_S).unwrap())));
    println!("assertion, ES256                 {cost:>8.0} ns");
}

/// Rounds of a measurement.
const ROUNDS: usize = 15;

/// CPU nanoseconds of this thread for one `call`: the best of the rounds, each of `calls`.
fn per_call(calls: u32, mut call: impl FnMut()) -> f64 {
    let [best] = per_call_of(calls, [&mut call]);
    best
}

/// As [`per_call`], for several, which take turns.
fn per_call_of<const N: usize>(calls: u32, mut each: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..ROUNDS {
        for (best, call) in best.iter_mut().zip(&mut each) {
            (0..calls / 10).for_each(|_| call());
            let start = cpu_ns();
            (0..calls).for_each(|_| call());
            *best = best.min((cpu_ns() - start) as f64 / f64::from(calls));
        }
    }
    best
}

fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
