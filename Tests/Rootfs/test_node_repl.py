"""The node-repl image's server, as the platform and a person use it.

Run by `python3 -m unittest discover -s Tests/Rootfs`, with the host's node.
"""

import http.client
import json
import os
import pathlib
import select
import signal
import subprocess
import unittest

from test_python_repl import free_port, of_type, output
from websocket_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, TIMEOUT_SECONDS, Client, Closed

RECIPE = pathlib.Path(__file__).resolve().parents[2] / "Rootfs" / "node-repl"


def start_server(port):
    return subprocess.Popen(["node", str(RECIPE / "server.js")], env={**os.environ, "PORT": str(port)},
                            stderr=subprocess.PIPE, text=True)


class ServerTest(unittest.TestCase):
    """Gives each test a server of its own."""

    def setUp(self):
        self.port = free_port()
        self.server = start_server(self.port)
        self.addCleanup(self.stop)
        self.assertIn("listening", self.server.stderr.readline())

    def stop(self):
        self.server.terminate()
        try:
            self.server.wait(TIMEOUT_SECONDS)
        finally:
            self.server.stderr.close()

    def client(self):
        client = Client(self.port)
        self.addCleanup(client.__exit__)
        return client

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        self.addCleanup(connection.close)
        connection.request(method, path, body)
        return connection.getresponse()

    def evaluate(self, code):
        return json.loads(self.request("POST", "/evaluate", code).read())


class Evaluating(ServerTest):
    def test_values_output_and_state(self):
        first, second = self.client(), self.client()
        self.assertEqual(first.value("const a = 6\na * 7"), "42")
        self.assertEqual(second.value("_ + a"), "48")
        self.assertEqual([message["type"] for message in first.evaluate("let b = 1")], ["done"])
        self.assertEqual(second.value("({a, b})"), "{ a: 6, b: 1 }")
        messages = first.evaluate("console.log('é'); console.error('2'); process.stdout.write('3'); 4")
        self.assertEqual([(m["type"], m.get("text")) for m in messages],
                         [("output", "é\n"), ("output", "2\n"), ("output", "3"), ("result", None), ("done", None)])
        self.assertEqual(output(messages, "stderr"), "2\n")

    def test_await_at_the_top(self):
        client = self.client()
        client.evaluate("const later = await new Promise(done => setTimeout(() => done(5), 5))")
        self.assertEqual(client.value("later"), "5")

    def test_errors_are_told_without_the_servers_own_frames(self):
        client = self.client()
        for code, words in (("throw new RangeError('bad')", "RangeError: bad"), ("throw 3", "Uncaught 3"),
                            ("await Promise.reject(new Error('no'))", "Error: no"), ("function (", "SyntaxError"),
                            ("[1,", "SyntaxError"),
                            ("({[Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('shy') }})", "shy")):
            messages = client.evaluate(code)
            self.assertEqual([message["type"] for message in messages], ["error", "done"], code)
            self.assertIn(words, messages[0]["traceback"])
            self.assertNotIn("evaluator.js", messages[0]["traceback"])
            self.assertFalse(messages[-1]["ok"])

    def test_what_fails_later_is_shown_and_changes_nothing(self):
        client = self.client()
        client.evaluate("let kept = 1; setTimeout(() => { throw new Error('late') }, 1); undefined")
        self.assertIn("late", client.receive()["text"])
        client.evaluate("Promise.reject(new Error('nobody')); undefined")
        self.assertIn("nobody", client.receive()["text"])
        self.assertEqual(client.value("kept"), "1")

    def test_output_is_capped_and_says_so(self):
        client = self.client()
        messages = client.evaluate("for (let n = 0; n < 40; n++) console.log('x'.repeat(99_999))")
        self.assertEqual(len(output(messages)), 1024 * 1024)
        self.assertEqual(sum("truncated" in message for message in messages), 1)
        self.assertEqual(output(client.evaluate("console.log('again')")), "again\n")
        (result, _) = client.evaluate("'x'.repeat(1_000_000)")
        self.assertTrue(result["truncated"])

    def test_a_process_that_ends_loses_its_state_and_nothing_else(self):
        client = self.client()
        client.evaluate("let a = 1")
        messages = client.evaluate("process.exit(3)")
        self.assertEqual([message["type"] for message in messages], ["error", "done"])
        self.assertIn("exited with 3", messages[0]["traceback"])
        self.assertEqual(client.value("typeof a"), "'undefined'")

    def test_evaluating_by_post(self):
        self.assertEqual(self.evaluate("let n = 1; console.log('hi'); n + 1"),
                         {"ok": True, "output": "hi\n", "value": "2"})
        self.assertEqual(self.evaluate("n")["value"], "1")
        self.assertIn("ReferenceError", self.evaluate("nothing")["error"])
        self.assertEqual(self.request("POST", "/evaluate", b" " * (1024 * 1024 + 1)).status, 413)


class Interrupting(ServerTest):
    def test_endless_code_of_every_kind_keeps_its_state(self):
        client, other = self.client(), self.client()
        client.evaluate("let kept = 7")
        for code in ("console.log('go'); for (;;);", "console.log('go'); for (;;) console.log(1)",
                     "console.log('go'); await new Promise(() => {})",
                     "console.log('go'); for (;;) { try { for (;;); } catch {} }",
                     "console.log('go'); require('node:child_process').execSync('sleep 0.1'); for (;;);"):
            client.send(type="evaluate", id=1, code=code)
            self.assertEqual(client.receive()["text"][:3], "go\n", code)
            other.send(type="interrupt")
            error, done = client.finish(1)[-2:]
            self.assertEqual((error["name"], done["ok"]), ("Interrupted", False), code)
            self.assertEqual(client.value("kept"), "7")

    def test_interrupts_at_any_moment_break_nothing(self):
        client, other = self.client(), self.client()
        client.evaluate("let kept = 7")
        for index in range(300):
            client.send(type="evaluate", id=index, code="for (let n = 0; n < 20; n++) console.log(n)")
            for _ in range(index % 4 + 1):
                other.send(type="interrupt")
            messages = client.finish(index)
            for error in of_type(messages, "error"):
                self.assertEqual(error["name"], "Interrupted")
        self.assertEqual(client.value("kept"), "7")


class Protocol(ServerTest):
    def test_fragmented_message_with_a_ping_inside(self):
        client = self.client()
        text = json.dumps({"type": "evaluate", "id": 1, "code": "'ä'.repeat(3)"}, ensure_ascii=False).encode()
        for index in range(len(text)):
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
            ("length not shortest", 1002, lambda c: c.socket.sendall(b"\x81\xfe\x00\x01mask?")),
            ("half a close code", 1002, lambda c: c.send_frame(CLOSE, b"\x03")),
            ("binary", 1003, lambda c: c.send_frame(BINARY, b"")),
            ("not UTF-8", 1007, lambda c: c.send_frame(TEXT, b"\xff")),
            ("too long", 1009, lambda c: c.socket.sendall(b"\x81\xff" + (1024 * 1024 + 1).to_bytes(8, "big"))),
            ("normal close", 1000, lambda c: c.send_frame(CLOSE, b"\x03\xe8bye")),
        ):
            with self.subTest(name):
                client = self.client()
                send(client)
                with self.assertRaises(Closed) as closed:
                    client.receive()
                self.assertEqual(closed.exception.code, code)
        self.assertEqual(self.client().value("1"), "1")

    def test_wrong_messages_are_refused(self):
        client = self.client()
        for message in ({"type": "evaluate"}, {"type": "evaluate", "id": 1.5, "code": ""}, {"type": "x"}):
            client.send(**message)
            self.assertEqual(client.receive()["type"], "refused")
        client.send_frame(TEXT, b"null")
        self.assertEqual(client.receive()["type"], "refused")
        client.send(type="ping")
        self.assertEqual(client.receive(), {"type": "pong"})

    def test_a_client_that_never_reads_is_dropped_and_holds_nobody_up(self):
        slow, other = self.client(), self.client()
        for id in range(40):
            slow.send(type="evaluate", id=id, code="console.log('x'.repeat(1_000_000))")
        slow.send(type="ping")
        while slow.receive()["type"] != "pong":  # all of them wait now
            pass
        self.assertEqual(other.value("'still served'"), "'still served'")
        with self.assertRaises((Closed, ConnectionError)):
            for _ in range(40 * 40):
                slow.receive()

    def test_pages_and_wrong_requests(self):
        page = self.request("GET", "/")
        self.assertEqual((page.status, page.headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertEqual(self.request("HEAD", "/").status, 200)
        for method, path, status in (("POST", "/", 405), ("GET", "/evaluate", 405), ("GET", "/ws", 426),
                                     ("GET", "/x", 404)):
            self.assertEqual(self.request(method, path).status, status)


class Process(ServerTest):
    def test_sigterm_ends_both_processes_with_status_0(self):
        client = self.client()
        pid = int(client.value("process.pid"))
        client.send(type="evaluate", id=1, code="console.log(1); for (;;);")
        client.receive()
        evaluating = os.pidfd_open(pid)
        self.addCleanup(os.close, evaluating)
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(TIMEOUT_SECONDS), 0)
        self.assertTrue(select.select([evaluating], [], [], TIMEOUT_SECONDS)[0])

    def test_a_taken_or_wrong_port_is_one_sentence(self):
        for port, words in ((str(self.port), "cannot listen"), ("0", "not a port"), ("x", "not a port")):
            server = start_server(port)
            _, said = server.communicate(timeout=TIMEOUT_SECONDS)
            self.assertNotEqual(server.returncode, 0)
            self.assertIn(words, said)
            self.assertEqual(said.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
