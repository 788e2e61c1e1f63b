//! A finding as a shell script that repeats it on a system that knows nothing of the scan, and says whether it is there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::item::{Body, Request, quoted};
use super::redact;

/// What repeats a finding.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reproduction {
    /// The calls in order.
    pub(crate) steps: Vec<Step>,
    /// Variables for words that are made up.
    pub(crate) words: Vec<String>,
    /// Variables for passwords of accounts that it opens.
    pub(crate) passwords: Vec<String>,
    /// What has to be seen.
    pub(crate) signs: Vec<Sign>,
    /// Where the API is.
    pub(crate) target: String,
    /// Whether something has to listen at `CALLBACK`.
    pub(crate) calls_back: bool,
    /// Where something has to stand in for an upstream of the API.
    pub(crate) upstream: Option<String>,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// What it is for.
    pub(crate) label: String,
    /// The call, its URL without the target; marks are variables.
    pub(crate) request: Request,
    /// How often.
    pub(crate) times: u32,
    /// Whether at one moment.
    pub(crate) together: bool,
    /// What of the answer is kept: the variable, and where it is.
    pub(crate) captures: Vec<(String, Source)>,
    /// Whether it is evidence.
    pub(crate) evidence: bool,
    /// What the stand-in for an upstream answers meanwhile; empty for silence.
    pub(crate) upstream: Option<String>,
}

/// Where in an answer a value is.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The n-th member of a name.
    Member(String, usize),
    /// A cookie.
    Cookie(String),
}

/// What has to be seen, in shell.
#[derive(Debug, Clone)]
pub(crate) struct Sign {
    /// In words.
    pub(crate) words: String,
    /// The functions of the script that say so, with their arguments; texts may have marks.
    pub(crate) test: Vec<String>,
}

/// The variable that stands for the target.
const TARGET: &str = "TARGET";

/// A stand-in for an upstream at the variable `UPSTREAM`: it answers what `upstream` was told last, pads it with spaces up to
/// its length, and notes how much was taken.
const STAND_IN: &str = r#"python3 -c '
import re, socket, sys, threading, time
host, _, port = sys.argv[2].rpartition(":")
s = socket.create_server((host.strip("[]"), int(port)))
open(sys.argv[1] + "/up", "w").write("up")
def one(c):
    c.settimeout(70)
    c.recv(65536)
    text = open(sys.argv[1] + "/upstream", encoding="utf-8", newline="").read()
    head, _, body = text.replace("\r", "").partition("\n\n")
    if not head:
        time.sleep(65)
        return c.close()
    body, whole = body.encode(), int(re.search("content-length: ([0-9]+)", head).group(1))
    # Words in it may be longer now; only what is far larger is padded.
    whole = whole if whole > 1000000 else len(body)
    head = re.sub("content-length: [0-9]+", "content-length: %d" % whole, head).replace("\n", "\r\n") + "\r\n\r\n"
    taken = 0
    try:
        c.sendall(head.encode() + body)
        taken, left = len(head) + len(body), whole - len(body)
        while left > 0:
            n = c.send(b" " * min(left, 65536))
            left, taken = left - n, taken + n
    except OSError:
        pass
    open(sys.argv[1] + "/took", "w").write(str(taken))
    c.close()
while True:
    threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()
' "$D" "$UPSTREAM" 2>/dev/null &
STAND_IN=$!
trap 'kill $STAND_IN ${LISTENER:-}; rm -rf "$D"' EXIT
for i in 1 2 3 4 5 6 7 8 9; do [ -s "$D/up" ] || sleep 0.3; done
upstream() { printf %s "$1" >"$D/upstream"; }
"#;

/// A listener that notes what it is asked for; its address is the variable `CALLBACK`.
const LISTENER: &str = r#"python3 -c '
import socket, sys
s = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1] + "/at", "w").write("127.0.0.1:%d" % s.getsockname()[1])
while True:
    c = s.accept()[0]
    open(sys.argv[1] + "/called", "ab").write(c.recv(4096))
    c.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    c.close()
' "$D" 2>/dev/null &
LISTENER=$!
trap 'kill $LISTENER; rm -rf "$D"' EXIT
for i in 1 2 3 4 5 6 7 8 9; do [ -s "$D/at" ] || sleep 0.3; done
CALLBACK=$(cat "$D/at")
"#;

const FUNCTIONS: &str = r#"D=$(mktemp -d) && trap 'rm -rf "$D"' EXIT || exit 2
MADE_UP=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n' | tr 0-9 g-p)
# The n-th member of a name in an answer; a cookie that it sets.
member() { grep -oE "\"$2\" *: *(\"[^\"]*\"|-?[0-9.]+)" "$D/$1" | sed -n "$3p" | sed 's/^[^:]*: *//; s/^"//; s/"$//'; }
cookie() { tr -d '\r' <"$D/$1" | sed -n "s/^[Ss]et-[Cc]ookie: $2=\([^;]*\).*/\1/p" | tail -n 1; }
repeat() { yes "$1" | head -n "$2" | tr -d '\n'; }
# What is looked for in the answer to a call.
class() { [ "$(sed -n 's/^HTTP[^ ]* \([0-9]\).*/\1/p' "$D/$1" | tail -n 1)" = "$2" ]; }
called() { sleep 0.3; grep -qF -- "$1" "$D/called" 2>/dev/null; }
has() { grep -qiF -- "$2" "$D/$1"; }
lacks() { [ -s "$D/$1" ] && ! grep -qiF -- "$2" "$D/$1"; }
body() { tr -d '\r' <"$D/$1" | sed '1,/^$/d' | tr -d 0-9; }
differ() { [ "$(body "$1")" != "$(body "$2")" ]; }
another() { [ "$(member "$1" "$3" 1)" != "$(member "$2" "$3" 1)" ]; }
# Whether a member has one of the last sixty seconds in it, counted since 1970.
time_in() {
  value=$(member "$1" "$2" 1) && now=$(($(date +%s) + 2)) || return 1
  for ago in $(seq 0 62); do case $value in *"$((now - ago))"*) return 0 ;; esac; done
  return 1
}
slower() { awk -v a="$(cat "$D/$1.s")" -v b="$(cat "$D/$2.s")" -v n="$3" 'BEGIN { exit !(a > b * n) }'; }
took() { [ "$(cat "$D/$1.took" 2>/dev/null || echo 0)" -ge "$2" ]; }
longer() { awk -v a="$(cat "$D/$1.s")" -v n="$2" 'BEGIN { exit !(a > n) }'; }
together() { [ "$(cat "$D/$1".* 2>/dev/null | grep -c '^HTTP[^ ]* 2')" -ge "$2" ]; }
THERE=yes
sign() { what=$1; shift; "$@" || { THERE=no; echo "not so: $what"; }; }
"#;

impl Reproduction {
    /// The script.
    pub(crate) fn script(&self, title: &str) -> String {
        let plain =
            |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let mut out = String::from("#!/bin/sh\n");
        let _ = writeln!(out, "# {}", plain(title));
        out.push_str(
            "# Ends with 0 when it is there, with 1 when it is not. TARGET may say another place.\n",
        );
        let _ = writeln!(out, "{TARGET}=${{{TARGET}:-{}}}", self.target);
        for name in self.wanted() {
            let _ = writeln!(out, ": \"${{{name}:?set it first}}\"");
        }
        out.push_str(FUNCTIONS);
        if self.calls_back {
            out.push_str(LISTENER);
        }
        if let Some(upstream) = &self.upstream {
            let _ = writeln!(
                out,
                "# The API has to have its upstream there.\nUPSTREAM=${{UPSTREAM:-{upstream}}}"
            );
            out.push_str(STAND_IN);
        }
        for (index, word) in self.words.iter().enumerate() {
            let letter = char::from(b'a' + u8::try_from(index % 26).unwrap_or(0));
            let second = char::from(b'a' + u8::try_from(index / 26 % 26).unwrap_or(0));
            let _ = writeln!(out, "{word}=pc${{MADE_UP}}{second}{letter}");
        }
        let used = self.used();
        for password in self.passwords.iter().filter(|name| used.contains(name.as_str())) {
            let _ = writeln!(out, "{password}=Pc-${{MADE_UP}}-7Q");
        }
        for (index, step) in self.steps.iter().enumerate() {
            let number = index + 1;
            let kind = if step.evidence { "" } else { "first, " };
            let _ = writeln!(out, "\n# {number}. {kind}{}", plain(&step.label));
            if let Some(answer) = &step.upstream {
                let _ = writeln!(out, "upstream {}", brief(answer));
            }
            out.push_str(&step.command(number));
            if step.upstream.is_some() {
                let _ = writeln!(out, "sleep 0.2; cp \"$D/took\" \"$D/{number}.took\" 2>/dev/null");
            }
            for (variable, source) in &step.captures {
                let _ = match source {
                    Source::Member(name, nth) => {
                        writeln!(out, "{variable}=$(member {number} {} {nth})", word(name))
                    }
                    Source::Cookie(name) => writeln!(out, "{variable}=$(cookie {number} {})", word(name)),
                };
            }
        }
        out.push_str("\n# What shows it.\n");
        for sign in &self.signs {
            let test: Vec<String> = sign.test.iter().map(|part| word(part)).collect();
            let _ = writeln!(out, "sign {} {}", word(&sign.words), test.join(" "));
        }
        out.push_str("[ $THERE = yes ] && echo 'it is there' && exit 0\necho 'it is not there'\nexit 1\n");
        out
    }

    /// Every variable that a call carries.
    fn used(&self) -> BTreeSet<&str> {
        let texts = self.steps.iter().flat_map(|step| {
            let headers = step.request.headers.iter().map(|header| &header.value);
            let sent =
                headers.chain([&step.request.url]).chain(step.request.body.iter().map(|body| &body.text));
            sent.chain(&step.upstream)
        });
        texts.flat_map(|text| redact::pieces(text)).filter(|(_, is)| *is).map(|(name, _)| name).collect()
    }

    /// Variables that nothing in the script sets: the person who runs it does.
    pub(crate) fn wanted(&self) -> Vec<String> {
        let set: BTreeSet<&str> = self
            .steps
            .iter()
            .flat_map(|step| step.captures.iter().map(|(variable, _)| variable.as_str()))
            .chain(self.words.iter().chain(&self.passwords).map(String::as_str))
            .chain([TARGET, "CALLBACK", "UPSTREAM"])
            .collect();
        self.used().into_iter().filter(|name| !set.contains(name)).map(str::to_owned).collect()
    }
}

impl Step {
    fn command(&self, number: usize) -> String {
        let mut request = self.request.clone();
        request.url = format!("«{TARGET}»{}", request.url);
        let to = |file: &str| {
            // Large bodies are no argument: the system bounds those.
            let piped = request.body.as_ref().filter(|body| !body.base64 && body.text.len() > 60_000);
            let command = format!("-o \"$D/{file}\" -w '%{{time_total}}' ");
            match piped {
                Some(body) => {
                    let mut bare = request.clone();
                    bare.body = Some(Body { text: "@-".into(), base64: false, bytes: 2 });
                    let curl =
                        bare.curl_with(&command, &brief).replace("--data-raw '@-'", "--data-binary @-");
                    format!("printf %s {} |\n{curl}", brief(&body.text))
                }
                None => request.curl_with(&command, &brief),
            }
        };
        match (self.together, self.times) {
            (true, times) => format!(
                "for i in $(seq {times}); do\n{} >/dev/null &\ndone; wait\n",
                to(&format!("{number}.\"$i\""))
            ),
            (false, 0 | 1) => format!("{} >\"$D/{number}.s\"\n", to(&number.to_string())),
            (false, times) => {
                format!("for i in $(seq {times}); do\n{} >\"$D/{number}.s\"\ndone\n", to(&number.to_string()))
            }
        }
    }
}

/// A word of a command.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// Text in quotes; where the same comes again and again, `repeat` says it.
fn brief(text: &str) -> String {
    if text.len() < 2000 {
        return quoted(text);
    }
    let mut out = String::new();
    let mut plain = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        match run(rest) {
            Some((unit, count)) => {
                out.push_str(&quoted(&plain));
                plain.clear();
                let _ = write!(out, "\"$(repeat {} {count})\"", quoted(unit));
                rest = rest.get(unit.len() * count..).unwrap_or_default();
            }
            None => {
                let mut chars = rest.chars();
                plain.extend(chars.next());
                rest = chars.as_str();
            }
        }
    }
    out.push_str(&quoted(&plain));
    out
}

/// What a text begins with more than fifty times in a row.
fn run(text: &str) -> Option<(&str, usize)> {
    for length in 1..=48 {
        let Some(unit) = text.get(..length) else { continue };
        let after = text.get(length..)?;
        if unit.contains(['\n', '«', '\'']) || !after.starts_with(unit) {
            continue;
        }
        let count = text.as_bytes().chunks(length).take_while(|chunk| *chunk == unit.as_bytes()).count();
        if count > 50 {
            return Some((unit, count));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_said_once() {
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
        let script = format!("{FUNCTIONS}\nprintf %s {} | wc -c", brief(&text));
        let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), text.len().to_string());
        assert!(script.len() < 4000);
    }

    #[test]
    fn members_are_found_in_the_shell_as_they_were_counted() {
        let script = format!(
            "{FUNCTIONS}\nprintf 'HTTP/1.1 201 X\\r\\nSet-Cookie: sid=ab12cd; Path=/\\r\\n\\r\\n{{\"id\": 1,\"x\":[{{\"id\":\"a-2\"}}]}}' >\"$D/1\"\n\
             member 1 id 1; member 1 id 2; cookie 1 sid; class 1 2 && echo yes; lacks 1 nosniff && echo lacks"
        );
        let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&shell.stdout), "1\na-2\nab12cd\nyes\nlacks\n");
    }
}
