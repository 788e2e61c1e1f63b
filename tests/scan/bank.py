"""A small bank for the tests of the scanner: customers who move money, and partners who charge them.

    bank.py PORT [--fixed]

Weak on purpose in ways that the demo shop is not; with --fixed each of them is mended. It listens on loopback only, keeps
everything in memory, and has nothing real in it. Its contract is bank.json.
"""

import base64
import hashlib
import hmac
import json
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIXED = "--fixed" in sys.argv
KEY = secrets.token_bytes(32) if FIXED else b"secret123"
LOCK = threading.RLock()
CUSTOMERS, PARTNERS, CHARGES, FAILURES = {}, {}, [], {}


class Refusal(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(text):
    return encoded(hmac.new(KEY, text.encode(), hashlib.sha256).digest())


def token(kind, name):
    claims = {"sub": name, "kind": kind, "iat": int(time.time())}
    if FIXED:
        claims["exp"] = claims["iat"] + 3600
    text = encoded(b'{"alg":"HS256","typ":"JWT"}') + "." + encoded(json.dumps(claims).encode())
    return text + "." + signed(text)


def claims_of(credential):
    try:
        head, body, signature = credential.split(".")
        padded = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (head, body)]
        header, claims = (json.loads(part) for part in padded)
        good = hmac.compare_digest(signature, signed(head + "." + body)) and header.get("alg") == "HS256"
    except (ValueError, AttributeError):
        return {}
    if not good or not isinstance(claims, dict) or FIXED and claims.get("exp", 0) < time.time():
        return {}
    return claims


def text(body, name, least=1, most=200):
    value = body.get(name)
    if not isinstance(value, str) or not least <= len(value) <= most or "\0" in value:
        raise Refusal(400, f"{name} is no text of {least} to {most} characters")
    return value


def amount(body, most):
    """How much is moved: any number, or, mended, one within bounds."""
    value = body.get("amount")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise Refusal(400, "amount is no number")
    if FIXED and not 1 <= value <= most:
        raise Refusal(400, f"amount is not within 1 and {most}")
    return value


def covered(customer, value):
    if value > customer["balance"]:
        raise Refusal(409, "the balance does not cover it")


def by_number(number):
    return next((one for one in CUSTOMERS.values() if one["account_number"] == number), None)


def shown(partner):
    names = ["id", "name", "email"] if FIXED else ["id", "name", "email", "api_key"]
    return {name: partner[name] for name in names}


class Bank(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def version_string(self):
        return "bank"

    def send_error(self, code, *_, **__):
        self.answer(405 if code == 501 else code, {"error": "refused"})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in [
            ("content-type", "application/json"),
            ("content-length", str(len(data))),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
        ]:
            self.send_header(name, value)
        if status == 405:
            self.send_header("allow", "GET, HEAD, POST")
        if status == 429:
            self.send_header("retry-after", "60")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self):
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > 65536:
            self.close_connection = True
            raise Refusal(413, "too large")
        data = self.rfile.read(int(length))
        if "json" not in self.headers.get("content-type", ""):
            raise Refusal(415, "not JSON")
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            raise Refusal(400, "not JSON") from None
        if not isinstance(body, dict):
            raise Refusal(400, "not an object")
        return body

    def caller(self, kind):
        line = self.headers.get("authorization") or ""
        key = self.headers.get("x-partner-key")
        if kind == "partner" and key:
            for one in PARTNERS.values():
                if hmac.compare_digest(one["api_key"].encode(), key.encode()):
                    return one
        claims = claims_of(line.removeprefix("Bearer "))
        known = CUSTOMERS if kind == "customer" else PARTNERS
        if claims.get("kind") != kind or claims.get("sub") not in known:
            raise Refusal(401, "log in first")
        return known[claims["sub"]]

    def do(self):
        try:
            with LOCK:
                # A body is read whoever sends it, so that the connection can go on.
                body = self.body() if self.command == "POST" else {}
                status, answer = self.route(self.path.split("?")[0].strip("/").split("/"), body)
            self.answer(status, answer)
        except Refusal as refusal:
            self.answer(refusal.status, {"error": refusal.message})

    do_GET = do_POST = do_HEAD = do

    def route(self, path, body):
        match self.command, path:
            case "POST", ["register"]:
                return self.register(CUSTOMERS, text(body, "username", 3, 40), body)
            case "POST", ["login"]:
                return self.login("customer", CUSTOMERS, text(body, "username"), body)
            case "GET", ["me"]:
                me = self.caller("customer")
                return 200, {name: me[name] for name in me if name != "password"}
            case "GET", ["accounts", number]:
                return 200, {name: self.account(number)[name] for name in ("account_number", "username", "balance")}
            case "GET", ["accounts", number, "movements"]:
                account = self.account(number)
                charges = [one for one in CHARGES if one["account_number"] == account["account_number"]]
                return 200, {"movements": [{**one, "kind": "charge"} for one in charges]}
            case "POST", ["transfers"]:
                return self.transfer(self.caller("customer"), body)
            case "POST", ["loans"]:
                me, value = self.caller("customer"), amount(body, 5000)
                me["balance"] += value
                return 201, {"id": secrets.token_hex(8), "amount": value, "status": "paid"}
            case "POST", ["bills"]:
                return self.bill(self.caller("customer"), body)
            case "POST", ["partners", "register"]:
                return self.register(PARTNERS, text(body, "email", 6, 80), body)
            case "POST", ["partners", "login"]:
                return self.login("partner", PARTNERS, text(body, "email"), body)
            case "GET", ["partners", "me"]:
                return 200, shown(self.caller("partner"))
            case "POST", ["charges"]:
                return self.charge(self.caller("partner"), body)
            case "GET", ["partners", number, "charges"]:
                me = self.caller("partner")
                if FIXED and number != str(me["id"]):
                    raise Refusal(404, "no such partner")
                return 200, {"charges": [one for one in CHARGES if str(one["partner_id"]) == number]}
        raise Refusal(404, "no such thing")

    def register(self, known, name, body):
        password = text(body, "password", 8 if FIXED else 1)
        if name in known:
            raise Refusal(409, "taken")
        if known is PARTNERS:
            new = {"id": 7000 + len(known), "name": text(body, "name"), "email": name}
            known[name] = {**new, "password": password, "api_key": "pk_" + secrets.token_hex(16)}
            return 201, new
        new = {
            "username": name,
            "account_number": str(4_000_000_000 + secrets.randbelow(900_000_000)),
            "payment_code": secrets.token_hex(6),
            "balance": 1000,
        }
        known[name] = {**new, "password": password}
        return 201, new

    def login(self, kind, known, name, body):
        password = text(body, "password")
        recent = [at for at in FAILURES.get((kind, name), []) if at > time.time() - 60]
        if FIXED and len(recent) >= 5:
            raise Refusal(429, "too many tries")
        one = known.get(name)
        if not hmac.compare_digest(one["password"].encode() if one else b"", password.encode()) or not one:
            FAILURES[kind, name] = [*recent, time.time()]
            raise Refusal(401, "name or password is wrong")
        return 200, {"token": token(kind, name)}

    def account(self, number):
        me = self.caller("customer")
        found = me if me["account_number"] == number else None if FIXED else by_number(number)
        if not found:
            raise Refusal(404, "no such account")
        return found

    def transfer(self, me, body):
        to, value = text(body, "to_account"), amount(body, 500)
        other = by_number(to)
        if FIXED and not other:
            raise Refusal(404, "no such account")
        covered(me, abs(value))
        me["balance"] -= value
        if other:
            other["balance"] += value
        return 201, {"id": secrets.token_hex(8), "status": "done", "new_balance": me["balance"]}

    def bill(self, me, body):
        biller, method, value = text(body, "biller"), text(body, "method"), amount(body, 500)
        if FIXED and method not in ("balance", "credit"):
            raise Refusal(400, "method is balance or credit")
        if method == "balance":
            covered(me, value)
        elif method == "credit" and value > 200:
            raise Refusal(409, "no credit for so much")
        me["balance"] -= value
        reference = "BILL" + (secrets.token_hex(12) if FIXED else str(int(time.time())))
        return 201, {"biller": biller, "reference": reference, "status": "paid"}

    def charge(self, me, body):
        number, code, order = (text(body, name) for name in ("account_number", "payment_code", "partner_order_id"))
        value = amount(body, 50)
        customer = by_number(number)
        if not customer or not hmac.compare_digest(customer["payment_code"].encode(), code.encode()):
            raise Refusal(404, "no such account")
        known = next((one for one in CHARGES if (one["partner_id"], one["partner_order_id"]) == (me["id"], order)), None)
        if FIXED and known:
            return 200, known
        covered(customer, value)
        customer["balance"] -= value
        new = {
            "id": secrets.token_hex(8),
            "partner_id": me["id"],
            "partner_order_id": order,
            "account_number": number,
            "amount": value,
            "description": text(body, "description"),
        }
        CHARGES.append(new)
        return 201, new


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Bank).serve_forever()
