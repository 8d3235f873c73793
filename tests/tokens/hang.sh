#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An application whose Entra takes its requests and never answers: it holds up itself, nobody else.
# alone: measures time
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tokens_begin hang

SECRET=hang-Q8~secret
for app in $SP $SP2; do sb_app "$app" secret=$SECRET tenant=$SB_TENANT; done
sb_secret shop sp clientSecret=$SECRET
PODS=(one two three four)
for i in "${!PODS[@]}"; do bound_pod "${PODS[i]}" "10.244.0.$((21 + i))" $SP 1 tenant=$SB_TENANT secret=sp; done
bound_pod other 10.244.0.31 $SP2 1 tenant=$SB_TENANT secret=sp
gives_app 'all is well' "$SP $SB_TENANT 1" one "$ASK_VAULT"
gives_app 'with the other too' "$SP2 $SB_TENANT 1" other "$ASK_VAULT"

sb_entra_behave do=hang times=0 client=$SP
for pod in "${PODS[@]}"; do
	for i in 1 2 3 4 5; do
		sb_spawn "$pod" curl -s -m 20 -o /dev/null -H Metadata:true "http://169.254.169.254$SB_TOKEN?api-version=2018-02-01&resource=https://$pod-$i.example.org"
	done
done
full() { (($(waiting) >= 20)); }
passes 'four pods have asked, each for more than it may have under way' eventually 5 full
fresh
gives_app 'another application of the same Entra is served' "$SP2 $SB_TENANT 1" other "$FRESH"
at_most '... once those have been slow for two seconds (ms)' "$SB_MSEC" 4500
sleep 2.2 # the request before may have found a place while they were not all taken
fresh
gives_app '... and from then on at once' "$SP2 $SB_TENANT 1" other "$FRESH"
at_most '... (ms)' "$SB_MSEC" 1500
gives '... as are those of IMDS' "$SB_SHOP" web "$SB_ASK"
answers '... and a pod without identity is refused as ever' 400 'Identity not found' plain "$SB_ASK"
gives_app 'what is in the cache is answered all the while' "$SP $SB_TENANT 1" one "$ASK_VAULT"
fresh
answers 'who asks what hangs is told, in time' 503 'upstream' one "$FRESH" -m 40
sb_entra clear >/dev/null
passes 'and when it answers again, so do we' eventually 20 asks_as one $SP
tokens_end
