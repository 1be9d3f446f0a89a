"""A WebSocket client for tests: it can send any frame, also wrong ones, and reads what comes back."""

import base64
import json
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
TIMEOUT_SECONDS = 20


class Closed(Exception):
    """The server closed the connection, with this code (None without a close frame)."""

    def __init__(self, code):
        super().__init__(f"closed with {code}")
        self.code = code


class Client:
    """One connection."""

    def __init__(self, port, path="/ws", host="localhost"):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.reader = self.socket.makefile("rb")
        status = self.reader.readline()
        if b" 101 " not in status:
            raise AssertionError(f"no upgrade: {status!r}")
        while self.reader.readline() != b"\r\n":
            pass

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.reader.close()
        self.socket.close()

    def send_frame(self, opcode, payload, final=True, masked=True):
        """Sends one frame."""
        mask = os.urandom(4)
        head = bytes([opcode | (0x80 if final else 0)])
        bit = 0x80 if masked else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", len(payload))
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
        if masked:
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
            head += mask
        self.socket.sendall(head + payload)

    def send(self, **message):
        """Sends a JSON message."""
        self.send_frame(TEXT, json.dumps(message).encode())

    def read_frame(self):
        """The next frame as (opcode, payload)."""
        head = self.reader.read(2)
        if len(head) < 2:
            raise Closed(None)
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.reader.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.reader.read(8))
        payload = self.reader.read(length)
        if len(payload) < length:
            raise Closed(None)
        return head[0] & 0x0F, payload

    def receive(self):
        """The next JSON message."""
        opcode, payload = self.read_frame()
        if opcode == CLOSE:
            raise Closed(struct.unpack("!H", payload[:2])[0] if payload else None)
        if opcode != TEXT:
            raise AssertionError(f"opcode {opcode} where a text was due")
        return json.loads(payload)

    def evaluate(self, code, id=1):
        """Evaluates code and returns every message up to its `done`, that included."""
        self.send(type="evaluate", id=id, code=code)
        return self.finish(id)

    def finish(self, id=1):
        """Every message up to the `done` of an evaluation."""
        messages = []
        while not messages or messages[-1]["type"] != "done":
            messages.append(self.receive())
            if messages[-1].get("id") != id:
                raise AssertionError(f"a message of another evaluation: {messages[-1]}")
        return messages

    def value(self, code, id=1):
        """The value of an expression."""
        messages = self.evaluate(code, id)
        return next(message["value"] for message in messages if message["type"] == "result")
