#!/usr/bin/python3
"""An HTTP/1.1 proxy in front of a storage service that breaks things by script.

    fault_proxy.py --listen PORT --to HOST:PORT [--log FILE] [--script FILE]

Requests go through unchanged (Host, path and signature included) but for what a
rule says. A rule is a line of key=value words, quoted as in a shell:

    method=PUT query=comp=page skip=2 times=1 do=reset-after

Which requests (all conditions must hold; the first rule that fits is applied):
    method=M        PUT, GET, HEAD, DELETE
    query=S         text in the query string; query=!S: text that is not in it
    path=RE         regular expression, found in the path
    header=N:RE     regular expression, found in the value of header N
    skip=N          let the first N that fit pass
    times=N         then apply to N of them (default: all)

What is done (do=, default pass):
    pass            nothing but delay= and rate=
    status          answer code= (default 503) without forwarding it;
                    retry-after=SECONDS, error=CODE as x-ms-error-code, date=DATE
    cut             send only after= bytes of the reply's body, then close
    reset-before    reset the connection, the request is not forwarded
    reset-after     forward, wait for the reply, reset the connection
    swallow         forward, wait for the reply, drop it; then=close (default) or stall
    late            drop the request's reply at once (then=reset, close or stall) and
                    forward the request itself only land= milliseconds later
    blackhole       never forward, never answer
    flip-request    flip a bit of the request's body, at= bytes from its start (default:
                    in its middle), and forward it
    flip-reply      the same with the reply's body
With any of them:
    delay=MS        wait so long before anything else
    rate=BYTES      per second, for the body of the reply

Control, on the same port: POST /-/rules (rules, one a line, added), GET /-/rules
(as JSON, with hits), DELETE /-/rules, GET /-/pending (late writes not yet landed).

A page write whose Content-MD5 its body does not fit (any more) is refused with 400
Md5Mismatch and not forwarded: so does the real service, and Azurite does not look.

The log holds one JSON object a request: t, n, method, path, query, range, lease,
body (bytes received), status (what the service said, null if never asked or not
yet known), sent (bytes of the reply's body), fault.
"""
import argparse
import asyncio
import base64
import hashlib
import json
import re
import shlex
import socket
import struct
import time

MAX_HEAD = 128 << 10
PIECE = 16 << 10
ACTIONS = {"pass", "status", "cut", "reset-before", "reset-after", "swallow", "late", "blackhole",
           "flip-request", "flip-reply"}
KEYS = {"method", "query", "path", "header", "skip", "times", "do", "code", "retry-after", "error",
        "date", "after", "then", "land", "delay", "rate", "at"}


class Gone(Exception):
    """The client's connection has ended, or was closed by a rule."""


class Reset(Exception):
    """The client's connection is to be reset: a rule says so, or the service is
    gone."""


class Message:
    """A request or a reply: first line, headers (in order, as sent), body."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.first = lines[0]
        self.headers = [tuple(line.split(":", 1)) for line in lines[1:] if line]
        self.body = b""

    def get(self, name, default=""):
        for key, value in self.headers:
            if key.lower() == name:
                return value.strip()
        return default

    def drop(self, name):
        self.headers = [h for h in self.headers if h[0].lower() != name]

    def head(self):
        lines = [self.first] + [f"{key}:{value}" for key, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Rule:
    def __init__(self, line):
        self.words = dict(word.split("=", 1) for word in shlex.split(line))
        unknown = set(self.words) - KEYS
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        self.do = self.words.get("do", "pass")
        if self.do not in ACTIONS:
            raise ValueError(f"unknown: do={self.do}")
        self.skip = self.number("skip", 0)
        self.times = self.number("times", -1)
        self.hits = 0

    def number(self, key, default):
        return int(self.words.get(key, default))

    def fits(self, request):
        words = self.words
        if "method" in words and request.method != words["method"]:
            return False
        if "query" in words:
            text = words["query"]
            if (text.lstrip("!") in request.query) == text.startswith("!"):
                return False
        if "path" in words and not re.search(words["path"], request.path):
            return False
        if "header" in words:
            name, pattern = words["header"].split(":", 1)
            if not re.search(pattern, request.get(name.lower())):
                return False
        return True

    def take(self):
        """It fits: is it this one's turn?"""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times == 0:
            return False
        self.times -= 1
        self.hits += 1
        return True


async def read_message(reader, writer=None, request=None):
    """The next message; None at the end of the connection. `request` is what a
    reply belongs to: a reply to HEAD has no body."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as e:
        if e.partial:
            raise Gone from e
        return None
    message = Message(head[:-4])
    if writer and message.get("expect").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        message.drop("expect")
    if request and (request.method == "HEAD" or re.match(r"HTTP/1.. (1..|204|304)", message.first)):
        return message
    if message.get("transfer-encoding").lower() == "chunked":
        message.body = await read_chunked(reader)
    else:
        length = message.get("content-length")
        if length:
            message.body = await reader.readexactly(int(length))
        elif request:
            message.body = await reader.read()
    return message


async def read_chunked(reader):
    """The raw bytes of a chunked body, passed on as they are."""
    raw = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        raw += line
        size = int(line.split(b";")[0], 16)
        if size == 0:
            while line != b"\r\n":
                line = await reader.readuntil(b"\r\n")
                raw += line
            return raw
        raw += await reader.readexactly(size + 2)


def reset(writer):
    """End a connection with RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    def __init__(self, to, log):
        self.host, port = to.rsplit(":", 1)
        self.port = int(port)
        self.log = log
        self.rules = []
        self.count = 0
        self.pending = set()
        self.idle = []  # kept connections to the service: (reader, writer, since)

    def add_rules(self, text):
        lines = (line.strip() for line in text.splitlines())
        self.rules += [Rule(line) for line in lines if line and not line.startswith("#")]

    def rule_for(self, request):
        for rule in self.rules:
            if rule.fits(request) and rule.take():
                return rule
        return Rule("do=pass")

    # --- towards the service ---

    async def forward(self, request):
        """Send it on, return the reply. Connections are kept for 2 s (Azurite closes
        them after 5), and a dead one is replaced, so that the proxy is no fault of
        its own."""
        while self.idle:
            reader, writer, since = self.idle.pop()
            if time.monotonic() - since < 2 and not reader.at_eof():
                break
            writer.close()
        else:
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port, limit=MAX_HEAD)
            except OSError as e:
                raise Reset from e
        try:
            writer.write(request.head() + request.body)
            await writer.drain()
            reply = await read_message(reader, request=request)
            if reply is None:
                raise Gone
        except (OSError, Gone, asyncio.IncompleteReadError) as e:
            writer.close()
            raise Reset from e
        if reply.get("connection").lower() == "close":
            writer.close()
        else:
            self.idle.append((reader, writer, time.monotonic()))
        return reply

    async def forward_late(self, request, entry, seconds):
        await asyncio.sleep(seconds)
        try:
            reply = await self.forward(request)
            entry["status"] = int(reply.first.split()[1])
        except Reset:
            pass
        entry["landed"] = round(time.time(), 3)
        self.write_log(entry)

    # --- towards the client ---

    async def serve(self, reader, writer):
        try:
            while True:
                request = await read_message(reader, writer)
                if request is None:
                    break
                request.method, target, _ = request.first.split(" ", 2)
                request.path, _, request.query = target.partition("?")
                if request.path.startswith("/-/"):
                    self.control(request, writer)
                    await writer.drain()
                else:
                    await self.handle(request, reader, writer)
                if request.get("connection").lower() == "close":
                    break
        except (OSError, Gone, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def handle(self, request, reader, writer):
        rule = self.rule_for(request)
        self.count += 1
        entry = {"t": round(time.time(), 3), "n": self.count, "method": request.method,
                 "path": request.path, "query": request.query,
                 "range": request.get("x-ms-range") or request.get("range") or None,
                 "lease": request.get("x-ms-lease-id") or None, "body": len(request.body),
                 "status": None, "sent": 0, "fault": rule.do}
        try:
            if rule.number("delay", 0):
                await asyncio.sleep(rule.number("delay", 0) / 1000)
            await self.apply(rule, request, entry, reader, writer)
        except Reset as e:
            reset(writer)
            raise Gone from e
        finally:
            if rule.do != "late":
                self.write_log(entry)

    async def apply(self, rule, request, entry, reader, writer):
        if rule.do == "reset-before":
            raise Reset
        if rule.do == "blackhole":
            await self.stall(reader)
        if rule.do == "status":
            await self.send(rule, self.refusal(rule, request), entry, writer)
            return
        if rule.do == "late":
            self.later(rule, request, entry)
            await self.end(rule.words.get("then", "reset"), reader, writer)
        if rule.do == "flip-request":
            request.body = self.flipped(rule, request.body)
        if self.damaged(request):
            refusal = Rule("do=status code=400 error=Md5Mismatch")
            entry["status"] = 400
            await self.send(refusal, self.refusal(refusal, request), entry, writer)
            return
        reply = await self.forward(request)
        entry["status"] = int(reply.first.split()[1])
        if rule.do == "flip-reply":
            reply.body = self.flipped(rule, reply.body)
        if rule.do == "reset-after":
            raise Reset
        if rule.do == "swallow":
            await self.end(rule.words.get("then", "close"), reader, writer)
        await self.send(rule, reply, entry, writer)

    @staticmethod
    def flipped(rule, body):
        if not body:
            return body
        at = min(rule.number("at", len(body) // 2), len(body) - 1)
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]

    @staticmethod
    def damaged(request):
        md5 = request.get("content-md5")
        return (request.method == "PUT" and "comp=page" in request.query.split("&") and md5
                and base64.b64encode(hashlib.md5(request.body).digest()).decode() != md5)

    def later(self, rule, request, entry):
        task = asyncio.create_task(
            self.forward_late(request, entry, rule.number("land", 1000) / 1000))
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)

    @staticmethod
    async def stall(reader):
        """Say nothing until the client goes away."""
        while await reader.read(PIECE):
            pass
        raise Gone

    async def end(self, how, reader, writer):
        if how == "stall":
            await self.stall(reader)
        raise Reset if how == "reset" else Gone

    @staticmethod
    def refusal(rule, request):
        words = rule.words
        code = words.get("code", "503")
        error = words.get("error", {"503": "ServerBusy", "500": "InternalError",
                                    "412": "ConditionNotMet", "403": "AuthenticationFailed",
                                    "429": "TooManyRequests"}.get(code, "Injected"))
        reply = Message(f"HTTP/1.1 {code} Injected".encode())
        body = f"<?xml version=\"1.0\"?><Error><Code>{error}</Code></Error>".encode()
        reply.headers = [("x-ms-error-code", f" {error}"), ("x-ms-request-id", " fault-proxy"),
                         ("Content-Type", " application/xml"),
                         ("Content-Length", f" {len(body)}")]
        if "retry-after" in words:
            reply.headers.append(("Retry-After", f" {words['retry-after']}"))
        if "date" in words:
            reply.headers.append(("Date", f" {words['date']}"))
        reply.body = b"" if request.method == "HEAD" else body
        return reply

    @staticmethod
    async def send(rule, reply, entry, writer):
        body = reply.body
        if rule.do == "cut":
            body = body[:rule.number("after", 0)]
        writer.write(reply.head())
        rate = rule.number("rate", 0)
        for at in range(0, len(body), PIECE):
            piece = body[at:at + PIECE]
            if rate:
                await asyncio.sleep(len(piece) / rate)
            writer.write(piece)
            await writer.drain()
            entry["sent"] += len(piece)
        await writer.drain()
        if rule.do == "cut":
            raise Gone

    # --- what the tests see ---

    def write_log(self, entry):
        if self.log:
            self.log.write(json.dumps(entry) + "\n")
            self.log.flush()

    def control(self, request, writer):
        status, body = "200 OK", ""
        if (request.method, request.path) == ("GET", "/-/rules"):
            body = json.dumps([dict(r.words, hits=r.hits) for r in self.rules])
        elif (request.method, request.path) == ("DELETE", "/-/rules"):
            self.rules = []
        elif (request.method, request.path) == ("POST", "/-/rules"):
            try:
                self.add_rules(request.body.decode())
            except ValueError as e:
                status, body = "400 Bad Request", f"{e}\n"
        elif (request.method, request.path) == ("GET", "/-/pending"):
            body = str(len(self.pending))
        else:
            status = "404 Not Found"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--log")
    parser.add_argument("--script")
    args = parser.parse_args()
    log = open(args.log, "a", encoding="utf-8") if args.log else None
    proxy = Proxy(args.to, log)
    if args.script:
        with open(args.script, encoding="utf-8") as f:
            proxy.add_rules(f.read())
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", args.listen, limit=MAX_HEAD)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
