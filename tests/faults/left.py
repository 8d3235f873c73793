# SPDX-License-Identifier: MIT
"""What an agent leaves behind. How much it has says little: that is as many tokens, connections and series of metrics as were
wanted lately. So time is cut into epochs; what was allocated, or opened, in one of them and is still there when
nothing of that time has a use any more was left behind. A leak shows in all of them, what is kept for good in one or two.
"""
import os, pathlib, statistics, struct, subprocess, time

LIBRARY, EPOCHS = "/heap.so", 256
# Of a process: in an epoch, the median of all (20 s, 100 connections or more). A token for a new resource leaves a series
# of a metric, 350 bytes, until there are LIMIT_METRIC_SERIES: those have come before (ask_apart() of schedule.py).
BYTES = 3072
BYTES_IN_ALL = 65536  # a table that has grown meanwhile is left, and well
FILES = 1


class Heap:
    """Of a process that has heap.so before it."""

    def __init__(self, pid):
        self.pid = pid
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
        first = next(line for line in maps if line.endswith(LIBRARY))
        names = subprocess.run(["nm", "-D", first.split(maxsplit=5)[5]], capture_output=True, text=True, check=True).stdout
        self.at = int(first.split("-")[0], 16) + next(int(line.split()[0], 16) for line in names.splitlines() if line.endswith(" nmi_heap"))

    def begin(self, epoch):
        """What is allocated from now on is of this one."""
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as f:
            f.seek(self.at)
            f.write(struct.pack("=Q", epoch))

    def look(self):
        """Bytes of each epoch that are still there."""
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as f:
            f.seek(self.at + 8)
            return struct.unpack(f"={EPOCHS}Q", f.read(8 * EPOCHS))


class Left:
    def __init__(self, pids):
        self.heaps = {name: Heap(pid) for name, pid in pids.items()}
        self.begun = []  # when each epoch did
        self.had = {name: [] for name in pids}  # descriptors, at that time

    def files(self, pid):
        """A socket is known by its inode, anything else by its number too."""
        had = set()
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                to = os.readlink(f"/proc/{pid}/fd/{fd}")
            except FileNotFoundError:
                continue
            had.add(to if to.startswith("socket:") else f"{fd} {to}")
        return had

    def begin(self):
        try:
            for name, heap in self.heaps.items():
                heap.begin((len(self.begun) + 1) % EPOCHS)  # the first, 0, was what had been before
                self.had[name].append(self.files(heap.pid))
            self.begun.append(time.monotonic())
        except OSError:
            pass  # it has ended: somebody else tells that

    def look(self, old):
        """Of the epochs that were over so many seconds ago: bytes that are left, by process and epoch, and descriptors, by process."""
        over = sum(t <= time.monotonic() - old for t in self.begun) - 1
        if over < 5:
            return {}
        left = {"bytes": {}, "files": {}}
        for name, heap in self.heaps.items():
            left["bytes"][name] = heap.look()[1:over + 1]
            had = self.had[name]
            of_epochs = (had[over] - had[0]).intersection(*had[over + 1:], self.files(heap.pid))
            left["files"][name] = len(of_epochs)
        return left

    def found(self, figures):
        """Yields (what, how much) of each leak."""
        for name, each in figures.get("bytes", {}).items():
            middle = statistics.median(each)
            if middle > BYTES or sum(each) > BYTES_IN_ALL:
                yield "memory", f"{name} has left {middle:.0f} bytes in each epoch, {sum(each)} in all: {each}"
        for name, n in figures.get("files", {}).items():
            if n > FILES:
                yield "file descriptors", f"{name} has left {n}"
