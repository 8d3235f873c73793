#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The roles of deploy/rbac: each mode runs with its own two files and is refused nothing; what is not granted
# is said, and granted it works.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SP=44444444-aaaa-4000-8000-000000000004
raise() { # FILES of deploy/rbac; then ARGUMENTS of nmi
	sb_down
	SB_RBAC=$1 sb_up && sb_example && sb_identity shop sp $SP '' 1 tenant=$SB_TENANT secret=sp &&
		sb_binding shop sp sp sp && sb_secret shop sp clientSecret=s3cret &&
		sb_add_pod sp shop 10.244.0.21 aadpodidbinding=sp && sb_identity shop fed $SP '' 3 tenant=$SB_TENANT &&
		sb_binding shop fed fed fed && sb_add_pod fed shop 10.244.0.22 aadpodidbinding=fed ||
		bail "the box with $1 cannot be raised"
}
events() { sb_api GET api/v1/namespaces/shop/events | grep -c NmiNoLabel; }
nothing_forbidden() { # SENTENCE
	unlike "$1" "$(<"$SB_DIR/nmi.log")" 'forbidden|cannot (get|list|watch|create)'
}

e2e_box rbac

# ---- managed mode ----

raise 'nmi managed'
sb_start_nmi || bail 'nmi does not start'
gives 'managed: a pod has its token' "$SB_SHOP" web "$SB_ASK"
answers 'an excepted pod has the node'"'"'s' 200 access_token addon "$SB_ASK"
answers 'a pod without label is refused' 400 no_label plain "$SB_ASK"
passes 'which is an Event' eventually 5 events
nothing_forbidden 'so nmi.yaml and managed.yaml are enough'
answers 'a Secret that may not be read: which, and which right is missing' 400 \
	'may not read Secret shop/sp: grant its service account get' sp "$SB_ASK"
answers 'a token of an account that may not be asked for: whose, and which right is missing' 400 \
	'shop/default.*serviceaccounts/token' fed "$SB_ASK"
sb_stop_nmi

# ---- standard mode ----

raise 'nmi standard'
sb_assigned shop web shop "$SB_SHOP" Assigned || bail 'no assigned identity'
sb_start_nmi --operation-mode=standard --forceNamespaced=false || bail 'nmi does not start'
gives 'standard: a pod has its token' "$SB_SHOP" web "$SB_ASK"
answers 'an excepted pod has the node'"'"'s there too' 200 access_token addon "$SB_ASK"
answers 'a pod without label is refused there too' 400 no_label plain "$SB_ASK"
passes 'which is an Event there too' eventually 5 events
nothing_forbidden 'so nmi.yaml and standard.yaml are enough'
sb_stop_nmi

# ---- each for itself ----

raise nmi
sb_launch_nmi
readiness() { sb_in "$SB_NODE" curl -s -m 2 -w ' %{http_code}' "http://127.0.0.1:8085/readyz?verbose"; }
says() { [[ $(readiness) == *"$1"* ]]; }
passes 'without managed.yaml: what is missing is told' eventually 10 \
	says 'azureidentities: not allowed to list and watch'
like 'and nmi is not ready' "$(readiness)" ' 503$'
sb_stop_nmi
e2e_end
