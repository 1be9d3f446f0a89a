"""What a fault is, and what faults have in common.

A fault says of which drones every backend must live through it (`keeps`), of which none may be left once the lease is
over (`loses`), and how long after the injection that is (`bound`). Where it says neither, both are well.
"""

import time

from fault_site import EXPIRY, RENEW, SOFT

BOTH = ("one", "two")
LONG = (EXPIRY + 0.4, EXPIRY + 1.4)  # the controller gives the keys away meanwhile
AT_ONCE = (0, 0.1)


class Fault:
    """One fault in one round: made, injected, healed, forgotten.

    - site: what it breaks. draw: where its choices come from, so that a seed repeats them.
    """

    kinds = ("sqlite", "postgres")
    keeps = ()
    loses = ()
    bound = EXPIRY
    seconds = (0.3, SOFT - RENEW - 0.2)  # between injection and healing, drawn

    def __init__(self, site, draw):
        self.site = site
        self.duration = draw.uniform(*self.seconds)
        self.choose(draw)

    def choose(self, draw):
        """Draws what it hits."""

    def inject(self):
        """Breaks it."""

    def heal(self):
        """Makes it whole."""

    def __str__(self):
        return title(type(self))

    @property
    def is_calm(self):
        """Whether clients end no backend meanwhile, because each one that ends is looked at."""
        return len(self.keeps) == len(BOTH)


def title(fault):
    """Its docstring: how the table calls it."""
    return fault.__doc__.strip()


def name(fault):
    """How --fault calls it: DiskFull is disk-full."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in fault.__name__).lstrip("-")


class Nothing(Fault):
    """no fault"""

    keeps = BOTH
    seconds = (1, 2)


class Killed:
    def inject(self):
        for part in self.parts:
            part.kill()

    def heal(self):
        for part in self.parts:
            part.start()


class Paused:
    def inject(self):
        for part in self.parts:
            part.pause()

    def heal(self):
        for part in self.parts:
            part.resume()


class Restarted(Killed):
    def inject(self):
        for part in self.parts:
            part.stop()


class KilledOften(Killed):
    """Again and again, in the middle of what it does to come back."""

    def choose(self, draw):
        super().choose(draw)
        self.pauses = [draw.uniform(0, 0.3) for _ in range(5)]

    def inject(self):
        super().inject()
        for pause in self.pauses:
            super().heal()
            time.sleep(pause)
            super().inject()


class Lasting:
    """The lease of the machines that were hit runs out."""

    keeps = ()
    seconds = LONG

    def choose(self, draw):
        super().choose(draw)
        self.loses = getattr(self, "hit", BOTH)
