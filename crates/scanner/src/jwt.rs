//! JSON Web Tokens (RFC 7519) taken apart and forged.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};

/// A token in its parts.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    /// The first two parts as they stood: what the signature is over.
    signed: String,
    signature: String,
}

impl Token {
    /// Reads a compact token; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let read = |part: &str| -> Option<Map<String, Value>> {
            let bytes = BASE64URL_NOPAD.decode(part.trim_end_matches('=').as_bytes()).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        Some(Self {
            header: read(header)?,
            claims: read(claims)?,
            signed: format!("{header}.{claims}"),
            signature: signature.to_owned(),
        })
    }

    /// The algorithm it names.
    pub(crate) fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// How long it lives from its issue on.
    pub(crate) fn life(&self) -> Option<Duration> {
        let claim = |name: &str| self.claims.get(name).and_then(Value::as_u64);
        let start = claim("iat").or_else(|| claim("nbf"))?;
        Some(Duration::from_secs(claim("exp")?.checked_sub(start)?))
    }

    /// The token with a last part that no key made.
    pub(crate) fn with_broken_signature(&self) -> String {
        let flipped: String = self.signature.chars().rev().collect();
        let broken = if flipped == self.signature { format!("A{flipped}") } else { flipped };
        format!("{}.{broken}", self.signed)
    }

    /// The token without a signature.
    pub(crate) fn without_signature(&self) -> String {
        format!("{}.", self.signed)
    }

    /// A token with these claims, its algorithm set to a word, and no signature.
    pub(crate) fn unsigned(&self, claims: &Map<String, Value>, algorithm: &str) -> String {
        let mut header = self.header.clone();
        header.insert("alg".to_owned(), Value::String(algorithm.to_owned()));
        format!("{}.{}.", part(&header), part(claims))
    }

    /// A token with other claims, the old signature kept.
    pub(crate) fn with_claims_unsigned(&self, claims: &Map<String, Value>) -> String {
        let header = self.signed.split('.').next().unwrap_or_default();
        format!("{header}.{}.{}", part(claims), self.signature)
    }

    /// A token with these claims, signed by HMAC with a secret.
    pub(crate) fn signed_with(&self, claims: &Map<String, Value>, secret: &[u8]) -> Option<String> {
        let signed = format!("{}.{}", part(&self.header), part(claims));
        let signature = sign(self.algorithm(), secret, signed.as_bytes())?;
        Some(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }

    /// The first of these secrets that made the signature.
    pub(crate) fn secret_among<'a>(&self, secrets: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let wanted = BASE64URL_NOPAD.decode(self.signature.trim_end_matches('=').as_bytes()).ok()?;
        let mut secrets = secrets;
        secrets.find(|secret| {
            sign(self.algorithm(), secret.as_bytes(), self.signed.as_bytes())
                .is_some_and(|made| made == wanted)
        })
    }
}

fn part(members: &Map<String, Value>) -> String {
    BASE64URL_NOPAD.encode(&serde_json::to_vec(members).unwrap_or_default())
}

fn sign(algorithm: &str, secret: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    fn with<M: Mac + KeyInit>(secret: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let mut mac = <M as KeyInit>::new_from_slice(secret).ok()?;
        mac.update(bytes);
        Some(mac.finalize().into_bytes().to_vec())
    }
    match algorithm {
        "HS256" => with::<Hmac<sha2::Sha256>>(secret, bytes),
        "HS384" => with::<Hmac<sha2::Sha384>>(secret, bytes),
        "HS512" => with::<Hmac<sha2::Sha512>>(secret, bytes),
        _ => None,
    }
}

/// Secrets that people leave in: common words and their usual endings. `title` is the API's own name, which is a
/// favourite.
pub(crate) fn weak_secrets(title: &str) -> Vec<String> {
    const WORDS: &[&str] = &[
        "secret",
        "password",
        "key",
        "jwt",
        "token",
        "test",
        "admin",
        "changeme",
        "change_me",
        "change-me",
        "random",
        "default",
        "example",
        "demo",
        "dev",
        "development",
        "private",
        "mysecret",
        "my_secret",
        "my-secret",
        "supersecret",
        "super_secret",
        "super-secret",
        "topsecret",
        "top_secret",
        "secretkey",
        "secret_key",
        "secret-key",
        "mysecretkey",
        "my_secret_key",
        "my-secret-key",
        "jwtsecret",
        "jwt_secret",
        "jwt-secret",
        "jwtkey",
        "jwt_key",
        "apikey",
        "api_key",
        "api-key",
        "signingkey",
        "signing_key",
        "signature",
        "hello",
        "world",
        "helloworld",
        "qwerty",
        "letmein",
        "welcome",
        "abc",
        "foo",
        "bar",
        "foobar",
        "root",
        "user",
        "guest",
        "master",
        "app",
        "application",
        "api",
        "server",
        "node",
        "express",
        "flask",
        "django",
        "spring",
        "rails",
        "laravel",
        "golang",
        "python",
        "java",
        "hmac",
        "sha256",
        "hs256",
        "shhh",
        "shhhh",
        "shhhhh",
        "keyboard cat",
        "keyboardcat",
        "s3cr3t",
        "s3cret",
        "secr3t",
        "p@ssw0rd",
        "passw0rd",
        "pass",
        "your-256-bit-secret",
        "your-secret-key",
        "your_secret_key",
        "yoursecretkey",
        "your-secret",
        "yoursecret",
        "thisisasecret",
        "this is a secret",
        "thisismysecret",
        "not-so-secret",
        "notsecret",
        "insecure",
        "temp",
        "temporary",
        "local",
        "localhost",
        "production",
        "staging",
        "crypto",
        "cipher",
        "auth",
        "authkey",
        "authsecret",
        "auth_secret",
        "session",
        "sessionsecret",
        "session_secret",
        "cookie",
        "salt",
        "pepper",
        "sugar",
        "dragon",
        "monkey",
        "football",
        "sunshine",
        "princess",
        "shadow",
        "iloveyou",
        "trustno1",
        "whatever",
        "nothing",
        "anything",
        "something",
        "string",
        "value",
        "data",
        "config",
        "todo",
        "fixme",
        "replace_me",
        "replaceme",
        "insert_secret_here",
        "gitignore",
        "house",
        "water",
        "apple",
        "orange",
        "banana",
        "blue",
        "green",
        "red",
        "black",
        "white",
        "winter",
        "summer",
        "spring",
        "autumn",
        "dog",
        "cat",
        "love",
        "god",
        "money",
        "freedom",
        "power",
        "magic",
        "company",
        "access",
        "bank",
        "shop",
        "store",
        "money",
        "security",
        "secure",
        "safe",
        "unsafe",
        "vulnerable",
        "hacker",
        "hackme",
        "weak",
        "easy",
        "simple",
        "basic",
        "sample",
        "tutorial",
        "course",
        "learn",
        "lab",
        "kitten",
    ];
    const ENDINGS: &[&str] = &[
        "", "1", "12", "123", "1234", "12345", "123456", "!", "!!", "@123", "_123", "-123", "#1", "2022",
        "2023", "2024", "2025", "2026", "007",
    ];
    let mut secrets: Vec<String> =
        vec![String::new(), "123456".into(), "12345678".into(), "1234567890".into(), "0".into()];
    let mut words: Vec<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    let name: Vec<String> = crate::words::split(title);
    words.extend(name.iter().cloned());
    words.push(name.concat());
    words.push(name.join("-"));
    words.push(name.join("_"));
    for word in words {
        let mut capital = word.clone();
        if let Some(first) = capital.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        for form in [word.clone(), capital, word.to_uppercase()] {
            for ending in ENDINGS {
                secrets.push(format!("{form}{ending}"));
            }
        }
        for ending in ["_secret", "-secret", "secret", "_key", "-key", "key", "_jwt_secret", "-jwt-secret"] {
            secrets.push(format!("{word}{ending}"));
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_signed_with_a_word_gives_it_away() {
        let claims = Map::from_iter([
            ("sub".to_owned(), Value::from("a")),
            ("iat".to_owned(), Value::from(10)),
            ("exp".to_owned(), Value::from(70)),
        ]);
        let shell = Token {
            header: Map::from_iter([("alg".to_owned(), Value::from("HS256"))]),
            claims: Map::new(),
            signed: String::new(),
            signature: String::new(),
        };
        let text = shell.signed_with(&claims, b"secret123").unwrap();
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.life(), Some(Duration::from_secs(60)));
        let words = weak_secrets("Some Bank");
        assert_eq!(token.secret_among(words.iter().map(String::as_str)), Some("secret123"));
        let strong = shell.signed_with(&claims, b"kJ8-not-in-any-list-2f").unwrap();
        assert_eq!(Token::parse(&strong).unwrap().secret_among(words.iter().map(String::as_str)), None);
        assert!(Token::parse("a.b").is_none() && Token::parse("x.y.z").is_none());
    }
}
