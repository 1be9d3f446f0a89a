"""All faults, and several at once."""

import time

from controller_faults import CONTROLLER, ONE_CONTROLLER, ClockBack
from fault import AT_ONCE, Fault, Nothing
from link_faults import LINK, LinkToOneController
from machine_faults import MACHINE, MachineReplaced
from store_faults import POSTGRES, DiskFilled, DiskFull


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
    Nothing, *CONTROLLER, ClockBack, *MACHINE, MachineReplaced, *LINK, DiskFull, *ONE_CONTROLLER, LinkToOneController,
    *POSTGRES, Several,
]
