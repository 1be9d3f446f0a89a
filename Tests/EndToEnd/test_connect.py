"""Keys, connects and what comes through the proxy."""

import concurrent.futures
import hashlib
import json
import socket
import subprocess
import unittest

from plane_site import PLANE, PlaneSite, ROOT, request, wait_until


class Connecting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = cls.enterClassContext(PlaneSite())

    def test_an_expression_is_evaluated_in_the_sandbox_of_its_key(self):
        backend = self.site.connect("demo")
        self.assertTrue(backend.answer["spawned"])
        self.assertEqual(backend.answer["status"], "scheduled")
        self.assertEqual(backend.value("6 * 7"), 42)
        backend.run("kept = 'state'")
        again = self.site.connect("demo")
        self.assertFalse(again.answer["spawned"])
        self.assertIsNone(again.answer["drone"])
        self.assertEqual(again.id, backend.id)
        self.assertNotEqual(again.token, backend.token)
        self.assertEqual(again.value("kept"), "state")

    def test_a_hundred_concurrent_connects_to_a_new_key_give_one_backend_and_a_hundred_tokens(self):
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            backends = list(pool.map(lambda _: self.site.connect("crowd"), range(100)))
            self.assertEqual(len({backend.id for backend in backends}), 1)
            self.assertEqual(sum(backend.answer["spawned"] for backend in backends), 1)
            self.assertEqual(len({backend.token for backend in backends}), 100)
            answers = list(pool.map(lambda backend: backend.get("headers", timeout=60), backends))
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual({answer.headers["x-plane-backend-id"] for answer in answers}, {backends[0].id})

    def test_a_get_sent_the_moment_connect_returned_is_held_until_the_backend_is_ready(self):
        for round in range(3):
            backend = self.site.connect(f"held-{round}")
            answer = backend.get()
            self.assertEqual(answer.status, 200)
            self.assertIn(b"<html", answer.body.lower())
            self.assertEqual(backend.status()["status"], "ready")

    def test_a_backend_sees_who_its_user_is_and_not_what_the_client_claims(self):
        backend = self.site.connect("headers", user="ada", auth={"role": "éditeur"})
        answer = backend.get("headers?x=1", headers={"X-Verified-Username": "mallory", "x_verified_user_data": "{}"})
        fields = {}
        for name, value in answer.json["headers"]:
            self.assertNotIn(name.lower(), fields, "a field came twice")
            fields[name.lower()] = value
        self.assertEqual(fields["x-verified-username"], "ada")
        self.assertEqual(json.loads(fields["x-verified-user-data"]), {"role": "éditeur"})
        self.assertEqual(fields["x-verified-backend"], backend.id)
        self.assertEqual(fields["x-verified-secret"], backend.answer["secret_token"])
        self.assertEqual(fields["x-verified-path"], f"/{backend.token}/headers")
        self.assertEqual(fields["x-plane-fencing-token"], str(backend.answer["fencing_token"]))
        self.assertEqual(fields["x-forwarded-for"], "127.0.0.1")
        self.assertEqual(fields["x-forwarded-proto"], "http")
        self.assertEqual(answer.json["path"], "/headers?x=1")
        self.assertEqual(answer.headers["x-plane-backend-id"], backend.id)
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertTrue(answer.headers["server"].startswith("Plane/"))

    def test_fencing_tokens_of_a_key_increase_from_backend_to_backend(self):
        tokens = []
        for _ in range(3):
            backend = self.site.connect("fenced")
            self.assertEqual(
                backend.value("__import__('os').environ['SESSION_BACKEND_FENCING_TOKEN']"),
                str(backend.answer["fencing_token"]))
            tokens.append(backend.answer["fencing_token"])
            self.assertEqual(self.site.terminate(backend, "hard").status, 200)
            backend.wait_for("terminated")
        self.assertEqual(tokens, sorted(set(tokens)))

    def test_a_static_token_is_the_same_for_every_connect_and_its_path_is_not_stripped(self):
        first = self.site.connect("static", spawn={"use_static_token": True})
        second = self.site.connect("static", spawn={"use_static_token": True})
        self.assertTrue(first.token.startswith("s."))
        self.assertEqual(first.token, second.token)
        self.assertIsNone(first.answer["secret_token"])
        self.assertEqual(first.get("headers").headers["x-plane-backend-id"], first.id)

    def test_an_unknown_token_is_gone_and_a_wrong_host_is_forbidden(self):
        backend = self.site.connect("demo")
        unknown = request("GET", f"http://localhost:{self.site.proxy_port}/{'A' * 43}/")
        self.assertEqual(unknown.status, 410)
        foreign = request(
            "GET", f"http://localhost:{self.site.proxy_port}/{backend.token}/", headers={"Host": "example.com"})
        self.assertEqual(foreign.status, 403)

    def test_the_status_stream_replays_the_history_and_resumes_behind_the_last_event_id(self):
        backend = self.site.connect("stream")
        backend.get()
        everything = self.events(backend, until="ready")
        self.assertEqual(everything[0], "scheduled")
        self.assertEqual(everything[-1], "ready")
        self.site.terminate(backend, "hard")
        rest = self.events(backend, until="terminated", last="ready")
        self.assertNotIn("ready", rest)
        self.assertEqual(rest[-1], "terminated")

    def events(self, backend, until, last=None):
        """Statuses of a status stream, up to one of them."""
        with socket.create_connection(("127.0.0.1", self.site.port), 30) as connection:
            resume = f"Last-Event-ID: {last}\r\n" if last else ""
            connection.sendall(
                f"GET /pub/b/{backend.id}/status-stream HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n".encode())
            statuses = []
            for line in connection.makefile("rb"):
                if line.startswith(b"data:"):
                    statuses.append(json.loads(line[5:])["status"])
                    if statuses[-1] == until:
                        return statuses
        raise AssertionError(f"the stream ended at {statuses}")

    def test_a_gibibyte_comes_through_unchanged_and_is_spliced_not_copied(self):
        expected = subprocess.run(
            ["python3", "-m", "python_repl.diagnostics", str(1 << 30)], cwd=ROOT / "Rootfs" / "python-repl",
            capture_output=True, text=True, check=True).stdout.split()[0]
        backend = self.site.connect("bulk")
        backend.get()
        digest, length = hashlib.sha256(), 0
        with socket.create_connection(("127.0.0.1", self.site.proxy_port), 60) as connection:
            connection.sendall(
                f"GET /{backend.token}/blob?bytes={1 << 30} HTTP/1.1\r\nHost: {self.site.cluster}\r\n"
                "Connection: close\r\n\r\n".encode())
            reader = connection.makefile("rb", buffering=1 << 20)
            self.assertIn(b" 200 ", reader.readline())
            while reader.readline() != b"\r\n":
                pass
            while part := reader.read(1 << 20):
                digest.update(part)
                length += len(part)
        self.assertEqual((length, digest.hexdigest()), (1 << 30, expected))
        moved = self.counters(backend)
        self.assertGreater(moved["bytes_spliced"], 0.95 * length)
        self.assertLess(moved["bytes_copied"], 0.05 * length)

    def counters(self, backend):
        """What the proxy moved for a backend, once its report covers the download."""
        def reported():
            rows = request("GET", f"{self.site.control}/ctrl/backends").json["backends"]
            row = next(row for row in rows if row["id"] == backend.id)
            traffic = row.get("traffic") or {}
            return traffic if sum(traffic.get(f"bytes_{how}", 0) for how in ("spliced", "copied")) >= 1 << 30 else None

        return wait_until(reported, 20, "the proxy's counters")

    def test_an_upload_comes_back_unchanged(self):
        backend = self.site.connect("echo")
        body = bytes(range(256)) * 4096
        answer = request("POST", backend.url + "echo", body, headers={"Content-Type": "application/octet-stream"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, body)


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = cls.enterClassContext(PlaneSite())

    def plane(self, *words, check=True):
        done = subprocess.run([PLANE, *words], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"plane {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def test_connect_status_ls_and_terminate_tell_the_life_of_a_backend(self):
        control = ["--controller", self.site.control]
        told = self.plane("connect", *control, "--key", "cli", "--image", "python-repl").stdout
        self.assertIn("Created backend: ", told)
        self.assertIn("URL: http://localhost:", told)
        self.assertIn("Status: ready", told)
        backend = told.split("Created backend: ")[1].split()[0]
        self.assertIn("Reusing backend: " + backend, self.plane(
            "connect", *control, "--key", "cli", "--image", "python-repl").stdout)
        self.assertIn(backend, self.plane("ls", *control).stdout)
        self.assertIn("ready", self.plane("status", *control, backend).stdout)
        overview = self.plane("status", *control).stdout
        self.assertIn(f"Cluster: {self.site.cluster}, 1 drone\n", overview)
        self.plane("terminate", *control, backend)
        self.assertIn("terminated", self.plane("status", *control, backend).stdout)

    def test_doctor_tells_what_is_missing_and_what_to_do(self):
        told = self.plane("doctor", "--state", str(self.site.state), check=False)
        for word in ("overlay", "idmapped", "seccomp", "splice", "memory", "pids"):
            self.assertIn(word, told.stdout)

    def test_run_runs_one_command_without_a_controller(self):
        done = self.plane(
            "run", "--state", str(self.site.state), "--image", "python-repl", "--allow-missing-controllers", "--",
            "/usr/bin/python3", "-c", "import os, sys; print(os.getuid()); sys.exit(9)", check=False)
        self.assertEqual((done.stdout, done.returncode), ("1000\n", 9), done.stderr)

    def test_a_wrong_flag_names_the_right_one(self):
        done = self.plane("connect", "--imag", "x", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--image", done.stderr)

    def test_every_command_has_help(self):
        commands = ["dev", "controller", "drone", "connect", "status", "terminate", "ls", "image", "doctor", "version", "run"]
        for command in commands:
            self.assertIn("usage: plane", self.plane(command, "--help").stdout, command)


if __name__ == "__main__":
    unittest.main()
