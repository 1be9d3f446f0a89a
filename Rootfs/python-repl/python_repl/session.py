"""The WebSocket protocol of a client: JSON messages in both directions.

From the client: {"type":"evaluate","id":int,"code":str}, {"type":"interrupt"}, {"type":"ping"}.
To the client, for an evaluation: "output" as it happens, then "result" or "error", last "done"; "pong" for a ping;
"refused" with a reason for a message that cannot be carried out.
"""

import io
import json
import threading

from . import http, websocket
from .evaluation import Evaluation

PENDING_LIMIT_BYTES = 16 * 1024 * 1024
"""What may wait for a client that does not read. More ends its connection."""
CLOSE_SECONDS = 5
"""How long a client has to read what waits for it after the connection is to be closed."""
OUTPUT_PIECE = 64 * 1024
"""Output is sent in messages of at most so many characters, however it was written."""


class Outbox:
    """What waits to be sent to one client. Adding never waits: typed code cannot be held up by a slow reader.

    Output that is written in many small pieces is joined while it waits.
    """

    def __init__(self, overflow):
        self._overflow = overflow
        self._changed = threading.Condition()
        self._items = []
        self._bytes = 0
        self._joined = None
        """The output message at the end of the queue, and its text so far."""
        self._is_closed = False

    def post(self, message):
        """Adds a message."""
        with self._changed:
            if self._is_closed:
                return
            if message["type"] == "output" and "truncated" not in message:
                self._join(message)
            else:
                self._joined = None
                self._add(message, 64 + sum(len(value) for value in message.values() if isinstance(value, str)))

    def post_frame(self, frame):
        """Adds a WebSocket frame that is already encoded."""
        with self._changed:
            if not self._is_closed:
                self._joined = None
                self._add(frame, len(frame))

    def close(self):
        """What waits is still sent, nothing is added any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def take(self):
        """Everything that waits, at least one item; empty when nothing will come any more."""
        with self._changed:
            while not self._items and not self._is_closed:
                self._changed.wait()
            taken, self._items, self._joined, self._bytes = self._items, [], None, 0
            return taken

    def _join(self, message):
        text = message["text"]
        if self._joined is None or any(self._joined[0][field] != message[field] for field in ("id", "stream")):
            self._joined = (message, io.StringIO())
            self._add(self._joined, 64)
        self._joined[1].write(text)
        self._bytes += len(text)

    def _add(self, item, size):
        self._items.append(item)
        self._bytes += size
        if self._bytes > PENDING_LIMIT_BYTES:
            self._is_closed = True
            self._items.clear()
            self._overflow()
        self._changed.notify()


def encode(item):
    """The frames of an item of the outbox."""
    match item:
        case bytes():
            yield item
        case dict():
            yield websocket.frame(websocket.Opcode.TEXT, json.dumps(item).encode())
        case (message, joined):
            text = joined.getvalue()
            for start in range(0, len(text), OUTPUT_PIECE):
                yield from encode({**message, "text": text[start : start + OUTPUT_PIECE]})


def serve(exchange, evaluator):
    """Turns a request into a WebSocket and serves it to its end."""
    fields = websocket.accept(exchange.request)
    if not exchange.body.ended:
        raise http.Refusal(400, "A request that opens a WebSocket has no body.")
    stream = exchange.stream
    outbox = Outbox(overflow=lambda: http.shut(stream.socket))
    writer = threading.Thread(target=send_all, args=(stream, outbox), name="websocket writer", daemon=True)
    writer.start()
    try:
        exchange.keeps_alive = False
        exchange.send_head(101, "Switching Protocols", fields)
        stream.socket.settimeout(None)
        for text in websocket.messages(stream, outbox.post_frame):
            handle(text, outbox, evaluator)
    except websocket.Violation as violation:
        outbox.post_frame(websocket.close_frame(violation.code, violation.reason))
    except http.Disconnected:
        http.shut(stream.socket)
        raise
    finally:
        outbox.close()
        writer.join(CLOSE_SECONDS)
        if writer.is_alive():
            http.shut(stream.socket)


def send_all(stream, outbox):
    """Sends what comes into the outbox until it is closed or the client is gone."""
    try:
        while items := outbox.take():
            for item in items:
                for frame in encode(item):
                    stream.write(frame)
    except http.Disconnected:
        outbox.close()


def handle(text, outbox, evaluator):
    """Carries out one message."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    match message:
        case {"type": "evaluate", "id": int(id), "code": str(code)} if not isinstance(id, bool):
            if not evaluator.submit(Evaluation(id, code, outbox.post)):
                outbox.post({"type": "refused", "id": id, "reason": "Too many evaluations wait; try again later."})
        case {"type": "interrupt"}:
            evaluator.interrupt()
        case {"type": "ping"}:
            outbox.post({"type": "pong"})
        case {"type": "evaluate"}:
            outbox.post({"type": "refused", "reason": "evaluate needs an integer id and a string code."})
        case _:
            outbox.post({"type": "refused", "reason": "A message is JSON of type evaluate, interrupt or ping."})
