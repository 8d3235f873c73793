#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""sample.py PID LOG NETNS INTERVAL OUT: until SIGTERM, what the processes of the agent take, as CSV.

PID is nmi's; its children, and theirs, of the first moment belong to it (what is made for a self-test, and ends
with it, does not). KiB, but for the log's bytes. pss_anon is what is in no file: the heap, stacks, data; unlike pss
it does not change with who else on the machine uses the same libraries. own_fds are without those of the
connections of clients.
"""
import csv, os, pathlib, signal, subprocess, sys, time, urllib.request

FIELDS = ("seconds", "pids", "pss", "pss_anon", "private_dirty", "rss", "heap", "fds", "own_fds", "sockets",
          "threads", "inotify", "rules", "conntrack", "log_bytes", "connections", "waiting", "tokens", "pods", "requests", "series",
          "fetches", "fetch_errors", "stale", "restarts", "refusals", "self_tests")
SUMMED = {"Pss:": "pss", "Pss_Anon:": "pss_anon", "Private_Dirty:": "private_dirty", "Rss:": "rss"}


def children(pid):
    try:
        return [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def family(pid):
    first = children(pid)
    return [pid, *first, *(g for c in first for g in children(c))]


def of_process(pid, row):
    proc = pathlib.Path(f"/proc/{pid}")
    for line in (proc / "smaps_rollup").read_text().splitlines():
        word, *rest = line.split()
        if word in SUMMED:
            row[SUMMED[word]] += int(rest[0])
    heap = False
    for line in (proc / "smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            heap = line.endswith("[heap]")
        elif heap and line.startswith("Rss:"):
            row["heap"] += int(line.split()[1])
    for fd in os.listdir(proc / "fd"):
        try:
            to = os.readlink(proc / "fd" / fd)
        except OSError:
            continue
        row["fds"] += 1
        row["sockets"] += to.startswith("socket:")
        row["inotify"] += to == "anon_inode:inotify"
    row["threads"] += len(os.listdir(proc / "task"))


def metrics(row):
    with urllib.request.urlopen("http://127.0.0.1:9090/metrics", timeout=10) as r:
        lines = [line for line in r.read().decode().splitlines() if line and line[0] != "#"]
    names = {"nmi_connections": "connections", "nmi_requests_waiting": "waiting", "nmi_token_cache_tokens": "tokens",
             "nmi_pods": "pods"}
    counters = {"aadpodidentity_nmi_operations_duration_seconds_count": "requests",
                "aadpodidentity_imds_operations_duration_seconds_count": "fetches",
                "aadpodidentity_imds_operations_errors_count": "fetch_errors", "nmi_token_cache_stale_total": "stale",
                "nmi_watch_restarts_total": "restarts", "nmi_refusals_total": "refusals", "nmi_self_tests_total": "self_tests"}
    for line in lines:
        name, value = line.rsplit(" ", 1)
        if name in names:
            row[names[name]] = int(float(value))
        elif name.split("{")[0] in counters:
            row[counters[name.split("{")[0]]] += int(float(value))
    row["series"] = len(lines)


def sample(pids, log, start):
    row = dict.fromkeys(FIELDS, 0)
    row["seconds"] = round(time.monotonic() - start, 1)
    for pid in pids:
        of_process(pid, row)
    metrics(row)
    row["pids"] = " ".join(map(str, pids))
    row["own_fds"] = row["fds"] - row["connections"]
    row["log_bytes"] = os.stat(log).st_size
    row["conntrack"] = int(pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=False).stdout
    row["rules"] = len(rules.splitlines())
    return row


def main():
    pid, log, netns, interval, out = int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]), sys.argv[5]
    if os.stat(f"/run/netns/{netns}").st_ino != os.stat("/proc/self/ns/net").st_ino:
        os.execvp("nsenter", ["nsenter", f"--net=/run/netns/{netns}", "--", sys.executable, *sys.argv])
    pids, start = family(pid), time.monotonic()
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    with open(out, "w", newline="") as f:
        table = csv.DictWriter(f, FIELDS)
        table.writeheader()
        while not ended:
            try:
                table.writerow(sample(pids, log, start))
            except (OSError, ValueError) as e:
                print(f"sample.py: {e}", flush=True)  # a process is gone, or nmi does not answer
            f.flush()
            time.sleep(interval)


main()
