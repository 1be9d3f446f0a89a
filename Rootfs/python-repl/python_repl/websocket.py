"""WebSocket, the server's side (RFC 6455; section numbers below are its). No extensions, text messages only."""

import base64
import binascii
import enum
import hashlib
import struct

from .http import Refusal

MESSAGE_LIMIT_BYTES = 1024 * 1024
ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3


class Opcode(enum.IntEnum):
    """Section 5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(enum.IntEnum):
    """Those of section 7.4.1 that this server sends."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009


class Violation(Exception):
    """The client broke the protocol: the connection is closed with this code and reason."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code
        self.reason = reason


def accept(request):
    """The headers of the 101 answer to an opening handshake (section 4.2). Raises `Refusal` for anything else."""
    upgrade_headers = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13")]
    if request.method != "GET" or request.version != "HTTP/1.1":
        raise Refusal(405, "A WebSocket opens with GET and HTTP/1.1.", [("allow", "GET")])
    if "websocket" not in request.tokens("upgrade") or "upgrade" not in request.tokens("connection"):
        raise Refusal(426, "This is a WebSocket; open it with Upgrade: websocket.", upgrade_headers)
    if request.values("sec-websocket-version") != ["13"]:
        raise Refusal(426, "The only WebSocket version here is 13.", upgrade_headers)
    keys = request.values("sec-websocket-key")
    try:
        valid = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        raise Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64.")
    digest = hashlib.sha1(keys[0].encode("ascii") + ACCEPT_SUFFIX, usedforsecurity=False).digest()
    accepted = base64.b64encode(digest).decode("ascii")
    return [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", accepted)]


def frame(opcode, payload):
    """One unmasked, final frame (section 5.2)."""
    if len(payload) < 126:
        head = struct.pack("!BB", 0x80 | opcode, len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 126, len(payload))
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, len(payload))
    return head + payload


def close_frame(code, reason=""):
    """A close frame; the reason is cut to what a control frame holds (section 5.5)."""
    return frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()[:123].decode(errors="ignore").encode())


def unmask(payload, mask):
    """Section 5.3, on one big number instead of byte by byte."""
    count = len(payload)
    repeated = (mask * (count // 4 + 1))[:count]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(count, "big")


def read_frame(stream, message_bytes):
    """The next frame as (opcode, is it final, payload). `message_bytes` of its message came before it."""
    first, second = stream.read_exactly(2)
    final, length = first & 0x80 != 0, second & 0x7F
    if first & 0x70:
        raise Violation(CloseCode.PROTOCOL_ERROR, "reserved bits are set, but no extension was agreed on")
    try:
        opcode = Opcode(first & 0x0F)
    except ValueError:
        raise Violation(CloseCode.PROTOCOL_ERROR, "unknown opcode") from None
    if not second & 0x80:
        raise Violation(CloseCode.PROTOCOL_ERROR, "a client has to mask its frames")
    if opcode >= Opcode.CLOSE and (length > 125 or not final):
        raise Violation(CloseCode.PROTOCOL_ERROR, "a control frame is short and in one piece")
    if length == 126:
        (length,) = struct.unpack("!H", stream.read_exactly(2))
        shortest = 126
    elif length == 127:
        (length,) = struct.unpack("!Q", stream.read_exactly(8))
        shortest = 65536
    else:
        shortest = 0
    if length < shortest or length >= 1 << 63:
        raise Violation(CloseCode.PROTOCOL_ERROR, "a length is not in its shortest form")
    if opcode < Opcode.CLOSE and message_bytes + length > MESSAGE_LIMIT_BYTES:
        raise Violation(CloseCode.TOO_BIG, f"a message has at most {MESSAGE_LIMIT_BYTES} bytes")
    mask = stream.read_exactly(4)
    return opcode, final, unmask(stream.read_exactly(length), mask)


def check_close(payload):
    """The code to answer a close frame with (section 5.5.1)."""
    if not payload:
        return CloseCode.NORMAL
    if len(payload) == 1:
        raise Violation(CloseCode.PROTOCOL_ERROR, "a close code has two bytes")
    (code,) = struct.unpack("!H", payload[:2])
    # 1004 to 1006 and 1015 never travel; below 3000 the rest is not assigned (section 7.4).
    if code not in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014) and not 3000 <= code < 5000:
        raise Violation(CloseCode.PROTOCOL_ERROR, "this close code is not one that is sent")
    decode(payload[2:])
    return code


def decode(payload):
    """A text payload, which has to be UTF-8 (section 8.1)."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        raise Violation(CloseCode.INVALID_DATA, "a text is not UTF-8") from None


def messages(stream, post):
    """Yields each text message; ends at a close frame. Answers to pings and to the close go to `post`, as frames."""
    message = None
    while True:
        opcode, final, payload = read_frame(stream, len(message or b""))
        match opcode:
            case Opcode.PING:
                post(frame(Opcode.PONG, payload))
                continue
            case Opcode.PONG:
                continue
            case Opcode.CLOSE:
                post(close_frame(check_close(payload)))
                return
            case Opcode.BINARY:
                raise Violation(CloseCode.UNSUPPORTED_DATA, "messages here are text")
            case Opcode.TEXT:
                if message is not None:
                    raise Violation(CloseCode.PROTOCOL_ERROR, "a message began inside another")
                message = bytearray(payload)
            case Opcode.CONTINUATION:
                if message is None:
                    raise Violation(CloseCode.PROTOCOL_ERROR, "a continuation has no beginning")
                message += payload
        if final:
            complete, message = message, None
            yield decode(complete)
