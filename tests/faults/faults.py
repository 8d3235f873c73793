# SPDX-License-Identifier: MIT
"""What can go wrong around an agent, each with a start and an end: the rows of FAULTS.

`affects` says what may not be had meanwhile: "api", "imds" and "entra" are upstreams, "clock" is what needs the
right time, "agent" is anything of it. An empty one is not to be noticed by any pod.
"""
import asyncio, os, pathlib, re, signal, struct, subprocess

HERE = pathlib.Path(__file__).resolve().parent
AGENT = {"nmi", "nmi-redirector", "nmi-selftest"}  # its processes


def run(*args):
    return subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def born(pid):
    """When it started, or None when it is gone, or a zombie: pids come round again."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if stat[0] == "Z" else stat[19]


class Ground:
    """The box, as faults see it."""

    def __init__(self, asking, directory, program):
        self.asking, self.box, self.dir, self.nmi = asking, asking.box, pathlib.Path(directory), program
        self.disk = self.dir / "disk"
        self.n = 0
        self.adopt()

    # ---- the processes of the agent ----

    def pid(self, name):
        return int((self.dir / f"{name}.pid").read_text().split()[0])

    def adopt(self):
        """Whoever runs now is the agent."""
        self.agent = self.pid("nmi")
        self.family = {}

    def children(self, pid):
        return [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def look(self):
        """Its processes, by name; the first look at each agent that finds them all is what it is held to."""
        names = {"nmi": self.agent}
        try:
            for parent in self.children(self.agent):
                for pid in (parent, *self.children(parent)):
                    names.setdefault(pathlib.Path(f"/proc/{pid}/comm").read_text().strip(), pid)
        except OSError:
            pass
        return {name: (pid, born(pid)) for name, pid in names.items()}

    def is_there(self):
        return born(self.agent) is not None

    def crashed(self):
        now = self.look()
        if not self.family:
            self.family = now if AGENT <= set(now) else {}
            return "" if now["nmi"][1] else "nmi is gone"
        return ", ".join(f"{name} is gone" for name, who in self.family.items() if now.get(name) != who)

    def signal(self, pid, signo):
        try:
            os.kill(pid, signo)
        except ProcessLookupError:
            pass

    async def launch(self, name):
        p = await asyncio.create_subprocess_exec(HERE / "launch", self.box, name, stdin=subprocess.DEVNULL)
        await p.wait()

    # ---- the network ----

    def nft(self, ns, text):
        r = run("nsenter", f"--net=/run/netns/nmi-{self.box}-{ns}", "--", "nft", text)
        if r.returncode:
            raise RuntimeError(f"nft {text}: {r.stderr[:300]}")

    def cut(self, ns, port):
        """Connections to this port end with a reset."""
        run("nsenter", f"--net=/run/netns/nmi-{self.box}-{ns}", "--", "ss", "-K", "sport", "=", f":{port}", "src", self.address(ns))

    def address(self, ns):
        return {"api": "10.240.0.1", "imds": "169.254.169.254", "entra": "203.0.113.4"}[ns]

    def fill(self):
        """As much as the disk holds; nothing is left for one more byte."""
        with open(self.disk / "filler", "wb", buffering=0) as f:
            for size in (1 << 20, 4096, 1):
                try:
                    while f.write(b"\0" * size) == size:
                        pass
                except OSError:
                    pass

    def keep_logs(self):
        """As logrotate's copytruncate does: what was said is searched in the end."""
        self.n += 1
        for name in ("nmi.log", "audit.log"):
            path = self.disk / name
            if path.exists():
                (self.dir / "run" / "said" / f"{path.stem}.kept{self.n}").write_bytes(path.read_bytes())
                os.truncate(path, 0)


class Fault:
    affects, alone = (), False

    def __init__(self, ground):
        self.g = ground

    @property
    def name(self):
        return " ".join(re.findall("[A-Z][a-z]*", type(self).__name__)).lower()

    async def start(self):
        raise NotImplementedError

    async def end(self):
        raise NotImplementedError


# ---- the way to an upstream, and the process at its end ----

PORTS = {"api": 6443, "imds": 80, "entra": 443}
PROCESSES = {"api": "apiserver", "imds": "imds", "entra": "entra"}


class Way(Fault):
    upstream = None

    @property
    def affects(self):
        return (self.upstream,)

    @property
    def name(self):
        return f"{self.upstream}: {super().name}"


class Refuses(Way):
    async def start(self):
        port = PORTS[self.upstream]
        self.g.nft(self.upstream, f"""add table ip away; add chain ip away in {{ type filter hook input priority 0; }};
            add rule ip away in ip saddr 10.240.0.4 tcp dport {port} reject with tcp reset""")
        self.g.cut(self.upstream, port)

    async def end(self):
        self.g.nft(self.upstream, "delete table ip away")


class HalfOpen(Way):
    async def start(self):
        port = PORTS[self.upstream]
        self.g.nft(self.upstream, f"""add table ip lost; add chain ip lost in {{ type filter hook input priority 0; }};
            add chain ip lost out {{ type filter hook output priority 0; }};
            add rule ip lost in ip saddr 10.240.0.4 tcp dport {port} drop;
            add rule ip lost out ip daddr 10.240.0.4 tcp sport {port} drop""")

    async def end(self):
        self.g.nft(self.upstream, "delete table ip lost")


class Frozen(Way):
    async def start(self):
        self.g.signal(self.g.pid(PROCESSES[self.upstream]), signal.SIGSTOP)

    async def end(self):
        self.g.signal(self.g.pid(PROCESSES[self.upstream]), signal.SIGCONT)


class Repeated(Way):
    """Something that is done again and again."""
    every = 0.5

    async def start(self):
        self.task = asyncio.create_task(self.go_on())

    async def go_on(self):
        while True:
            await self.once()
            await asyncio.sleep(self.every)

    async def end(self):
        self.task.cancel()


class Slow(Repeated):
    """It gets a tenth of the time."""
    every = 0.05

    async def once(self):
        pid = self.g.pid(PROCESSES[self.upstream])
        self.g.signal(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(0.45)
        finally:
            self.g.signal(pid, signal.SIGCONT)


class Resets(Repeated):
    """In the midst of what it answers, or of a watch."""
    every = 0.2

    async def once(self):
        self.g.cut(self.upstream, PORTS[self.upstream])


# ---- what an upstream says ----

class ApiGarbage(Way):
    upstream, name = "api", "api: garbage"
    kinds = ("invalid", "binary", "wrong-types", "truncated", "empty", "error-event")
    turn = 0

    async def start(self):
        kind = self.kinds[ApiGarbage.turn % len(self.kinds)]
        ApiGarbage.turn += 1
        pki = self.g.dir / "pki"
        self.proc = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/nmi-{self.g.box}-api", "--", "/usr/bin/python3", HERE.parent / "e2e" / "badapi.py",
             "10.240.0.1", "6444", pki / "server.crt", pki / "server.key", kind],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await asyncio.sleep(0.3)
        self.g.nft("api", """add table ip garbage; add chain ip garbage pre { type nat hook prerouting priority -100; };
            add rule ip garbage pre ip saddr 10.240.0.4 tcp dport 6443 redirect to :6444""")
        self.g.cut("api", 6443)

    async def end(self):
        self.g.nft("api", "delete table ip garbage")
        self.proc.kill()
        self.proc.wait()


class ApiErrors(Way):
    upstream, name = "api", "api: errors"

    async def start(self):
        await self.g.asking.fault("fail?status=500&count=1000000")
        self.g.cut("api", 6443)

    async def end(self):
        await self.g.asking.fault("fail?status=500&count=0")


class Imds(Way):
    upstream, args = "imds", ()

    async def start(self):
        await self.g.asking.cluster("imds-ctl", *self.args)

    async def end(self):
        await self.g.asking.cluster("imds-ctl", "clear")


class Entra(Way):
    upstream, args = "entra", ()

    async def start(self):
        await self.g.asking.cluster("entra-ctl", "behave", *self.args, "times=0")

    async def end(self):
        await self.g.asking.cluster("entra-ctl", "clear")
        await self.g.asking.cluster("entra-ctl", "lifetime", f"seconds={self.g.asking.lifetime}")


def said(kind, name, *args):
    """A fault of a stand-in's own, by what it is ordered to do."""
    return type(name, (kind,), {"args": args, "name": f"{kind.upstream}: {name}"})


# ---- around the agent ----

class NamesAreGone(Fault):
    affects, name = ("entra",), "DNS: names are not known"

    async def start(self):
        path = self.g.dir / "entra" / "hosts"  # the very file, which the agent has for its /etc/hosts
        self.was = path.read_text()
        path.write_text("127.0.0.1 localhost\n")

    async def end(self):
        (self.g.dir / "entra" / "hosts").write_text(self.was)


class NamesAreNotAnswered(NamesAreGone):
    name = "DNS: no answer"

    async def start(self):
        self.g.nft("node", """add table ip dns; add chain ip dns out { type filter hook output priority 0; };
            add rule ip dns out udp dport 53 drop""")
        await super().start()

    async def end(self):
        await super().end()
        self.g.nft("node", "delete table ip dns")


class DiskFull(Fault):
    name = "disk full"

    async def start(self):
        self.g.fill()

    async def end(self):
        (self.g.disk / "filler").unlink()
        self.g.keep_logs()


class FewFiles(Fault):
    affects, name = ("agent",), "no more file descriptors"

    async def start(self):
        self.pid, self.was = self.g.agent, ""
        try:
            n = len(os.listdir(f"/proc/{self.pid}/fd"))
        except FileNotFoundError:
            return  # another fault has killed it
        self.was = run("prlimit", "--pid", str(self.pid), "--nofile", "--noheadings", "--output=SOFT").stdout.strip()
        run("prlimit", "--pid", str(self.pid), f"--nofile={n}:")

    async def end(self):
        if self.was and born(self.pid):
            run("prlimit", "--pid", str(self.pid), f"--nofile={self.was}:")


class Clock(Fault):
    by = 0

    async def start(self):
        self.set(self.by)

    async def end(self):
        self.set(0)

    def set(self, seconds):
        with open(self.g.dir / "clock", "r+b") as f:  # it is mapped: never shorter, not for a moment
            f.write(struct.pack("q", seconds))


class ClockForward(Clock):
    affects, by, name = ("agent",), 3600, "clock an hour forward"  # every token is expired for whoever believes it


class ClockBack(Clock):
    # the certificate of the sandbox's API server is younger than that, and so are assertions to Entra
    affects, by, name = ("api", "entra", "clock"), -3600, "clock an hour back"


class Stopped(Fault):
    process = None

    @property
    def name(self):
        return f"{self.process} stopped"

    async def start(self):
        self.pid, self.born = self.g.look().get(self.process, (None, None))
        if self.born:
            self.g.signal(self.pid, signal.SIGSTOP)

    async def end(self):
        if self.born and born(self.pid) == self.born:
            self.g.signal(self.pid, signal.SIGCONT)


class NmiStopped(Stopped):
    process, affects = "nmi", ("agent",)


class RedirectorStopped(Stopped):
    process = "nmi-redirector"


class TesterStopped(Stopped):
    process = "nmi-selftest"


class RulesFlushed(Fault):
    name = "rules flushed"

    async def start(self):
        run("nsenter", f"--net=/run/netns/nmi-{self.g.box}-node", "--", "nft", "flush", "ruleset")

    async def end(self):
        pass


class Killed(Fault):
    affects, kills, process = ("agent",), True, "nmi"

    @property
    def name(self):
        return f"{self.process} killed"

    async def start(self):
        pid, _ = self.g.look().get(self.process, (None, None))
        nmi, self.g.agent = self.g.agent, None  # nobody is missed until the next one
        self.g.signal(pid or nmi, signal.SIGKILL)
        for _ in range(500):
            if not born(nmi):
                break
            await asyncio.sleep(0.01)
        else:
            raise RuntimeError(f"{self.process} was killed, and nmi goes on")

    async def end(self):
        await self.g.launch("nmi")
        self.g.adopt()


class RedirectorKilled(Killed):
    process = "nmi-redirector"


class Upgraded(Fault):
    """The next one beside it, from the start; once that is ready, the old one is told to stop."""
    kills, alone, name = True, True, "upgraded"

    async def start(self):
        self.old = self.g.agent
        await self.g.launch("nmi-next")
        pid = self.g.pid("nmi-next")
        for _ in range(100):
            # from where it is, as the kubelet does
            if run("nsenter", "--mount", "--target", str(pid), "--", self.g.nmi, "probe", "ready", str(pid),
                   f"--run-directory={self.g.disk / 'nmi'}").returncode == 0:
                break
            await asyncio.sleep(0.1)
        else:
            raise RuntimeError("the next agent does not get ready")
        self.g.agent = None
        self.g.signal(self.old, signal.SIGTERM)
        (self.g.dir / "nmi-next.pid").rename(self.g.dir / "nmi.pid")
        self.g.adopt()

    async def end(self):
        for _ in range(300):
            if not born(self.old):
                return
            await asyncio.sleep(0.1)
        raise RuntimeError("the old agent does not end")


def of_way(kind, upstream):
    return type(kind.__name__, (kind,), {"upstream": upstream})


FAULTS = [
    *(of_way(kind, u) for u in PORTS for kind in (Refuses, HalfOpen, Frozen, Slow, Resets)),
    ApiGarbage, ApiErrors,
    said(Imds, "garbage", "fault", "area=token", "kind=garbage"),
    said(Imds, "cut answers", "fault", "area=token", "kind=truncated"),
    said(Imds, "errors", "fault", "area=token", "status=500"),
    said(Imds, "being updated", "fault", "area=token", "status=410"),
    said(Imds, "slow answers", "latency", "area=token", "msec=1500"),
    said(Entra, "garbage", "do=garbage"),
    said(Entra, "cut answers", "do=cut"),
    said(Entra, "errors", "do=status", "code=503"),
    said(Imds, "no answers", "fault", "area=token", "kind=hang"),
    said(Entra, "no answers", "do=hang"),
    said(Entra, "slow answers", "do=slow", "msec=1500"),
    NamesAreGone, NamesAreNotAnswered, DiskFull, FewFiles, ClockForward, ClockBack,
    NmiStopped, RedirectorStopped, TesterStopped, RulesFlushed, Killed, RedirectorKilled, Upgraded,
]
