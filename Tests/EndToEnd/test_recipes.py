"""Every recipe in Rootfs: built, started by a connect, and used through its URL.

An image that is in PLANE_TEST_IMAGES already, and not older than its recipe, is not built again.
"""

import http.client
import json
import pathlib
import subprocess
import unittest
import uuid

from plane_site import IMAGES, PLANE, ROOT, Client, PlaneSite, request

RECIPES = ROOT / "Rootfs"
NAMES = ("jupyter", "node-repl", "python-repl", "shell", "static-http")
NOTEBOOK = pathlib.Path(__file__).with_name("jupyter_cells.ipynb")


def build_missing(name):
    """Builds an image unless it is there; what the build said is the failure's text."""
    manifest = IMAGES / name / "manifest.json"
    sources = [RECIPES / "debian.sh", RECIPES / "python-repl" / "index.html",  # which node-repl has too
               *(path for path in (RECIPES / name).rglob("*") if "__pycache__" not in path.parts)]
    if manifest.exists() and manifest.stat().st_mtime >= max(path.stat().st_mtime for path in sources):
        return
    built = subprocess.run([PLANE, "image", "build", str(RECIPES / name), "--state", str(IMAGES.parent)],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if built.returncode != 0:
        raise AssertionError(f"{name} was not built:\n{built.stdout[-4000:]}")


class Recipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name in NAMES:
            build_missing(name)
        cls.site = cls.enterClassContext(PlaneSite(images=NAMES))

    def run_in(self, image, *command):
        """Runs a command by `plane run`, and returns what it printed."""
        result = subprocess.run(
            [PLANE, "run", "--state", str(self.site.state), "--image", image, "--allow-missing-controllers", "--",
             *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_there_is_a_policy_and_a_test_for_every_recipe(self):
        recipes = sorted(path.parent.name for path in RECIPES.glob("*/image.json"))
        self.assertEqual(recipes, list(NAMES))
        for name in recipes:
            self.assertTrue((ROOT / "Policies" / f"{name}.json").exists(), name)

    def test_images_hold_neither_devices_nor_privileges(self):
        for name in NAMES:
            found = subprocess.run(
                ["find", self.site.state / "images" / name / "rootfs", "-xdev",
                 "(", "!", "-type", "f", "!", "-type", "d", "!", "-type", "l", ")", "-o",
                 "(", "!", "-type", "l", "-perm", "/6000", ")"], capture_output=True, text=True, check=True)
            self.assertEqual(found.stdout, "", name)
            for program in ("mmdebstrap", "apt-get", "sudo"):
                for folder in ("usr/bin", "usr/sbin"):
                    self.assertFalse((self.site.state / "images" / name / "rootfs" / folder / program).exists())

    def test_a_shell_runs_a_command_and_answers_over_http(self):
        self.assertEqual(self.run_in("shell", "sh", "-c", "echo $((6 * 7)); id -u"), "42\n1000\n")
        backend = self.site.connect("shell", image="shell")
        page = backend.get()
        self.assertEqual(page.status, 200)
        self.assertIn(b"Shell", page.body)
        script = b"read line; echo got $line\ncat /etc/hostname; echo wrong >&2; exit 3"
        answer = request("POST", backend.url + "cgi-bin/run", script, {"Content-Type": "text/plain"})
        self.assertEqual(answer.body, b"got\nshell\nwrong\n\nexit status 3\n")
        self.assertEqual(backend.get("cgi-bin/run").status, 405)

    def test_static_http_serves_each_size_and_keeps_connections(self):
        backend = self.site.connect("static", image="static-http")
        sizes = {"1B": 1, "100B": 100, "1KiB": 1024, "10KiB": 10240, "100KiB": 102400, "1MiB": 1 << 20,
                 "10MiB": 10 << 20}
        for name, size in sizes.items():
            answer = backend.get(name)
            self.assertEqual((answer.status, len(answer.body)), (200, size), name)
        for name in sizes:
            self.assertIn(f'href="{name}"'.encode(), backend.get().body)
        self.assertEqual(backend.get("missing").status, 404)
        # A client's connection has one to the backend, so these requests go through one connection of nginx too.
        with self.keeping(backend) as ask:
            for _ in range(2000):
                self.assertEqual(ask(), b"p")

    def keeping(self, backend):
        """A connection that is kept; calling it asks for the file of one byte."""
        class Kept(http.client.HTTPConnection):
            def __enter__(kept):
                kept.connect()
                first = kept.sock

                def ask():
                    kept.request("GET", f"/{backend.token}/1B", headers={"Host": self.site.cluster})
                    body = kept.getresponse().read()
                    self.assertIs(kept.sock, first, "the connection was closed")
                    return body

                return ask

            def __exit__(kept, *_):
                kept.close()

        return Kept("127.0.0.1", self.site.proxy_port, timeout=30)

    def test_node_repl_keeps_its_state(self):
        backend = self.site.connect("node", image="node-repl")
        self.assertIn(b"javascript", backend.get().body)
        with backend.repl() as client:
            client.evaluate("let count = 40")
            client.evaluate("count += await Promise.resolve(2)")
        with backend.repl() as client:
            self.assertEqual(client.value("count"), "42")
        answer = request("POST", backend.url + "evaluate", b"count + 1", {"Content-Type": "text/javascript"})
        self.assertEqual(answer.json, {"ok": True, "output": "", "value": "43"})

    def test_node_repl_is_interrupted_and_bounded(self):
        backend = self.site.connect("node-busy", image="node-repl")
        with backend.repl() as client, backend.repl() as other:
            client.evaluate("let kept = 7")
            client.send(type="evaluate", id=1, code="console.log('go'); for (;;);")
            self.assertEqual(client.receive()["text"], "go\n")
            other.send(type="interrupt")
            self.assertFalse(client.finish(1)[-1]["ok"])
            self.assertEqual(client.value("kept"), "7")
            messages = client.evaluate("console.log('x'.repeat(3_000_000))")
            self.assertEqual(sum(len(message.get("text", "")) for message in messages), 1024 * 1024)

    def test_plane_repl_speaks_with_node_repl(self):
        backend = self.site.connect("node-typed", image="node-repl")
        for code, printed in (("var n = 41", ""), ("n + 1", "42\n")):
            result = subprocess.run([PLANE, "repl", backend.url, "--evaluate", code], capture_output=True, text=True,
                                    timeout=60)
            self.assertEqual((result.returncode, result.stdout), (0, printed), result.stderr)


class Kernel:
    """A kernel of a jupyter backend, reached only through its Plane URL. Messages as jupyter_client documents them."""

    def __init__(self, backend):
        made = request("POST", backend.url + "api/kernels", {"name": "python3"})
        assert made.status == 201, made.body
        self.id = made.json["id"]
        self.session = uuid.uuid4().hex
        self.client = Client(backend.site.proxy_port,
                             f"/{backend.token}/api/kernels/{self.id}/channels?session_id={self.session}",
                             host=backend.site.cluster)

    def execute(self, code):
        """Everything that the kernel says about this code, up to the reply and the idle status after it."""
        asked = uuid.uuid4().hex
        header = {"msg_id": asked, "msg_type": "execute_request", "username": "", "session": self.session,
                  "date": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {},
                   "allow_stdin": False, "stop_on_error": True}
        self.client.send(channel="shell", header=header, parent_header={}, metadata={}, content=content, buffers=[])
        messages = []
        replied = idle = False
        while not (replied and idle):
            message = self.client.receive()
            if message["parent_header"].get("msg_id") != asked:
                continue
            messages.append(message)
            replied = replied or message["msg_type"] == "execute_reply"
            idle = idle or message["content"].get("execution_state") == "idle"
        return messages

    def printed(self, code):
        return "".join(message["content"]["text"] for message in self.execute(code) if message["msg_type"] == "stream")

    def value(self, code):
        results = [message for message in self.execute(code) if message["msg_type"] == "execute_result"]
        return results[0]["content"]["data"]["text/plain"]


class Jupyter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        build_missing("jupyter")
        cls.site = cls.enterClassContext(PlaneSite(images=("jupyter",)))
        cls.backend = cls.site.connect("notebook", image="jupyter")

    def kernel(self):
        kernel = Kernel(self.backend)
        self.addCleanup(kernel.client.__exit__)
        return kernel

    def test_the_api_answers(self):
        self.assertRegex(self.backend.get("api").json["version"], r"^\d+\.\d+")
        self.assertIn("python3", self.backend.get("api/kernelspecs").json["kernelspecs"])

    def test_a_kernel_executes_over_its_websocket(self):
        kernel = self.kernel()
        self.assertEqual(kernel.printed("print(6*7)"), "42\n")
        kernel.execute("kept = 41")
        self.assertEqual(kernel.value("kept + 1"), "42")
        failed = kernel.execute("1 / 0")
        self.assertIn("ZeroDivisionError", [message["content"].get("ename") for message in failed])

    def test_a_notebook_is_saved_and_its_cells_are_executed(self):
        text = NOTEBOOK.read_text()
        saved = request("PUT", self.backend.url + "api/contents/primes.ipynb",
                        {"type": "notebook", "format": "json", "content": json.loads(text)})
        self.assertEqual(saved.status, 201, saved.body)
        cells = self.backend.get("api/contents/primes.ipynb").json["content"]["cells"]
        first, second = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        kernel = self.kernel()
        self.assertEqual(kernel.printed(first), "2 3 5 7 11 13 17 19 23 29\n")
        self.assertEqual(kernel.value(second), "129")

    def test_a_kernel_has_what_notebooks_use(self):
        """Subprocesses, threads, processes and sockets, under the policy's system calls."""
        kernel = self.kernel()
        self.assertEqual(kernel.printed("!echo $((6*7))"), "42\r\n")
        self.assertEqual(kernel.printed("import subprocess\nprint(subprocess.check_output(['id', '-u']).decode())"),
                         "1000\n\n")
        self.assertEqual(kernel.value(
            "import concurrent.futures as f, operator\n"
            "sum(f.ThreadPoolExecutor(4).map(abs, range(10)))"), "45")
        self.assertEqual(kernel.value(
            "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool: "
            "squares = pool.map(abs, [-1, -2])\nsquares"), "[1, 2]")

    def test_a_busy_kernel_is_interrupted(self):
        kernel = self.kernel()
        kernel.execute("kept = 7")
        kernel.client.send(
            channel="shell", parent_header={}, metadata={}, buffers=[],
            header={"msg_id": "busy", "msg_type": "execute_request", "username": "", "session": kernel.session,
                    "date": "", "version": "5.3"},
            content={"code": "print('go', flush=True)\nwhile True: pass", "silent": False})
        message = kernel.client.receive()
        while message["msg_type"] != "stream":
            message = kernel.client.receive()
        answer = request("POST", f"{self.backend.url}api/kernels/{kernel.id}/interrupt", b"")
        self.assertEqual(answer.status, 204)
        while message["msg_type"] != "execute_reply":
            message = kernel.client.receive()
        self.assertEqual(message["content"]["ename"], "KeyboardInterrupt")
        self.assertEqual(kernel.value("kept"), "7")


if __name__ == "__main__":
    unittest.main()
