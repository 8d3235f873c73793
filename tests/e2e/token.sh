#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tokens: the right pod gets the right one, by whatever name it asks, and changes count at once.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_begin token

is 'route_localnet is 0 on every link' "$(sb_in "$SB_NODE" sh -c 'cat /proc/sys/net/ipv4/conf/*/route_localnet | sort -u')" 0
is 'no host end of a pod has an IPv4 address' "$(ip -n "$SB_NODE" -4 -o addr | grep -c azv)" 0

gives 'a bound pod gets its identity' "$SB_SHOP" web "$SB_ASK"
is 'for the audience that it asked for' "$(sb_claim aud)" "$SB_ARM"
is 'every field is there, in the shape that SDKs read' \
	"$(python3 -c 'import json,sys; d=json.load(sys.stdin); print(*sorted(d), {type(v).__name__ for v in d.values()})' <<<"$SB_BODY")" \
	"access_token client_id expires_in expires_on ext_expires_in not_before refresh_token resource token_type {'str'}"
is 'the resource comes back as it was asked for' "$(sb_field resource)" "$SB_ARM"
like 'as JSON' "$SB_HEAD" 'Content-Type: application/json; charset=utf-8'
first=$(sb_field access_token)
sb_ask web "$SB_ASK"
is 'a second time from the cache' "$(sb_field access_token)" "$first"
is 'IMDS was asked once' "$(sb_imds stats | python3 -c 'import json,sys; print(json.load(sys.stdin)["sources"]["'$SB_NODE_IP'"]["token"])')" 1
gives 'another pod gets its own' "$SB_BILLING" billing "$SB_ASK"

while read -r query; do
	gives "asked by ${query%%=*}, $([[ $query == *[A-Z]* ]] && echo 'in capitals' || echo 'plainly')" "$SB_SHOP" web "$SB_ASK&$query"
done <<-END
	client_id=$SB_SHOP
	client_id=${SB_SHOP^^}
	msi_res_id=$SB_IDS/shop
	msi_res_id=${SB_IDS^^}/SHOP
	mi_res_id=$SB_IDS/shop
	msi_res_id=${SB_IDS//\//%2F}%2Fshop
END
gives 'a trailing slash in the path is let pass' "$SB_SHOP" web "${SB_ASK/token?/token/?}"
gives 'metadata in another case as well' "$SB_SHOP" web "${SB_ASK/metadata/METADATA}"
gives 'a later api-version' "$SB_SHOP" web "${SB_ASK/2018-02-01/2025-04-07}"
gives 'bypass_cache=true brings a new one' "$SB_SHOP" web "$SB_ASK&bypass_cache=true"
unlike 'which is not the old one' "$(sb_field access_token)" "^$first\$"
gives 'an excepted pod gets what the node gets' "$SB_SYSTEM" addon "$SB_ASK"
gives 'and by client id any identity of the node' "$SB_KUBELET" addon "$SB_ASK&client_id=$SB_KUBELET"

# a pod that is new
t=$EPOCHREALTIME
sb_add_pod late shop 10.244.0.20 aadpodidbinding=billing
gives 'a pod is served as soon as it is there' "$SB_BILLING" late "$SB_ASK"
at_most 'within a second, the test and its tools included (ms)' "$(msec_since "$t")" 1000

# the label changes, the binding changes
sb_api PATCH api/v1/namespaces/shop/pods/late '{"metadata":{"labels":{"aadpodidbinding":"shop"}}}' application/merge-patch+json >/dev/null
passes 'a changed label counts' eventually 1 asks_as late "$SB_SHOP"
sb_binding shop shop billing shop
passes 'a changed binding counts, cached token or not' eventually 1 asks_as late "$SB_BILLING"
sb_binding shop shop shop shop
passes 'and back' eventually 1 asks_as late "$SB_SHOP"
sb_api DELETE "$SB_GROUP/namespaces/shop/azureidentitybindings/billing" >/dev/null
asks_not() { sb_ask "$1" "$SB_ASK" -m 2; [[ $SB_STATUS == 400 ]]; }
passes 'a deleted binding counts, cached token or not' eventually 1 asks_not billing
sb_binding shop billing billing billing
passes 'made again, it counts again' eventually 1 asks_as billing "$SB_BILLING"

# several identities for one pod: weight, then name
sb_binding shop a-second billing shop 5
passes 'the heavier binding wins' eventually 1 asks_as web "$SB_BILLING"
gives 'the lighter one is had by its client id' "$SB_SHOP" web "$SB_ASK&client_id=$SB_SHOP"
sb_api DELETE "$SB_GROUP/namespaces/shop/azureidentitybindings/a-second" >/dev/null
passes 'without it all is as before' eventually 1 asks_as web "$SB_SHOP"

# an address that is used again: the network goes first, the object later
sb_del_pod_net late
sb_add_pod heir shop 10.244.0.20 aadpodidbinding=billing
sb_ask heir "$SB_ASK" -m 3
unlike 'the heir of an address is never served as the one before' "$(sb_field client_id)" "^$SB_SHOP\$"
sb_api DELETE 'api/v1/namespaces/shop/pods/late?gracePeriodSeconds=0' >/dev/null
passes 'and is served as itself once the old pod is gone' eventually 2 asks_as heir "$SB_BILLING"

# one connection, many requests
codes=$(sb_exec web curl -s -o /dev/null -w '%{http_code} %{num_connects}\n' -H Metadata:true "http://169.254.169.254$SB_ASK&n=[1-5]" | sort | uniq -c | tr -s ' \n' ' ')
is 'a connection is kept' "$codes" ' 4 200 0 1 200 1 '
no_leak 'IMDS has seen no pod'
e2e_end
