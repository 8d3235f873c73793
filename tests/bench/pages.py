#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The numbers in README.md and docs/performance.md, from docs/performance/results.json: what stands between
<!-- bench: NAME --> and <!-- bench end --> is printed here.

pages.py update	write it there
pages.py check	is it there, and are the pictures those of the results
pages.py redraw	draw the pictures (with gnuplot)
pages.py publish	the results of the last run are the published ones from now on
"""
import re
import sys

import plots
import report
import rows

PUBLISHED = report.ROOT / "docs/performance"
PAGES = tuple(report.ROOT / p for p in ("README.md", "docs/performance.md", "docs/install.md"))
ELSEWHERE = {"readme", "resources"}  # blocks that docs/performance.md need not have
IN_README = ("cached_rate", "cached_p99", "cold", "start", "served", "held", "doubled", "upgrade", "herd", "pss", "own_pss", "own_dirty",
             "pod_bytes")


def markdown(lines):
    head, *rest = lines
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rest))


def machine(results, s):
    m, p = results["machine"], results["packages"]
    load = "" if m["load_before"] is None else f" Load average before: {m['load_before']:g}."
    how = "tests/bench/long" if results["mode"] == "long" else "tests/run bench"
    return (f"Measured on {results['time'].split()[0]} with `{how}`, on {m['processors']} processors ({m['processor']}) and {m['memory_gib']} "
            f"GiB of a {'virtual ' if m['virtual'] else ''}machine, Linux {m['kernel']}; nmi {results['version']}, commit "
            f"`{results['commit']}`; {', '.join(f'{name} {version}' for name, version in p.items())}.{load}")


def budgets(results, s):
    lines = [["what", "measured", "spread", "budget", "", ""]]
    for row in rows.ROWS:
        got = results["rows"].get(row.id)
        if got:
            lines.append([row.text, f"**{got['shown']}**", got["spread"], got["budget"], got["verdict"], got["detail"]])
        else:
            lines.append([row.text, "not measured", "", "", "", ""])
    return markdown(lines)


def readme(results, s):
    lines = [["what", "measured", "budget", ""]]
    for i in IN_README:
        got = results["rows"].get(i)
        if got:
            missed = ", missed" if got["verdict"].startswith("missed") else ""
            lines.append([rows.BY_ID[i].text, got["shown"], got["budget"] + missed, got["detail"]])
    return markdown(lines)


def curve(c):
    def render(results, s):
        shown = report.curve_table(c, s)
        return markdown([shown[0], *shown[1]]) if shown else "Not measured."
    return render


def resources(results, s):
    """in a container, and what connections add to it"""
    def mib(what, x=None):
        return rows.median(s.of(what, x=x)) / 1024
    base, least = mib("own_pss"), s.xs("idle_dirty")[0]
    lines = [["all processes together, in a container", "memory"],
             ["250 pods, 1,000 identities and bindings",
              f"{base:.0f} MiB, of them {base - mib('own_anon'):.0f} of files that the kernel can drop"]]
    for x in s.xs("idle_dirty")[1:]:
        lines.append([f"and {rows.median(s.of('idle_there', x=x)):,.0f} connections",
                      f"{base + mib('idle_dirty', x) - mib('idle_dirty', least):.0f} MiB"])
    return markdown(lines)


BLOCKS = {"machine": machine, "budgets": budgets, "readme": readme, "resources": resources, **{c.id: curve(c) for c in rows.CURVES}}


def rendered(page, results, s):
    def block(m):
        if m[1] not in BLOCKS:
            raise SystemExit(f"{page.name}: there is no {m[1]}, but {', '.join(BLOCKS)}")
        return f"<!-- bench: {m[1]} -->\n{BLOCKS[m[1]](results, s)}\n<!-- bench end -->"
    return re.sub(r"<!-- bench: (\w+) -->\n.*?<!-- bench end -->", block, page.read_text(), flags=re.S)


def load():
    """the texts and budgets are those of rows.py today; the samples are what was measured"""
    results, s = report.load(PUBLISHED / "results.json")
    results["rows"] = {row.id: report.summary(row, s) for row in rows.ROWS}
    return results, s


def check():
    results, s = load()
    bad = [f"{p.relative_to(report.ROOT)}: its numbers are not those of docs/performance/results.json: ninja -C build update-docs"
           for p in PAGES if rendered(p, results, s) != p.read_text()]
    wanted = plots.inputs(results, s)
    text = (report.ROOT / "docs/performance.md").read_text()
    bad += [f"docs/performance.md: performance/{name}.svg is not shown" for name in wanted if f"(performance/{name}.svg)" not in text]
    bad += [f"docs/performance.md: no block {name}" for name in BLOCKS if name not in ELSEWHERE and f"<!-- bench: {name} -->" not in text]
    for name, picture in wanted.items():
        svg = PUBLISHED / f"{name}.svg"
        if not svg.exists() or not svg.read_text().endswith(plots.mark(picture)):
            bad.append(f"docs/performance/{name}.svg is not of these results: tests/bench/pages.py redraw")
    print(*bad, sep="\n", end="\n" if bad else "")
    sys.exit(bool(bad))


def update():
    results, s = load()
    for page in PAGES:
        text = rendered(page, results, s)
        if text != page.read_text():
            page.write_text(text)


def main():
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    if what == "check":
        check()
    elif what == "update":
        update()
    elif what == "redraw":
        plots.draw(*load(), PUBLISHED)
    elif what == "publish":
        PUBLISHED.mkdir(exist_ok=True)
        (PUBLISHED / "results.json").write_text(report.RESULTS.read_text())
        results, s = load()
        plots.draw(results, s, PUBLISHED)
        update()
        quiet = results["machine"]["load_before"]
        if quiet is None or quiet > 0.5:
            print(f"pages.py: the machine was not quiet before that run, or nobody looked (load average {quiet}): its rates are of no use")
        if results["mode"] != "long":
            print("pages.py: that was not tests/bench/long: these are few points")
    else:
        sys.exit(__doc__)


main()
