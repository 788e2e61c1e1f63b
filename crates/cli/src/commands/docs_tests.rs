//! Pages say what the code does, and what the guide shows can be done.

use super::*;
use clap::Parser;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// `cargo dev docs` writes them anew.
#[test]
fn pages_on_disk_are_what_the_code_says() {
    for (name, text) in pages() {
        let disk = std::fs::read_to_string(docs().join("reference").join(name)).unwrap_or_default();
        assert!(disk == text, "docs/reference/{name} is stale; run `cargo dev docs`");
    }
}

#[test]
fn every_setting_is_explained() {
    let schema = config::schema();
    let mut count = 0;
    for (key, property) in schema["properties"].as_object().unwrap() {
        count += 1;
        let guard = portcullis_guards::REGISTRY.iter().any(|entry| entry.name == key);
        assert!(guard || text_of(property, &schema).is_some_and(|text| text.len() > 10), "{key}");
    }
    assert!(count > 20);
}

/// The texts of the guide and of the README, with their names.
fn guide() -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(docs().join("guide")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(docs().join("../README.md"));
    files.sort();
    files
        .into_iter()
        .map(|file| (file.display().to_string(), std::fs::read_to_string(&file).unwrap()))
        .collect()
}

/// `text` with every `${NAME}` as `value`.
fn filled(text: &str, value: &str) -> String {
    let mut parts = text.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + value + part.split_once('}').map_or("", |(_, rest)| rest))
}

/// The code blocks of `language`.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    text.split(&start).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn settings_in_the_guide_are_settings() {
    let mut count = 0;
    let overrides = crate::config::Overrides { upstream_optional: true, ..Default::default() };
    let token = "0123456789abcdef";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("assertion.pem"), token).unwrap();
    for (file, text) in guide() {
        for block in blocks(&text, "yaml").into_iter().filter(|block| !block.starts_with("security:")) {
            count += 1;
            let block = filled(block, token);
            if let Err(error) = crate::config::load_text(&file, &block, folder.path(), &overrides) {
                panic!("{error}");
            }
        }
    }
    assert!(count > 8, "{count}");
}

#[test]
fn commands_in_the_guide_are_commands() {
    let mut count = 0;
    for (file, text) in guide() {
        for block in blocks(&text, "console") {
            let block = block.replace("\\\n", " ");
            for line in block.lines().filter_map(|line| line.strip_prefix("$ portcullis ")) {
                let line = line.split(['#', '|', '>']).next().unwrap_or_default();
                let words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
                let parsed = crate::commands::Cli::try_parse_from(["portcullis"].into_iter().chain(words));
                assert!(parsed.is_ok(), "{file}: {line}\n{}", parsed.unwrap_err());
                count += 1;
            }
        }
        for word in text.split("portcullis explain ").skip(1) {
            let code = word.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default();
            let known = code.is_empty() || explain::all().iter().any(|known| known.name == code);
            assert!(known, "{file}: `{code}`");
        }
    }
    assert!(count > 15, "{count}");
}

#[test]
fn links_lead_somewhere() {
    for (file, text) in guide() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.ends_with("benchmarks.md") {
                continue;
            }
            let target = Path::new(&file).parent().unwrap().join(path);
            assert!(target.exists(), "{file}: {link}");
        }
    }
}
