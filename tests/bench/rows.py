# SPDX-License-Identifier: MIT
"""What the bench is about: the budgets, which are shown in docs/performance.md, and the curves. A row says of which
samples it is made, what they come to, and what is too much; nothing else does."""
import math
import statistics
from dataclasses import dataclass
from typing import Callable

median = statistics.median


def rank(values, q):
    """the nearest rank"""
    values = sorted(values)
    return values[max(0, math.ceil(len(values) * q) - 1)]


class Samples:
    """{"what": ..., "who": ..., "value": number or list, "x": where on a curve} a line"""

    def __init__(self, lines):
        self.lines = list(lines)

    def of(self, what, who="nmi", x=None):
        found = [s["value"] for s in self.lines if s["what"] == what and s["who"] == who and s.get("x") == x]
        flat = [v for value in found for v in (value if isinstance(value, list) else [value])]
        if not flat:
            raise KeyError(f"no sample of {what}, {who}" + (f", {x}" if x is not None else ""))
        return flat

    def xs(self, what, who="nmi"):
        return sorted({s["x"] for s in self.lines if s["what"] == what and s["who"] == who and "x" in s})

    def whos(self, what):
        return sorted({s["who"] for s in self.lines if s["what"] == what})


@dataclass
class Row:
    id: str
    text: str
    unit: str
    uses: tuple  # samples
    values: Callable  # of Samples: a list
    limit: float = None
    at_least: bool = False  # the limit is the least, not the most
    take: Callable = median
    detail: Callable = lambda s: ""
    judged: Callable = None  # another figure than the one that is shown, where other load would decide
    digits: int = 2
    steady: bool = False  # other load makes no difference, so that it is not measured anew
    ceiling: float = None  # a budget that is missed: what is asserted instead, so that it gets no worse
    why: str = ""  # it is missed

    def is_met(self, samples):
        got = self.judged(samples) if self.judged else self.take(self.values(samples))
        limit = self.limit if self.ceiling is None else self.ceiling
        return got >= limit if self.at_least else got <= limit


def ratios(s, what, x=None):
    """of each round: what disturbs a round disturbs both sides of it"""
    return [a / b for a, b in zip(s.of(what, "nmi", x), s.of(what, "nginx", x))]


def both(what, unit, digits=0):
    return lambda s: ", ".join(f"{who} {median(s.of(what, who)):,.{digits}f}{unit}" for who in ("nmi", "nginx"))


def undisturbed(s):
    """Beside much other work the rate of a round is what the scheduler makes of it, while the better rounds of both, and CPU
    per request, tell nearly what a quiet machine would."""
    best = rank(s.of("cached_rate"), 0.75) / rank(s.of("cached_rate", "nginx"), 0.75)
    return max(median(ratios(s, "cached_rate")), best, 1 / median(ratios(s, "cached_cpu")))


def mib(what):
    return lambda s: [v / 1024 for v in s.of(what)]


def by_process(what):
    def detail(s):
        rows = [(median(s.of(what, who)) / 1024, who.removeprefix("process ")) for who in s.whos(what) if who != "nmi"]
        return ", ".join(f"{name} {v:.1f}" for v, name in sorted(rows, reverse=True))
    return detail


def each_pod(s):
    a, b = s.xs("pods_anon")[0], s.xs("pods_anon")[-1]
    return [(median(s.of("pods_anon", x=b)) - median(s.of("pods_anon", x=a))) * 1024 / (b - a)]


def each_object(s):
    """of the last step of the curve: an identity, a binding"""
    a, b = s.xs("objects_anon")[-2:]
    kib = [median(s.of("objects_anon", x=a)), median(s.of("identities_anon", x=b)), median(s.of("objects_anon", x=b))]
    return [(later - sooner) * 1024 / (b - a) for sooner, later in zip(kib, kib[1:])]


def ends(what):
    return lambda s: f"{s.xs(what)[0]:,} to {s.xs(what)[-1]:,}"


def flat(what):
    """what the CPU of a request, beside nginx's, is at the far end, of what it is at the near one"""
    def values(s):
        a, b = s.xs(what)[0], s.xs(what)[-1]
        return [median(ratios(s, what, b)) / median(ratios(s, what, a))]
    return values


def difference(s):
    return [a - b for a, b in zip(s.of("cold", "nmi"), s.of("cold", "imds"))]


def load(prefix):
    """the samples that load of lib.sh makes"""
    return tuple(f"{prefix}_{what}" for what in ("rate", "p50", "p99", "errors", "cpu", "system"))


def memory(prefix):
    return tuple(f"{prefix}_{what}" for what in ("pss", "dirty", "anon"))


def cold_undisturbed(s):
    """the better quarter of both, where other work disturbs the median"""
    return min(median(difference(s)), rank(s.of("cold"), 0.25) - rank(s.of("cold", "imds"), 0.25))


CACHED = "cached token, keep-alive, 8 connections, through the redirect: "
MEMORY = "memory of all its processes, 250 pods, 1,000 identities and bindings: "
ROWS = [
    Row("cached_rate", CACHED + "requests/s beside nginx", "×", load("cached"), lambda s: ratios(s, "cached_rate"), 0.7, True,
        judged=undisturbed,
        detail=both("cached_rate", "/s")),
    Row("cached_p99", CACHED + "p99 beside nginx", "×", load("cached"), lambda s: ratios(s, "cached_p99"), 2,
        detail=both("cached_p99", " µs")),
    Row("cached_errors", "of these, requests that failed", "", load("cached"), lambda s: s.of("cached_errors"), 0, take=sum,
        digits=0),
    Row("cached_cpu", "CPU of a cached token beside nginx", "×", load("cached"), lambda s: ratios(s, "cached_cpu"),
        detail=lambda s: both("cached_cpu", " µs", 1)(s) + f"; in the kernel {100 * median(s.of('cached_system')):.0f} and "
                                                           f"{100 * median(s.of('cached_system', 'nginx')):.0f} %"),
    Row("instructions", "instructions of a cached token, the kernel's not among them", "", ("instructions",),
        lambda s: s.of("instructions"), digits=0,
        detail=lambda s: f"the first of a second {s.of('instructions', 'renewed')[0]:,.0f}; calls of the allocator "
                         f"{s.of('allocations')[0]:g} and {s.of('allocations', 'renewed')[0]:g}"),
    Row("pss", MEMORY + "Pss", " MiB", memory("memory"), mib("memory_pss"), 14, steady=True, digits=1, detail=by_process("memory_pss")),
    Row("dirty", MEMORY + "private dirty", " MiB", memory("memory"), mib("memory_dirty"), 5, steady=True, digits=1,
        detail=by_process("memory_dirty")),
    Row("own_pss", "the same in a container, whose libraries are nobody else's: Pss", " MiB", memory("own"), mib("own_pss"), 14, steady=True,
        digits=1, detail=by_process("own_pss")),
    Row("own_dirty", "the same in a container: private dirty", " MiB", memory("own"), mib("own_dirty"), 5, steady=True, digits=1,
        detail=by_process("own_dirty")),
    Row("pod_bytes", "memory for each more pod", " bytes", memory("pods"), each_pod, 400, digits=0,
        detail=ends("pods_anon")),
    Row("identity_bytes", "memory for each more identity", " bytes", memory("identities"), lambda s: each_object(s)[:1], 600, digits=0, steady=True,
        detail=ends("objects_anon")),
    Row("binding_bytes", "memory for each more binding", " bytes", memory("objects"), lambda s: each_object(s)[1:], digits=0, steady=True,
        detail=ends("objects_anon")),
    Row("pods_flat", "CPU of a cached token beside nginx, with the most pods, of that with the fewest", "×", load("pods"),
        flat("pods_cpu"), 1.25, detail=ends("pods_cpu")),
    Row("objects_flat", "the same with the most identities and bindings, of that with the fewest", "×", load("objects"), flat("objects_cpu"), 1.25,
        detail=ends("objects_cpu")),
    Row("cold", "added to a cold token over asking IMDS directly", " ms", ("cold",), difference, 0.5, judged=cold_undisturbed,
        detail=lambda s: f"nmi {median(s.of('cold')):.2f} ms, IMDS {median(s.of('cold', 'imds')):.2f} ms"),
    Row("herd", "1,000 requests for one uncached token at once: upstream requests", "", ("herd", "herd_answered"),
        lambda s: s.of("herd"), 1, take=max, digits=0, detail=lambda s: f"{min(s.of('herd_answered')):,} answered"),
    Row("herd_lost", "of these, requests that were given no token", "", ("herd_answered",),
        lambda s: [1000 - n for n in s.of("herd_answered")], 0, take=sum, digits=0),
    Row("start", "start: exec to first token, 250 pods", " ms", ("start", "start_waited"), lambda s: s.of("start"), 100, digits=0,
        judged=lambda s: median(a - b for a, b in zip(s.of("start"), s.of("start_waited"))),
        detail=lambda s: f"{median(s.of('start_waited')):.0f} of them for want of a processor"),
    Row("held", "rules flushed → rules back, p99; Linux 6.9 and later", " ms", ("held",), lambda s: s.of("held"), 10,
        take=lambda v: rank(v, 0.99), detail=lambda s: "they never went" if max(s.of("held")) <= 0 else ""),
    Row("doubled", "table deleted → table back, p99; kernels before 6.9", " ms", ("doubled", "wake"), lambda s: s.of("doubled"), 10,
        take=lambda v: rank(v, 0.99), judged=lambda s: median(s.of("doubled")) - max(s.of("wake")),
        detail=lambda s: f"median {median(s.of('doubled')):.1f} ms; to wake a process and be woken takes "
                         f"{max(s.of('wake')):.1f} ms, p99",
        why="the kernel lets nobody write rules for 15 to 50 ms when whoever deleted them closes its socket; the second table "
            "stands meanwhile"),
    Row("open", "moments without rules meanwhile, and requests of pods that reached IMDS", "", ("open", "reached_imds"),
        lambda s: [v for what in ("open", "reached_imds") for who in s.whos(what) for v in s.of(what, who)], 0, take=sum, digits=0),
    Row("served", "pod event at the API server → served", " ms", ("served",), lambda s: s.of("served"), 5,
        judged=lambda s: median(a - b for a, b in zip(s.of("served"), s.of("served", "api"))),
        detail=lambda s: f"its own answer to the change {median(s.of('served', 'api')):.1f} ms"),
    Row("upgrade", "upgrade under load: requests that failed", "", ("upgrade_failed", "upgrade_asked", "upgrade_slowest"),
        lambda s: s.of("upgrade_failed"), 0, take=sum, digits=0,
        detail=lambda s: f"of {sum(s.of('upgrade_asked')):,} in {len(s.of('upgrade_asked'))} upgrades, the slowest "
                         f"{max(s.of('upgrade_slowest')):.0f} ms"),
]
BY_ID = {row.id: row for row in ROWS}
SHORT = {
    "cached_rate": "requests/s beside nginx",
    "cached_p99": "p99 beside nginx",
    "pss": "Pss",
    "dirty": "private dirty",
    "own_pss": "Pss in a container",
    "own_dirty": "private dirty in a container",
    "pod_bytes": "bytes a pod",
    "identity_bytes": "bytes an identity",
    "pods_flat": "CPU with many pods",
    "objects_flat": "CPU with many identities",
    "cold": "added to a cold token",
    "herd": "upstream requests of 1,000",
    "start": "exec to first token",
    "held": "rules back",
    "doubled": "rules back, old kernels",
    "served": "pod event to served",
}  # in a picture


@dataclass
class Curve:
    id: str
    text: str
    axis: str
    columns: tuple  # (heading, of Samples at x, digits)
    plots: tuple  # (axis, headings)
    note: str = ""


def at(what, who="nmi", scale=1):
    return lambda s, x: median(s.of(what, who, x)) * scale


def beside(what):
    return lambda s, x: median(ratios(s, what, x))


def size(part):
    return (("Pss, MiB", at(f"{part}_pss", scale=1 / 1024), 1), ("private dirty, MiB", at(f"{part}_dirty", scale=1 / 1024), 1))


def speed(part):
    return (("requests/s", at(f"{part}_rate"), 0), ("nginx", at(f"{part}_rate", "nginx"), 0),
            ("ratio", beside(f"{part}_rate"), 2), ("p50, µs", at(f"{part}_p50"), 0), ("p99, µs", at(f"{part}_p99"), 0))


def event(part):
    return (("pod event → served, ms", at(f"{part}_served"), 1),)


def one(part):
    return (("p50, µs", at(f"{part}_one_p50"), 0), ("p99, µs", at(f"{part}_one_p99"), 0))


SIZE = ("MiB", ("Pss, MiB", "private dirty, MiB"))
RATE = ("requests/s beside nginx", ("ratio",))
TIME = ("µs", ("p50, µs", "p99, µs"))
CURVES = [
    Curve("pods", "Pods on one node", "pods", size("pods") + speed("pods") + event("pods"), (SIZE, RATE)),
    Curve("objects", "Identities, and as many bindings", "identities and bindings", size("objects") + speed("objects") +
          event("objects"), (SIZE, RATE)),
    Curve("waiting", "Requests that wait for their pod", "waiting requests",
          size("waiting") + (("waiting", at("waiting_there"), 0),) + one("waiting"), (SIZE, TIME),
          "One more connection asks for a cached token meanwhile, one request after another."),
    Curve("idle", "Idle connections", "idle connections",
          size("idle") + (("accepted", at("idle_there"), 0),) + one("idle"), (SIZE, TIME),
          "Each has asked once. nmi accepts as many as [limits](limits.md) says; the others wait in the kernel. One more "
          "connection, made before them, asks for a cached token meanwhile, one request after another."),
    Curve("events", "Watch events", "changed pods a second",
          (("events/s", at("events_there"), 0), ("CPU of nmi, %", at("events_cpu"), 1)) + one("events") +
          (("pod event → served, ms", at("events_served"), 1), ("API server's own answer, ms", at("events_served", "api"), 1)),
          (("% of a processor", ("CPU of nmi, %",)), ("ms", ("pod event → served, ms", "API server's own answer, ms"))),
          "Pods of this node are changed so often, while others appear."),
]
