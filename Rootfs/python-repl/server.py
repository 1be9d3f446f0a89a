"""The python-repl server. Run as `python3 -I server.py`; it listens on 127.0.0.1:$PORT (8080 without one).

GET /    the page to type in            GET /ws    the WebSocket, see python_repl/session.py
and the diagnostic routes of python_repl/diagnostics.py.

The main thread evaluates, every connection has a thread of its own. SIGTERM ends the server with status 0.
`server.py --check` only proves that everything the server needs is there.
"""

import os
import socket
import sys
import threading
import time

HOME = os.path.dirname(os.path.abspath(__file__))

# Only while importing: typed code should not find this server's modules by chance.
sys.path.insert(0, HOME)
from python_repl import diagnostics, http, session  # noqa: E402
from python_repl.evaluation import Evaluator  # noqa: E402

sys.path.remove(HOME)

# Everything the page needs is in it; 'self' does not cover ws: in every browser.
PAGE_POLICY = (
    "default-src 'none'; img-src data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self' ws: wss:"
)


class Site:
    """The routes."""

    def __init__(self, page, evaluator):
        self._page = page
        self._evaluator = evaluator

    def answer(self, exchange):
        """Answers one request. Raises `http.Refusal`."""
        request = exchange.request
        match request.path:
            case "/":
                require_method(request, ("GET", "HEAD"))
                headers = [("content-security-policy", PAGE_POLICY), ("x-content-type-options", "nosniff")]
                exchange.answer(200, "text/html; charset=utf-8", self._page, headers)
            case "/ws":
                require_method(request, ("GET",))
                session.serve(exchange, self._evaluator)
            case path if path in diagnostics.ROUTES:
                methods, answer = diagnostics.ROUTES[path]
                require_method(request, methods)
                answer(exchange)
            case _:
                raise http.Refusal(404, "There is nothing here. The page is at /, the WebSocket at /ws.")


def require_method(request, methods):
    """Raises a 405 refusal unless the method is one of those."""
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise http.Refusal(405, f"This path takes {allowed} only.", [("allow", allowed)])


def accept_forever(listener, site):
    """Gives each connection a thread."""
    while True:
        try:
            connected, _ = listener.accept()
        except OSError as error:  # out of descriptors, or the client left already
            print(f"python-repl: cannot accept a connection: {error.strerror}", file=sys.__stderr__, flush=True)
            time.sleep(0.1)
            continue
        try:
            threading.Thread(target=http.serve, args=(connected, site.answer), daemon=True).start()
        except RuntimeError:  # the sandbox's limit of threads
            connected.close()
            print("python-repl: refused a connection: no more threads", file=sys.__stderr__, flush=True)


def listen():
    """The listening socket; ends the program with a sentence if there can be none."""
    text = os.environ.get("PORT", "8080")
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        sys.exit(f"python-repl: PORT={text} is not a port. Set a number from 1 to 65535, or leave it out for 8080.")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", int(text)))
    except OSError as error:
        sys.exit(f"python-repl: cannot listen on 127.0.0.1:{text}: {error.strerror}. Set PORT to another port.")
    listener.listen(128)
    return listener


def main():
    with open(os.path.join(HOME, "index.html"), "rb") as file:
        page = file.read()
    if sys.argv[1:] == ["--check"]:
        return
    evaluator = Evaluator()  # before anything can be asked of the server: from here SIGTERM ends it with status 0
    listener = listen()
    site = Site(page, evaluator)
    sys.argv = [""]
    sys.path.insert(0, "")  # typed code imports from its working directory, as in python3's own prompt
    threading.Thread(target=accept_forever, args=(listener, site), daemon=True).start()
    print(f"python-repl: listening on 127.0.0.1:{listener.getsockname()[1]}", file=sys.__stderr__, flush=True)
    evaluator.run_forever()


main()
