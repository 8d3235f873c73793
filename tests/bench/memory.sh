#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the agent's processes take of a node's memory: in a root of their own, made as the image's is, so that no page is
# shared with anybody else; with 250 pods, 1,000 identities and 1,000 bindings, while it is asked for tokens, and after a
# minute of what comes by itself (bookmarks of watches, sweeps, self-tests), which is when the most is held.
#
# TAP for the budgets; the figures by file as comments, and in build/bench/memory.json.
# alone: it measures
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"
# shellcheck source=../sandbox/cluster.sh
. "$here/../sandbox/cluster.sh"

PODS=${BENCH_PODS:-250}
OBJECTS=${BENCH_OBJECTS:-1000}
SETTLED=12 # seconds after which only what is used is held: SETTLED_MSEC in nmi/agent.c, and a bit
MINUTE=${BENCH_MINUTE:-65}
URL='http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net'

sb_use "memory${NMI_E2E_BOX:-}"
out=$sb_root/build/bench
mkdir -p "$out"

# One in memory of the page cache that was read from the disk, not written: where an image was unpacked long ago.
root() {
	rm -rf "$out/root" && "$sb_root/deploy/image/build" --root-of "$(sb_program nmi)" "$out/root" &&
		python3 "$here/memory.py" --forget "$out/root/rootfs"
}

measure() { # NAME: figures in $out/memory.NAME.json; the table in comments
	# shellcheck disable=SC2046 # several
	python3 "$here/memory.py" --json $(processes) >"$out/memory.$1.json" && echo "# $1:" &&
		python3 "$here/memory.py" --of "$out/memory.$1.json" | sed 's/^/# /'
}
processes() { # nmi, nmi-redirector, nmi-selftest
	local pid child
	pid=$(sb_pid nmi) && child=$(pgrep -P "$pid") && echo "$pid" "$child" $(pgrep -P "$child")
}
get() { # NAME FIELD: of the sum, in MiB
	python3 -c 'import json, sys; print("%.2f" % (json.load(open(sys.argv[1]))["total"][sys.argv[2]] / 1024))' "$out/memory.$1.json" "$2"
}
load() { sb_exec bench wrk -t1 -c8 "-d${1}s" -H 'Metadata: true' "$URL" >/dev/null; }

trap sb_down EXIT
root || bail 'there is no root'
sb_up || bail 'the sandbox did not come up'
SB_NMI_ROOT=$out/root/rootfs
SB_UNDER=("$sb_root/tests/sandbox/cluster.sh" --name "$SB_NAME" contained "$SB_NMI_ROOT")
sb_identity bench-ns shop "$SB_SHOP"
sb_binding bench-ns shop shop shop
sb_add_pod bench bench-ns 10.244.0.11 aadpodidbinding=shop
sb_in "$SB_NODE" python3 "$here/populate.py" --server "$SB_API_URL" --ca "$SB_DIR/pki/ca.crt" \
	--token "$SB_DIR/token" --node "$SB_NODE_NAME" --pods "$PODS" --objects "$OBJECTS" || bail 'the objects could not be made'
sb_start_nmi || bail 'nmi did not start'
sb_exec bench curl -sf -m 5 -H Metadata:true "$URL" >/dev/null || bail 'no token is given'

measure started
sleep "$SETTLED"
load 4
measure loaded
sleep "$MINUTE"
load 4
measure later
# for the rows of the report
mkdir -p "$out/samples"
python3 "$here/held.py" "$(sb_pid nmi)" own >"$out/samples/memory.jsonl" || bail 'the samples'
at_most 'under load, Pss of its processes is at most 8 MiB' "$(get loaded Pss)" 8
at_most 'a minute later, too' "$(get later Pss)" 8
at_most 'their private dirty memory is at most 3.5 MiB' "$(get later Private_Dirty)" 3.5
done_testing
