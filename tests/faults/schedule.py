#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Faults, singly and two at a time, around an agent whose pods ask all the while.

	schedule.py --box NAME --directory DIR --nmi PROGRAM --seconds N --report FILE [--seed N] [--each] [--plant]

The box is laid out by random.sh and each.sh. All the time: a pod gets a token of its own identity and resource,
signed by its issuer and still good, or none; who has no identity gets none; each process lives on, but for those
that a fault ends; and what a fault does not concern (`affects` in faults.py) goes on as if there were none. What it
does concern is as ever RECOVERY seconds after its end at the latest: every request that was under way is
answered, every pod is served, a change at the API server is seen. In the end: nothing of a pod has reached IMDS,
and of what was allocated or opened while pods asked, nothing is left when it has no use any more (left.py).

What is drawn follows from the seed. --each: every fault once, for a few seconds. --plant: breaks each
promise once, for planted.sh. The report is JSON, with all that was not as it must be in "wrong".
"""
import argparse, asyncio, base64, collections, json, os, pathlib, random, re, resource, sys, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "sandbox"), str(HERE.parent / "soak")]
import jose
from asking import BILLING, IDS, KUBELET, REFUSED, SHOP, SYSTEM, TOKEN, Asking, Pod
from cryptography.hazmat.primitives.asymmetric import rsa
from faults import AGENT, FAULTS, PORTS, Ground
from left import Left

RECOVERY = 5.0
SLACK = 0.5  # this process, and the machine, have other things to do
PATIENCE = 30
LAST = (3, 10)  # seconds of a fault
REST = (6, 9)  # from the end of one to the next
PAIRS = 0.5  # of the draws
KILLS_UNTIL = 0.4  # of the time: afterwards the process stays, so that what it leaves can be told
CACHED_EVERY, FRESH_EVERY, LOOK_EVERY = 0.15, 2.5, 1.0
UUID = re.compile(r"[0-9a-f-]{36}")  # of an application
OWN = "vault.azure.net"
EPOCH = 20.0  # seconds: what is left is told by such stretches
OLD = 210  # seconds after it, nothing has a use: a token has one until its last minute, and comes half a minute after it was asked for
SERIES = 45  # by six pods more than nmi keeps apart in a metric (LIMIT_METRIC_SERIES)
IDLE = 60  # seconds of nothing in the end, so that there are enough epochs that are as old as that
UPSTREAM = {"web": {"imds"}, "billing": {"imds"}, "addon": {"imds"}, "sp": {"api", "entra"},
            "cert": {"api", "entra", "clock"}, "fed": {"api", "entra"}}


class Window:
    """A fault, as requests see it: from before its start to when it was over."""

    def __init__(self, fault):
        self.fault, self.name, self.affects = fault, fault.name, set(fault.affects)
        self.start, self.end, self.late = time.monotonic(), None, 0.0

    def touches(self, start, end):
        return self.start < end and (self.end is None or start < self.end + RECOVERY)


class Schedule(Asking):
    lifetime = 240  # of tokens: used for half of it, renewed half a minute before, so that no fault outlasts one

    def __init__(self):
        super().__init__(args.box)
        self.random = random.Random(args.seed)
        self.n, self.wrong, self.windows = collections.Counter(), [], []
        self.pods, self.recovered = {}, collections.defaultdict(float)
        self.keys, self.verified = [], set()
        self.changing = asyncio.Lock()
        self.ground = Ground(self, args.directory, args.nmi)
        self.next_fault, self.deck = 0, []

    # ---- what must hold ----

    def is_wrong(self, what, of, got):
        self.n["wrong"] += 1
        if len(self.wrong) < 60:
            now = time.monotonic()
            near = [f"{w.name} ({now - w.start:.1f} s ago" + (f", over for {now - w.end:.1f} s)" if w.end else ")")
                    for w in self.windows if w.end is None or now - w.end < 20]
            self.wrong.append({"at": time.strftime("%H:%M:%S"), "what": what, "of": of, "got": got, "near": near})
            print(f"# wrong: {what}: {of}: {got}; {', '.join(near)}", flush=True)

    def check(self, token, claims, request):
        """A token that does not come from its issuer, or is for something else."""
        resource = request.split(b"resource=", 1)[1].split(b" ", 1)[0].decode()
        if claims["aud"] != resource:
            return f"a token for {claims['aud']}"
        if token not in self.verified:
            if not any(jose.Jwt(token).is_signed_by(k) for k in self.keys):
                return "a token with a false signature"
            if len(self.verified) > 5000:
                self.verified.clear()
            self.verified.add(token)
        return None

    def excuse(self, needs, start, end):
        """The windows that concern such a request at this time."""
        return [w for w in self.windows if w.affects & (needs | {"agent"}) and w.touches(start, end)]

    async def ask(self, pod, resource, needs, keep=False):
        """True if it was answered as it must be. What is no answer may have an excuse; a wrong one has none."""
        start, excused = time.monotonic(), ()
        self.n["asked"] += 1
        pod.busy += 1
        try:
            got = await asyncio.wait_for(self.asked(pod, self.request(pod, TOKEN + resource), keep), PATIENCE)
        except asyncio.TimeoutError:
            got = "nothing in time"
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
            got = f"no answer: {type(e).__name__} {e}"
        finally:
            pod.busy -= 1  # a probe that is given up too
        end = time.monotonic()
        good = got in pod.expects
        if got.startswith(("an expired", "a token", "no token")) or UUID.fullmatch(got) and not good:
            self.is_wrong("a wrong token", f"{pod.name}, {resource}", got)
            return False
        excused = self.excuse(needs, start, end)
        if not good and not excused:
            self.is_wrong("not served", f"{pod.name}, {resource}, after {end - start:.1f} s", got)
        elif excused and all(w.end for w in excused):
            late = end - max(start, *(w.end for w in excused))
            if late > RECOVERY + SLACK and end - start > late:
                self.is_wrong("kept waiting after the end", f"{pod.name}, {resource}, {end - start:.1f} s in all, {late:.1f} s of it after the fault",
                              got)
        self.n["good" if good else "excused" if excused else "bad"] += 1
        return good

    # ---- the pods ----

    def furnish(self):
        for name, expects in (("web", SHOP), ("billing", BILLING), ("plain", REFUSED), ("addon", SYSTEM),
                              ("flip", SHOP), ("sp", args.sp), ("cert", args.cert), ("fed", args.fed)):
            self.pods[name] = Pod(name, expects, f"nmi-{args.box}-pod-{name}")
        for k in json.loads((self.ground.dir / "jwks").read_text())["keys"]:
            number = lambda text: int.from_bytes(base64.urlsafe_b64decode(text + "=="), "big")
            self.keys.append(rsa.RSAPublicNumbers(number(k["e"]), number(k["n"])).public_key())

    async def ask_for_cached(self):
        """What is in the cache, at a steady rate; who waits does not hold the others up."""
        tasks, due = set(), time.monotonic()
        names = ["web", "billing", "sp", "cert", "fed", "addon", "plain"]
        while due < self.until:
            await asyncio.sleep(max(0, due - time.monotonic()))
            due = max(due + CACHED_EVERY, time.monotonic() - 1)
            pod = self.pods[self.random.choice(names)]
            if pod.busy < 6:
                task = asyncio.create_task(self.ask(pod, OWN, set(), keep=self.random.random() < 0.5))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def ask_for_new(self, name):
        """What only the upstream has: one thing after the other, each until it is had."""
        while time.monotonic() < self.until:
            if await self.ask(self.pods[name], f"new-{name}-{self.n['new ' + name]}.example.com", UPSTREAM[name]):
                self.n["new " + name] += 1
            await asyncio.sleep(FRESH_EVERY * (0.8 + 0.4 * self.random.random()))

    async def serve_again(self, window):
        """From the end of a fault: how long until every pod is served, and a change is seen."""
        took = {}

        async def until_served(name, pod):
            n = self.n["probes"] = self.n["probes"] + 1
            needs = UPSTREAM.get(name, set())
            while not await self.ask(pod, f"after-{n}.example.com" if window.affects & (needs | {"agent"}) else OWN, needs):
                await asyncio.sleep(0.3)
            took[name] = time.monotonic() - window.end

        async def until_seen():
            async with self.changing:
                await see_a_change()

        async def see_a_change():
            pod = self.pods["flip"]
            name, client = ("kubelet", KUBELET) if pod.expects == {SHOP} else ("shop", SHOP)
            pod.expects = pod.expects | {client}
            while True:
                try:
                    await self.cluster("identity", "shop", "flip", client, f"{IDS}/{name}")
                    break
                except RuntimeError:
                    if not any("api" in w.affects and w.end is None for w in self.windows):
                        raise
            changed = time.monotonic()
            while True:
                try:
                    got = await asyncio.wait_for(self.asked(pod, self.request(pod, TOKEN + OWN), False), PATIENCE)
                except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError) as e:
                    got = repr(e)
                if got == client:
                    break
                await asyncio.sleep(0.2)
            pod.expects = {client}
            took["a change"] = time.monotonic() - changed

        waits = [until_served(name, pod) for name, pod in self.pods.items() if name not in ("plain", "flip", "addon")]
        if window.affects & {"api", "agent"}:
            waits.append(until_seen())
        await asyncio.gather(*waits)
        # with another one at the same time, it is that one's end that counts
        others = [w for w in self.windows if w is not window and w.affects and (w.end is None or w.end > window.end)]
        if not others:
            last = max(took, key=took.get)
            self.recovered[window.name] = max(self.recovered[window.name], took[last])
            if took[last] > RECOVERY + SLACK:
                self.is_wrong("slow recovery", window.name, f"{took[last]:.1f} s until all was as before, {last} being the last")

    # ---- faults ----

    def draw(self, until_kills):
        """All of them in some order before one comes again."""
        for _ in range(2):
            for i, kind in enumerate(self.deck):
                if until_kills or not getattr(kind, "kills", False):
                    return self.deck.pop(i)
            fresh = list(FAULTS)
            self.random.shuffle(fresh)
            self.deck += fresh
        raise AssertionError("no fault is left")

    async def have(self, kind, seconds, delay=0.0):
        await asyncio.sleep(delay)
        fault = kind(self.ground)
        window = Window(fault)
        if window.affects or not fault.alone:
            self.windows.append(window)
        print(f"# {time.strftime('%H:%M:%S')} {window.name}, {seconds:.1f} s", flush=True)
        self.n["faults"] += 1
        for step in (fault.start, lambda: asyncio.sleep(seconds), fault.end):
            try:
                await step()
            except Exception as e:
                self.is_wrong("the test itself", window.name, repr(e))
        window.end = time.monotonic()
        return window, asyncio.create_task(self.serve_again(window))

    async def faults(self, kills, end):
        while True:
            now = time.monotonic()
            kinds = [self.draw(kills)]
            if self.random.random() < PAIRS and not kinds[0].alone:
                other = self.draw(kills)
                if other.alone or getattr(other, "upstream", 1) == getattr(kinds[0], "upstream", 2) or \
                        kinds[0].__mro__[-3] is other.__mro__[-3] and not hasattr(other, "upstream"):
                    self.deck.insert(0, other)  # two of a kind cannot be told apart, or undo each other
                else:
                    kinds.append(other)
            times = [self.random.uniform(*LAST) for _ in kinds]
            delay = self.random.uniform(0, times[0])
            if now + max(times) + delay + RECOVERY + REST[1] > end:
                return
            await self.together(zip(kinds, times, (0.0, delay)))
            await asyncio.sleep(self.random.uniform(*REST) - RECOVERY)

    async def together(self, draws):
        had = await asyncio.gather(*(self.have(*d) for d in draws))
        self.n["pairs"] += len(had) > 1
        await asyncio.sleep(1 if args.each else RECOVERY)
        await asyncio.wait([probe for _, probe in had], timeout=PATIENCE)
        for window, probe in had:
            if not probe.done():
                self.is_wrong("no recovery", window.name, f"not within {RECOVERY + PATIENCE} s")
                probe.cancel()
            elif probe.exception():
                self.is_wrong("the test itself", window.name, repr(probe.exception()))

    async def each(self):
        for kind in FAULTS:
            if re.search(args.only, kind(self.ground).name):
                await self.together([(kind, args.each_seconds)])
            await asyncio.sleep(0.5)

    # ---- what is looked at from outside ----

    async def look(self):
        while time.monotonic() < self.until:
            if self.ground.agent:
                gone = self.ground.crashed()
                if gone:
                    await asyncio.sleep(0.1)  # it may be a fault that begins
                    if self.ground.agent and self.ground.crashed():
                        self.is_wrong("a crash", gone, f"of agent {self.ground.agent}")
                        if not self.ground.is_there():
                            await self.ground.launch("nmi")
                        self.ground.adopt()
            await asyncio.sleep(LOOK_EVERY)

    async def rest(self):
        """Nobody asks, nobody is connected."""
        for pod in self.pods.values():
            while pod.busy:
                await asyncio.sleep(0.1)
            if pod.kept:
                pod.kept[1].close()
                pod.kept = None
        await asyncio.sleep(3)

    async def ask_plainly(self, requests, what):
        """In vain: `plain` has no identity."""
        plain = self.pods["plain"]
        for n in range(requests):
            await self.asked(plain, self.request(plain, f"{TOKEN}{what}{n}.example.com"), False)

    async def ask_apart(self):
        """For so many resources that no more series of metrics come, which are kept for good."""
        async def of(name):
            for n in range(SERIES):
                await self.ask(self.pods[name], f"apart-{name}-{n}.example.com", UPSTREAM[name])
                await asyncio.sleep(0.5)  # as often as a pod may
        await asyncio.gather(*(of(name) for name in UPSTREAM))

    async def begin_epochs(self, left, every):
        while True:
            left.begin()
            await asyncio.sleep(every)

    async def close(self):
        """No connection of an upstream is older than this: what is kept of one for later would be taken for left."""
        for upstream, port in PORTS.items():
            self.ground.cut(upstream, port)
        await asyncio.sleep(RECOVERY)
        for name, needs in UPSTREAM.items():
            await self.ask(self.pods[name], f"last-{name}.example.com", needs)
        await self.rest()

    async def while_asked(self, what):
        """`what`, while pods ask."""
        self.until = float("inf")
        new = [self.ask_for_new(name) for name in UPSTREAM if name != "addon"]
        others = asyncio.gather(self.ask_for_cached(), self.look(), *new)
        try:
            await what
        finally:
            self.until = 0
            await others

    async def leaked(self):
        """How many requests of pods have reached IMDS."""
        stats = json.loads(await self.cluster("imds-ctl", "stats"))
        return sum(sum(n.values()) for ip, n in stats["sources"].items() if ip.startswith("10.244."))

    async def live(self):
        self.furnish()
        for _ in range(100):
            if not self.ground.crashed() and self.ground.family:
                break
            await asyncio.sleep(0.1)
        else:
            raise RuntimeError(f"these are not the processes of an agent: {self.ground.look()}")
        await asyncio.gather(*(self.ask(p, OWN, set()) for p in self.pods.values()))
        if args.plant:
            import planted
            await planted.plant(self, Window)
        elif args.each:
            await self.while_asked(self.each())
        else:
            await self.schedule()
        leaks = await self.leaked()
        if leaks:
            self.is_wrong("an open path", "IMDS", f"{leaks} requests of pods have reached it")

    async def schedule(self):
        start = time.monotonic()
        await self.while_asked(self.faults(True, start + args.seconds * KILLS_UNTIL))
        await self.rest()
        await self.ask_apart()
        left = Left({name: pid for name, (pid, _) in self.ground.look().items() if name in AGENT})
        epochs = asyncio.create_task(self.begin_epochs(left, max(EPOCH, args.seconds / 200)))
        await self.while_asked(self.faults(False, start + args.seconds))
        epochs.cancel()
        await self.rest()
        await self.close()
        await asyncio.sleep(IDLE)
        self.compare(left, OLD)

    def compare(self, left, old):
        try:
            self.figures = left.look(old)
        except OSError as e:
            self.is_wrong("a leak", "all", f"nobody could tell: {e!r}")
            return
        for got in left.found(self.figures):
            self.is_wrong("a leak", *got)
        if not self.figures and args.seconds >= 600:
            self.is_wrong("a leak", "all", "nobody could tell: there were too few epochs")

    def report(self, took):
        used = sum(sum(resource.getrusage(w)[:2]) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        doc = {"seed": args.seed, **self.n, "wrong": self.wrong, "figures": getattr(self, "figures", {}), "seconds": round(took),
               "cpu_percent": round(100 * used / took, 1), "recovery_sec": {k: round(v, 1) for k, v in sorted(self.recovered.items())}}
        pathlib.Path(args.report).write_text(json.dumps(doc, indent=1) + "\n")
        for name, sec in doc["recovery_sec"].items():
            print(f"# {name:32} as before after {sec:4.1f} s at most")


async def main():
    s, start = Schedule(), time.monotonic()
    try:
        await s.live()
    finally:
        s.report(time.monotonic() - start)


parser = argparse.ArgumentParser(description=__doc__)
for option in ("box", "directory", "nmi", "report", "sp", "cert", "fed"):
    parser.add_argument(f"--{option}", required=True)
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--each", action="store_true")
parser.add_argument("--only", default="")  # of --each: those whose name matches
parser.add_argument("--each-seconds", type=float, default=3)
parser.add_argument("--plant", action="store_true")
args = parser.parse_args()
asyncio.run(main())
