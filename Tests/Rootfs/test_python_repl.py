"""The python-repl image's server, as the platform and a person use it.

Run by `python3 -m unittest discover -s Tests/Rootfs`.
"""

import hashlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from websocket_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, TIMEOUT_SECONDS, Client, Closed

RECIPE = pathlib.Path(__file__).resolve().parents[2] / "Rootfs" / "python-repl"
sys.path.insert(0, str(RECIPE))
from python_repl import diagnostics  # noqa: E402


def start_server(port):
    """A server on this port that answers."""
    command = [sys.executable, "-I", str(RECIPE / "server.py")]
    environment = {**os.environ, "PORT": str(port)}
    server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    line = server.stderr.readline()
    if "listening" not in line:
        server.wait()
        server.stderr.close()
        raise AssertionError(f"the server did not start: {line}")
    return server


def free_port():
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def output(messages, stream="stdout"):
    """All the text of one stream."""
    return "".join(message["text"] for message in messages if message.get("stream") == stream)


def of_type(messages, type):
    """The messages of one type."""
    return [message for message in messages if message["type"] == type]


class ServerTest(unittest.TestCase):
    """Gives each test a server of its own."""

    def setUp(self):
        self.port = free_port()
        self.server = start_server(self.port)

    def tearDown(self):
        self.server.kill()
        self.server.wait()
        self.server.stderr.close()

    def client(self):
        client = Client(self.port)
        self.addCleanup(client.__exit__)
        return client

    def request(self, method, path, body=None, headers=None, **options):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        self.addCleanup(connection.close)
        connection.request(method, path, body, headers or {}, **options)
        return connection.getresponse()

    def raw(self, data):
        """Everything that the server answers to these bytes until it closes."""
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS) as connected:
            connected.sendall(data)
            connected.shutdown(socket.SHUT_WR)
            with connected.makefile("rb") as reader:
                return reader.read()


class Evaluating(ServerTest):
    def test_value_of_the_last_expression(self):
        messages = self.client().evaluate("a = 6\na * 7")
        self.assertEqual([message["type"] for message in messages], ["result", "done"])
        self.assertEqual(messages[0]["value"], "42")
        self.assertTrue(messages[1]["ok"])
        self.assertGreaterEqual(messages[1]["seconds"], 0)

    def test_none_and_statements_have_no_value(self):
        client = self.client()
        for code in ("None", "x = 1", "", "# nothing"):
            self.assertEqual([message["type"] for message in client.evaluate(code)], ["done"], code)

    def test_output_arrives_while_the_code_runs_and_in_order(self):
        client = self.client()
        client.send(type="evaluate", id=5, code="import sys\nprint('first')\nprint('é', file=sys.stderr)\n"
                    "import time\nundefined")
        messages = client.finish(5)
        self.assertEqual(output(messages), "first\n")
        self.assertEqual(output(messages, "stderr"), "é\n")
        self.assertEqual(messages[-2]["name"], "NameError")

        client.send(type="evaluate", id=6, code="print('first')\nwhile True: time.sleep(.01)")
        text = ""
        while not text.endswith("\n"):
            text += client.receive()["text"]
        self.assertEqual(text, "first\n")  # it came, although the code never ends
        client.send(type="interrupt")
        self.assertFalse(client.finish(6)[-1]["ok"])

        order = [(message["type"], message.get("stream")) for message in
                 client.evaluate("print(1)\nprint(2, file=sys.stderr)\nprint(3)\n4")]
        self.assertEqual(order, [("output", "stdout"), ("output", "stderr"), ("output", "stdout"),
                                 ("result", None), ("done", None)])

    def test_bytes_written_below_the_text_layer_arrive(self):
        messages = self.client().evaluate("import sys\nn = sys.stdout.buffer.write('ü'.encode())\nprint('\\ud800')")
        self.assertEqual(output(messages), "ü\\ud800\n")

    def test_output_is_capped_and_says_so(self):
        client = self.client()
        messages = client.evaluate("for _ in range(40): print('x' * 99_999)")
        self.assertEqual(len(output(messages)), 1024 * 1024)
        self.assertEqual(sum("truncated" in message for message in messages), 1)
        self.assertTrue(messages[-1]["ok"])
        self.assertEqual(output(client.evaluate("print('again')")), "again\n")

    def test_state_is_kept_and_shared(self):
        first, second = self.client(), self.client()
        first.evaluate("def double(n): return 2 * n\nimport math")
        self.assertEqual(first.value("double(21)"), "42")
        self.assertEqual(second.value("double(4) + math.floor(0.5)"), "8")
        self.assertEqual(second.value("import pickle, dataclasses\n@dataclasses.dataclass\nclass P: x: int\n"
                                      "pickle.loads(pickle.dumps(P(3)))"), "P(x=3)")

    def test_messages_go_to_the_connection_that_asked(self):
        first, second = self.client(), self.client()
        first.send(type="evaluate", id=1, code="import time\ntime.sleep(.2)\nprint('mine')")
        second.send(type="evaluate", id=2, code="print('yours')")
        self.assertEqual(output(second.finish(2)), "yours\n")  # also proves that no other id came here
        self.assertEqual(output(first.finish(1)), "mine\n")

    def test_traceback_shows_typed_lines_and_no_frame_of_the_server(self):
        client = self.client()
        client.evaluate("def broken(n):\n    return n / 0  # here")
        error = of_type(client.evaluate("try:\n    broken(1)\nexcept ZeroDivisionError:\n    {}['key']"), "error")[0]
        self.assertEqual(error["name"], "KeyError")
        self.assertIn("return n / 0  # here", error["traceback"])
        self.assertIn('File "<input 1>", line 2, in broken', error["traceback"])
        self.assertIn("During handling", error["traceback"])
        self.assertIn("{}['key']", error["traceback"])
        self.assertNotIn("python_repl", error["traceback"])
        self.assertTrue(error["traceback"].startswith("Traceback (most recent call last):\n"))

    def test_syntax_error(self):
        client = self.client()
        messages = client.evaluate("print('not run')\n1 +")
        self.assertEqual([message["type"] for message in messages], ["error", "done"])
        self.assertEqual(messages[0]["name"], "SyntaxError")
        self.assertIn("1 +", messages[0]["traceback"])
        self.assertNotIn("evaluation.py", messages[0]["traceback"])
        self.assertEqual(client.value("1"), "1")

    def test_code_cannot_end_the_server_by_raising(self):
        client = self.client()
        for code, name in (
            ("exit()", "SystemExit"),
            ("raise BaseException('x')", "BaseException"),
            ("def f(): f()\nf()", "RecursionError"),
            ("class E(Exception):\n    def __str__(self): raise SystemExit\nraise E", "E"),
            ("class R:\n    def __repr__(self): raise KeyboardInterrupt\nR()", "KeyboardInterrupt"),
            ("10 ** 10_000", "ValueError"),
            ("input()", "EOFError"),
        ):
            with self.subTest(code):
                error = of_type(client.evaluate(code), "error")[0]
                self.assertEqual(error["name"], name)
        messages = client.evaluate("import sys\nsys.stdout.close()\nsys.stderr = None")
        self.assertTrue(messages[-1]["ok"])
        self.assertEqual(output(client.evaluate("print('still here')")), "still here\n")

    def test_a_long_value_is_cut(self):
        result = self.client().evaluate("'x' * 5_000_000")[0]
        self.assertEqual(len(result["value"]), 256 * 1024)
        self.assertTrue(result["truncated"])

    def test_bad_messages_are_refused_with_a_reason(self):
        client = self.client()
        for text in (b"{", b"[]", b"7", b'{"type":"x"}', b'{"type":"evaluate","id":"1","code":""}',
                     b'{"type":"evaluate","id":true,"code":""}', b"[" * 100_000):
            client.send_frame(TEXT, text)
            message = client.receive()
            self.assertEqual(message["type"], "refused", text[:40])
            self.assertTrue(message["reason"])
        client.send(type="ping")
        self.assertEqual(client.receive(), {"type": "pong"})

    def test_waiting_evaluations_are_bounded(self):
        client = self.client()
        client.send(type="evaluate", id=0, code="import time\nprint(0)\ntime.sleep(60)")
        self.assertEqual(client.receive()["type"], "output")
        for id in range(1, 66):
            client.send(type="evaluate", id=id, code="1")
        refused = client.receive()
        self.assertEqual((refused["type"], refused["id"]), ("refused", 65))
        client.send(type="interrupt")
        self.assertEqual(client.finish(0)[-1]["ok"], False)
        for id in range(1, 65):
            self.assertTrue(client.finish(id)[-1]["ok"])


class Interrupting(ServerTest):
    def interrupted(self, client, code):
        """The messages of an evaluation that is interrupted once it has printed something."""
        client.send(type="evaluate", id=1, code=code)
        self.assertEqual(client.receive()["type"], "output")
        client.send(type="interrupt")
        return client.finish()

    def test_busy_loop_and_sleep(self):
        client = self.client()
        for code in ("print('on')\nwhile True: pass", "import time\nprint('on')\ntime.sleep(600)",
                     "import threading\nprint('on')\nthreading.Event().wait()"):
            with self.subTest(code):
                messages = self.interrupted(client, code)
                self.assertEqual(messages[-2]["name"], "KeyboardInterrupt")
                self.assertNotIn("python_repl", messages[-2]["traceback"])
                self.assertEqual(client.value("6 * 7"), "42")

    def test_a_signal_that_is_lost_is_sent_again(self):
        """As it is when it comes on the way out of a print, or just before a sleep begins."""
        client = self.client()
        code = ("import signal, time\nreal = signal.getsignal(signal.SIGINT)\n"
                "signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, real))\n"
                "print('on')\ntime.sleep(600)")
        self.assertEqual(self.interrupted(client, code)[-2]["name"], "KeyboardInterrupt")

    def test_code_may_catch_it_and_be_interrupted_again(self):
        client = self.client()
        code = ("try:\n    print('on')\n    while True: pass\nexcept KeyboardInterrupt: print('caught')\n"
                "while True: pass")
        client.send(type="evaluate", id=1, code=code)
        text = client.receive()["text"]
        client.send(type="interrupt")
        while "caught" not in text:
            text += client.receive()["text"]
        client.send(type="interrupt")
        self.assertFalse(client.finish()[-1]["ok"])

    def test_another_connection_can_interrupt(self):
        first, second = self.client(), self.client()
        first.send(type="evaluate", id=1, code="print(1)\nwhile True: pass")
        first.receive()
        second.send(type="interrupt")
        self.assertEqual(first.finish()[-2]["name"], "KeyboardInterrupt")

    def test_nothing_runs(self):
        client = self.client()
        for _ in range(50):
            client.send(type="interrupt")
        self.server.send_signal(signal.SIGINT)
        self.assertEqual(client.value("1 + 1"), "2")

    def test_code_that_took_the_signal_keeps_it_only_once(self):
        client = self.client()
        client.evaluate("import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)")
        messages = self.interrupted(client, "print(1)\nwhile True: pass")
        self.assertEqual(messages[-2]["name"], "KeyboardInterrupt")

    def test_interrupts_at_any_moment_break_nothing(self):
        client, other = self.client(), self.client()
        interrupted = 0
        for index in range(300):
            client.send(type="evaluate", id=index, code="for n in range(20): print(n)\n[n for n in range(5)]")
            for _ in range(index % 4 + 1):
                other.send(type="interrupt")
            messages = client.finish(index)  # every evaluation ends with exactly one `done`
            interrupted += not messages[-1]["ok"]
            if not messages[-1]["ok"]:
                self.assertEqual(messages[-2]["name"], "KeyboardInterrupt", messages[-2])
        self.assertEqual(client.value("'alive'"), "'alive'")
        self.assertIsNone(self.server.poll())

    def test_a_loop_that_only_prints(self):
        messages = self.interrupted(self.client(), "while True: print('x')")
        self.assertEqual(messages[-2]["name"], "KeyboardInterrupt")


class WebSocketRules(ServerTest):
    def closes(self, client, code):
        """Expects a close frame with this code, then the end of the stream."""
        with self.assertRaises(Closed) as closed:
            client.receive()
        self.assertEqual(closed.exception.code, code)
        self.assertEqual(client.reader.read(), b"")

    def test_fragmented_message_with_a_ping_inside(self):
        client = self.client()
        text = json.dumps({"type": "evaluate", "id": 1, "code": "'ä' * 3"}, ensure_ascii=False).encode()
        for index in range(len(text)):  # one byte each, so also the ä is torn apart
            client.send_frame(CONTINUATION if index else TEXT, text[index : index + 1], final=False)
        client.send_frame(PING, b"are you there")
        self.assertEqual(client.read_frame(), (PONG, b"are you there"))
        client.send_frame(CONTINUATION, b"", final=True)
        self.assertEqual(client.finish()[0]["value"], "'äää'")

    def test_wrong_frames_close(self):
        for name, code, send in (
            ("unmasked", 1002, lambda c: c.send_frame(TEXT, b"{}", masked=False)),
            ("reserved opcode", 1002, lambda c: c.send_frame(3, b"")),
            ("reserved bit", 1002, lambda c: c.send_frame(0x40 | TEXT, b"")),
            ("continuation of nothing", 1002, lambda c: c.send_frame(CONTINUATION, b"")),
            ("message in a message", 1002, lambda c: [c.send_frame(TEXT, b"", final=False), c.send_frame(TEXT, b"")]),
            ("long ping", 1002, lambda c: c.send_frame(PING, b"x" * 126)),
            ("fragmented ping", 1002, lambda c: c.send_frame(PING, b"", final=False)),
            ("length not shortest", 1002, lambda c: c.socket.sendall(b"\x81\xfe\x00\x01mask?")),
            ("half a close code", 1002, lambda c: c.send_frame(CLOSE, b"\x03")),
            ("close code that never travels", 1002, lambda c: c.send_frame(CLOSE, b"\x03\xed")),
            ("binary", 1003, lambda c: c.send_frame(BINARY, b"")),
            ("not UTF-8", 1007, lambda c: c.send_frame(TEXT, b"\xff")),
            ("surrogate", 1007, lambda c: c.send_frame(TEXT, b"\xed\xa0\x80")),
            ("normal close", 1000, lambda c: c.send_frame(CLOSE, b"\x03\xe8bye")),
            ("empty close", 1000, lambda c: c.send_frame(CLOSE, b"")),
        ):
            with self.subTest(name):
                client = self.client()
                send(client)
                self.closes(client, code)
        self.assertEqual(self.client().value("1"), "1")

    def test_message_of_the_limit_passes_and_one_byte_more_closes(self):
        limit = 1024 * 1024
        frame = json.dumps({"type": "evaluate", "id": 1, "code": "len('')"})
        code = "len('" + "x" * (limit - len(frame)) + "')"
        client = self.client()
        self.assertEqual(client.value(code), str(limit - len(frame)))
        client.socket.sendall(b"\x81\xff" + (limit + 1).to_bytes(8, "big"))  # refused before its payload comes
        self.closes(client, 1009)
        client = self.client()
        client.send_frame(TEXT, b" " * (limit - 1), final=False)
        client.send_frame(CONTINUATION, b"  ")
        self.closes(client, 1009)

    def test_a_client_that_never_reads_is_dropped_and_holds_nobody_up(self):
        slow, other = self.client(), self.client()
        for id in range(40):
            slow.send(type="evaluate", id=id, code="print('x' * 1_000_000)")
        self.assertEqual(other.value("'still served'"), "'still served'")
        with self.assertRaises((Closed, ConnectionError)):
            for _ in range(40 * 40):
                slow.receive()

    def test_wrong_handshakes(self):
        good = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        for change, status in (
            ({"Upgrade": None}, 426),
            ({"Connection": "keep-alive"}, 426),
            ({"Sec-WebSocket-Version": "8"}, 426),
            ({"Sec-WebSocket-Version": None}, 426),
            ({"Sec-WebSocket-Key": None}, 400),
            ({"Sec-WebSocket-Key": "dGhl"}, 400),
            ({"Sec-WebSocket-Key": "???"}, 400),
        ):
            with self.subTest(change):
                headers = {name: value for name, value in {**good, **change}.items() if value}
                response = self.request("GET", "/ws", headers=headers)
                self.assertEqual(response.status, status)
                self.assertTrue(response.read())
                if status == 426:
                    self.assertEqual(response.headers["sec-websocket-version"], "13")
        fields = "".join(f"{name}: {value}\r\n" for name, value in good.items())
        answer = self.raw(f"GET /ws HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        self.assertIn(b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", answer)  # RFC 6455, 1.3


class HTTPRules(ServerTest):
    def test_page_and_readiness_probe(self):
        head = self.raw(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
        self.assertTrue(head.endswith(b"\r\n\r\n"))
        page = self.request("GET", "/").read()
        self.assertIn(b"content-length: %d\r\n" % len(page), head)
        for outside in (b'src="http', b'href="http', b'href="/', b'src="/', b"url(http", b"@import"):
            self.assertNotIn(outside, page)

    def test_keep_alive_and_pipelining(self):
        answer = self.raw(b"GET /headers?1 HTTP/1.1\r\nHost: x\r\n\r\n" b"POST /echo HTTP/1.1\r\nHost: x\r\n"
                          b"Content-Length: 3\r\n\r\nabc"
                          b"GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nzz"
                          b"GET /headers?2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 3)
        self.assertEqual(answer.count(b"HTTP/1.1 404"), 1)
        self.assertLess(answer.index(b"/headers?1"), answer.index(b"\r\n\r\nabc"))
        self.assertLess(answer.index(b"\r\n\r\nabc"), answer.index(b"/headers?2"))

    def test_bad_requests(self):
        for head, status in (
            (b"GET /\r\n\r\n", 400),
            (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400),
            (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400),
            (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
            (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        ):
            with self.subTest(head[:60]):
                self.assertTrue(self.raw(head).startswith(b"HTTP/1.1 %d " % status), status)


class Diagnostics(ServerTest):
    def test_blob_is_the_documented_bytes(self):
        for count in (0, 1, 4096, 3 * 1024 * 1024 + 17):
            response = self.request("GET", f"/blob?bytes={count}&seed=7")
            data = response.read()
            self.assertEqual(response.headers["content-length"], str(count))
            self.assertEqual(len(data), count)
            self.assertEqual(hashlib.sha256(data).hexdigest(), diagnostics.blob_sha256(count, 7))
        # Once more from the words of the documentation, so that the generator cannot be wrong on both sides.
        block = hashlib.shake_128((7).to_bytes(8, "little")).digest(1024 * 1024)
        pages = [block[n % 256 * 4096 :][:4096] for n in range(count // 4096 + 1)]
        expected = b"".join(n.to_bytes(8, "little") + page[8:] for n, page in enumerate(pages))[:count]
        self.assertEqual(data, expected)

    def test_a_large_blob_is_whole(self):
        count = 256 * 1024 * 1024
        response, digest = self.request("GET", f"/blob?bytes={count}"), hashlib.sha256()
        while piece := response.read(1024 * 1024):
            digest.update(piece)
        self.assertEqual(digest.hexdigest(), diagnostics.blob_sha256(count))

    def test_blob_wants_a_sensible_number(self):
        for query in ("", "?bytes=", "?bytes=-1", "?bytes=x", f"?bytes={2**32 + 1}", "?bytes=1&seed=" + "9" * 20):
            self.assertEqual(self.request("GET", "/blob" + query).status, 400, query)
        head = self.raw(b"HEAD /blob?bytes=4294967296 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b"content-length: 4294967296\r\n", head)

    def test_echo_with_length(self):
        body = os.urandom(1_000_000)
        response = self.request("POST", "/echo", body, {"Content-Type": "image/x"})
        self.assertEqual(response.headers["content-length"], str(len(body)))
        self.assertEqual(response.headers["content-type"], "image/x")
        self.assertEqual(response.read(), body)

    def test_echo_chunked(self):
        pieces = [os.urandom(size) for size in (1, 70_000, 16, 300_000)]
        response = self.request("POST", "/echo", iter(pieces), encode_chunked=True,
                                headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(response.headers["transfer-encoding"], "chunked")
        self.assertEqual(response.read(), b"".join(pieces))

    def test_echo_asks_for_a_body_that_waits(self):
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS) as connected:
            connected.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            reader = connected.makefile("rb")
            self.assertEqual(reader.readline() + reader.readline(), b"HTTP/1.1 100 Continue\r\n\r\n")
            connected.sendall(b"ok")
            self.assertTrue(reader.readline().startswith(b"HTTP/1.1 200"))
            reader.close()

    def test_headers_are_shown_as_received(self):
        answer = self.raw(b"GET /headers?q=1 HTTP/1.1\r\nHOST: h\r\n"
                          b"x-Twice: 1\r\nX-twice:  2 \r\nConnection: close\r\n\r\n")
        shown = json.loads(answer.partition(b"\r\n\r\n")[2])
        self.assertEqual(shown["path"], "/headers?q=1")
        self.assertEqual(shown["headers"], [["HOST", "h"], ["x-Twice", "1"], ["X-twice", "2"], ["Connection", "close"]])

    def test_events_come_one_by_one(self):
        response = self.request("GET", "/sse?count=3")
        self.assertEqual(response.headers["content-type"], "text/event-stream")
        arrivals = []
        while line := response.readline():
            if line.startswith(b"data: "):
                arrivals.append((json.loads(line[6:])["n"], time.monotonic()))
        self.assertEqual([n for n, _ in arrivals], [0, 1, 2])
        self.assertGreater(arrivals[2][1] - arrivals[0][1], 0.3)


class Process(ServerTest):
    def test_sigterm_ends_it_at_once_with_status_0(self):
        client = self.client()
        client.send(type="evaluate", id=1, code="print(1)\nwhile True:\n    try:\n        while True: pass\n"
                    "    except BaseException: pass")
        client.receive()
        started = time.monotonic()
        self.server.terminate()
        self.assertEqual(self.server.wait(10), 0)
        self.assertLess(time.monotonic() - started, 2)

    def test_sigterm_when_idle(self):
        self.server.terminate()
        self.assertEqual(self.server.wait(10), 0)

    def test_a_taken_or_wrong_port_is_one_sentence(self):
        for port, words in ((str(self.port), "cannot listen"), ("0", "not a port"), ("x", "not a port")):
            result = subprocess.run([sys.executable, "-I", RECIPE / "server.py"], env={**os.environ, "PORT": port},
                                    capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(words, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)


class Recipe(unittest.TestCase):
    """What `build` says before it starts; the build itself belongs to the image's own test."""

    def test_a_wrong_destination_is_one_sentence_and_changes_nothing(self):
        with tempfile.TemporaryDirectory() as full:
            kept = pathlib.Path(full, "kept")
            kept.touch()
            for arguments, words in (([], "usage"), ([full], "is not empty"), ([str(kept)], "is not a directory"),
                                     ([full, full], "usage"), ([full + "/missing"], "is not a directory")):
                with self.subTest(arguments):
                    result = subprocess.run([RECIPE / "build", *arguments], capture_output=True, text=True)
                    self.assertEqual(result.returncode, 1)
                    self.assertIn(words, result.stderr)
                    self.assertEqual(result.stderr.count("\n"), 1)
            self.assertEqual(os.listdir(full), ["kept"])

    def test_manifest(self):
        manifest = json.loads((RECIPE / "image.json").read_text())
        self.assertEqual(manifest["name"], RECIPE.name)
        self.assertTrue(manifest["command"][0].startswith("/"))
        self.assertEqual(manifest["port"], 8080)


if __name__ == "__main__":
    unittest.main()
