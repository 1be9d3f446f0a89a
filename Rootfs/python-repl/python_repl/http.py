"""HTTP/1.1 on one accepted socket (RFC 9110, RFC 9112): strict, keep-alive, one request after the other.

Requests that a client pipelines wait in the read buffer until the answer before them is written.
"""

import socket
import sys
import traceback

HEAD_LIMIT_BYTES = 32 * 1024
# An unread body up to this size is skipped to keep the connection; a longer one closes it.
SKIP_LIMIT_BYTES = 1024 * 1024
IDLE_TIMEOUT_SECONDS = 300
READ_SIZE_BYTES = 256 * 1024

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    414: "URI Too Long",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}

TOKEN_CHARACTERS = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class Refusal(Exception):
    """A request that is answered with an error status; the text is a sentence for the client."""

    def __init__(self, status, sentence, headers=()):
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = list(headers)


class Disconnected(Exception):
    """The client went away, or said nothing for too long."""


class Stream:
    """Buffered reading and plain writing of one socket."""

    def __init__(self, connected):
        self.socket = connected
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def _fill(self):
        """Reads some more; False at the end of the stream."""
        try:
            data = self.socket.recv(READ_SIZE_BYTES)
        except OSError as error:
            raise Disconnected from error
        self._buffer += data
        return bool(data)

    def read_until(self, mark, limit):
        """The bytes up to and including `mark`, or None when `limit` bytes do not hold it."""
        searched = 0
        while (found := self._buffer.find(mark, searched)) < 0:
            if len(self._buffer) > limit:
                return None
            searched = max(0, len(self._buffer) - len(mark) + 1)
            if not self._fill():
                raise Disconnected
        end = found + len(mark)
        return None if end > limit else self._take(end)

    def read_some(self, most):
        """At least one byte, at most `most`."""
        if not self._buffer and not self._fill():
            raise Disconnected
        return self._take(min(most, len(self._buffer)))

    def read_exactly(self, count):
        """`count` bytes."""
        while len(self._buffer) < count:
            if not self._fill():
                raise Disconnected
        return self._take(count)

    def skip_empty_lines(self):
        """Drops the line ends that some clients send after a body (RFC 9112, 2.2)."""
        while True:
            while self._buffer.startswith(b"\r\n"):
                del self._buffer[:2]
            if self._buffer not in (b"", b"\r"):
                return
            if not self._fill():
                raise Disconnected

    def write(self, data):
        """Sends everything."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Disconnected from error

    def _take(self, count):
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken


class Request:
    """One request head, as received. Header names keep their case, order and repetitions in `headers`."""

    def __init__(self, method, target, version, headers):
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        path, _, query = target.partition("?")
        self.path = path
        self.query = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)

    def values(self, name):
        """Every value of a header, in order; `name` in lower case."""
        return [value for key, value in self.headers if key.lower() == name]

    def tokens(self, name):
        """The comma-separated tokens of a header, in lower case."""
        return {token.strip().lower() for value in self.values(name) for token in value.split(",") if token.strip()}


def parse_head(head):
    """The request in a head that ends with an empty line. Raises `Refusal`."""
    try:
        request_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = request_line.split(" ")
    except ValueError:
        raise Refusal(400, "The request line is not METHOD TARGET VERSION.") from None
    if not method or not TOKEN_CHARACTERS.issuperset(method.encode("latin-1")):
        raise Refusal(400, "The method holds characters that no method has.")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refusal(505, "This server speaks HTTP/1.1 only.")
    if target.lower().startswith(("http://", "https://")):
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    if not target.startswith("/") or not all("!" <= character <= "~" for character in target):
        raise Refusal(400, "The request target is not a path.")
    headers = [parse_field(line) for line in lines]
    request = Request(method, target, version, headers)
    if len(request.values("host")) != 1 and version == "HTTP/1.1":
        raise Refusal(400, "A request needs exactly one Host header.")
    return request


def parse_field(line):
    """A header line's name and value. Raises `Refusal`, also for folded lines and spaces before the colon."""
    name, colon, value = line.partition(":")
    if not colon or not name or not TOKEN_CHARACTERS.issuperset(name.encode("latin-1")):
        raise Refusal(400, "A header line is not NAME: VALUE.")
    value = value.strip(" \t")
    if any(character < " " and character != "\t" or character == "\x7f" for character in value):
        raise Refusal(400, f"The header {name} holds a control character.")
    return name, value


class Body:
    """The request body, read piece by piece."""

    def __init__(self, stream, request):
        self._stream = stream
        self.length = None
        """Bytes announced by Content-Length; None when chunked."""
        self._remaining = 0
        self._is_broken = False
        codings, lengths = request.values("transfer-encoding"), set(request.values("content-length"))
        if codings:
            if lengths or request.version == "HTTP/1.0":
                raise Refusal(400, "A request cannot have both Transfer-Encoding and Content-Length, or be HTTP/1.0.")
            if [coding.lower() for coding in codings] != ["chunked"]:
                raise Refusal(501, "The only transfer coding here is chunked.")
            self.ended = False
        else:
            text = lengths.pop() if lengths else "0"
            if lengths or not (text.isascii() and text.isdigit()) or len(text) > 18:
                raise Refusal(400, "Content-Length is not one number.")
            self.length = self._remaining = int(text)
            self.ended = self.length == 0
        expects = "100-continue" in request.tokens("expect") and request.version == "HTTP/1.1"
        self._awaited = expects and not self.ended

    def read(self):
        """The next piece, empty at the end of the body. Raises `Refusal` when its framing is broken."""
        if self._awaited:
            self._awaited = False
            self._stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self.ended and self._remaining == 0:
            self._start_chunk()
        if self.ended:
            return b""
        piece = self._stream.read_some(min(self._remaining, READ_SIZE_BYTES))
        self._remaining -= len(piece)
        if self._remaining == 0:
            if self.length is not None:
                self.ended = True
            elif self._stream.read_exactly(2) != b"\r\n":
                raise self._broken(400, "A chunk does not end where its size says.")
        return piece

    def can_be_skipped(self):
        """False when too much is left, its framing is broken, or the client waits to be asked for it."""
        return not (self._awaited or self._is_broken or self._remaining > SKIP_LIMIT_BYTES)

    def skip(self):
        """Reads what is left; False when the connection cannot go on after this body."""
        skipped = 0
        try:
            while not self.ended and skipped <= SKIP_LIMIT_BYTES and self.can_be_skipped():
                skipped += len(self.read())
        except Refusal:
            pass
        return self.ended

    def _start_chunk(self):
        line = self._stream.read_until(b"\r\n", 4096)
        size = (line or b"").partition(b";")[0].strip()
        if not size or len(size) > 15 or not set(size) <= set(b"0123456789abcdefABCDEF"):
            raise self._broken(400, "A chunk's size is not a hexadecimal number.")
        self._remaining = int(size, 16)
        if self._remaining > 0:
            return
        trailer_bytes = 0
        while (line := self._stream.read_until(b"\r\n", HEAD_LIMIT_BYTES)) != b"\r\n":
            trailer_bytes += HEAD_LIMIT_BYTES if line is None else len(line)
            if trailer_bytes >= HEAD_LIMIT_BYTES:
                raise self._broken(431, "The trailers are too long.")
        self.ended = True

    def _broken(self, status, sentence):
        self._is_broken = True
        return Refusal(status, sentence)


class Exchange:
    """One request and the answer to it: what a route gets."""

    def __init__(self, stream, request):
        self.stream = stream
        self.request = request
        self.body = Body(stream, request)
        self.started = False
        """The head of the answer is sent: the status can no longer change."""
        close = "close" in request.tokens("connection") or request.version == "HTTP/1.0"
        self.keeps_alive = not close
        self._chunks = False

    def start(self, status, headers, length):
        """Sends the head of the answer. `length` in bytes, or None to send it in chunks."""
        if length is None and self.request.version == "HTTP/1.0":
            self.keeps_alive = False
        self._chunks = length is None and self.request.version == "HTTP/1.1"
        fields = list(headers)
        if length is not None:
            fields.append(("content-length", str(length)))
        elif self._chunks:
            fields.append(("transfer-encoding", "chunked"))
        if not self.keeps_alive:
            fields.append(("connection", "close"))
        self.send_head(status, REASONS[status], fields)

    def send_head(self, status, reason, fields):
        """Sends a head with just these fields."""
        self.started = True
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields)]
        self.stream.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def send(self, data):
        """Sends a piece of the answer's body. Nothing is sent to HEAD, which has none."""
        if self.request.method == "HEAD" or not data:
            return
        self.stream.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunks else data)

    def finish(self):
        """Ends a chunked answer."""
        if self._chunks and self.request.method != "HEAD":
            self.stream.write(b"0\r\n\r\n")

    def answer(self, status, content_type, data, headers=()):
        """Sends a whole answer."""
        self.start(status, [("content-type", content_type), ("cache-control", "no-store"), *headers], len(data))
        self.send(data)

    def refuse(self, refusal):
        """Answers with an error."""
        text = refusal.sentence + "\n"
        self.answer(refusal.status, "text/plain; charset=utf-8", text.encode(), refusal.headers)


def serve(connected, route):
    """Answers the requests of one connection until either side ends it, then closes the socket.

    `route` is called with an `Exchange`; it may raise `Refusal` as long as it has not started an answer.
    """
    with connected:
        stream = Stream(connected)
        try:
            while serve_one(stream, route):
                pass
            linger(connected)
        except Disconnected:
            pass


def shut(connected):
    """Ends a connection in both directions, which also wakes a thread that is reading or writing."""
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the client was faster


def serve_one(stream, route):
    """Answers one request; False when the connection ends with it."""
    stream.socket.settimeout(IDLE_TIMEOUT_SECONDS)
    exchange = None
    try:
        stream.skip_empty_lines()
        head = stream.read_until(b"\r\n\r\n", HEAD_LIMIT_BYTES)
        if head is None:
            raise Refusal(431, f"The request head is longer than {HEAD_LIMIT_BYTES} bytes.")
        exchange = Exchange(stream, parse_head(head))
        route(exchange)
    except Refusal as refusal:
        if exchange is None:
            exchange = Exchange(stream, Request("GET", "/", "HTTP/1.1", []))
            exchange.keeps_alive = False
        if exchange.started:
            return False
        exchange.keeps_alive = exchange.keeps_alive and exchange.body.can_be_skipped()
        exchange.refuse(refusal)
    except Disconnected:
        raise
    except Exception:
        traceback.print_exc(file=sys.__stderr__)
        if exchange is not None and not exchange.started:
            exchange.keeps_alive = False
            exchange.refuse(Refusal(500, "The server failed; its log has the cause."))
        return False
    return exchange.keeps_alive and exchange.body.skip()


def linger(connected):
    """Ends our side and reads a little longer: closing with unread bytes would reset what we sent last."""
    try:
        connected.shutdown(socket.SHUT_WR)
        connected.settimeout(1)
        for _ in range(64):
            if not connected.recv(READ_SIZE_BYTES):
                return
    except OSError:
        pass
