"""Faults of controllers, and of their clocks."""

import time

from fault import AT_ONCE, BOTH, LONG, Fault, Killed, KilledOften, Lasting, Paused, Restarted


class OnControllers(Fault):
    """What hits every controller."""

    @property
    def parts(self):
        return self.site.controllers


class ControllerKilled(Killed, OnControllers):
    """controller: kill -9, back at once"""

    seconds = AT_ONCE
    keeps = BOTH


class ControllerKilledLong(Lasting, Killed, OnControllers):
    """controller: kill -9, away for longer than the lease"""


class ControllerKilledOften(KilledOften, OnControllers):
    """controller: kill -9, six times in a row"""

    seconds = AT_ONCE


class ControllerRestarted(Restarted, OnControllers):
    """controller: SIGTERM, back at once"""

    seconds = AT_ONCE
    keeps = BOTH


class ControllerPaused(Paused, OnControllers):
    """controller: SIGSTOP for less than the lease"""

    keeps = BOTH


class ControllerPausedLong(Lasting, Paused, OnControllers):
    """controller: SIGSTOP for longer than the lease"""


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


class OnOneController(Fault):
    """What hits one of two controllers."""

    kinds = ("postgres",)

    def choose(self, draw):
        self.parts = [draw.choice(self.site.controllers)]


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


CONTROLLER = [
    ControllerKilled, ControllerKilledLong, ControllerKilledOften, ControllerRestarted, ControllerPaused,
    ControllerPausedLong,
]

ONE_CONTROLLER = [
    OneControllerKilled, OneControllerKilledLong, OneControllerPaused, OneControllerPausedLong
]
