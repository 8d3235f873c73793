#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What tests/deploy/alerts.sh asks of a Prometheus, and of the files of deploy/monitoring. Silence is good news.

  monitoring.py firing URL [SECONDS]     names of the alerts that fire now, or did within so many seconds
  monitoring.py names URL DASHBOARD DEF  metrics in rules and panels that metrics.def has not
  monitoring.py words URL ROOT           alerts that lack a word, or whose runbook leads to no heading
  monitoring.py panels URL DASHBOARD     queries of panels that fail, or give nothing
  monitoring.py rows DEF DOC PAGE        metrics without a line in the document, or a sample on the page
"""
import json, pathlib, re, sys, urllib.error, urllib.parse, urllib.request

WORDS = {"and", "or", "unless", "by", "on", "ignoring", "group_left", "without", "offset", "bool", "NaN", "inf"}


def ask(url, path, **query):
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


def rules(url):
    return [r for g in ask(url, "rules")["groups"] for r in g["rules"]]


def panels(dashboard):
    """Title and query, as Grafana would fill it in for all jobs and nodes."""
    for panel in json.loads(pathlib.Path(dashboard).read_text())["panels"]:
        for target in panel.get("targets", []):
            e = re.sub(r"\$(job|node)\b", ".*", target["expr"])
            yield panel["title"], e.replace("$__rate_interval", "6s")


def metrics_in(expr):
    expr = re.sub(r'"(\\.|[^"\\])*"|\'[^\']*\'', '""', expr)
    expr = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|without|ignoring)\s*\([^)]*\)|\boffset\s+\w+", " ", expr)
    return {m[1] for m in re.finditer(r"(?<![\w.])([a-zA-Z_:][\w:]*)(?!\s*\(|\w)", expr)} - WORDS


def rows(path):
    return re.findall(r'^X\(\w+,\s*"([^"]+)"', pathlib.Path(path).read_text(), re.M)


def known(path):
    return {n + s for n in rows(path) for s in ("", "_bucket", "_sum", "_count")} | {"up"}


def firing(url, seconds=None):
    if seconds:
        got = ask(url, "query", query=f'count by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{seconds}s]))')
        return sorted(r["metric"]["alertname"] for r in got["result"])
    return sorted({a["labels"]["alertname"] for a in ask(url, "alerts")["alerts"] if a["state"] == "firing"})


def names(url, dashboard, table):
    all_of_them = [(r["name"], r["query"]) for r in rules(url)] + list(panels(dashboard))
    return [f"{title}: {m}" for title, e in all_of_them for m in sorted(metrics_in(e) - known(table))]


def anchors(path):
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in heads}


def words(url, root):
    for r in rules(url):
        notes = r["annotations"]
        if r["labels"].get("severity") not in ("critical", "warning"):
            yield f"{r['name']}: severity"
        for word in ("summary", "description", "runbook"):
            if not notes.get(word):
                yield f"{r['name']}: {word}"
        page, _, anchor = notes.get("runbook", "").partition("#")
        page = pathlib.Path(root) / page
        if not page.is_file() or anchor not in anchors(page):
            yield f"{r['name']}: {notes.get('runbook')} leads nowhere"
        if r["name"].lower() != anchor:
            yield f"{r['name']}: its entry is not under its name"


def silent_panels(url, dashboard):
    for title, e in panels(dashboard):
        try:
            if not ask(url, "query", query=e)["result"]:
                yield f"{title}: nothing: {e}"
        except urllib.error.HTTPError as x:
            yield f"{title}: {json.load(x).get('error')}"


def bare_rows(table, document, page):
    text, page = pathlib.Path(document).read_text(), pathlib.Path(page).read_text()
    for name in rows(table):
        if f"\n``{name}``\n" not in text:
            yield f"{name}: not in the document"
        if not re.search(rf"^{name}(_count)?[ {{]", page, re.M):
            yield f"{name}: no sample"


what, *arguments = sys.argv[1:]
print(*{"firing": firing, "names": names, "words": words, "panels": silent_panels, "rows": bare_rows}[what](*arguments), sep="\n")
