"""Faults of the wire between a drone and its controllers."""

from fault import LONG, Lasting
from machine_faults import OnDrone


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


LINK = [
    LinkPulled, LinkPulledLong, LinkSilent, LinkSilentLong, LinkDeaf, LinkMute
]
