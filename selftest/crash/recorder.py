#  recorder.py - records what a device writes and syncs; makes disks as a power cut leaves them
#
#  SPDX-License-Identifier: MPL-2.0

import os
import shutil
import subprocess

from device import Skip

SOURCES = ["preload.c", "interpose.c", "interpose_names.c", "watched.c", "fault.c", "recording.c"]
HERE = os.path.dirname(os.path.abspath(__file__))
#  In the order of fault_plant_t
PLANTS = ["nothing", "sync left out", "dsync left out", "directory sync left out",
          "meta before data"]


def selftest():
    """The program that makes the disks."""
    program = os.environ.get("ZSPOOL_SELFTEST")
    if not program:
        build = os.environ.get("ZSPOOL_BUILDDIR") or os.path.join(HERE, "..", "..", "build")
        program = os.path.join(build, "selftest", "zspool_selftest")
    if not os.access(program, os.X_OK):
        raise Skip("zspool_selftest is not built")
    return program


def library():
    """The library to preload, compiled once in each directory."""
    name = os.path.abspath("recorder.so")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise Skip("there is no C compiler")
    if not os.path.exists(name):
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-D_GNU_SOURCE",
                        "-I", os.path.join(HERE, ".."), "-o", name,
                        *[os.path.join(HERE, source) for source in SOURCES], "-ldl"], check=True)
    return name


class Recorder:
    """Give its environment to a Device that has the store in the current directory."""

    def __init__(self, store="store", sends=False, plant="nothing", slow_sync_us=0, fail=""):
        self.store = os.path.abspath(store)
        self.file = os.path.abspath("recording")
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {"LD_PRELOAD": library(), "RECORD_FILE": self.file,
                            "RECORD_DIRECTORY": self.store,
                            "RECORD_PLANT": str(PLANTS.index(plant)),
                            "RECORD_SLOW_SYNC_US": str(slow_sync_us),
                            "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0"}
        if fail:
            self.environment["RECORD_FAIL"] = fail
        if sends:
            self.environment["RECORD_SENDS"] = "1"

    def _run(self, *arguments):
        return subprocess.run([selftest(), "--power-cut", *map(str, arguments)], check=False,
                              capture_output=True, text=True)

    def cut(self, seed):
        """The device is dead: let its store become what a power cut leaves; record anew."""
        made = self.store + ".cut"
        shutil.rmtree(made, ignore_errors=True)
        done = self._run("make", self.file, self.store, made, seed)
        assert done.returncode == 0, done
        shutil.rmtree(self.store, ignore_errors=True)
        if os.path.exists(made):
            os.rename(made, self.store)
        os.remove(self.file)

    def check_forwarded(self, seed, disks):
        """Check every disk that cuts may have left; give the exit status and what was said."""
        done = self._run("forwarded", self.file, self.store, seed, disks)
        lines = (done.stdout + done.stderr).splitlines()
        return done.returncode, "\n".join(lines[-3:])
