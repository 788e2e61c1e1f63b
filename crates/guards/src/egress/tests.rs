use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, Version};
use portcullis_engine::Fields;
use portcullis_engine::*;
use serde_json::{Value, json};

use super::*;

const SECOND: u64 = 1_000_000_000;

/// What became of a call: the refusal's code, or where it goes.
fn call(egress: &Value, method: &str, target: &str, resolved: &[&str]) -> (String, usize) {
    let destinations: BTreeMap<String, DestinationConfig> =
        serde_json::from_value(egress["destinations"].clone()).unwrap();
    let destinations = destinations.into_iter().map(|(name, config)| (name, (config, None))).collect();
    let settings = Egress {
        mode: serde_json::from_value(egress.get("mode").cloned().unwrap_or(json!("enforce"))).unwrap(),
        clients: serde_json::from_value(egress.get("clients").cloned().unwrap_or(json!([]))).unwrap(),
        names: serde_json::from_value(egress.get("names").cloned().unwrap_or(json!({}))).unwrap(),
    };
    let state = Arc::new(State::default());
    let compiled = compile_egress(&settings, &destinations, &Settings::default(), &state).unwrap();
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    let host = Some(rest.split('/').next().unwrap()).filter(|host| !matches!(*host, "" | "*"));
    let host = host.unwrap_or("api.example.com");
    let mut headers = Fields::new();
    headers.insert(HeaderName::from_static("host"), HeaderValue::from_str(host).unwrap());
    let head = RequestHead {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        target: target.to_owned().into(),
        authority: None,
        version: Version::HTTP_11,
        headers,
        body: BodyLength::None,
    };
    let connection = Connection {
        peer: "10.9.0.1:999".parse().unwrap(),
        local: "10.9.0.2:3128".parse().unwrap(),
        scheme: Scheme::Http,
        sni: None,
        certificate: None,
    };
    let now = Now::recorded(1_800_000_000 * SECOND);
    let mut inspection = Arc::clone(&compiled.engine).begin(head, &connection, ExchangeId(1), now);
    let mut step = inspection.request_head();
    let mut asked = 0;
    while let Step::Lookup(lookup) = step {
        assert!(matches!(lookup.destination, Destination::Resolve { .. }));
        asked += 1;
        let answer =
            Answer { status: http::StatusCode::OK, headers: Fields::new(), body: resolved.join("\n").into() };
        let result = if resolved.is_empty() { Err(LookupFailure::Timeout) } else { Ok(Arc::new(answer)) };
        step = inspection.resolve(result, now);
    }
    let went = match step {
        Step::Reply(_) => match inspection.decision() {
            Decision::Refused { code, .. } => code.name.to_owned(),
            other => panic!("{other:?}"),
        },
        Step::Forward(_) => {
            let origin = inspection.request().origin.as_deref().unwrap();
            let addresses: Vec<_> = origin.addresses.iter().map(ToString::to_string).collect();
            format!("{}:{} {}", origin.scheme.as_str(), origin.port, addresses.join(","))
        }
        other => panic!("{other:?}"),
    };
    (went, asked)
}

#[test]
fn calls_leave_to_what_is_listed() {
    let egress = json!({ "destinations": {
        "plain": { "hosts": ["api.example.com", "*.cdn.example"] },
        "over-tls": { "hosts": ["secure.example.com"], "tls": true },
        "port": { "hosts": ["api.example.com"], "ports": [8443], "tunnel": false },
        "inside": { "hosts": ["billing.internal", "10.1.2.3"], "ports": [9000], "networks": ["10.1.0.0/16"] },
    } });
    let outside = &["93.184.216.34"][..];
    for (method, target, resolved, went) in [
        ("GET", "http://api.example.com/a?b=c", outside, "http:80 93.184.216.34"),
        ("GET", "http://API.example.com:80/", outside, "http:80 93.184.216.34"),
        ("GET", "https://api.example.com/", outside, "https:443 93.184.216.34"),
        ("GET", "http://x.cdn.example/", outside, "http:80 93.184.216.34"),
        ("CONNECT", "api.example.com:443", outside, "http:443 93.184.216.34"),
        ("GET", "http://secure.example.com/", outside, "https:443 93.184.216.34"),
        ("GET", "http://api.example.com:8443/", outside, "http:8443 93.184.216.34"),
        ("CONNECT", "api.example.com:8443", outside, "destination-refused"),
        ("CONNECT", "api.example.com:22", outside, "destination-refused"),
        ("GET", "http://cdn.example/", outside, "destination-refused"),
        ("GET", "http://other.example/", outside, "destination-refused"),
        ("GET", "http://billing.internal:9000/", &["10.1.2.3"], "http:9000 10.1.2.3"),
        ("GET", "http://billing.internal:9000/", &["10.2.2.3"], "destination-inside"),
        ("GET", "http://10.1.2.3:9000/", &[], "http:9000 10.1.2.3"),
        ("GET", "http://api.example.com/", &["93.184.216.34", "127.0.0.1"], "destination-inside"),
        ("GET", "http://api.example.com/", &[], "lookup-failed"),
        ("GET", "/origin-form", outside, "request-malformed"),
        ("OPTIONS", "*", outside, "request-malformed"),
    ] {
        assert_eq!(call(&egress, method, target, resolved).0, went, "{method} {target} {resolved:?}");
    }
}

#[test]
fn what_is_not_public_is_inside_in_every_notation() {
    let egress = json!({ "destinations": { "all": { "hosts": ["*"] } } });
    for inside in [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.31.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "::1",
        "::",
        "fd00:ec2::254",
        "fe80::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        assert_eq!(
            call(&egress, "GET", "http://rebound.example/", &[inside]).0,
            "destination-inside",
            "{inside}"
        );
        let literal = if inside.contains(':') { format!("[{inside}]") } else { inside.to_owned() };
        let said = call(&egress, "CONNECT", &format!("{literal}:443"), &[]).0;
        assert_eq!(said, "destination-inside", "{literal}");
    }
    // Spelled so that only a resolver reads it: what it makes of it counts.
    for odd in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"] {
        let said = call(&egress, "GET", &format!("http://{odd}/"), &["127.0.0.1"]).0;
        assert_eq!(said, "destination-inside", "{odd}");
    }
}

#[test]
fn what_is_not_listed_is_not_even_resolved() {
    let egress = json!({ "destinations": { "one": { "hosts": ["api.example.com"] } } });
    let secret = "http://stolen-data.evil.example/";
    assert_eq!(call(&egress, "GET", secret, &["93.184.216.34"]), ("destination-refused".into(), 0));
    // To find out where an API calls, nothing is refused and everything recorded.
    let watching = json!({ "mode": "monitor", "destinations": {} });
    assert_eq!(call(&watching, "GET", secret, &["93.184.216.34"]), ("http:80 93.184.216.34".into(), 1));
    let named =
        json!({ "names": { "api.example.com": ["93.184.216.34"] }, "destinations": egress["destinations"] });
    assert_eq!(call(&named, "GET", "http://api.example.com/", &[]), ("http:80 93.184.216.34".into(), 0));
}

#[test]
fn only_listed_clients_may_use_it() {
    let with = |networks: &[&str]| json!({ "clients": networks, "destinations": { "one": { "hosts": ["api.example.com"] } } });
    let said =
        |networks: &[&str]| call(&with(networks), "GET", "http://api.example.com/", &["93.184.216.34"]).0;
    assert_eq!(said(&["10.8.0.0/16"]), "egress-client");
    assert_eq!(said(&["10.8.0.0/16", "10.9.0.0/16"]), "http:80 93.184.216.34");
}
