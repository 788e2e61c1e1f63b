//! The examples of the RFCs, recomputed.

use portcullis_engine::Now;
use portcullis_identity::certificate::CertificateIdentity;
use portcullis_identity::dpop::{Dpop, DpopError, DpopRules, ProvedCall};
use portcullis_identity::jose::{
    Algorithm, HeaderKeys, JwkError, JwkRules, Jws, JwsRules, Thumbprint, TokenError, VerificationKey,
};

const PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn key(jwk: &str) -> VerificationKey {
    let algorithms: Vec<Algorithm> = Algorithm::ASYMMETRIC.into_iter().chain([Algorithm::Hs256]).collect();
    let jwk = if jwk.contains("\"oct\"") { jwk.replace("{", "{\"alg\":\"HS256\",") } else { jwk.to_owned() };
    VerificationKey::from_jwk(jwk.as_bytes(), &JwkRules { algorithms: &algorithms }).unwrap()
}

fn verify(token: &str, key: &VerificationKey) -> Result<Vec<u8>, TokenError> {
    Jws::parse(token, &JwsRules::default())?.verify(key).map(<[u8]>::to_vec)
}

/// Holds, and holds no more when any part is changed.
fn holds(token: &str, jwk: &str) -> Vec<u8> {
    let key = key(jwk);
    let payload = verify(token, &key).unwrap();
    for (at, old) in token.char_indices() {
        let new = if old == 'A' { 'B' } else { 'A' };
        let changed = format!("{}{new}{}", &token[..at], &token[at + 1..]);
        assert!(verify(&changed, &key).is_err(), "{at}");
    }
    payload
}

#[test]
fn rfc_7515_appendix_a_1_to_a_4() {
    let claims = b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    let a1 = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let oct = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    assert_eq!(holds(&a1, oct), claims);
    assert_eq!(holds(&rs256(), RSA), claims);
    assert_eq!(holds(&es256(), EC), claims);
    let a4 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    let p521 = r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
    assert_eq!(holds(a4, p521), b"Payload");
}

const RSA: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

fn rs256() -> String {
    format!(
        "eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    )
}

fn es256() -> String {
    format!(
        "eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
}

#[test]
fn rfc_7515_appendix_a_5_is_refused() {
    let token = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    assert_eq!(Jws::parse(&token, &JwsRules::default()).unwrap_err(), TokenError::Algorithm);
}

/// A.6 is one payload signed twice, in JSON form: each of its signatures is one of the above. The form itself is not
/// read: an access token is in compact form (RFC 9068 section 2).
#[test]
fn rfc_7515_appendix_a_6() {
    for token in [rs256(), es256()] {
        let parts: Vec<&str> = token.split('.').collect();
        let json = format!(
            r#"{{"payload":"{}","signatures":[{{"protected":"{}","header":{{"kid":"2010-12-29"}},"signature":"{}"}}]}}"#,
            parts[1], parts[0], parts[2]
        );
        assert!(matches!(Jws::parse(&json, &JwsRules::default()), Err(TokenError::Malformed(_))));
    }
    assert_eq!(verify(&rs256(), &key(EC)), Err(TokenError::Algorithm));
    assert_eq!(verify(&es256(), &key(RSA)), Err(TokenError::Algorithm));
}

#[test]
fn rfc_7638_thumbprint() {
    let jwk = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    assert_eq!(key(jwk).thumbprint().to_string(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn rfc_8037_appendix_a() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(holds(token, jwk), b"Example of Ed25519 signing");
    assert_eq!(key(jwk).thumbprint().to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn rfc_8705_appendix_a() {
    let der = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";
    let der = data_encoding::BASE64.decode(der.as_bytes()).unwrap();
    let identity = CertificateIdentity::parse(&der).unwrap();
    assert_eq!(identity.thumbprint().to_string(), "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0");
    assert_eq!(identity.subject(), "CN=mtls");
}

/// Section 7.1: the proof, its token, and the key that the token is bound to (section 6.1).
#[test]
fn rfc_9449_section_7_1() {
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let bound = Thumbprint::parse("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap();
    let call = ProvedCall {
        method: "GET",
        scheme: "https",
        authority: "resource.example.org",
        path: "/protectedresource",
    };
    let now = Now { unix_ns: 1_562_262_620_000_000_000, mono_ns: 0 };
    assert_eq!(Thumbprint::of(token.as_bytes()).to_string(), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    let dpop = Dpop::new(DpopRules::default(), [1; 32]);
    assert_eq!(dpop.verify(proof, &call, token, bound, now), Ok(bound));
    assert_eq!(dpop.verify(proof, &call, token, bound, now), Err(DpopError::Replayed));
}

/// Section 4.2: a proof for the token endpoint, without `ath`: worth nothing here, and its signature holds.
#[test]
fn rfc_9449_section_4_2() {
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let bound = Thumbprint::parse("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I").unwrap();
    let call =
        ProvedCall { method: "POST", scheme: "https", authority: "server.example.com", path: "/token" };
    let now = Now { unix_ns: 1_562_262_616_000_000_000, mono_ns: 0 };
    let verdict = Dpop::new(DpopRules::default(), [1; 32]).verify(proof, &call, "token", bound, now);
    assert_eq!(verdict, Err(DpopError::Claim("ath")));
}

#[test]
fn a_published_private_key_is_no_key() {
    let jwk = EC.replace('}', r#","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#);
    let refused = VerificationKey::from_jwk(jwk.as_bytes(), &JwkRules::default());
    assert_eq!(refused.unwrap_err(), JwkError::Private);
}

#[test]
fn a_token_that_brings_a_key_is_read_only_where_that_is_asked_for() {
    let brings = |header: &str| format!("{}.e30.AAAA", crate::support::b64(header));
    for header in
        [r#"{"alg":"ES256","jwk":{}}"#, r#"{"alg":"ES256","jku":"https://x"}"#, r#"{"alg":"ES256","x5c":[]}"#]
    {
        assert!(
            matches!(Jws::parse(&brings(header), &JwsRules::default()), Err(TokenError::Header(_))),
            "{header}"
        );
        let passed_over = JwsRules { keys: HeaderKeys::Ignore, ..JwsRules::default() };
        assert!(Jws::parse(&brings(header), &passed_over).is_ok(), "{header}");
    }
}
