# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # variables of who sources this
# What the tests of late news share: an API server that tells late, and when it told somebody else.

identity_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
heir_py=$identity_here/heir.py
# shellcheck source=tests/e2e/lib.sh
source "$identity_here/../e2e/lib.sh"

delay() { sb_api POST "_sandbox/delay?msec=$1" >/dev/null || bail 'the API server does not delay'; }

# Another process watches as nmi does: when it was told of the pod stands in $SB_DIR/event once $watcher has ended.
watch_for() { # POD
	sb_in "$SB_NODE" python3 "$heir_py" watch "$SB_API_URL" "$SB_DIR/pki/ca.crt" "$(<"$SB_DIR/token")" "$1" \
		>"$SB_DIR/event" 2>&1 &
	watcher=$!
}
is_watched() { eventually 5 grep -q watching "$SB_DIR/event"; }

lateness() { # of the first token in $SB_DIR/answers behind the event, in ms; without one, more than any bound
	awk -v event="$(tail -n 1 "$SB_DIR/event")" '$2 == 200 { late = $1 - event; n++; exit }
		END { printf "%.1f", n ? late * 1000 : 1e9 }' "$SB_DIR/answers"
}
