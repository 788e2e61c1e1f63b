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
