#  small_disk.py - what tests on disks that fill share: mounting one, filling it, telling when it is full
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Needs root. A script calls in_own_namespace () before it runs its tests, so that no mount is left.

import os
import shutil
import subprocess
import sys

from device import *

UNSHARED = "ZSPOOL_TEST_UNSHARED"
DISK_MIB = 96       #  64 MiB at a time are reserved by the device
PADDING = b"x" * 8000


def in_own_namespace():
    """Run the script again in a mount namespace of its own; skip it where that cannot be."""
    if UNSHARED in os.environ:
        return
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("mkfs.ext4"):
        print("needs root, unshare and mkfs.ext4")
        sys.exit(77)
    if subprocess.run(["unshare", "--mount", "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        print("may not mount anything here")
        sys.exit(77)
    os.environ[UNSHARED] = "1"
    os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


def small_disk(mib=DISK_MIB, kind="ext4"):
    """Mount a file system of this size on ./disk: ext4; ext2, which knows no fallocate (); or tmpfs."""
    os.mkdir("disk")
    commands = [["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", "disk"]]
    if kind != "tmpfs":
        with open("image", "wb") as image:
            image.truncate(mib << 20)
        commands = [[f"mkfs.{kind}", "-q", "-F", "-m", "0", "image"],
                    ["mount", "-o", "loop", "image", "disk"]]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skip(f"{command[0]}: {done.stderr.strip()}")


def is_full(device):
    """Whether that is what it said last."""
    return device.log().rfind("no space") > device.log().rfind("space again")


def fill_up(device, target, first=0):
    """Send until the producer is held and the device says why; give the number that was refused."""
    number, taken_s = first, time.monotonic()
    target.sndtimeo = 700
    while True:
        try:
            target.send_multipart([PADDING, b"%d" % number])
            number, taken_s = number + 1, time.monotonic()
            assert number - first < DISK_MIB * 200, "the disk does not get full"
        except zmq.Again:
            #  A busy machine may hold it up, too.
            if is_full(device):
                target.sndtimeo = WAIT_S * 1000
                return number
            assert time.monotonic() - taken_s < WAIT_S, "it takes no more, and does not say why"
