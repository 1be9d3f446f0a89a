"""Evaluates code in one namespace, one piece after the other, in the main thread.

The main thread, because only there a signal can interrupt Python code: an endless loop as well as a sleep.
An interrupt is a SIGINT to that thread, and the handler decides by the frame it finds itself in: it raises
KeyboardInterrupt in evaluated code only, never in this server's own, so no interrupt can break the server.
"""

import codecs
import io
import linecache
import os
import queue
import signal
import sys
import threading
import time
import traceback
import types

# The syntax tree's types from where `ast` has them: importing all of it would slow the start.
from _ast import Expr as ExpressionStatement
from _ast import Expression as ExpressionTree
from _ast import PyCF_ONLY_AST as ONLY_TREE

OUTPUT_LIMIT_BYTES = 1024 * 1024
"""What an evaluation may print, both streams together; the rest is dropped and the client told so."""
TEXT_LIMIT = 256 * 1024
"""The longest value or traceback that is sent, in characters."""
WAITING_LIMIT = 64
"""Evaluations that wait for their turn."""
INSIST_SECONDS = 0.02
"""Between the signals of one interrupt, until it has been raised."""

SERVER_FILES = os.path.dirname(__file__) + os.sep
CELL_PREFIX = "<input "


def is_cell(frame):
    """Whether a frame runs typed code."""
    return frame.f_code.co_filename.startswith(CELL_PREFIX)


def is_server(filename):
    """Whether a file is one of this server's."""
    return filename.startswith(SERVER_FILES)


class Evaluation:
    """A piece of code to evaluate, and where its messages go."""

    def __init__(self, id, code, post):
        self.id = id
        self.code = code
        self.post = post
        """Takes a message as a dictionary, at once, from any thread; it never waits and never fails."""
        self.output_bytes = 0


class OutputStream(io.RawIOBase):
    """What typed code finds below sys.stdout or sys.stderr: sends what is written to whoever asked for the code.

    What threads of typed code print between evaluations goes where the latest one's output went.
    """

    def __init__(self, name, evaluator):
        super().__init__()
        self.name = name
        self._evaluator = evaluator
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        evaluation = self._evaluator.latest
        if evaluation is not None and evaluation.output_bytes <= OUTPUT_LIMIT_BYTES:
            room = OUTPUT_LIMIT_BYTES - evaluation.output_bytes
            evaluation.output_bytes += len(data)
            message = {"type": "output", "id": evaluation.id, "stream": self.name}
            message["text"] = self._decoder.decode(data[:room])
            if len(data) > room:
                message["truncated"] = True
                self._decoder.reset()
            if message["text"] or len(data) > room:
                evaluation.post(message)
        self._evaluator.deliver_held_interrupt()
        return len(data)


class Evaluator:
    """The namespace and the queue in front of it. Made in the main thread, which it takes SIGINT and SIGTERM for."""

    def __init__(self):
        self.latest = None
        """The evaluation that runs, or else the one that ran last."""
        self._running = None
        self._interrupted = None
        """The evaluation that an interrupt is meant for which has not been raised yet."""
        self._interrupt_came = threading.Event()
        self._interrupt_is_held = False
        """A SIGINT came while typed code was inside `OutputStream`; it is raised on the way out."""
        self._waiting = queue.SimpleQueue()
        self._count = 0
        self._thread = threading.get_ident()
        # A real __main__: pickle and dataclasses look names up there.
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        self._namespace = main.__dict__
        self._streams = {name: self._open_stream(name) for name in ("stdout", "stderr")}
        self._take_signals()
        threading.Thread(target=self._insist, daemon=True).start()

    def submit(self, evaluation):
        """Queues an evaluation; False when too many wait. Any thread may call this."""
        if self._waiting.qsize() >= WAITING_LIMIT:
            return False
        self._waiting.put(evaluation)
        return True

    def interrupt(self):
        """Interrupts what runs now; does nothing when nothing does. Any thread may call this."""
        running = self._running
        if running is not None:
            self._interrupted = running
            self._interrupt_came.set()

    def _insist(self):
        """Sends SIGINT until the interrupt is raised. One signal is not enough: it may come on the way out of
        `OutputStream`, too late to be raised there, or just before typed code begins to sleep in a system call."""
        while True:
            self._interrupt_came.wait()
            self._interrupt_came.clear()
            while self._is_interrupted():
                signal.pthread_kill(self._thread, signal.SIGINT)
                if self._interrupt_came.wait(INSIST_SECONDS):
                    self._interrupt_came.clear()

    def _is_interrupted(self):
        running = self._running
        return running is not None and self._interrupted is running

    def _raise_interrupt(self):
        self._interrupted = None
        raise KeyboardInterrupt

    def run_forever(self):
        """Evaluates what is submitted. Only the main thread can do this."""
        while True:
            evaluation = self._waiting.get()
            try:
                self._evaluate(evaluation)
            except BaseException:  # whatever typed code left behind, the next evaluation gets its turn
                traceback.print_exc(file=sys.__stderr__)
            self._running = None

    def deliver_held_interrupt(self):
        """Raises the interrupt that came while the server's own code ran on behalf of typed code."""
        if self._interrupt_is_held and threading.get_ident() == self._thread:
            self._interrupt_is_held = False
            if self._is_interrupted():
                self._raise_interrupt()

    def _take_signals(self):
        # Again before each evaluation: the one before may have taken them for itself.
        signal.signal(signal.SIGINT, self._on_interrupt)
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))

    def _on_interrupt(self, number, frame):
        if not self._is_interrupted():
            return
        while frame is not None:
            if is_cell(frame) or frame.f_code is Evaluator._describe.__code__:
                self._raise_interrupt()
            if is_server(frame.f_code.co_filename):
                self._interrupt_is_held = True
                return
            frame = frame.f_back

    def _evaluate(self, evaluation):
        self._prepare()
        started = time.monotonic()
        self.latest = evaluation
        self._running = evaluation
        try:
            value = self._run(evaluation)
            if value is not None:
                self._namespace["_"] = value
                evaluation.post(self._describe(evaluation, value))
            failure = None
        except BaseException as error:  # also SystemExit: exit() ends the evaluation, not the server
            failure = error
        # From here on an interrupt finds nothing to interrupt, except in an exception's own __str__.
        if failure is not None:
            evaluation.post(self._explain(evaluation, failure))
        self._running = None
        for stream in self._streams.values():
            if not stream.closed:
                stream.flush()
        seconds = round(time.monotonic() - started, 6)
        evaluation.post({"type": "done", "id": evaluation.id, "ok": failure is None, "seconds": seconds})

    def _prepare(self):
        self._take_signals()
        self._interrupted = None
        self._interrupt_is_held = False
        sys.stdin = io.StringIO()  # input() gets an end of file at once
        for name, stream in self._streams.items():
            if stream.closed:
                self._streams[name] = stream = self._open_stream(name)
            setattr(sys, name, stream)

    def _open_stream(self, name):
        return io.TextIOWrapper(
            OutputStream(name, self), encoding="utf-8", errors="backslashreplace", write_through=True
        )

    def _run(self, evaluation):
        """Runs all statements; the value of the last one if it is an expression."""
        self._count += 1
        filename = f"{CELL_PREFIX}{self._count}>"
        # Without a modification time linecache keeps the lines for ever: functions stay, and so do their tracebacks.
        linecache.cache[filename] = (len(evaluation.code), None, evaluation.code.splitlines(True), filename)
        tree = compile(evaluation.code, filename, "exec", ONLY_TREE, dont_inherit=True)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ExpressionStatement) else None
        statements = compile(tree, filename, "exec", dont_inherit=True)
        expression = last and compile(ExpressionTree(last.value), filename, "eval", dont_inherit=True)
        self.deliver_held_interrupt()
        exec(statements, self._namespace)
        return eval(expression, self._namespace) if expression else None

    def _describe(self, evaluation, value):
        text = repr(value)
        message = {"type": "result", "id": evaluation.id, "value": text[:TEXT_LIMIT]}
        if len(text) > TEXT_LIMIT:
            message["truncated"] = True
        return message

    def _explain(self, evaluation, error):
        try:
            report = traceback.TracebackException.from_exception(error)
            remove_server_frames(report, set())
            text = "".join(report.format())
        except BaseException as second:  # a __str__ that fails, or is interrupted
            text = f"{type(error).__name__}: (its text cannot be shown: {type(second).__name__})\n"
        if len(text) > TEXT_LIMIT:
            text = text[: TEXT_LIMIT // 2] + "\n[…]\n" + text[-TEXT_LIMIT // 2 :]
        return {"type": "error", "id": evaluation.id, "name": type(error).__name__, "traceback": text}


def remove_server_frames(report, seen):
    """Takes the frames that typed code does not know of out of an exception's report, and out of its causes'."""
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    report.stack[:] = [entry for entry in report.stack if not is_server(entry.filename)]
    for other in (report.__cause__, report.__context__, *(report.exceptions or ())):
        remove_server_frames(other, seen)
