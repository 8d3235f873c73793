#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What IMDS gets over by itself, the pod does not see; what it does not, the pod is told in time.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
e2e_begin hiccup -v 9
passes 'the pod is known' eventually 5 asks_ok web

n=0
fresh() { # a target that nobody has asked for
	n=$((n + 1))
	target="$SB_TOKEN?api-version=2018-02-01&resource=https://fresh-$n.example.com"
}
asked() { sb_imds stats | python3 -c 'import json,sys; print(json.load(sys.stdin)["total"]["token"])'; }

hides() { # WHAT LEAST-MSEC MOST-MSEC REQUESTS FAULT...
	fresh
	sb_imds reset >/dev/null
	sb_imds fault area=token "${@:5}" >/dev/null
	gives "$1 is hidden from the pod" "$SB_SHOP" web "$target"
	at_most '... which waits no longer than it must' "$SB_MSEC" "$3"
	at_most '... nor shorter' "$2" "$SB_MSEC"
	is '... and IMDS is asked as often as it failed, and once more' "$(asked)" "$4"
}
hides 'one 410' 2000 3600 2 status=410 times=1
hides 'one 404' 2000 3600 2 status=404 times=1
hides 'one 503' 1000 2100 2 status=503 times=1
hides 'a 500, three times' 6000 10500 4 status=500 times=3
# a kept connection that dies is no failure: libcurl asks again at once on a new one
hides 'a connection that is cut, and the next' 1000 2100 3 kind=close times=2
hides 'a 429 that names a second' 1000 1600 2 status=429 times=1 retry-after=1
is 'each of these tries was counted' "$(metric 'nmi_token_fetch_retries_total{source="imds"}')" 8

fresh
sb_imds reset >/dev/null
sb_imds fault area=token status=400 times=1 >/dev/null
answers 'a refusal is not asked for again' 400 'upstream_refused' web "$target"
is '... at all' "$(asked)" 1

fresh
sb_imds reset >/dev/null
sb_imds fault area=token status=503 >/dev/null
answers 'an outage is told, and how often it was tried' 503 'asked 4 times: IMDS answered 503' web "$target"
at_most '... within the patience of a caller (ms)' "$SB_MSEC" 13000
is '... and the tries have an end' "$(asked)" 4
sb_imds clear >/dev/null
sleep 1.1 # as long as it is believed
gives 'it is over as soon as it is over' "$SB_SHOP" web "$target"

fresh
sb_imds fault area=token status=429 times=1 retry-after=8 >/dev/null
answers 'a throttling that is long is told at once' 429 'upstream_throttled' web "$target"
at_most '... (ms)' "$SB_MSEC" 500
like '... with the time to come back' "$SB_HEAD" $'(^|\n)Retry-After: 8'
sb_imds reset >/dev/null
fresh
answers '... to all pods' 429 'upstream_throttled' billing "$target"
is '... and IMDS is left alone' "$(asked)" 0
sleep 4
gives '... until it is nearly over, which is waited out' "$SB_BILLING" billing "$target"
no_leak 'IMDS has seen no pod'
e2e_end
