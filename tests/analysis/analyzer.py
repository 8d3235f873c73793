# SPDX-License-Identifier: MIT
"""Runs gcc -fanalyzer over each file of the product, as it is compiled, and prints what it finds.

usage: analyzer.py COMPILE_COMMANDS.json
"""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

PRODUCT = re.compile(r"(lib|nmi|iptables|mic-client)/.*\.c$")


def command(entry):
    """Of the compiler, without what it writes."""
    words, out = iter(shlex.split(entry["command"])), []
    for w in words:
        if w in ("-MQ", "-MF", "-o"):
            next(words)
        elif w not in ("-MD", "-Werror"):
            out.append(w)
    return out + ["-fanalyzer", "-fdiagnostics-color=never", "-fdiagnostics-path-format=none", "-o", "/dev/null"]


def analyse(entry):
    p = subprocess.run(command(entry), cwd=entry["directory"], capture_output=True, text=True)
    found = [line for line in p.stderr.splitlines() if re.search(r"(warning|error):", line)]
    return found or ([f"{entry['file']}: the compiler ended with {p.returncode}"] if p.returncode else [])


entries = {}
for e in json.load(open(sys.argv[1])):
    name = os.path.relpath(os.path.join(e["directory"], e["file"]))
    if PRODUCT.match(name):
        entries[name] = e
if len(entries) < 100:
    sys.exit(f"only {len(entries)} files of the product are in {sys.argv[1]}")
findings = 0
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for lines in pool.map(analyse, entries.values()):
        findings += len(lines)
        for line in lines:
            print(line)
print(f"# {len(entries)} files")
sys.exit(findings > 0)
