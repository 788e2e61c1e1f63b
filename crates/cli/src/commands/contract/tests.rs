use std::path::Path;

use clap::Parser;

use super::*;
use crate::exit::Exit;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Args,
}

fn ask(folder: &Path, words: &[&str]) -> Result {
    let words = words.iter().map(|word| match word.ends_with(".yaml") {
        true => folder.join(word).display().to_string(),
        false => (*word).to_owned(),
    });
    run(&Line::try_parse_from(std::iter::once("contract".to_owned()).chain(words)).unwrap().command)
}

#[test]
fn exit_codes_say_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let document = |what: &str| {
        format!(
            "openapi: 3.0.3\ninfo: {{ title: t, version: '1' }}\npaths:\n  /a:\n    get:\n      operationId: getA\n      security: []\n      {what}\n      responses: {{ '200': {{ description: ok }} }}\n"
        )
    };
    write(
        "good.yaml",
        &document("parameters: [{ name: q, in: query, schema: { type: string, maxLength: 5 } }]"),
    );
    write("loose.yaml", &document("parameters: [{ name: q, in: query, schema: { type: string } }]"));
    write(
        "warned.yaml",
        &document("parameters: [{ name: q, in: query, schema: { type: string, maxlength: 5 } }]"),
    );
    write("wrong.yaml", &document("parameters: [{ $ref: '#/nowhere' }]"));
    write("none.yaml", "a: b\n");
    let lint = |words: &[&str]| ask(folder.path(), &[&["lint"], words].concat());
    assert_eq!(lint(&["good.yaml"]).unwrap(), Exit::Ok);
    assert_eq!(lint(&["warned.yaml"]).unwrap(), Exit::Ok);
    assert_eq!(lint(&["warned.yaml", "--strict"]).unwrap(), Exit::Failed);
    assert_eq!(lint(&["good.yaml", "wrong.yaml", "--format", "json"]).unwrap(), Exit::Failed);
    assert_eq!(lint(&["good.yaml", "none.yaml"]).unwrap(), Exit::Failed);
    assert_eq!(lint(&["none.yaml"]).unwrap_err().exit(), Exit::Usage);
    assert_eq!(lint(&["absent.yaml"]).unwrap_err().exit(), Exit::Usage);

    let show = |words: &[&str]| ask(folder.path(), &[&["show"], words].concat());
    for words in [&["good.yaml"][..], &["good.yaml", "getA"], &["good.yaml", "get /a"], &["wrong.yaml", "/a"]]
    {
        assert_eq!(show(words).unwrap(), Exit::Ok);
        assert_eq!(show(&[words, &["--format", "json"]].concat()).unwrap(), Exit::Ok);
    }
    let unknown = show(&["good.yaml", "getB"]).unwrap_err();
    assert!(
        unknown.exit() == Exit::Usage && unknown.to_string().contains("did you mean `getA`"),
        "{unknown}"
    );

    let diff = |words: &[&str]| ask(folder.path(), &[&["diff"], words].concat());
    assert_eq!(diff(&["good.yaml", "loose.yaml"]).unwrap(), Exit::Ok);
    assert_eq!(diff(&["good.yaml", "loose.yaml", "--fail-on", "weaker"]).unwrap(), Exit::Failed);
    assert_eq!(diff(&["good.yaml", "loose.yaml", "--fail-on", "breaking"]).unwrap(), Exit::Ok);
    assert_eq!(diff(&["loose.yaml", "good.yaml", "--fail-on", "breaking"]).unwrap(), Exit::Failed);
    assert_eq!(
        diff(&["good.yaml", "good.yaml", "--fail-on", "breaking", "--fail-on", "weaker"]).unwrap(),
        Exit::Ok
    );
}

#[test]
fn urls_are_read_from_the_pinned_folder() {
    let folder = tempfile::tempdir().unwrap();
    let text = "openapi: 3.0.3\npaths:\n  /a: { post: { requestBody: { content: { application/json: { schema: { $ref: 'https://example.com/types.yaml#/A' } } } } } }\n";
    std::fs::write(folder.path().join("api.yaml"), text).unwrap();
    assert_eq!(ask(folder.path(), &["lint", "api.yaml"]).unwrap(), Exit::Failed);
    std::fs::create_dir_all(folder.path().join("pinned/example.com")).unwrap();
    std::fs::write(folder.path().join("pinned/example.com/types.yaml"), "A: { type: string }\n").unwrap();
    assert_eq!(ask(folder.path(), &["lint", "api.yaml"]).unwrap(), Exit::Ok);
}

/// Answers each connection with what `answer` makes of the path, on loopback, for as long as the test runs.
fn serve(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> u16 {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let (status, body) = answer(first.split(' ').nth(1).unwrap());
            let head = format!(
                "HTTP/1.1 {status} x\r\nlocation: /elsewhere\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    port
}

#[test]
fn copies_are_made_of_what_is_named() {
    let port = serve(|path| match path {
        "/v1/types.yaml" => (200, "A: { properties: { b: { $ref: 'more.yaml#/B' } } }\n".into()),
        "/v1/more.yaml" => (200, "B: { type: integer }\n".into()),
        "/v1/moved.yaml" => (302, String::new()),
        "/v1/page.yaml" => (200, "<!doctype html><title>sign in</title>".into()),
        _ => (404, String::new()),
    });
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, file: &str| {
        let schema = format!("{{ $ref: 'http://127.0.0.1:{port}/v1/{file}#/A' }}");
        let text = format!(
            "openapi: 3.0.3\npaths:\n  /a: {{ post: {{ responses: {{}}, requestBody: {{ content: {{ application/json: {{ schema: {schema} }} }} }} }} }}\n"
        );
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    write("api.yaml", "types.yaml");
    let pin = |words: &[&str]| ask(folder.path(), &[&["pin"], words].concat()).unwrap();
    let copy = |file: &str| folder.path().join(format!("pinned/127.0.0.1_{port}/v1/{file}"));
    let here = format!("http://127.0.0.1:{port}/v1/");
    // Nothing is fetched that nobody named.
    assert_eq!(pin(&["api.yaml"]), Exit::Failed);
    assert_eq!(pin(&["api.yaml", "--from", &format!("http://127.0.0.1:{port}/v2/")]), Exit::Failed);
    assert!(!folder.path().join("pinned").exists());
    assert_eq!(pin(&["api.yaml", "--from", &here]), Exit::Ok);
    assert!(std::fs::read_to_string(copy("more.yaml")).unwrap().contains("integer"));
    assert_eq!(pin(&["api.yaml", "--format", "json"]), Exit::Ok);
    assert_eq!(ask(folder.path(), &["lint", "api.yaml"]).unwrap(), Exit::Ok);
    // A copy stays what it is until it is asked for again.
    std::fs::write(copy("more.yaml"), "B: { type: string }\n").unwrap();
    assert_eq!(pin(&["api.yaml", "--from", &here]), Exit::Ok);
    assert!(std::fs::read_to_string(copy("more.yaml")).unwrap().contains("string"));
    assert_eq!(pin(&["api.yaml", "--from", &here, "--again"]), Exit::Ok);
    assert!(std::fs::read_to_string(copy("more.yaml")).unwrap().contains("integer"));
    for file in ["moved.yaml", "page.yaml", "none.yaml"] {
        write("other.yaml", file);
        assert_eq!(pin(&["other.yaml", "--from", &here]), Exit::Failed, "{file}");
        assert!(!copy(file).exists(), "{file}");
    }
    assert!(ask(folder.path(), &["pin", "api.yaml", "--from", "127.0.0.1"]).is_err());
}
