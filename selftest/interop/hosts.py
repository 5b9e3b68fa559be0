#  hosts.py - a second host for tests: a network namespace of its own, and a link that can be cut
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Nothing has a name: namespaces and links are gone with the processes that hold them, however they end.

import os
import shutil
import subprocess
import sys

from device import spawn, wait_until

os.environ["PATH"] += ":/usr/sbin:/sbin"
INSIDE = "ZSPOOL_TEST_NETWORK"
NEAR, FAR = "10.77.0.1", "10.77.0.2"


def enter_own_network():
    """Run the script in a network of its own, where nothing of the machine's is seen; ends it when that cannot be."""
    if os.environ.get(INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    tools = [tool for tool in ("ip", "unshare", "nsenter") if not shutil.which(tool)]
    if tools:
        print(f"there is no {tools[0]}")
        sys.exit(77)
    made = subprocess.run(["unshare", "-n", "ip", "link", "add", "near", "type", "veth", "peer", "name", "far"],
                          check=False, capture_output=True, text=True)
    if made.returncode:
        print(f"no network namespaces can be made here: {made.stderr.strip()}")
        sys.exit(77)
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])


class FarHost:
    """Another host at the address FAR; this one is NEAR."""

    count = 0

    def __init__(self):
        holder = spawn("unshare", "-n", "sleep", "3600")
        self.enter = ["nsenter", "-t", str(holder.pid), "-n"]
        network = f"/proc/{holder.pid}/ns/net"
        wait_until(lambda: os.readlink(network) != os.readlink("/proc/self/ns/net"), "the far host is there")
        FarHost.count += 1
        self.near = f"near{FarHost.count}"
        self._ip("link", "add", self.near, "type", "veth", "peer", "name", "far", "netns", str(holder.pid))
        self._ip("addr", "add", f"{NEAR}/24", "dev", self.near)
        self._ip("link", "set", self.near, "up")
        self._far_ip("addr", "add", f"{FAR}/24", "dev", "far")
        self._far_ip("link", "set", "lo", "up")
        self._far_ip("link", "set", "far", "up")

    def _ip(self, *arguments, enter=()):
        subprocess.run([*enter, "ip", *arguments], check=True)

    def _far_ip(self, *arguments):
        self._ip(*arguments, enter=self.enter)

    def cut(self, at_far_end=True):
        """The cable is out: who is connected hears nothing of it."""
        if at_far_end:
            self._far_ip("link", "set", "far", "down")
        else:
            self._ip("link", "set", self.near, "down")

    def restore(self):
        self._far_ip("link", "set", "far", "up")
        self._ip("link", "set", self.near, "up")
