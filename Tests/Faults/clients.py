"""Clients of a site: they connect all the time, use what they got, and remember every answer."""

import collections
import dataclasses
import http.client
import json
import random
import threading
import time
import urllib.parse

KEYS = [f"key-{number}" for number in range(6)]


def is_stubborn(key):
    """Whether backends of this key do not end when asked to: those have to be killed."""
    return int(key.rsplit("-", 1)[1]) % 2 == 1


def request(method, url, body=None, timeout=3.0):
    """Status and body of the answer. Raises OSError or http.client.HTTPException where there is none."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body).encode()
        fields = {"connection": "close"} | ({} if data is None else {"content-type": "application/json"})
        connection.request(method, parts.path or "/", data, fields)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


NO_ANSWER = (OSError, http.client.HTTPException)


@dataclasses.dataclass(frozen=True)
class Acknowledged:
    """A connect that was answered with 200."""

    key: str
    backend: str
    token: int  # the fencing token
    url: str
    status: str  # the status that the answer told


class Clients:
    """Threads that connect. What they may do beside that is changed between rounds."""

    def __init__(self, controllers, clusters, seed, threads=4):
        self.controllers, self.clusters = controllers, clusters
        self.lock = threading.Lock()
        self.acknowledged = []  # since the last `take`
        self.remembered = collections.deque(maxlen=200)  # newer and older ones
        self.wrong = []  # answers of another backend than the one that was asked
        self.served = {}  # key -> when the newest connect began whose backend answered
        self.places = {}  # backend -> its cluster
        self.asked_to_end = set()  # backends
        self.refusals = {}  # why connects failed -> how often
        self.may_terminate = True
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(random.Random(f"{seed} {n}"),), daemon=True)
                        for n in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            if thread.is_alive():  # else the site never came up
                thread.join(15)

    def run(self, draw):
        while not self.ended.wait(draw.uniform(0.02, 0.15)):
            self.turn(draw)

    def turn(self, draw):
        key, controller = draw.choice(KEYS), draw.choice(self.controllers)
        began = time.monotonic()
        try:
            answer = self.connect(controller, key, draw.choice(self.clusters))
        except NO_ANSWER as error:
            return self.count(f"connect: {type(error).__name__}")
        if answer is None:
            return
        if self.may_terminate and draw.random() < 0.04:
            kind = draw.choice(["soft", "hard"])
            self.asked_to_end.add(answer.backend)
            try:
                request("POST", f"{controller}/ctrl/b/{answer.backend}/{kind}-terminate")
            except NO_ANSWER:
                pass  # it may have come through or not; both are well
            return
        if draw.random() < 0.1:
            self.use(draw.choice(list(self.remembered)))  # its backend or none, but never a successor
        if self.use(answer) == 200:
            with self.lock:
                self.served[key] = max(began, self.served.get(key, 0))

    def connect(self, controller, key, cluster):
        """The answer, or None if it was an error."""
        executable = {"image": "witness", "env": {"STUBBORN": "1"} if is_stubborn(key) else {}}
        body = {"key": {"name": key}, "spawn_config": {"cluster": cluster, "executable": executable}}
        status, text = request("POST", f"{controller}/ctrl/connect", body)
        if status != 200:
            self.count(f"connect: {status} {json.loads(text).get('kind')}")
            return None
        found = json.loads(text)
        answer = Acknowledged(key, found["backend_id"], found["fencing_token"], found["url"], found["status"])
        with self.lock:
            self.acknowledged.append(answer)
            self.remembered.append(answer)
            self.places[answer.backend] = urllib.parse.urlsplit(answer.url).netloc
        return answer

    def use(self, answer):
        """Sends a request to the backend and holds what comes back against what was promised. - Returns: the status."""
        try:
            status, text = request("GET", answer.url)
        except NO_ANSWER as error:
            self.count(f"use: {type(error).__name__}")
            return None
        if status != 200:
            self.count(f"use: {status}")
            return status
        seen = json.loads(text)
        wanted = (answer.key, answer.backend, answer.token, str(answer.token))
        if (seen["key"], seen["backend"], seen["token"], seen["header"]) != wanted:
            with self.lock:
                self.wrong.append(f"{answer} was answered by {seen}")
        return status

    def count(self, reason):
        with self.lock:
            self.refusals[reason] = self.refusals.get(reason, 0) + 1

    @property
    def refused_connects(self):
        """How many connects the controllers have refused."""
        with self.lock:
            return sum(count for reason, count in self.refusals.items() if reason.startswith("connect: 5"))

    def take(self):
        """What was acknowledged since the last call."""
        with self.lock:
            taken, self.acknowledged = self.acknowledged, []
            return taken

    def unserved(self, since):
        """Keys of which no connect that began after this moment has led to its backend yet."""
        with self.lock:
            return [key for key in KEYS if self.served.get(key, 0) < since]
