"""Faults of drones and wardens."""

from fault import AT_ONCE, BOTH, LONG, Fault, Killed, KilledOften, Lasting, Paused, Restarted, title


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


class Adopted:
    """A drone that comes back within its lease takes over what its predecessor ran."""

    seconds = AT_ONCE
    keeps = BOTH

    def choose(self, draw):
        super().choose(draw)
        self.keeps = BOTH


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


MACHINE = [
    DroneKilled, DroneKilledLong, DroneKilledOften, DroneRestarted, DronePaused, DronePausedLong, WardenKilled,
    WardenRestarted, WardenPaused, WardenPausedLong, WardenPausedDroneKilled, MachineKilled, MachineKilledShort,
    MachinePaused, MachinePausedLong,
]
