"""A DNS server whose names do not hold still.

    resolver.py ADDRESS NAME=ANSWER[|ANSWER…] …

An answer is a list of addresses with commas between; the next question for the name gets the next one, the last one stays.
Questions for IPv4 and IPv6 are counted apart. Each question is printed: type and name.
"""

import ipaddress
import sys
import threading
import time

from dnslib import AAAA, QTYPE, RCODE, RR, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer


class Turning(BaseResolver):
    def __init__(self, names):
        self.names = names
        self.asked = {}
        self.lock = threading.Lock()

    def resolve(self, request, handler):
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        reply = request.reply()
        if name not in self.names:
            reply.header.rcode = RCODE.NXDOMAIN
            return reply
        with self.lock:
            print(f"{kind} {name}\n", end="", flush=True)
            turn = self.asked.get((kind, name), 0)
            self.asked[kind, name] = turn + 1
        answers = self.names[name]
        for text in answers[min(turn, len(answers) - 1)]:
            address = ipaddress.ip_address(text)
            if kind == ("A" if address.version == 4 else "AAAA"):
                data = A(text) if address.version == 4 else AAAA(address.exploded)
                reply.add_answer(RR(request.q.qname, request.q.qtype, rdata=data, ttl=0))
        return reply


names = {}
for rule in sys.argv[2:]:
    name, answers = rule.split("=", 1)
    names[name] = [answer.split(",") for answer in answers.split("|")]
quiet = DNSLogger("-request,-reply,-truncated,-error")
turning = Turning(names)
for tcp in (False, True):
    DNSServer(turning, address=sys.argv[1], port=53, tcp=tcp, logger=quiet).start_thread()
while True:
    time.sleep(3600)
