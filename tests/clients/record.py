"""Plays an ordinary user's calls against an address, and writes what went over the wire as HAR 1.2.

    record.py SCENARIO.json http://127.0.0.1:5000 OUT.har

A scenario is a list of steps: `call` (method and target), `as` (whose token goes along), `json` (a body), `expect` (the
status), `keep` (names for values of the answer, by JSON pointer). `{name}` stands for what was kept.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone


def fill(value, kept):
    if isinstance(value, str):
        if value.startswith("{") and value.endswith("}") and value[1:-1] in kept:
            return kept[value[1:-1]]
        for name, known in kept.items():
            value = value.replace("{" + name + "}", str(known))
        return value
    if isinstance(value, dict):
        return {name: fill(member, kept) for name, member in value.items()}
    if isinstance(value, list):
        return [fill(item, kept) for item in value]
    return value


def at(document, pointer):
    for part in pointer.split("/")[1:]:
        document = document[int(part) if isinstance(document, list) else part]
    return document


def fields(headers):
    return [{"name": name.lower(), "value": value} for name, value in headers]


def main(scenario, base, out):
    opener = urllib.request.build_opener(urllib.request.HTTPHandler)
    kept, entries, wrong = {}, [], []
    moment = datetime(2026, 1, 15, 9, 0, 0, tzinfo=timezone.utc)
    for step in json.load(open(scenario)):
        method, target = fill(step["call"], kept).split(" ", 1)
        body = json.dumps(fill(step["json"], kept)).encode() if "json" in step else None
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if "as" in step:
            headers["Authorization"] = "Bearer " + kept[step["as"]]
        request = urllib.request.Request(base + target, data=body, headers=headers, method=method)
        began = time.time()
        try:
            answer = opener.open(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        text = answer.read().decode("utf-8", "replace")
        if answer.status != step.get("expect", 200):
            wrong.append(f"{method} {target}: {answer.status} {text[:200]}")
        elif "keep" in step:
            document = json.loads(text)
            kept.update({name: at(document, pointer) for name, pointer in step["keep"].items()})
        sent = [("Host", base.split("//")[1])] + list(headers.items())
        entry = {
            "startedDateTime": moment.isoformat().replace("+00:00", "Z"),
            "time": round((time.time() - began) * 1000, 1),
            "request": {"method": method, "url": base + target, "httpVersion": "HTTP/1.1", "headers": fields(sent)},
            "response": {
                "status": answer.status,
                "statusText": "",
                "httpVersion": "HTTP/1.1",
                "headers": fields(answer.headers.items()),
                "content": {"size": len(text), "mimeType": answer.headers.get("Content-Type", ""), "text": text},
            },
        }
        if body is not None:
            entry["request"]["postData"] = {"mimeType": "application/json", "text": body.decode()}
        entries.append(entry)
        moment += timedelta(seconds=7)
    log = {"version": "1.2", "creator": {"name": "record.py", "version": "1"}, "entries": entries}
    json.dump({"log": log}, open(out, "w"))
    if wrong:
        sys.exit("\n".join(wrong))
    print(len(entries))


main(*sys.argv[1:])
