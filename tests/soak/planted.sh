#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# alone: as soak.sh, which it runs
# A soak finds what it is for: an agent that leaks memory and descriptors, floods the log and loses requests
# does not pass (leaky.c); nor does any figure that goes where it must not.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tap.sh
source "$here/../tap.sh"
build=${NMI_BUILD:-$here/../../build}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
trap 'exit 1' INT TERM

NMI_LEAKY=mflr SOAK_PRELOAD=$(realpath "$build/tests/soak/leaky.so") SOAK_OUT=$out "$here/soak.sh" 36s >"$out/tap" 2>&1
status=$?
sed -nE 's/^not ok.*/&/p; s/^#   got/&/p; /^# [0-9]/p' "$out/tap" | sed 's/^/# /'
is 'a soak of an agent that leaks fails' "$status" 1
finds() { # SENTENCE THE-SOAK'S
	like "$1" "$(<"$out/tap")" $'(^|\n)not ok [0-9]+ - '"$2"
}
finds 'it finds memory that is left' 'memory that is in no file'
finds 'which is dirty' 'private dirty memory'
finds 'and in the heap' 'the heap'
finds 'descriptors that are left open' 'file descriptors'
finds 'a flood in the log' 'no flood in the log'
finds 'requests that are lost' 'every request was answered'
like 'it does not find what is not there' "$(<"$out/tap")" $'\nok [0-9]+ - threads stay.*\nok [0-9]+ - known pods.*\nok [0-9]+ - watches'

# ---- every figure by itself ----

# The samples of a node where nothing changes, but for one column in the last third.
judged() { # COLUMN FACTOR PLUS
	python3 - "$out/samples.csv" "$out/made.csv" "$out/report.json" "$out/made.json" "$@" <<-'END'
		import csv, json, sys
		samples, made, report, made_report, column, factor, plus = sys.argv[1:]
		rows = list(csv.DictReader(open(samples, newline="")))
		first = {**rows[len(rows) // 2], "waiting": "0"}
		with open(made, "w", newline="") as f:
		    table = csv.DictWriter(f, first)
		    table.writeheader()
		    for i in range(90):
		        row = {**first, "seconds": i, "restarts": 9, "fetches": 999, "self_tests": 1}
		        if column in row and i >= 55:
		            row[column] = float(row[column]) * float(factor) + float(plus) if column != "pids" else plus
		        table.writerow(row)
		doc = json.load(open(report))
		doc = {**doc, "wrong": 0, "first_wrong": [], "kinds": {"token": 99, "4xx": 99, "instance": 99}, "events": 99}
		if column in doc:
		    doc[column] = type(doc[column])(plus) if column != "kinds" else {"token": 99}
		json.dump(doc, open(made_report, "w"))
	END
	: >"$out/no.log"
	/usr/bin/python3 "$here/verdict.py" "$out/made.csv" "$out/made.json" "$out/no.log" | grep -v '^#' | cut -f 1,2 | grep '^not ok' | cut -f 2
}
is 'a node where nothing changes passes' "$(judged none 1 0)" ''
while read -r column factor plus sentence; do
	like "$column × $factor + $plus does not: $sentence" "$(judged "$column" "$factor" "$plus")" "^${sentence}[^"$'\n'"]*\$"
done <<-'END'
	pss_anon 1.06 0 memory that is in no file is flat
	pss_anon 0.94 0 memory that is in no file is flat
	private_dirty 1.06 0 private dirty memory is flat
	rss 1.06 0 resident memory is flat
	heap 1.06 0 the heap is flat
	own_fds 1 2 file descriptors
	threads 1 1 threads
	inotify 1 1 inotify
	rules 1 1 lines of the packet rules
	waiting 1 50 requests that wait
	tokens 1 500 tokens in the cache
	pods 1 90 known pods
	log_bytes 1 90000 no flood
	series 1 3000 metrics
	pids 1 77 all processes live on
	restarts 0 0 watches were opened again
	self_tests 0 0 watches were opened again
	fetches 0 0 watches were opened again
	wrong 1 1 every request
	kinds 1 0 there was much
	events 1 1 there was much
END
done_testing
