use serde_json::json;

use super::*;
use crate::testing::*;

#[test]
fn calls_of_deprecated_operations_are_found() {
    let went = send(&shop(json!({})).engine, &call("GET", "/old"));
    assert_eq!((went.code(), went.found()), ("permitted", vec!["operation-deprecated"]));
    assert_eq!(send(&shop(json!({})).engine, &call("GET", "/status")).found(), Vec::<&str>::new());
}

#[test]
fn dates_are_announced_and_can_close() {
    let policies = |sunset: &str, after: &str| {
        json!({ "policies": [{
        "match": { "operation": "old" },
        "deprecated": { "since": "2025-01-01", "sunset": sunset, "link": "https://example.com/m", "after_sunset": after },
    }] })
    };
    // The tests' clock stands at 2027-01-15T08:00:00Z.
    let went = send(&shop(policies("2027-01-16", "refuse")).engine, &call("GET", "/old"));
    assert_eq!(went.code(), "permitted");
    assert_eq!(went.header("deprecation"), Some("@1735689600"));
    assert_eq!(went.header("sunset"), Some("Sat, 16 Jan 2027 00:00:00 GMT"));
    assert_eq!(went.header("link"), Some("<https://example.com/m>; rel=\"deprecation\""));
    let went = send(&shop(policies("2027-01-15T08:00:00Z", "refuse")).engine, &call("GET", "/old"));
    assert_eq!((went.code(), went.status), ("operation-sunset", 410));
    let went = send(&shop(policies("2027-01-15T10:00:00+02:00", "find")).engine, &call("GET", "/old"));
    assert_eq!((went.code(), went.found()), ("permitted", vec!["operation-sunset"]));
}

#[test]
fn dates_are_read() {
    let seconds = |text: &str| moment(text).map(OffsetDateTime::unix_timestamp);
    assert_eq!(seconds("2025-01-01"), Some(1_735_689_600));
    assert_eq!(seconds("2025-01-01T00:00:00Z"), Some(1_735_689_600));
    assert_eq!(seconds("Wed, 01 Jan 2025 00:00:00 GMT"), Some(1_735_689_600));
    for wrong in ["", "soon", "2025-13-01", "2025", "01.01.2025"] {
        assert_eq!(seconds(wrong), None, "{wrong}");
    }
}
