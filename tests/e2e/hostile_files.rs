//! Files that are huge, that swell, that go in circles, or that are something else: a clear error, and bounded memory.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::gateway::binary;
use crate::harness::needs;

/// Runs the program under Python, which says how much memory it took: exit code, what it said, MiB.
fn measured(python: &Path, folder: &Path, arguments: &[&str]) -> (i64, String, u64) {
    let script = "import resource, subprocess, sys\n\
        done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)\n\
        print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)\n\
        print(done.stdout.decode('utf-8', 'replace'))";
    let mut command = Command::new(python);
    command.current_dir(folder).args(["-c", script]).arg(binary()).args(arguments);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, said) =
        text.split_once('\n').unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let (code, mib) = head.split_once(' ').unwrap();
    (code.parse().unwrap(), said.to_owned(), mib.parse().unwrap())
}

#[test]
fn hostile_files_are_named_and_cost_little() {
    let Some(python) = needs("hostile_files_are_named_and_cost_little", "python3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    for name in ["huge.yaml", "huge.json", "package-lock.json"] {
        fs::File::create(folder.path().join(name)).unwrap().set_len(1 << 30).unwrap();
    }
    let mut bomb = String::from("openapi: 3.0.3\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    write("bomb.yaml", &bomb);
    write(
        "deep.json",
        &format!("{{\"openapi\": \"3.0.3\", \"paths\": {}1{}}}", "[".repeat(200_000), "]".repeat(200_000)),
    );
    // The name of one ecosystem's lock file with another's content.
    write("Cargo.lock", "{\"lockfileVersion\": 3, \"packages\": {}}");
    write("yarn.lock", "\0\u{1}\u{2}");
    write("go.sum", "[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\n");
    for name in [
        "huge.yaml",
        "huge.json",
        "package-lock.json",
        "bomb.yaml",
        "deep.json",
        "Cargo.lock",
        "yarn.lock",
        "go.sum",
    ] {
        let (code, said, mib) = measured(&python, folder.path(), &["audit", name]);
        assert!(code == 2 || code == 3, "{name}: {code} {said}");
        assert!(said.contains(name), "{name} is not named: {said}");
        assert!(mib < 300, "{name}: {mib} MiB");
    }
}

#[test]
fn hostile_advisories_and_folders_are_named_and_cost_little() {
    let Some(python) = needs("hostile_advisories_and_folders_are_named_and_cost_little", "python3") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let make = "import json, os, zipfile\n\
        os.mkdir('project')\n\
        with open('project/openapi.json', 'wb') as file: file.write(b'{\"openapi\": \"3.0.3\",\\n'); file.truncate(1 << 30)\n\
        for name in ['huge.json', 'huge.zip']:\n with open(name, 'wb') as file: file.truncate(1 << 30)\n\
        flaw = json.dumps({'id': 'T-1', 'affected': [{'package': {'ecosystem': 'npm', 'name': 'a'}}]})\n\
        with zipfile.ZipFile('whole.zip', 'w', zipfile.ZIP_DEFLATED) as archive:\n for at in range(500): archive.writestr(f'{at}.json', flaw)\n\
        with open('cut.zip', 'wb') as file: data = open('whole.zip', 'rb').read(); file.write(data[:len(data) // 2])\n\
        with zipfile.ZipFile('swells.zip', 'w', zipfile.ZIP_DEFLATED) as archive: archive.writestr('1.json', b'[' + b' ' * (1 << 28))\n\
        lock = {'lockfileVersion': 3, 'packages': {'': {}, 'node_modules/a': {'version': '1.0.0'}}}\n\
        json.dump(lock, open('package-lock.json', 'w'))\n\
        os.mkdir('pipes')\n\
        for name in ['package-lock.json', 'openapi.yaml']: os.mkfifo('pipes/' + name)\n";
    let made = Command::new(&python).current_dir(folder.path()).args(["-c", make]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let advised =
        |name: &str| measured(&python, folder.path(), &["audit", "package-lock.json", "--advisories", name]);
    let (code, said, mib) = measured(&python, folder.path(), &["audit", "project"]);
    assert!(code == 2 && said.contains("openapi.json") && mib < 100, "{code} {mib} MiB {said}");
    // Nobody writes into these pipes: opening one would wait for ever.
    let (code, said, _) = measured(&python, folder.path(), &["audit", "pipes"]);
    assert!(code == 2 && said.contains("nothing in `pipes`"), "{code} {said}");
    for name in ["huge.json", "huge.zip", "cut.zip"] {
        let (code, said, mib) = advised(name);
        assert!(code == 2 && said.contains(name) && mib < 100, "{name}: {code} {mib} MiB {said}");
    }
    // What cannot be read inside an archive leaves the audit incomplete: nobody is told that all is well.
    let (code, said, mib) = advised("swells.zip");
    assert!(code == 3 && said.contains("swells.zip") && mib < 200, "{code} {mib} MiB {said}");
    let (code, said, _) = advised("whole.zip");
    assert!(code == 1 && said.contains("T-1"), "{code} {said}");
}

#[test]
fn references_that_go_in_circles_end() {
    let Some(python) = needs("references_that_go_in_circles_end", "python3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let head = "openapi: 3.0.3\ninfo: { title: t, version: '1' }\nsecurity: []\n";
    let cycle = format!(
        "{head}paths:\n  /a: {{ post: {{ requestBody: {{ content: {{ application/json: {{ schema: {{ $ref: '#/components/schemas/A' }} }} }} }}, responses: {{ '200': {{ description: ok }} }} }} }}\n\
         components:\n  schemas:\n    A: {{ $ref: '#/components/schemas/B' }}\n    B: {{ $ref: '#/components/schemas/A' }}\n    \
         Tree: {{ type: object, properties: {{ left: {{ $ref: '#/components/schemas/Tree' }}, right: {{ allOf: [{{ $ref: '#/components/schemas/Tree' }}] }} }} }}\n"
    );
    fs::write(folder.path().join("cycle.yaml"), cycle).unwrap();
    let there = |to: &str| format!("{head}paths:\n  /a: {{ $ref: '{to}#/paths/~1a' }}\n");
    fs::write(folder.path().join("one.yaml"), there("two.yaml")).unwrap();
    fs::write(folder.path().join("two.yaml"), there("one.yaml")).unwrap();
    for name in ["cycle.yaml", "one.yaml"] {
        let (code, said, mib) = measured(&python, folder.path(), &["audit", name]);
        // A description with holes is still one: what leads nowhere is a finding.
        assert!((0..=3).contains(&code), "{name}: {code} {said}");
        assert!(!said.is_empty() && mib < 200, "{name}: {mib} MiB {said}");
    }
}
