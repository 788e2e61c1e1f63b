//! The attack list of `tests/attacks`, against a verifier as a gateway would configure it.

use std::collections::HashMap;
use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use portcullis_engine::Now;
use portcullis_identity::Presented;
use portcullis_identity::jose::{Algorithm, HeaderKeys, JwkRules, KeySet};
use portcullis_identity::oauth::{
    Begin, Fetched, Issuer, Issuers, KeyTimes, KeysFrom, TokenCache, TokenProfile, TokenRules, Verification,
};
use serde_json::{Map, Value, json};

use crate::support::{SigningKey, b64, hmac_with, jwks};

const NOW: Now = Now { unix_ns: 1_800_000_000_000_000_000, mono_ns: 1_000_000_000_000 };

struct World {
    keys: HashMap<&'static str, SigningKey>,
    other: HashMap<&'static str, SigningKey>,
    issuers: Issuers,
}

impl World {
    fn new() -> World {
        let kinds = [
            ("es", "ES256"),
            ("rs", "RS256"),
            ("ps", "PS256"),
            ("ed", "EdDSA"),
            ("es384", "ES384"),
            ("hs", "HS256"),
        ];
        let keys: HashMap<_, _> =
            kinds.into_iter().map(|(kid, alg)| (kid, SigningKey::new(alg, kid))).collect();
        let other = ["ES256", "RS256"].into_iter().map(|alg| (alg, SigningKey::new(alg, "other"))).collect();
        let set = jwks(keys.values().filter(|key| key.kid != "hs"));
        let fetched = |name: &str, rules| {
            let issuer = Issuer::fetched(
                format!("https://{name}.example"),
                KeysFrom::KeySet("https://keys.example/jwks".into()),
                Algorithm::ASYMMETRIC,
                KeyTimes::default(),
                rules,
            );
            let Begin::Fetch(fetch) = issuer.keys().begin(NOW) else { panic!() };
            let answer = Fetched::Answer { status: 200, body: set.as_bytes(), max_age_s: None };
            issuer.keys().finish(&fetch, answer, NOW);
            issuer
        };
        let strict = TokenRules { profile: TokenProfile::Rfc9068, ..TokenRules::default() };
        let lenient = TokenRules { header_keys: HeaderKeys::Ignore, ..TokenRules::default() };
        let secret =
            KeySet::parse(jwks([&keys["hs"]]).as_bytes(), &JwkRules { algorithms: &[Algorithm::Hs256] })
                .unwrap();
        let issuers = [
            fetched("main", TokenRules::default()),
            fetched("strict", strict),
            fetched("lenient", lenient),
            Issuer::fixed("https://shared.example", secret, TokenRules::default()),
        ];
        World { issuers: Issuers::new(issuers, TokenCache::new([1; 32], 1000)), keys, other }
    }

    fn token(&self, case: &Value) -> String {
        let issuer = case["issuer"].as_str().unwrap_or("main");
        let key = &self.keys[case["key"].as_str().unwrap_or("es")];
        let header = json!({"alg": key.alg, "kid": key.kid, "typ": "at+jwt"});
        let claims = json!({
            "iss": format!("https://{issuer}.example"), "aud": ["orders"], "sub": "alice", "client_id": "app",
            "jti": "t-1", "iat": 1_800_000_000, "exp": 1_800_000_600, "scope": "orders:read",
        });
        let header = self.text(case, "header", header);
        let claims = self.text(case, "claims", claims);
        let input = format!("{}.{}", b64(&header), b64(&claims));
        let signature = self.signature(case["sign"].as_str().unwrap_or("key"), key, &header, &claims, &input);
        let token = format!("{input}.{}", b64(signature));
        case["edit"]
            .as_array()
            .into_iter()
            .flatten()
            .fold(token, |token, edit| self.edit(token, edit.as_str().unwrap()))
    }

    fn text(&self, case: &Value, part: &str, base: Value) -> String {
        if let Some(text) = case[format!("{part}_text")].as_str() {
            return text.to_owned();
        }
        let mut members: Map<String, Value> = base.as_object().unwrap().clone();
        for (name, value) in case[part].as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(members.remove(name)),
                Value::String(text) if text == "$OTHER" => {
                    drop(members.insert(name.clone(), self.other["ES256"].bare_jwk()));
                }
                Value::String(text) if text == "$ES" => {
                    drop(members.insert(name.clone(), self.keys["es"].bare_jwk()));
                }
                value => drop(members.insert(name.clone(), value.clone())),
            }
        }
        let text = Value::Object(members).to_string();
        match case[format!("{part}_more")].as_str() {
            Some(more) => format!("{},{more}}}", text.strip_suffix('}').unwrap()),
            None => text,
        }
    }

    fn signature(&self, how: &str, key: &SigningKey, header: &str, claims: &str, input: &str) -> Vec<u8> {
        let right = || key.sign(input.as_bytes());
        let (verb, rest) = how.split_once(':').unwrap_or((how, ""));
        match verb {
            "key" => right(),
            "none" => Vec::new(),
            "other" => self.other[rest].sign(input.as_bytes()),
            "hmac" => hmac_with("HS256", rest.as_bytes(), input.as_bytes()),
            "hmac-key" => {
                let (kid, alg) = rest.split_once(':').unwrap();
                hmac_with(alg, &self.keys[kid].public_bytes(), input.as_bytes())
            }
            "hmac-public" => {
                let (kid, form) = rest.split_once(':').unwrap();
                let key = &self.keys[kid];
                let pem = pem(&key.public_bytes());
                let secret = match form {
                    "der" => key.public_bytes(),
                    "pem" => pem.into_bytes(),
                    "pem-trimmed" => pem.trim_end().as_bytes().to_vec(),
                    "jwk" => key.jwk().to_string().into_bytes(),
                    other => panic!("unknown form `{other}`"),
                };
                let alg = if header.contains("HS384") { "HS384" } else { "HS256" };
                hmac_with(alg, &secret, input.as_bytes())
            }
            "bytes" => rest
                .split('+')
                .flat_map(|piece| {
                    let (hex, times) = piece.split_once('*').unwrap_or((piece, "1"));
                    HEXLOWER.decode(hex.as_bytes()).unwrap().repeat(times.parse().unwrap())
                })
                .collect(),
            "extend" => [right(), HEXLOWER.decode(rest.as_bytes()).unwrap()].concat(),
            "lead" => [HEXLOWER.decode(rest.as_bytes()).unwrap(), right()].concat(),
            "truncate" => {
                let mut signature = right();
                signature.truncate(signature.len() - rest.parse::<usize>().unwrap());
                signature
            }
            "swap" => {
                let signature = right();
                let (r, s) = signature.split_at(32);
                [s, r].concat()
            }
            "high-s" => {
                let signature = right();
                let (r, s) = signature.split_at(32);
                [r, &minus(&P256_ORDER, s)].concat()
            }
            "der" => {
                let signature = right();
                let integer = |n: &[u8]| {
                    let n: Vec<u8> = n.iter().copied().skip_while(|byte| *byte == 0).collect();
                    let n = if n[0] > 0x7f { [&[0], n.as_slice()].concat() } else { n };
                    [&[2, n.len() as u8], n.as_slice()].concat()
                };
                let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
                [&[0x30, body.len() as u8], body.as_slice()].concat()
            }
            "r1s1" => [[0; 31].as_slice(), &[1], &[0; 31], &[1]].concat(),
            "rnsn" => [P256_ORDER, P256_ORDER].concat(),
            "ed-identity" => [[1].as_slice(), &[0; 63]].concat(),
            "of-other-claims" => {
                key.sign(format!("{}.{}", b64(header), b64(r#"{"iss":"https://main.example"}"#)).as_bytes())
            }
            "decoded" => key.sign(format!("{header}.{claims}").as_bytes()),
            "payload-only" => key.sign(b64(claims).as_bytes()),
            other => panic!("unknown signature `{other}`"),
        }
    }

    fn edit(&self, token: String, edit: &str) -> String {
        let parts: Vec<&str> = token.split('.').collect();
        let (verb, rest) = edit.split_once(':').unwrap_or((edit, ""));
        match verb {
            "append" => format!("{token}{rest}"),
            "prepend" => format!("{rest}{token}"),
            "after-first-dot" => token.replacen('.', &format!(".{rest}"), 1),
            "whole" => rest.to_owned(),
            "drop-signature" => format!("{}.{}", parts[0], parts[1]),
            "header" => format!("{}.{}.{}", b64(rest), parts[1], parts[2]),
            "header-bytes" => {
                format!("{}.{}.{}", b64(HEXLOWER.decode(rest.as_bytes()).unwrap()), parts[1], parts[2])
            }
            "claims" => format!("{}.{}.{}", parts[0], b64(rest), parts[2]),
            "pad" => parts
                .iter()
                .map(|part| format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4)))
                .collect::<Vec<_>>()
                .join("."),
            // A signature of 64 bytes ends in a character with four bits that mean nothing.
            "last-bits" => {
                const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                let last = ALPHABET.find(token.chars().last().unwrap()).unwrap();
                format!("{}{}", &token[..token.len() - 1], ALPHABET.chars().nth(last + 1).unwrap())
            }
            "standard-alphabet" => format!("{}.{}+/.{}", parts[0], parts[1], parts[2]),
            "json-form" => {
                json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string()
            }
            "oversize" => format!("{token}{}", "A".repeat(16 << 10)),
            other => panic!("unknown edit `{other}`"),
        }
    }

    /// The name of the refusal, or nothing if it is accepted.
    fn refusal(&self, token: &str) -> Option<String> {
        let facts = match self.issuers.verify(token, NOW) {
            Verification::Verified(facts) => facts,
            // With keys fetched a moment ago nothing is to be fetched or waited for.
            Verification::NeedKeys(_) => return Some("NeedKeys".to_owned()),
            Verification::Refused(error) => return Some(format!("{error:?}")),
            Verification::Unavailable { .. } => return Some("Unavailable".to_owned()),
            Verification::Opaque => return Some("Opaque".to_owned()),
        };
        let audience = facts.check(&["orders"], NOW.unix_ns / 1_000_000_000, 30);
        let binding = Presented::BEARER.check(facts.binding());
        audience
            .map_err(|error| format!("{error:?}"))
            .and(binding.map_err(|error| format!("{error:?}")))
            .err()
    }
}

const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn minus(a: &[u8; 32], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0i16;
    let mut difference: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let digit = i16::from(*a) - i16::from(*b) - borrow;
            borrow = i16::from(digit < 0);
            digit.rem_euclid(256) as u8
        })
        .collect();
    difference.reverse();
    difference
}

fn pem(der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

fn run(name: &str, cases: &str) {
    // Keys for all classes are made once.
    static WORLD: LazyLock<World> = LazyLock::new(World::new);
    let world = &*WORLD;
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    assert!(!cases.is_empty());
    for case in &cases {
        let what = format!("{name}: {}", case["name"].as_str().unwrap());
        let token = world.token(case);
        // Twice: what was refused once is not let in by what was remembered of it.
        for _ in 0..2 {
            match (world.refusal(&token), case["accept"] == true) {
                (None, accept) => assert!(accept, "{what}: accepted"),
                (Some(refusal), true) => panic!("{what}: refused as {refusal}"),
                (Some(refusal), false) => {
                    let expected = case["error"].as_str().unwrap();
                    assert!(
                        expected.split('|').any(|one| refusal.starts_with(one)),
                        "{what}: {refusal}, not {expected}"
                    );
                }
            }
        }
    }
}

macro_rules! classes {
    ($($class:ident)*) => {$(
        #[test]
        fn $class() {
            run(stringify!($class), include_str!(concat!("../attacks/", stringify!($class), ".json")));
        }
    )*};
}

classes! { valid algorithm signature header encoding claims kind }
