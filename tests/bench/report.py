# SPDX-License-Identifier: MIT
"""Samples of the bench, judged, summed up and shown.

report.py judge ROW...	"ok" or "not ok", a sentence and what was seen, separated by tabs
report.py within ROW...	the same of those that it may help to measure anew
report.py whats ROW...	of which samples they are made, as an expression for grep
report.py finish	collect, table and pictures, at the end of a run
report.py collect	all samples with the machine that they are of, to build/bench/results.json
report.py table [FILE]	the rows and curves of results.json
"""
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

import rows

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "build/bench"
RESULTS = OUT / "results.json"
PACKAGES = ("libmicrohttpd12", "libcurl4", "libssl3", "libnftables1", "nginx", "wrk")


def read_samples():
    found = []
    for f in sorted((OUT / "samples").glob("*.jsonl")):
        for n, line in enumerate(f.read_text().splitlines(), 1):
            try:
                found.append(json.loads(line))
            except ValueError:
                sys.exit(f"{f.name}:{n}: no sample: {line[:200]}")
    return found


def number(v, digits):
    return f"{v:,.{digits}f}"


def summary(row, s):
    """what a row comes to; None: nobody measured it"""
    try:
        values = row.values(s)
        got = row.take(values)
        edges = (min(values), max(values)) if len(values) < 20 else (rows.rank(values, 0.05), rows.rank(values, 0.95))
        out = {"text": row.text, "value": got, "shown": number(got, row.digits) + row.unit, "n": len(values),
               "spread": " to ".join(number(e, row.digits) for e in edges) if edges[0] < edges[1] else "",
               "detail": row.detail(s), "budget": "", "verdict": ""}
        if row.limit is not None:
            out["budget"] = f"{'≥' if row.at_least else '≤'} {row.limit:g}{row.unit}" if row.limit else "0"
            out["met"] = row.is_met(s)
            plain = got >= row.limit if row.at_least else got <= row.limit
            why = row.why or ("other work on the machine took it; without, it is met" if out["met"] and row.judged else "")
            out["verdict"] = "met" if plain else f"missed by {number(abs(got - row.limit), row.digits)}{row.unit}" + \
                (f": {why}" if why else "")
        return out
    except (ArithmeticError, LookupError, ValueError):  # a sample, a point of a curve that is not there
        return None


def judge(ids, noisy_only=False):
    s = rows.Samples(read_samples())
    bad = 0
    for row in (rows.BY_ID[i] for i in ids):
        if noisy_only and row.steady:
            continue
        got = summary(row, s)
        fine = got and got.get("met", True)
        bad += not fine
        missed = got["verdict"] if got and got["verdict"].startswith("missed") else ""
        seen = "; ".join(filter(None, (got["shown"], got["detail"], missed))) if got else "not measured"
        limit = f": {got['budget']}" if got and got["budget"] else ""
        if row.ceiling:
            limit = f": no more than {row.ceiling:g}{row.unit}"
        print("ok" if fine else "not ok", row.text + limit, seen, sep="\t")
    sys.exit(bool(bad))


def versions():
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *PACKAGES], capture_output=True, text=True,
                           check=False).stdout
    return dict(line.split() for line in shown.splitlines())


def git(*what):
    return subprocess.run(["git", "-C", ROOT, *what], capture_output=True, text=True, check=False).stdout.strip()


def machine():
    cpus = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpus, re.M)
    kib = int(re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])
    return {"processor": model[1].strip() if model else platform.machine(), "processors": os.cpu_count(),
            "memory_gib": round(kib / 2**20), "virtual": "hypervisor" in cpus,
            "kernel": re.match(r"[\d.]+\d", platform.release())[0],
            "load_before": float(os.environ.get("BENCH_LOAD", "nan")) if os.environ.get("BENCH_LOAD") else None}


def collect():
    version = re.search(r"^ *version: '([^']+)'", (ROOT / "meson.build").read_text(), re.M)[1]
    out = {"time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "mode": os.environ.get("BENCH_MODE", "short"),
           "version": version, "commit": git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else ""),
           "machine": machine(), "packages": versions()}
    samples = read_samples()
    s = rows.Samples(samples)
    out["rows"] = {row.id: summary(row, s) for row in rows.ROWS}
    head = json.dumps(out, indent=1, ensure_ascii=False)[:-2]
    lines = ",\n  ".join(json.dumps(x, ensure_ascii=False, separators=(",", ":")) for x in samples)
    RESULTS.write_text(f'{head},\n "samples": [\n  {lines}\n ]\n}}\n')
    missing = [i for i, row in out["rows"].items() if not row]
    if missing:
        print(f"# not measured: {', '.join(missing)}")


def load(path=RESULTS):
    results = json.loads(pathlib.Path(path).read_text())
    return results, rows.Samples(results["samples"])


def curve_table(curve, s):
    """headings and lines of text; a column that nobody measured is not there"""
    def cell(what, x, digits):
        try:
            return number(what(s, x), digits)
        except KeyError:
            return None
    xs = sorted({x["x"] for x in s.lines if "x" in x and x["what"].startswith(curve.id + "_")})
    columns = [(heading, [cell(what, x, digits) for x in xs]) for heading, what, digits in curve.columns]
    columns = [(heading, cells) for heading, cells in columns if any(cells)]
    if not columns:
        return None
    return [curve.axis, *(h for h, _ in columns)], \
        [[f"{x:,}", *(cells[i] or "" for _, cells in columns)] for i, x in enumerate(xs)]


def padded(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))) for line in lines]


def table(path=RESULTS):
    results, s = load(path)
    m = results["machine"]
    print(f"# {m['processors']} × {m['processor']}, {m['memory_gib']} GiB, Linux {m['kernel']}; nmi {results['version']} "
          f"({results['commit']}), {results['mode']}, {results['time']}")
    for row in results["rows"].values():
        if row:
            print(f"# {row['text']}\n#     {row['shown']:<14}{'(' + row['spread'] + ')' if row['spread'] else '':<22}"
                  f"{'budget ' + row['budget'] if row['budget'] else '':<22}{row['verdict']:<10} {row['detail']}".rstrip())
    for curve in rows.CURVES:
        shown = curve_table(curve, s)
        if shown:
            print(f"# {curve.text}:", *("#   " + line for line in padded([shown[0], *shown[1]])), sep="\n")


def main():
    what, *rest = sys.argv[1:] or ["help"]
    if what in ("judge", "within"):
        judge(rest, what == "within")
    elif what == "whats":
        print("|".join(u for i in rest for u in rows.BY_ID[i].uses))
    elif what == "collect":
        collect()
    elif what == "table":
        table(*rest)
    elif what == "finish":
        import plots  # which imports this
        collect()
        table()
        plots.draw(*load(), OUT)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
