"""What is broken, and how it is made whole again.

A fault says of which drones every backend must live through it (`keeps`), of which none may be left once the lease is
over (`loses`), and how long after the injection that is (`bound`). Where it says neither, both are well.
"""

import errno
import signal
import time

from fault_site import EXPIRY, RECOVERY, RENEW, SOFT
from parts import wait_until

BOTH = ("one", "two")


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


LONG = (EXPIRY + 0.4, EXPIRY + 1.4)  # the controller gives the keys away meanwhile
AT_ONCE = (0, 0.1)


class Nothing(Fault):
    """no fault"""

    keeps = BOTH
    seconds = (1, 2)


class OnDrone(Fault):
    """What hits one machine or both. - roles: of its parts."""

    roles = ("drone",)

    def choose(self, draw):
        self.hit = draw.choice([("one",), ("two",), BOTH])
        self.parts = [self.site.part(f"{name}-{role}") for name in self.hit for role in self.roles]
        draw.shuffle(self.parts)
        self.others = tuple(name for name in BOTH if name not in self.hit)
        self.keeps = self.others

    @property
    def drones(self):
        return [drone for drone in self.site.drones if drone.name in self.hit]


class OnControllers(Fault):
    """What hits every controller."""

    @property
    def parts(self):
        return self.site.controllers


class OnOneController(Fault):
    """What hits one of two controllers."""

    kinds = ("postgres",)

    def choose(self, draw):
        self.parts = [draw.choice(self.site.controllers)]


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


class Lasting:
    """The lease of the machines that were hit runs out."""

    seconds = LONG

    def choose(self, draw):
        super().choose(draw)
        self.loses = getattr(self, "hit", BOTH)


class Adopted:
    """A drone that comes back within its lease takes over what its predecessor ran."""

    seconds = AT_ONCE
    keeps = BOTH

    def choose(self, draw):
        super().choose(draw)
        self.keeps = BOTH


class ControllerKilled(Killed, OnControllers):
    """controller: kill -9, back at once"""

    seconds = AT_ONCE
    keeps = BOTH


class ControllerKilledLong(Lasting, Killed, OnControllers):
    """controller: kill -9, away for longer than the lease"""


class ControllerRestarted(Restarted, OnControllers):
    """controller: SIGTERM, back at once"""

    seconds = AT_ONCE
    keeps = BOTH


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


class ControllerKilledOften(KilledOften, OnControllers):
    """controller: kill -9, six times in a row"""

    seconds = AT_ONCE


class ControllerPaused(Paused, OnControllers):
    """controller: SIGSTOP for less than the lease"""

    keeps = BOTH


class ControllerPausedLong(Lasting, Paused, OnControllers):
    """controller: SIGSTOP for longer than the lease"""


class DroneKilled(Adopted, Killed, OnDrone):
    """drone: kill -9, back at once"""


class DroneKilledLong(Lasting, Killed, OnDrone):
    """drone: kill -9, away for longer than the lease"""


class DroneKilledOften(KilledOften, OnDrone):
    """drone: kill -9, six times in a row"""

    seconds = AT_ONCE


class DroneRestarted(Adopted, Restarted, OnDrone):
    """drone: SIGTERM, back at once"""


class DronePaused(Paused, OnDrone):
    """drone: SIGSTOP for less than the lease"""

    def choose(self, draw):
        super().choose(draw)
        self.keeps = BOTH


class DronePausedLong(Lasting, Paused, OnDrone):
    """drone: SIGSTOP for longer than the lease"""


class WardenKilled(Killed, OnDrone):
    """warden: kill -9"""

    roles = ("warden",)
    bound = 0.5  # every sandbox dies with it, and not only at its deadline
    seconds = (0.6, 1.5)

    def choose(self, draw):
        super().choose(draw)
        self.loses = self.hit


class WardenRestarted(Restarted, WardenKilled):
    """warden: SIGTERM"""


class WardenPaused(Paused, OnDrone):
    """warden: SIGSTOP for less than the lease"""

    roles = ("warden",)


class WardenPausedLong(Paused, OnDrone):
    """warden: SIGSTOP for longer than the lease"""

    roles = ("warden",)
    seconds = LONG


class MachineKilled(Lasting, Killed, OnDrone):
    """drone and warden: kill -9, away for longer than the lease"""

    roles = ("drone", "warden")
    bound = 0.5


class MachineKilledShort(Killed, OnDrone):
    """drone and warden: kill -9, back at once"""

    roles = ("drone", "warden")
    seconds = AT_ONCE


class MachinePaused(Paused, OnDrone):
    """drone and warden: SIGSTOP for less than the lease"""

    roles = ("drone", "warden")


class MachinePausedLong(Lasting, Paused, OnDrone):
    """drone and warden: SIGSTOP for longer than the lease"""

    roles = ("drone", "warden")


class WardenPausedDroneKilled(Lasting, OnDrone):
    """warden: SIGSTOP, and its drone kill -9, for longer than the lease"""

    roles = ("warden",)

    def inject(self):
        for drone in self.drones:
            drone.warden.pause()
            drone.drone.kill()

    def heal(self):
        for drone in self.drones:
            drone.warden.resume()
            drone.drone.start()


class LinkPulled(OnDrone):
    """link: no carrier for less than the lease"""

    def inject(self):
        for drone in self.drones:
            drone.wire.pull()

    def heal(self):
        for drone in self.drones:
            drone.wire.plug()


class LinkPulledLong(Lasting, LinkPulled):
    """link: no carrier for longer than the lease"""


class LinkSilent(OnDrone):
    """link: packets vanish for less than the lease"""

    direction = "both"
    port = None

    def inject(self):
        for drone in self.drones:
            drone.wire.drop(self.direction, self.port)

    def heal(self):
        for drone in self.drones:
            drone.wire.pass_again()


class LinkSilentLong(Lasting, LinkSilent):
    """link: packets vanish for longer than the lease"""


class LinkDeaf(Lasting, LinkSilent):
    """link: nothing reaches the drone any more"""

    direction = "in"


class LinkMute(Lasting, LinkSilent):
    """link: nothing the drone sends arrives any more"""

    direction = "out"


class LinkToOneController(LinkSilent):
    """link: packets to one of two controllers vanish"""

    kinds = ("postgres",)
    seconds = LONG

    def choose(self, draw):
        super().choose(draw)
        self.port = draw.choice(self.site.urls).rsplit(":", 1)[1]


class MachineReplaced(Lasting, Fault):
    """machine replaced under its name while cut off, stopped or killed"""

    def choose(self, draw):
        super().choose(draw)
        self.loses, self.keeps = ("one",), ("two",)
        self.machine, self.spare = self.site.drones[0], self.site.spare
        self.way = draw.choice(["cut off", "stopped", "killed"])

    def inject(self):
        parts = (self.machine.drone, self.machine.warden)
        if self.way == "cut off":
            self.machine.wire.pull()
        for part in parts:
            if self.way == "stopped":
                part.pause()
            elif self.way == "killed":
                part.kill()
        self.spare.wire.take_over(self.machine.wire.drone)
        self.spare.warden.start()
        self.spare.drone.start()

    def heal(self):
        self.spare.drone.stop()
        self.spare.warden.stop()
        self.spare.wire.give_back(self.machine.wire.drone)
        if self.way == "cut off":
            self.machine.wire.plug()
        for part in (self.machine.warden, self.machine.drone):
            part.resume()
            part.start()

    def __str__(self):
        return f"{title(type(self))} ({self.way})"


class DiskFilled(Fault):
    """disk full under SQLite"""

    kinds = ("sqlite",)

    def inject(self):
        try:
            with open(self.site.database / "filler", "wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def heal(self):
        (self.site.database / "filler").unlink()


class DiskFull(DiskFilled):
    """disk full under SQLite for longer than the lease"""

    keeps = BOTH
    seconds = LONG

    def inject(self):
        # A write-ahead log that has been long once is used again without growing; a stop makes it short.
        for part in self.site.controllers:
            part.stop()
            part.start()
        self.site.settle(RECOVERY)
        super().inject()
        refused = self.site.clients.refused_connects
        time.sleep(self.duration)
        if self.site.clients.refused_connects == refused:
            raise AssertionError("the disk was full, and every connect succeeded: nothing has been tried")


class ClockBack(OnControllers):
    """wall clock of the controllers set back, between two lives and within one"""

    keeps = BOTH
    seconds = (0.6, 1.2)

    def inject(self):
        self.site.shift.write_text("-3600")
        for part in self.parts:
            part.kill()
            part.environment = {"LD_PRELOAD": str(self.site.wall_clock), "WALL_CLOCK": str(self.site.shift)}
            part.start()
        time.sleep(self.duration)
        self.site.shift.write_text("-7200")

    def heal(self):
        for part in self.parts:
            part.kill()
            part.environment = {}
            part.start()


class OneControllerKilled(Killed, OnOneController):
    """one of two controllers: kill -9, back at once"""

    seconds = AT_ONCE
    keeps = BOTH


class OneControllerKilledLong(Killed, OnOneController):
    """one of two controllers: kill -9, away for longer than the lease"""

    seconds = LONG
    keeps = BOTH


class OneControllerPaused(Paused, OnOneController):
    """one of two controllers: SIGSTOP for less than the lease"""

    keeps = BOTH


class OneControllerPausedLong(Paused, OnOneController):
    """one of two controllers: SIGSTOP for longer than the lease"""

    seconds = LONG


class PostgresRestarted(Fault):
    """PostgreSQL: stopped as by pg_ctl -m immediate, back at once"""

    kinds = ("postgres",)
    seconds = AT_ONCE

    def inject(self):
        self.site.postgres.stop(signal.SIGQUIT)

    def heal(self):
        self.site.postgres.start()
        wait_until(self.site.postgres.is_ready, 20, "PostgreSQL ready")


class PostgresKilled(PostgresRestarted):
    """PostgreSQL: kill -9 of all its processes, back at once"""

    def inject(self):
        self.site.postgres.kill()


class PostgresSessionsCut(Fault):
    """PostgreSQL: every session of the controllers ended"""

    kinds = ("postgres",)
    keeps = BOTH
    seconds = AT_ONCE

    def inject(self):
        self.site.postgres.cut_sessions()


class PostgresAway(Lasting, PostgresRestarted):
    """PostgreSQL: away for longer than the lease"""


class PostgresPaused(Fault):
    """PostgreSQL: SIGSTOP for less than the lease"""

    kinds = ("postgres",)

    def inject(self):
        self.site.postgres.pause()

    def heal(self):
        self.site.postgres.resume()


class PostgresPausedLong(Lasting, PostgresPaused):
    """PostgreSQL: SIGSTOP for longer than the lease"""


CONTROLLER = [
    ControllerKilled, ControllerKilledLong, ControllerKilledOften, ControllerRestarted, ControllerPaused,
    ControllerPausedLong,
]
MACHINE = [
    DroneKilled, DroneKilledLong, DroneKilledOften, DroneRestarted, DronePaused, DronePausedLong, WardenKilled,
    WardenRestarted, WardenPaused, WardenPausedLong, WardenPausedDroneKilled, MachineKilled, MachineKilledShort,
    MachinePaused, MachinePausedLong,
]
LINK = [LinkPulled, LinkPulledLong, LinkSilent, LinkSilentLong, LinkDeaf, LinkMute]
ONE_CONTROLLER = [OneControllerKilled, OneControllerKilledLong, OneControllerPaused, OneControllerPausedLong]
POSTGRES = [
    PostgresRestarted, PostgresKilled, PostgresSessionsCut, PostgresAway, PostgresPaused, PostgresPausedLong,
]


class Several(Fault):
    """two or three of these at once"""

    seconds = AT_ONCE

    def choose(self, draw):
        groups = [CONTROLLER, MACHINE, LINK, [DiskFilled]] if self.site.kind == "sqlite" else [
            CONTROLLER + ONE_CONTROLLER, MACHINE, LINK, POSTGRES]
        # One of a group: what two of them break and heal would be the same.
        self.faults = [draw.choice(group)(self.site, draw) for group in draw.sample(groups, draw.choice([2, 3]))]
        self.gaps = [draw.uniform(0, 1) for _ in self.faults]

    def inject(self):
        ends = []
        for fault, gap in zip(self.faults, self.gaps):
            time.sleep(gap)
            fault.inject()
            ends.append((time.monotonic() + fault.duration, fault))
        for end, fault in sorted(ends, key=lambda item: item[0]):
            time.sleep(max(0, end - time.monotonic()))
            fault.heal()

    def __str__(self):
        return " and ".join(map(str, self.faults))


ALL = [
    Nothing, *CONTROLLER, *MACHINE, *LINK, MachineReplaced, DiskFull, ClockBack, *ONE_CONTROLLER, LinkToOneController, *POSTGRES, Several,
]


def title(fault):
    """Its docstring: how the table calls it."""
    return fault.__doc__.strip()


def name(fault):
    """How --fault calls it: DiskFull is disk-full."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in fault.__name__).lstrip("-")
