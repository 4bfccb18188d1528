#!/usr/bin/python3
"""A package mirror that misbehaves as told: a server on loopback in front of a real one.

    mirror.py --route /PREFIX=ADDRESS… [--fault KIND:REGEX[:TIMES]]… --port-file FILE --log FILE

A request whose path matches REGEX is answered so, TIMES times (0, the default, is always):

    stop       half of the body, then the connection is closed
    cut        half of the body, as if that were all
    flip       one bit in the middle is another one
    slow       all of it, at 4 MiB a second
    stall      half of the body, then nothing until the client goes away
    silent     no answer at all until the client goes away
    missing    404
    broken     503

Each answered request is a line of JSON in the log: path, range, status, sent, fault, seconds. It runs until it is killed.
"""

import argparse
import http.server
import json
import os
import re
import select
import threading
import time
import urllib.error
import urllib.request

BLOCK = 64 * 1024
SLOW = 4 << 20


class Fault:
    def __init__(self, text):
        parts = text.split(":")
        self.times = int(parts.pop()) if parts[-1].isdigit() else 0
        self.kind, self.pattern = parts[0], re.compile(":".join(parts[1:]))
        self.left = self.times
        self.lock = threading.Lock()

    def strikes(self, path):
        if not self.pattern.search(path):
            return False
        with self.lock:
            if self.times == 0:
                return True
            self.left -= 1
            return self.left >= 0


class Mirror(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, options):
        super().__init__(("127.0.0.1", 0), Answer)
        self.routes = [route.split("=", 1) for route in options.route]
        self.faults = [Fault(text) for text in options.fault]
        self.log = open(options.log, "a", encoding="utf-8", buffering=1)
        self.log_lock = threading.Lock()

    def note(self, **fields):
        with self.log_lock:
            self.log.write(json.dumps(fields) + "\n")

    def upstream(self, path):
        for prefix, address in self.routes:
            if path.startswith(prefix + "/"):
                return address.rstrip("/") + path[len(prefix):]
        return None

    def handle_error(self, request, client_address):
        """A client that goes away is what several faults wait for."""


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server = self.server
        fault = next((fault.kind for fault in server.faults if fault.strikes(self.path)), None)
        self.fault, self.sent, self.status, begun = fault, 0, 0, time.monotonic()
        if fault in ("stall", "silent"):
            server.note(path=self.path, begins=fault)
        try:
            self.answer(fault)
        finally:
            seconds = time.monotonic() - begun
            server.note(path=self.path, range=self.headers.get("Range"), status=self.status, sent=self.sent, fault=fault, seconds=seconds)

    def refuse(self, status):
        self.status = status
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def wait_for_client_to_go(self):
        select.select([self.connection], [], [], 600)
        self.close_connection = True

    def answer(self, fault):
        if fault == "silent":
            return self.wait_for_client_to_go()
        if fault in ("missing", "broken"):
            return self.refuse(404 if fault == "missing" else 503)
        address = self.server.upstream(self.path)
        if address is None:
            return self.refuse(404)
        passed = {name: self.headers[name] for name in ("Range", "If-Range", "If-None-Match", "If-Modified-Since") if self.headers[name]}
        request = urllib.request.Request(address, headers=passed, method=self.command)
        try:
            upstream = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            return self.refuse(error.code)
        except OSError:
            return self.refuse(502)
        with upstream:
            return self.pass_on(upstream, fault)

    def pass_on(self, upstream, fault):
        length = int(upstream.headers["Content-Length"])
        send = length if fault in (None, "flip", "slow") else length // 2
        self.status = upstream.status
        self.send_response(upstream.status)
        for name in ("Content-Type", "Content-Range", "Accept-Ranges", "Last-Modified", "ETag"):
            if upstream.headers[name]:
                self.send_header(name, upstream.headers[name])
        self.send_header("Content-Length", str(send if fault == "cut" else length))
        self.end_headers()
        if self.command == "HEAD":
            return
        while self.sent < send:
            block = bytearray(upstream.read(min(BLOCK, send - self.sent)))
            if not block:
                break
            if fault == "flip" and self.sent <= length // 2 < self.sent + len(block):
                block[length // 2 - self.sent] ^= 1
            self.wfile.write(block)
            self.sent += len(block)
            if fault == "slow":
                time.sleep(len(block) / SLOW)
        if fault == "stop":
            self.close_connection = True
        elif fault == "stall":
            self.wfile.flush()
            self.wait_for_client_to_go()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--route", action="append", required=True)
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--log", required=True)
    options = parser.parse_args()
    mirror = Mirror(options)
    with open(options.port_file + ".new", "w", encoding="ascii") as file:
        file.write(str(mirror.server_port))
    os.rename(options.port_file + ".new", options.port_file)
    mirror.serve_forever()


if __name__ == "__main__":
    main()
