# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # variables of who sources this
# What the tests of token sources share: a box with Entra in it, and the search for what must not be found.
# A script is: tokens_begin NAME, tests, tokens_end.

tokens_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$tokens_here/../e2e/lib.sh"

SP=44444444-aaaa-4000-8000-000000000004
SP2=55555555-aaaa-4000-8000-000000000005
VAULT=https://vault.azure.net
ASK_VAULT="$SB_TOKEN?api-version=2018-02-01&resource=$VAULT"

tokens_box() { # NAME: the box, Entra and the example, without nmi
	e2e_box "$1"
	sb_entra_up || bail "Entra does not start: $(tail -n 5 "$SB_DIR/entra.log" 2>/dev/null)"
}

tokens_begin() { # NAME [ARGUMENT of nmi...]: with nmi, which logs all that it ever logs
	tokens_box "$1"
	sb_start_nmi -v 9 --audit-log="$SB_DIR/audit.log" "${@:2}" || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
}

# A pod of its own for each identity. NAME names both, and the binding and its selector.
bound_pod() { # NAME IP CLIENT-ID TYPE [OPTION of sb_identity...]
	sb_identity shop "$1" "$3" '' "$4" "${@:5}" && sb_binding shop "$1" "$1" "$1" &&
		sb_add_pod "$1" shop "$2" "app=$1,aadpodidbinding=$1"
}

# A target that was not asked for before, in FRESH: what went wrong with another is remembered for a while.
fresh() {
	fresh_count=$((${fresh_count:-0} + 1))
	FRESH="$SB_TOKEN?api-version=2018-02-01&resource=https://r$fresh_count.example.org"
}

# Gives a token of this application, of this tenant; the way that it proved itself: 1 secret, 2 assertion.
gives_app() { # SENTENCE "CLIENT TENANT WAY" POD TARGET [CURL-ARGUMENT...]
	sb_ask "${@:3}"
	is_app "$1" "$2"
}

is_app() { # SENTENCE "CLIENT TENANT WAY": the last answer
	local claims
	claims="$(sb_claim appid) $(sb_claim tid) $(sb_claim appidacr)"
	if [[ $SB_STATUS == 200 && $claims == "$2" ]]; then ok "$1"; else
		not_ok "$1" "got:  $SB_STATUS, token of $claims, $SB_BODY"$'\n'"want: 200, $2"
	fi
}

last_received() { # CLIENT [secret | assertion]: what was answered, and it
	sb_entra_received "$@" | tail -n 1
}

jwt_part() { # head | claims, of a JWT on stdin: JSON, sorted
	python3 -c 'import base64, json, sys
part = sys.stdin.read().split()[-1].split(".")[sys.argv[1] == "claims"]
print(json.dumps(json.loads(base64.urlsafe_b64decode(part + "==")), sort_keys=True))' "$1"
}

# ---- what must not be found ----

# What a test of sources must have given to the search: else it would find nothing for want of it.
much_was_said() {
	local said
	sb_gather
	said=$(find "$SB_DIR/run/said/" -size +0 -printf '%f\n' | sed 's/\..*//' | sort -u | xargs)
	like 'the log, metrics, events and refusals are there to be searched' "$said" 'events log metrics .*refusals'
	passes 'at the level that tells the most' grep -q 'token granted' "$SB_DIR/nmi.log"
}

# What of all that stands in the memory of both processes. `gcore` would show less: it leaves out what is
# marked not to be dumped.
in_memory() { # WHAT...: kinds of memory.py, each with its value
	local pid=$1 child
	pid=$(sb_pid nmi) || { echo 'nmi is not running'; return; }
	child=$(cat "/proc/$pid/task/$pid/children")
	# shellcheck disable=SC2086 # one word each
	/usr/bin/python3 "$tokens_here/../leaks/memory.py" "$pid" $child -- "$@" 2>&1
}

is_wiped() { # SENTENCE WHAT...
	is "$1" "$(in_memory "${@:2}")" ''
}

# Of all that the stand-ins gave and were given, memory holds cached tokens and no more. What was answered a
# moment ago is kept for its second.
only_cached_tokens_are_in_memory() {
	nothing_else() { [[ -z $(in_memory ledger="$SB_DIR/run/ledger") ]]; }
	eventually 10 nothing_else
	is 'of all that was given and received only cached tokens are in memory' "$(in_memory ledger="$SB_DIR/run/ledger")" ''
	# the search itself: the agent's own token is there, and would be found if it were somebody else's
	mkdir -p "$SB_DIR/planted"
	sed 's/system:serviceaccount:kube-system:nmi/somebody/' "$SB_DIR/run/ledger/apiserver" >"$SB_DIR/planted/apiserver"
	like 'as one would be found' "$(in_memory ledger="$SB_DIR/planted")" 'token of somebody'
}

tokens_end() {
	much_was_said
	# a sanitizer's own memory has no end
	[[ ${NMI_SLOW:-1} != 1 ]] || only_cached_tokens_are_in_memory
	e2e_end
}
