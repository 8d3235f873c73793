#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""verdict.py SAMPLES REPORT SAMPLER-LOG: what a soak has shown. Lines "ok|not ok<TAB>sentence<TAB>figures", and a table.

The first third of the time is for warming up; the median of the second third is compared with that of the
last one.
"""
import csv, json, pathlib, statistics, sys

FLAT = 0.05
# a moment's upstream connection, a listing of the rules' socket
FDS_MORE = 1
# The same refusal is logged every 10 s for each pod: 20 pods refused all the time are 24 KiB a minute.
LOG_BYTES_PER_MINUTE = 65536
FIGURES = ("pss", "pss_anon", "private_dirty", "rss", "heap", "own_fds", "fds", "sockets", "threads", "inotify", "rules",
           "conntrack", "connections", "waiting", "tokens", "pods", "series")


def flat(a, b):
    return abs(b - a) <= FLAT * max(a, 1)


def thirds(rows):
    end = rows[-1]["seconds"]
    part = [[r for r in rows if end * i / 3 <= r["seconds"] <= end * (i + 1) / 3] for i in range(3)]
    return {f: [statistics.median(r[f] for r in p) for p in part] for f in FIGURES}, part


def judge(rows, report, complaints):
    m, part = thirds(rows)
    for f, what in (("pss_anon", "memory that is in no file"), ("private_dirty", "private dirty memory"),
                    ("rss", "resident memory"), ("heap", "the heap")):
        _, a, b = m[f]
        yield flat(a, b), f"{what} is flat: no more than 5 % up or down", f"{a:.0f} to {b:.0f} KiB, {100 * (b - a) / max(a, 1):+.1f} %"
    _, a, b = m["own_fds"]
    yield b <= a + FDS_MORE, "file descriptors but for those of clients do not grow", f"{a:.0f} to {b:.0f}"
    for f, what in (("threads", "threads"), ("inotify", "inotify instances"), ("rules", "lines of the packet rules")):
        _, a, b = m[f]
        yield a == b, f"{what} stay the same", f"{a:.0f} to {b:.0f}"
    for f, what, most in (("waiting", "requests that wait", 20), ("tokens", "tokens in the cache", 200), ("pods", "known pods", 40)):
        got = max(r[f] for r in part[1] + part[2])
        yield got <= most, f"{what} stay bounded", f"at most {got:.0f}"
    late = part[1] + part[2]
    minutes = (late[-1]["seconds"] - late[0]["seconds"]) / 60
    rate = (late[-1]["log_bytes"] - late[0]["log_bytes"]) / minutes
    yield rate <= LOG_BYTES_PER_MINUTE, "no flood in the log", f"{rate:.0f} bytes a minute"
    series = max(r["series"] for r in rows)
    yield series <= 1500, "metrics stay few", f"{series:.0f} lines"
    pids = {r["pids"] for r in rows}
    yield len(pids) == 1 and not complaints, "all processes live on, and answered each time", f"{pids} {complaints[:200]}"
    yield report["wrong"] == 0, "every request was answered, and rightly", f"{report['wrong']} of {report['asked']} were not: " + \
        "; ".join(f"{w['pod']} got {w['got']} for {w['what']} after {w['after']}" for w in report["first_wrong"][:8])
    got = report["kinds"]
    yield min(got.get("token", 0), got.get("4xx", 0), got.get("instance", 0)) > 5 and report["events"] >= 5, \
        "there was much of everything", json.dumps(got)
    end = rows[-1]
    yield end["restarts"] >= 4 and end["self_tests"] and (end["fetches"] > 1.5 * end["tokens"] or end["seconds"] < 55), \
        "watches were opened again, tokens renewed, self-tests made", \
        ", ".join(f"{f} {end[f]:.0f}" for f in ("restarts", "fetches", "fetch_errors", "stale", "self_tests", "refusals"))


def main():
    samples, report, sampler_log = (pathlib.Path(a) for a in sys.argv[1:4])
    with samples.open(newline="") as f:
        rows = [{k: v if k == "pids" else float(v) for k, v in r.items()} for r in csv.DictReader(f)]
    report = json.loads(report.read_text())
    print(f"# {len(rows)} samples over {rows[-1]['seconds']:.0f} s; {report['asked']} requests, {report['events']} events, "
          f"{report['pods_made']} pods came and went, slowest answer {report['slowest_sec']} s, "
          f"a change was seen after at most {report['slowest_news_sec']} s")
    print("# median of each third, and the least and most after the first")
    m, part = thirds(rows)
    for f in FIGURES:
        late = [r[f] for r in part[1] + part[2]]
        print(f"# {f:14}" + "".join(f"{v:10.0f}" for v in m[f]) + f"   {min(late):.0f} .. {max(late):.0f}")
    for good, sentence, figures in judge(rows, report, sampler_log.read_text().strip()):
        print("ok" if good else "not ok", sentence, figures, sep="\t")


main()
