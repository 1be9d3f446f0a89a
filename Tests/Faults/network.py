"""A network for each drone: a namespace, and one wire to the host's, which the suite can cut."""

import os
import pathlib
import re
import subprocess


def run(*words, text=None):
    done = subprocess.run(words, input=text, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Wire:
    """A network namespace with one wire to the host; `host` and `drone` are the addresses of its two ends.

    The host's end is never given a route to anywhere, and nothing is forwarded.
    """

    def __init__(self, site_number, index):
        self.namespace = f"plane-faults-{os.getpid()}-{site_number}-{index}"
        self.ends = f"pf{site_number}h{index}", f"pf{site_number}d{index}"
        subnet = f"10.213.{site_number}"
        self.host, self.drone = f"{subnet}.{4 * index + 1}", f"{subnet}.{4 * index + 2}"

    def make(self):
        near, far = self.ends
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", self.namespace)
        run("ip", "addr", "add", f"{self.host}/30", "dev", near)
        run("ip", "link", "set", near, "up")
        run("ip", "-n", self.namespace, "addr", "add", f"{self.drone}/30", "dev", far)
        for name in (far, "lo"):
            run("ip", "-n", self.namespace, "link", "set", name, "up")

    def remove(self):
        run("ip", "netns", "del", self.namespace)  # its end of the wire goes with it, and so the other one

    def pull(self):
        """No carrier: both sides see it, and new connections fail at once."""
        run("ip", "link", "set", self.ends[0], "down")

    def plug(self):
        run("ip", "link", "set", self.ends[0], "up")

    def drop(self, direction, port=None):
        """Every packet vanishes, and nobody is told. - direction: "in" or "out", as the drone sees it, or "both"."""
        hooks = {"in": ("input",), "out": ("output",), "both": ("input", "output")}[direction]
        rules = ""
        for hook in hooks:
            side, place = ("iifname", "sport") if hook == "input" else ("oifname", "dport")
            only = f"tcp {place} {port} " if port else ""
            rules += f"chain {hook} {{ type filter hook {hook} priority 0; {side} {self.ends[1]} {only}drop; }}\n"
        run("ip", "netns", "exec", self.namespace, "nft", "-f", "-", text=f"table inet fault {{\n{rules}}}\n")

    def pass_again(self):
        run("ip", "netns", "exec", self.namespace, "nft", "delete", "table", "inet", "fault")


    def take_over(self, address):
        """Leads an address of another wire here, and so does the drone's end believe."""
        near, far = self.ends
        run("ip", "-n", self.namespace, "addr", "replace", f"{address}/32", "dev", far)
        run("ip", "route", "replace", f"{address}/32", "dev", near, "src", self.host)

    def give_back(self, address):
        near, far = self.ends
        run("ip", "route", "del", f"{address}/32", "dev", near)
        run("ip", "-n", self.namespace, "addr", "del", f"{address}/32", "dev", far)


def remove_abandoned():
    """Networks of a suite that was killed."""
    for line in run("ip", "netns", "list").splitlines():
        found = re.match(r"plane-faults-(\d+)-\d+-\d+", line)
        if found and not pathlib.Path(f"/proc/{found[1]}").exists():
            run("ip", "netns", "del", found[0])
