#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A schedule of faults finds what it is for: each promise is broken once (planted.py), by an agent that leaks too.
set -uo pipefail
# shellcheck source=tests/faults/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
build=$(realpath "${NMI_BUILD:-$faults_here/../../build}/tests")
# as much in an epoch of these as ten minutes of random.sh have in one: 200 bytes a connection, a descriptor a minute
export FAULTS_PRELOAD=$build/soak/leaky.so:$build/faults/heap.so NMI_LEAKY=sd
faults_begin planted
schedule --plant >"$SB_DIR/planted"
sed -n '/^Traceback/,$s/^/# /p' "$SB_DIR/planted"
verdicts=$(/usr/bin/python3 "$faults_here/verdict.py" "$report" 2>&1)
finds() { # SENTENCE THE-SCHEDULE'S [WHAT]
	like "$1" "$verdicts" $'(^|\n)not ok\t'"$2"$'[^\t\n]*\t[^\n]*'"${3:-}"
}
finds 'it finds a token of another identity' 'every token was' 'a wrong token: web[^|]*: 22222222'
finds 'and one with a false signature' 'every token was' 'false signature'
finds 'it finds a request of a pod at IMDS' 'no request of a pod'
finds 'it finds what is refused without reason' 'what a fault does not concern' 'not served: (web|billing)'
finds 'it finds requests that hang on after the end of a fault' 'nobody waits long'
finds 'it finds that all is as before only 9 s after it' 'all was as before' 'slow recovery: planted'
finds 'it finds that the agent has ended' 'no process ended'
finds 'it finds memory that is left' 'nothing was left' 'memory: nmi has left'
finds 'and what is left at once' 'nothing was left' 'memory: another has left 0 bytes in each epoch, 65537 in all'
finds 'and descriptors' 'nothing was left' 'file descriptors: nmi has left [34];'
faults_end
