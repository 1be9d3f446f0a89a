"""One round: a fault is injected and healed while clients connect; then everything that was promised is checked."""

import dataclasses
import time

from clients import NO_ANSWER
from fault_site import EXPIRY, RECOVERY
from parts import wait_until


@dataclasses.dataclass
class Outcome:
    """What a round showed; of a fault, the sum over its rounds."""

    rounds: int = 1
    connects: int = 0
    watched: int = 0
    lifetimes: int = 0
    overlaps: int = 0
    lost: int = 0
    other: int = 0
    recovery: float = 0.0  # seconds, the longest
    problems: list = dataclasses.field(default_factory=list)

    def add(self, other):
        for field in ("rounds", "connects", "watched", "lifetimes", "overlaps", "lost", "other"):
            setattr(self, field, getattr(self, field) + getattr(other, field))
        self.recovery = max(self.recovery, other.recovery)
        self.problems += other.problems

    @property
    def failed(self):
        return bool(self.overlaps or self.lost or self.other)


class Round:
    """A site's next round under a fault."""

    patience = EXPIRY + 8  # seconds in which a backend that runs has to be reached

    def __init__(self, site, fault):
        self.site, self.fault = site, fault
        self.outcome = Outcome()

    def run(self):
        site, fault = self.site, self.fault
        site.clients.may_terminate = not fault.is_calm
        site.settle(RECOVERY)  # also: whatever was asked to end has ended
        site.judge.read(site.log)
        lifetimes, overlaps, tokens = site.judge.lifetimes, len(site.judge.overlaps), len(site.judge.tokens)
        watched = self.living()
        self.outcome.watched = sum(len(watched[name]) for name in {*fault.keeps, *fault.loses})
        injected = time.monotonic()
        fault.inject()
        late = self.wait_out(injected, watched)
        fault.heal()
        try:
            self.outcome.recovery = site.settle(RECOVERY)
        except TimeoutError as error:
            self.problem("other", f"no progress after the fault: {error}; refusals: {site.clients.refusals}")
        site.judge.read(site.log)
        self.outcome.lifetimes = site.judge.lifetimes - lifetimes
        for problem in site.judge.overlaps[overlaps:]:
            self.problem("overlaps", problem)
        for problem in site.judge.tokens[tokens:]:
            self.problem("other", problem)
        self.check_lives(watched, late)
        self.check_acknowledged()
        return self.outcome

    def problem(self, kind, text):
        setattr(self.outcome, kind, getattr(self.outcome, kind) + 1)
        self.outcome.problems.append(text)

    def living(self):
        """Backends that run and that nobody has asked to end: drone -> lifetimes."""
        site = self.site
        site.judge.read(site.log)
        now = time.time_ns()
        found = {drone.name: [] for drone in site.drones}
        for lifetime in site.judge.alive().values():
            if now - lifetime.last < 0.3e9 and lifetime.backend in site.clients.places:
                place = site.clients.places[lifetime.backend]
                found[next(drone.name for drone in site.drones if drone.cluster == place)].append(lifetime)
        return found

    def wait_out(self, injected, watched):
        """Waits for as long as the fault lasts.

        - Returns: where the log stood when the backends of the drones that lost their lease had to be gone.
        """
        fault, site = self.fault, self.site
        end = injected + fault.duration
        if fault.loses:
            time.sleep(max(0, injected + fault.bound - time.monotonic()))
            site.judge.read(site.log)
        offset = site.judge.offset
        time.sleep(max(0, end - time.monotonic()))
        return offset

    def check_lives(self, watched, offset):
        """No backend ended that had to live on, and none lived on that had to end."""
        site, fault = self.site, self.fault
        for name in fault.keeps:
            for lifetime in watched[name]:
                asked = lifetime.backend in site.clients.asked_to_end
                lives = not lifetime.superseded and time.time_ns() - lifetime.last < 1e9
                if not asked and not lives:
                    self.problem("other", f"did not live through it: {lifetime}, {self.reason(lifetime.backend)}")
        for name in fault.loses:
            for lifetime in watched[name]:
                if lifetime.last_offset > offset:
                    self.problem(
                        "other", f"wrote more than {fault.bound} s after its lease or warden was gone: {lifetime}")

    def reason(self, backend):
        try:
            return dict(self.site.states(backend))
        except NO_ANSWER as error:
            return repr(error)

    def check_acknowledged(self):
        """Whoever was given a backend finds it: it answers, or has ended for a reason that every controller tells."""
        site = self.site
        by_backend = {}
        acknowledged = site.clients.take()
        for answer in acknowledged:
            by_backend.setdefault(answer.backend, []).append(answer)
        self.outcome.connects = len(acknowledged)
        for backend, answers in by_backend.items():
            seen = site.judge.backends.get(backend)
            if seen and any(answer.token != seen.token for answer in answers):
                self.problem("other", f"{answers} were promised another token than {seen} had")
            try:
                wait_until(lambda: self.is_found(backend, answers), self.patience, backend)
            except TimeoutError:
                self.problem("lost", f"acknowledged and not found again: {answers[-1]}, {self.reason(backend)}")
        wrong, site.clients.wrong = site.clients.wrong, []
        for text in wrong:
            self.problem("other", text)

    def is_found(self, backend, answers):
        try:
            states = list(self.site.states(backend))
        except NO_ANSWER:
            return False
        if any(state is None for _, state in states):
            return False
        if all(state["status"] == "terminated" for _, state in states):
            return all(state.get("end_reason") or state.get("termination_reason") for _, state in states)
        # Every URL that was given out leads there, or says that it has ended since.
        return all(self.site.clients.use(answer) == 200 for answer in answers)
