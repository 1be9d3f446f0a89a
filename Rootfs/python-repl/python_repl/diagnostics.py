"""Routes for the platform's own tests, no part of the REPL: they show what a proxy does to requests and bodies.

- GET /blob?bytes=N[&seed=S]  N bytes (at most 4 GiB) that a test can compute itself, see `blob`
- POST /echo                  the request's body, sent back piece by piece while it arrives, with the same
                              Content-Length or chunked. A client has to read while it writes: what is on its way
                              otherwise fills both directions' buffers at some megabytes.
- GET /headers                the request as it arrived: {"method", "path", "headers": [[name, value], …]}
- GET /sse[?count=N]          N (default 5, at most 1000) server-sent events, one each 0.2 s

`python3 -m python_repl.diagnostics BYTES [SEED]`, run in the folder above, prints the SHA-256 of that blob.
"""

import hashlib
import json
import struct
import sys
import time

from .http import Refusal

BLOCK_BYTES = 1024 * 1024
PAGE_BYTES = 4096
BLOB_LIMIT_BYTES = 4 * 1024 * 1024 * 1024
SSE_INTERVAL_SECONDS = 0.2
SSE_LIMIT = 1000


def blob(count, seed=0):
    """Yields the blob's `count` bytes in pieces of at most 1 MiB. A piece is valid until the next is asked for.

    The bytes: take SHAKE-128 of the seed's 8 bytes (little-endian, unsigned), 1 MiB of it, and repeat that. Then
    overwrite the first 8 bytes of every page of 4096 bytes with the page's number from the blob's start
    (little-endian, unsigned). So a page that is lost, doubled or moved changes the checksum.
    """
    block = bytearray(hashlib.shake_128(struct.pack("<Q", seed)).digest(BLOCK_BYTES))
    view = memoryview(block)
    stamp = struct.Struct("<Q").pack_into
    page = 0
    while count > 0:
        for offset in range(0, BLOCK_BYTES, PAGE_BYTES):
            stamp(block, offset, page)
            page += 1
        yield view[: min(count, BLOCK_BYTES)]
        count -= BLOCK_BYTES


def blob_sha256(count, seed=0):
    """The blob's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    for piece in blob(count, seed):
        digest.update(piece)
    return digest.hexdigest()


def number(exchange, name, default, limit):
    """A number from the query string, from 0 to `limit`."""
    text = exchange.request.query.get(name, default)
    if not (text and text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= limit):
        raise Refusal(400, f"{name} is a number from 0 to {limit}, for example ?{name}=5.")
    return int(text)


def send_blob(exchange):
    """GET /blob"""
    count = number(exchange, "bytes", None, BLOB_LIMIT_BYTES)
    seed = number(exchange, "seed", "0", (1 << 64) - 1)
    exchange.start(200, [("content-type", "application/octet-stream"), ("cache-control", "no-store")], count)
    if exchange.request.method == "HEAD":
        return
    for piece in blob(count, seed):
        exchange.send(piece)


def echo(exchange):
    """POST /echo"""
    content_type = (exchange.request.values("content-type") or ["application/octet-stream"])[0]
    # The first piece before the answer's head: a body that is no body still gets its 400.
    piece = exchange.body.read()
    exchange.start(200, [("content-type", content_type)], exchange.body.length)
    while piece:
        exchange.send(piece)
        piece = exchange.body.read()
    exchange.finish()


def show_headers(exchange):
    """GET /headers"""
    request = exchange.request
    shown = {"method": request.method, "path": request.target, "headers": request.headers}
    exchange.answer(200, "application/json", json.dumps(shown).encode() + b"\n")


def send_events(exchange):
    """GET /sse"""
    count = number(exchange, "count", "5", SSE_LIMIT)
    exchange.start(200, [("content-type", "text/event-stream"), ("cache-control", "no-store")], None)
    if exchange.request.method == "HEAD":
        return
    for index in range(count):
        if index > 0:
            time.sleep(SSE_INTERVAL_SECONDS)
        exchange.send(b'id: %d\ndata: {"n": %d}\n\n' % (index, index))
    exchange.finish()


ROUTES = {
    "/blob": (("GET", "HEAD"), send_blob),
    "/echo": (("POST",), echo),
    "/headers": (("GET",), show_headers),
    "/sse": (("GET", "HEAD"), send_events),
}
"""Path to allowed methods and the function that answers; it takes the exchange."""

if __name__ == "__main__":
    print(blob_sha256(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
