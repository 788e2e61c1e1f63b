use super::*;
use crate::dependencies::inventory::Inventory;

/// `name version` of all, and for each the path that leads to it.
fn seen(inventory: &Inventory) -> Vec<String> {
    let paths = inventory.paths();
    let mut out: Vec<String> = inventory
        .iter()
        .zip(paths)
        .map(|((id, package), path)| {
            let path: Vec<&str> = path.iter().map(|package| package.name.as_str()).collect();
            let development = if inventory.is_development(id) { " dev" } else { "" };
            format!("{}@{}{development} <- {}", package.name, package.version, path.join("/"))
        })
        .collect();
    out.sort();
    out
}

fn read_as(file: &str, content: &str) -> Inventory {
    read(file, content.as_bytes()).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn cargo_lock() {
    let inventory = read_as(
        "Cargo.lock",
        r#"
version = 4
[[package]]
name = "own"
version = "0.1.0"
dependencies = ["a", "b 2.0.0"]
[[package]]
name = "a"
version = "1.0.0"
source = "registry+https://example.com/index"
dependencies = ["b 1.0.0 (registry+https://example.com/index)"]
[[package]]
name = "b"
version = "1.0.0"
source = "registry+https://example.com/index"
[[package]]
name = "b"
version = "2.0.0"
source = "git+https://example.com/b#abc"
"#,
    );
    assert_eq!(seen(&inventory), ["a@1.0.0 <- a", "b@1.0.0 <- a/b", "b@2.0.0 <- b"]);
    assert_eq!(inventory.notes().len(), 1, "the git source is named");
}

#[test]
fn yarn_lock_with_quoted_keys() {
    let inventory = read_as(
        "yarn.lock",
        "# yarn lockfile v1\r\n\r\n\"@s/a@^1\":\r\n  \"resolved\" \"https://example.com/a\"\r\n  \"version\" \"1.2.0\"\r\n  \
         dependencies:\r\n    \"b\" \"^2\"\r\n\r\nb@^2:\r\n  version \"2.0.1\"\r\n\r\nc@^3:\r\n  resolved \"x\"\r\n",
    );
    assert_eq!(seen(&inventory), ["@s/a@1.2.0 <- @s/a", "b@2.0.1 <- @s/a/b"]);
    assert_eq!(inventory.notes(), ["`c` has no version: not judged"]);
}

#[test]
fn a_parent_pom_is_judged_by_what_it_manages() {
    let pom = |packaging: &str| {
        format!(
            "<project><groupId>g</groupId><artifactId>own</artifactId><version>1</version>{packaging}\
             <properties><v>2.1</v></properties><dependencyManagement><dependencies>\
             <dependency><groupId>g</groupId><artifactId>a</artifactId><version>${{v}}</version></dependency>\
             <dependency><groupId>g</groupId><artifactId>bom</artifactId><version>3</version><type>pom</type>\
             <scope>import</scope></dependency></dependencies></dependencyManagement></project>"
        )
    };
    let parent = read_as("pom.xml", &pom("<packaging>pom</packaging>"));
    assert_eq!(seen(&parent), ["g:a@2.1 <- g:a"]);
    assert!(seen(&read_as("pom.xml", &pom(""))).is_empty(), "managed is not used");
}

#[test]
fn package_lock_of_every_version() {
    let flat = read_as(
        "package-lock.json",
        r#"{ "name": "own", "lockfileVersion": 3, "packages": {
            "": { "dependencies": { "a": "^1" }, "devDependencies": { "t": "1" } },
            "node_modules/a": { "version": "1.0.0", "dependencies": { "b": "1", "alias": "1" } },
            "node_modules/a/node_modules/b": { "version": "1.5.0" },
            "node_modules/b": { "version": "2.0.0", "dev": true },
            "node_modules/alias": { "name": "@real/name", "version": "3.0.0" },
            "node_modules/t": { "version": "1.0.0", "dev": true, "dependencies": { "b": "2" } },
            "node_modules/linked": { "resolved": "packages/linked", "link": true },
            "packages/linked": { "version": "1.0.0", "dependencies": { "a": "1" } } } }"#,
    );
    let expected = [
        "@real/name@3.0.0 <- a/@real/name",
        "a@1.0.0 <- a",
        "b@1.5.0 <- a/b",
        "b@2.0.0 dev <- t/b",
        "t@1.0.0 dev <- t",
    ];
    assert_eq!(seen(&flat), expected);
    let nested = read_as(
        "npm-shrinkwrap.json",
        r#"{ "lockfileVersion": 1, "dependencies": {
            "a": { "version": "1.0.0", "requires": { "b": "1", "alias": "1" },
                   "dependencies": { "b": { "version": "1.5.0" } } },
            "alias": { "version": "npm:@real/name@3.0.0" },
            "b": { "version": "2.0.0", "dev": true },
            "t": { "version": "1.0.0", "dev": true, "requires": { "b": "2" } } } }"#,
    );
    assert_eq!(seen(&nested), expected);
}

#[test]
fn pnpm_lock_of_every_version() {
    for (version, lock) in [
        (
            "5.4",
            "lockfileVersion: 5.4\ndependencies:\n  a: 1.0.0\ndevDependencies:\n  '@s/t': 2.0.0_a@1.0.0\npackages:\n  /a/1.0.0:\n    dependencies:\n      b: 1.5.0\n    dev: false\n  /b/1.5.0:\n    dev: false\n  /@s/t/2.0.0_a@1.0.0:\n    dev: true\n",
        ),
        (
            "6.0",
            "lockfileVersion: '6.0'\ndependencies:\n  a:\n    specifier: ^1\n    version: 1.0.0\ndevDependencies:\n  '@s/t':\n    specifier: '2'\n    version: 2.0.0(a@1.0.0)\npackages:\n  /a@1.0.0:\n    dependencies:\n      b: 1.5.0\n  /b@1.5.0:\n    resolution: {}\n  /@s/t@2.0.0(a@1.0.0):\n    dev: true\n",
        ),
        (
            "9.0",
            "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        specifier: ^1\n        version: 1.0.0\n    devDependencies:\n      '@s/t':\n        specifier: '2'\n        version: 2.0.0(a@1.0.0)\npackages:\n  a@1.0.0:\n    resolution: {}\n  b@1.5.0:\n    resolution: {}\n  '@s/t@2.0.0':\n    resolution: {}\nsnapshots:\n  a@1.0.0:\n    dependencies:\n      b: 1.5.0\n  b@1.5.0: {}\n  '@s/t@2.0.0(a@1.0.0)': {}\n",
        ),
    ] {
        let seen: Vec<String> =
            seen(&read_as("pnpm-lock.yaml", lock)).iter().map(|line| line.replace(" dev", "")).collect();
        assert_eq!(seen, ["@s/t@2.0.0 <- @s/t", "a@1.0.0 <- a", "b@1.5.0 <- a/b"], "version {version}");
    }
}

#[test]
fn yarn_lock_of_both_kinds() {
    let classic = read_as(
        "yarn.lock",
        "# yarn lockfile v1\n\n\n\"@s/a@^1.0.0\", \"@s/a@^1.1.0\":\n  version \"1.1.0\"\n  resolved \"https://example.com/a\"\n  dependencies:\n    b \"^1.0.0\"\n\nb@^1.0.0:\n  version \"1.5.0\"\n\n\"c@npm:real@^2\":\n  version \"2.0.0\"\n",
    );
    assert_eq!(seen(&classic), ["@s/a@1.1.0 <- @s/a", "b@1.5.0 <- @s/a/b", "real@2.0.0 <- real"]);
    let berry = read_as(
        "yarn.lock",
        "__metadata:\n  version: 8\n\n\"own@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"own@workspace:.\"\n  dependencies:\n    \"@s/a\": \"npm:^1.0.0\"\n\n\"@s/a@npm:^1.0.0, @s/a@npm:^1.1.0\":\n  version: 1.1.0\n  resolution: \"@s/a@npm:1.1.0\"\n  dependencies:\n    b: \"npm:^1.0.0\"\n\n\"b@npm:^1.0.0\":\n  version: 1.5.0\n  resolution: \"b@npm:1.5.0\"\n",
    );
    assert_eq!(seen(&berry), ["@s/a@1.1.0 <- @s/a", "b@1.5.0 <- @s/a/b"]);
}

#[test]
fn python_locks() {
    let requirements = read_as(
        "requirements.txt",
        "# pinned\n--index-url https://example.com\nA.b[extra]==1.0 ; python_version > '3' --hash=sha256:aa\nc == 2.0 \\\n    --hash=sha256:bb\nd>=1\n-r other.txt\ne===3\n",
    );
    assert_eq!(seen(&requirements), ["A.b@1.0 <- A.b", "c@2.0 <- c", "e@3 <- e"]);
    assert_eq!(requirements.notes().len(), 2, "{:?}", requirements.notes());
    let poetry = read_as(
        "poetry.lock",
        "[[package]]\nname = \"a\"\nversion = \"1.0\"\ngroups = [\"main\"]\n[package.dependencies]\nB_c = \">=1\"\n[[package]]\nname = \"b-c\"\nversion = \"2.0\"\n[[package]]\nname = \"t\"\nversion = \"3.0\"\ngroups = [\"dev\"]\n[metadata]\nlock-version = \"2.1\"\n",
    );
    assert_eq!(seen(&poetry), ["a@1.0 <- a", "b-c@2.0 <- a/b-c", "t@3.0 dev <- t"]);
    let uv = read_as(
        "uv.lock",
        "version = 1\n[[package]]\nname = \"own\"\nversion = \"0.1\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"a\" }]\n[package.dev-dependencies]\ndev = [{ name = \"t\" }]\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = { registry = \"https://example.com\" }\ndependencies = [{ name = \"b\" }]\n[[package]]\nname = \"b\"\nversion = \"2.0\"\nsource = { registry = \"https://example.com\" }\n[[package]]\nname = \"t\"\nversion = \"3.0\"\n",
    );
    assert_eq!(seen(&uv), ["a@1.0 <- a", "b@2.0 <- a/b", "t@3.0 <- t"]);
    let pipfile = read_as(
        "Pipfile.lock",
        r#"{ "_meta": {}, "default": { "a": { "version": "==1.0", "index": "pypi" } }, "develop": { "t": { "version": "==3.0" } } }"#,
    );
    assert_eq!(seen(&pipfile), ["a@1.0 <- a", "t@3.0 dev <- t"]);
    let pylock = read_as(
        "pylock.toml",
        "lock-version = \"1.0\"\n[[packages]]\nname = \"a\"\nversion = \"1.0\"\ndependencies = [{ name = \"b\" }]\n[[packages]]\nname = \"b\"\nversion = \"2.0\"\n",
    );
    assert_eq!(seen(&pylock), ["a@1.0 <- a", "b@2.0 <- a/b"]);
}

#[test]
fn go_modules() {
    let module = read_as(
        "go.mod",
        "module example.com/own\n\ngo 1.22\n\nrequire example.com/a v1.0.0\nrequire (\n\texample.com/b v1.5.0 // indirect\n\texample.com/c v0.1.0\n\texample.com/d v0.2.0\n)\nreplace example.com/c => example.com/fork v0.1.1\nreplace example.com/d v0.2.0 => ../d\n",
    );
    assert_eq!(
        seen(&module),
        [
            "example.com/a@v1.0.0 <- example.com/a",
            "example.com/b@v1.5.0 <- example.com/b",
            "example.com/fork@v0.1.1 <- example.com/fork"
        ]
    );
    assert_eq!(module.notes().len(), 1);
    let sum = read_as(
        "go.sum",
        "example.com/a v1.0.0 h1:AA=\nexample.com/a v1.0.0/go.mod h1:BB=\nexample.com/x v9.0.0/go.mod h1:CC=\n",
    );
    assert_eq!(sum.len(), 1);
}

#[test]
fn java_php_ruby_and_dotnet() {
    let maven = read_as(
        "pom.xml",
        "<?xml version='1.0'?><project><parent><groupId>org.p</groupId><version>7</version></parent><properties><v>1.${minor}</v><minor>5</minor></properties>
        <dependencyManagement><dependencies><dependency><groupId>org.m</groupId><artifactId>m</artifactId><version>4.0</version></dependency></dependencies></dependencyManagement>
        <dependencies><dependency><groupId>org.a</groupId><artifactId>a</artifactId><version>${v}</version></dependency>
        <dependency><groupId>org.m</groupId><artifactId>m</artifactId><scope>test</scope></dependency>
        <dependency><groupId>${project.parent.groupId}</groupId><artifactId>b</artifactId></dependency></dependencies></project>",
    );
    assert_eq!(seen(&maven), ["org.a:a@1.5 <- org.a:a", "org.m:m@4.0 dev <- org.m:m"]);
    assert_eq!(maven.notes().len(), 2, "{:?}", maven.notes());
    let gradle = read_as(
        "buildscript-gradle.lockfile",
        "# comment\norg.a:a:1.5=runtimeClasspath,compileClasspath\norg.t:t:1.0=testRuntimeClasspath\nempty=annotationProcessor\n",
    );
    assert_eq!(seen(&gradle), ["org.a:a@1.5 <- org.a:a", "org.t:t@1.0 dev <- org.t:t"]);
    let composer = read_as(
        "composer.lock",
        r#"{ "packages": [{ "name": "v/a", "version": "v1.0.0", "require": { "php": ">=8", "v/b": "^2" } }, { "name": "v/b", "version": "2.1.0" }], "packages-dev": [{ "name": "v/t", "version": "3.0.0" }] }"#,
    );
    assert_eq!(seen(&composer), ["v/a@v1.0.0 <- v/a", "v/b@2.1.0 <- v/a/v/b", "v/t@3.0.0 dev <- v/t"]);
    let bundler = read_as(
        "Gemfile.lock",
        "GIT\n  remote: https://example.com/g.git\n  specs:\n    g (0.1)\n\nGEM\n  remote: https://example.com/\n  specs:\n    a (1.0.0)\n      b (>= 1)\n    b (1.5.0-x86_64-linux)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  a\n  g!\n",
    );
    assert_eq!(seen(&bundler), ["a@1.0.0 <- a", "b@1.5.0 <- a/b", "g@0.1 <- g"]);
    let nuget = read_as(
        "packages.lock.json",
        r#"{ "version": 1, "dependencies": { "net8.0": { "A": { "type": "Direct", "resolved": "1.0.0", "dependencies": { "b": "2.0.0" } }, "B": { "type": "Transitive", "resolved": "2.0.0" }, "own": { "type": "Project" } } } }"#,
    );
    assert_eq!(seen(&nuget), ["A@1.0.0 <- A", "B@2.0.0 <- A/B"]);
}

#[test]
fn a_file_of_another_kind_is_a_clear_error() {
    let contents: [&[u8]; 8] =
        [b"", b"{}", b"[]", b"hello world", b"\xff\xfe\x00", b"<html></html>", b"a: &a [*a]", b"version = 4"];
    for format in FORMATS {
        for content in contents {
            if let Err(error) = (format.read)(content) {
                let text = error.to_string();
                assert!(!text.is_empty() && text.len() < 300, "{}: {text}", format.name);
            } else {
                // Files without any dependency are good ones in formats that say nothing else.
                let read = (format.read)(content).unwrap();
                assert!(read.is_empty(), "{} took {content:?}", format.name);
            }
        }
    }
    let error = read("shop.txt", b"hello").unwrap_err().to_string();
    assert!(error.contains("`shop.txt`") && error.contains("Cargo.lock"), "{error}");
}

#[test]
fn what_is_cut_off_or_of_another_shape_is_no_empty_project() {
    for (file, content) in [
        ("go.mod", "module example.org/x\nrequire (\n\tgolang.org/x/text v0.3.0\n"),
        ("go.mod", "module example.org/x\nexclude (\n"),
        ("bom.json", r#"{ "bomFormat": "CycloneDX", "components": 5 }"#),
        ("sbom.spdx.json", r#"{ "spdxVersion": "SPDX-2.3", "packages": {} }"#),
    ] {
        assert!(read(file, content.as_bytes()).is_err(), "{file} took {content:?}");
    }
}

#[test]
fn deep_and_circular_input_ends() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read("package-lock.json", deep.as_bytes()).is_err());
    let xml = "<project>".repeat(100_000);
    assert!(read("pom.xml", xml.as_bytes()).is_err());
    let circle = "<project><properties><a>${b}${b}</a><b>${a}${a}</b></properties><dependencies><dependency><groupId>g</groupId><artifactId>x</artifactId><version>${a}</version></dependency></dependencies></project>";
    assert_eq!(read_as("pom.xml", circle).len(), 0);
    let bomb = "<!DOCTYPE p [<!ENTITY a 'aaaa'>]><project>&a;</project>";
    assert!(read("pom.xml", bomb.as_bytes()).is_err());
    let own = r#"{ "packages": { "": { "dependencies": { "a": "1" } }, "node_modules/a": { "version": "1.0.0", "dependencies": { "b": "1" } }, "node_modules/b": { "version": "1.0.0", "dependencies": { "a": "1" } } } }"#;
    assert_eq!(seen(&read_as("package-lock.json", own)), ["a@1.0.0 <- a", "b@1.0.0 <- a/b"]);
}
