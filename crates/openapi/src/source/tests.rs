use super::{Document, Kind, Limits};
use serde_json::{Value, json};

fn read(text: &str) -> Value {
    Document::parse("test", text.as_bytes())
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
        .root()
        .to_json()
}

fn refused(text: &str) -> String {
    Document::parse("test", text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn json_values() {
    assert_eq!(
        read(r#" {"a":[1,-2.5,1e3,true,false,null,"x\n\u00e9\ud83d\ude00\/"]} "#),
        json!({"a":[1,-2.5,1000.0,true,false,null,"x\né😀/"]})
    );
    assert_eq!(read("[18446744073709551615, -9223372036854775808]"), json!([u64::MAX, i64::MIN]));
    assert_eq!(read("[1e999]"), json!([f64::MAX]));
    assert_eq!(read(r#"["\ud800"]"#), json!(["\u{fffd}"]));
}

#[test]
fn json_errors_point_at_the_place() {
    for (text, place) in [
        ("{\"a\": 1,\n  \"b\" 2}", "2:7"),
        ("[1, 2", "1:6"),
        ("{\"é\": x}", "1:7"),
        ("{\"a\": \"\t\"}", "1:8"),
        ("{} x", "1:4"),
        ("[01]", "1:3"),
        ("[\"\\x\"]", "1:4"),
    ] {
        let error = Document::parse("t.json", text.as_bytes()).expect_err(text).to_string();
        assert!(error.starts_with(&format!("t.json:{place}: ")), "{text:?}: {error}");
    }
}

#[test]
fn yaml_core_schema() {
    let text = "a: yes\nb: on\nc: 0x1F\nd: 0o17\ne: 1.5e3\nf: ~\ng:\nh: !!str 12\ni: '1'\nj: 012\nk: .inf\n\
                l: 1.2.3\nm: 2020-01-01\nn: True\no: +3\n200: ok\n'404': no\nnull: n\np: !custom 5\n";
    assert_eq!(
        read(text),
        json!({"a":"yes","b":"on","c":31,"d":15,"e":1500.0,"f":null,"g":null,"h":"12","i":"1","j":12,
               "k":".inf","l":"1.2.3","m":"2020-01-01","n":true,"o":3,"200":"ok","404":"no","null":"n","p":5})
    );
}

#[test]
fn yaml_blocks_flows_and_merges() {
    assert_eq!(
        read("a: |\n  x\n  y\nb: >-\n  x\n  y\nc: [1, {d: 2}]\n"),
        json!({"a":"x\ny\n","b":"x y","c":[1,{"d":2}]})
    );
    assert_eq!(
        read("base: &b {x: 1, y: 2}\nmore: &m {z: 3}\nc:\n  <<: *b\n  y: 9\nd:\n  <<: [*b, *m]\n"),
        json!({"base":{"x":1,"y":2},"more":{"z":3},"c":{"y":9,"x":1},"d":{"x":1,"y":2,"z":3}})
    );
    assert_eq!(read("{a: 1, b: [x]}"), json!({"a":1,"b":["x"]}));
    assert_eq!(read(""), Value::Null);
    assert_eq!(read("# nothing\n"), Value::Null);
}

#[test]
fn hostile_input_is_refused() {
    assert!(refused("a: 1\n---\nb: 2\n").contains("second one"));
    assert!(refused("? [a]\n: b\n").contains("as a key"));
    assert!(refused("a: &x [*x]\n").contains("its own parent"));
    assert!(refused("a: *nothing\n").contains("expected YAML"));
    assert!(refused(&"[".repeat(100_000)).contains("nested too deeply"));
    assert!(Document::parse("t.json", "[".repeat(100_000).as_bytes()).is_err());
    let mut block = String::new();
    for depth in 0..400 {
        block.push_str(&" ".repeat(depth));
        block.push_str("a:\n");
    }
    assert!(refused(&block).contains("nested too deeply"));
    let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for level in 1..12 {
        let previous = format!("*a{},", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    assert!(refused(&bomb).contains("more than"));
    let small = Limits { bytes: 10, ..Limits::default() };
    assert!(Document::parse_with("t", b"12345678901", small).is_err());
    assert!(Document::parse("t", b"a: \xff").expect_err("not utf-8").to_string().starts_with("t:1:4"));
    for cut in 0..40 {
        let text = "{\"a\": [\"\\u00e9\", {\"b\": -1.5e+3, \"c\": nul";
        let _ = Document::parse("t.json", &text.as_bytes()[..cut.min(text.len())]);
    }
}

#[test]
fn duplicates_keep_the_first() {
    for text in ["{\"a\":1,\"b\":2,\"a\":3}", "a: 1\nb: 2\na: 3\n"] {
        let document = Document::parse("t", text.as_bytes()).unwrap();
        assert_eq!(document.root().to_json(), json!({"a":1,"b":2}));
        assert_eq!(document.duplicates().len(), 1);
        assert_eq!(&*document.duplicates()[0].key, "a");
    }
    let many: String = (0..100).map(|i| format!("k{i}: 1\n")).chain(["k7: 2\n".to_owned()]).collect();
    assert_eq!(Document::parse("t", many.as_bytes()).unwrap().duplicates().len(), 1);
}

#[test]
fn places_and_pointers() {
    let text = "é: ü\npaths:\n  /a~b/{x}:\n    get: [1, {z: true}]\n";
    let document = Document::parse("t", text.as_bytes()).unwrap();
    let node = document.get("/paths/~1a~0b~1{x}/get/1/z").unwrap();
    assert_eq!(node.kind, Kind::Bool(true));
    let place = document.locate(node.span.start);
    assert_eq!((place.line, place.column), (4, 18));
    assert_eq!(document.snippet(node.span), "true");
    assert_eq!(document.pointer_at(node.span), "/paths/~1a~0b~1{x}/get/1/z");
    assert_eq!(document.line(2), "paths:");
    let first = document.get("/é").unwrap();
    assert_eq!(document.snippet(first.span), "ü");
    assert!(document.get("/paths/x").is_none());
    assert!(document.get("paths").is_none());
}

#[test]
fn yaml_as_it_is_written() {
    let cases: Value = serde_json::from_str(include_str!("../../tests/data/yaml.json")).unwrap();
    let wrong = |case: &Value| {
        let read = Document::parse("t", case["text"].as_str().unwrap().as_bytes());
        match (read, case["refused"].as_str()) {
            (Ok(document), None) => {
                let twice: Vec<&str> = document.duplicates().iter().map(|one| &*one.key).collect();
                let expected = case["duplicates"].as_array().cloned().unwrap_or_default();
                let found = document.root().to_json();
                (found != case["is"] || twice != expected).then(|| format!("{found}, twice {twice:?}"))
            }
            (Ok(document), Some(_)) => Some(document.root().to_json().to_string()),
            (Err(error), Some(says)) if error.to_string().contains(says) => None,
            (Err(error), _) => Some(error.to_string()),
        }
    };
    let cases = cases.as_array().unwrap().iter();
    let wrong: Vec<String> =
        cases.filter_map(|case| Some(format!("{}: {}", case["why"], wrong(case)?))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
