# SPDX-License-Identifier: MIT
"""What the bench found, as pictures. The input of gnuplot is made here; a picture names the digest of its input, so that
whether it is up to date can be told without gnuplot."""
import hashlib
import subprocess

import report
import rows

COLOURS = ("#0b61a4", "#d95f02", "#1b7f4d")
HEAD = 'set terminal svg size {},{} dynamic background "white" font "sans-serif,12"\n' \
       "set border 3 lc rgb '#666666'\nset tics nomirror\nset grid ytics lc rgb '#dddddd'\nset key top left Left reverse\n"


def block(lines):
    return "$d << EOD\n" + "\n".join(lines) + "\nEOD\n"


def curve(c, s):
    """each point takes the same room, whatever lies between them"""
    columns = {heading: (what, digits) for heading, what, digits in c.columns}
    xs = sorted({x["x"] for x in s.lines if "x" in x and x["what"].startswith(c.id + "_")})
    panels = []
    for axis, headings in c.plots:
        try:
            data = [[x, *(columns[h][0](s, x) for h in headings)] for x in xs]
        except KeyError:
            continue
        draw = ", ".join(f"$d using 0:{i + 2}:xtic(1) with linespoints pt 7 ps 0.6 lw 2 lc rgb '{COLOURS[i]}' title \"{h}\""
                         for i, h in enumerate(headings))
        panels.append(block([" ".join(f'"{v:,}"' if i == 0 else f"{v:.4g}" for i, v in enumerate(line)) for line in data]) +
                      f'set xlabel "{c.axis}"\nset ylabel "{axis}"\nset yrange [0:*]\n'
                      f'set xrange [-0.3:{len(xs) - 0.7:g}]\nset offsets 0, 0, graph 0.25, 0\nplot {draw}\n')
    if not panels or len(xs) < 2:
        return None
    return HEAD.format(430 * len(panels), 300) + f"set multiplot layout 1,{len(panels)}\n" + "".join(panels) + "unset multiplot\n"


def cached(s):
    """the rounds of the first row"""
    try:
        rounds = list(zip(s.of("cached_rate", "nmi"), s.of("cached_rate", "nginx")))
        times = list(zip(s.of("cached_p99", "nmi"), s.of("cached_p99", "nginx")))
    except KeyError:
        return None
    panels = []
    for axis, values in (("requests/s", rounds), ("p99, µs", times)):
        panels.append(block([f"{i + 1} {a:g} {b:g}" for i, (a, b) in enumerate(values)]) +
                      f'set xlabel "round"\nset ylabel "{axis}"\nset yrange [0:*]\nset xtics 1\nset offsets 0, 0, graph 0.25, 0\n'
                      f"plot $d using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb '{COLOURS[0]}' title 'nmi', "
                      f"$d using 1:3 with linespoints pt 7 ps 0.6 lw 2 lc rgb '{COLOURS[1]}' title 'nginx, one worker'\n")
    return HEAD.format(860, 300) + "set multiplot layout 1,2\n" + "".join(panels) + "unset multiplot\n"


def budgets(results):
    """how much of each budget is used"""
    bars = []
    for row in rows.ROWS:
        got = results["rows"].get(row.id)
        if got and row.limit:
            share = row.limit / got["value"] if row.at_least else got["value"] / row.limit
            bars.append((rows.SHORT.get(row.id, row.id), max(share, 0), got["shown"], got["budget"]))
    bars.reverse()
    lines = [f'"{name}  " {i} {min(share, 2):.3f} "{shown}, {budget}"' for i, (name, share, shown, budget) in enumerate(bars)]
    labels = 'set ytics (' + ", ".join(f'"{b[0]}" {i}' for i, b in enumerate(bars)) + ')\n'
    return HEAD.format(860, 60 + 26 * len(bars)) + block(lines) + \
        "unset key\nunset grid\nset rmargin 20\nset border 1 lc rgb '#666666'\nset style fill solid\nset xrange [0:2.05]\n" \
        f"set yrange [-0.6:{len(bars) - 0.4:g}]\nset xtics (\"0\" 0, \"half\" 0.5, \"its budget\" 1, \"twice\" 2)\n{labels}" \
        "set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb '#aa2222' lw 1.5\n" \
        f"plot $d using (0):2:(0):3:($2-0.3):($2+0.3) with boxxyerror lc rgb '{COLOURS[0]}', " \
        "$d using 3:2:4 with labels left offset 0.6,0 font ',11'\n"


def inputs(results, s):
    """name: input of gnuplot"""
    made = {"budgets": budgets(results), "cached": cached(s), **{c.id: curve(c, s) for c in rows.CURVES}}
    return {name: text for name, text in made.items() if text}


def mark(text):
    return f"<!-- tests/bench/plots.py {hashlib.sha256(text.encode()).hexdigest()[:16]} -->\n"


def draw(results, s, directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in inputs(results, s).items():
        svg = subprocess.run(["gnuplot"], input=text, capture_output=True, text=True, check=False)
        if svg.returncode or "</svg>" not in svg.stdout:
            raise SystemExit(f"gnuplot: {name}: {svg.stderr[-500:]}")
        lines = [line.rstrip() for line in svg.stdout.splitlines()]
        (directory / f"{name}.svg").write_text("\n".join(lines).rstrip() + "\n" + mark(text))


if __name__ == "__main__":
    draw(*report.load(), report.OUT)
