#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Refusals: who must not get a token does not, and is told why in a form that SDKs show.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_begin refuse --pod-wait=1s

# Beside status and text: always JSON, a code, a sentence; Retry-After only where it helps.
refuses() { # SENTENCE STATUS REGEX POD TARGET [CURL-ARGUMENT...]
	answers "$@"
	like "$1: as JSON" "$SB_HEAD" 'Content-Type: application/json; charset=utf-8'
	like "$1: code and sentence" "$SB_BODY" '"error": ?"[a-z_]+".*"error_description": ?".+"'
	unlike "$1: without the word that SDKs take for no IMDS" "$SB_BODY" unreachable
	if [[ $2 == 503 || $2 == 429 ]]; then
		like "$1: Retry-After" "$SB_HEAD" 'Retry-After: [0-9]+'
	else
		unlike "$1: no Retry-After" "$SB_HEAD" 'Retry-After'
	fi
}

gives 'a bound pod is served' "$SB_BILLING" billing "$SB_ASK"
refuses 'a pod without label' 400 'Identity not found.*aadpodidbinding.*no_label' plain "$SB_ASK"
refuses "somebody else's client id" 403 access_denied web "$SB_ASK&client_id=$SB_BILLING"
refuses 'a client id that nobody has' 400 'Identity not found.*identity_unknown' web "$SB_ASK&client_id=99999999-0000-4000-8000-000000000009"
refuses "the node's own client id" 400 'Identity not found.*identity_unknown' web "$SB_ASK&client_id=$SB_SYSTEM"
sb_add_pod elsewhere other 10.244.0.21 aadpodidbinding=shop
refuses 'the same label in another namespace' 400 'Identity not found' elsewhere "$SB_ASK"
refuses 'an object id that nothing is known of' 400 'Identity not found.*selector_unsupported' web "$SB_ASK&object_id=99999999-0000-4000-8000-000000000009"

refuses 'no header' 400 'Required metadata header not specified' web "$SB_ASK" -H 'Metadata:'
refuses 'header False' 400 'Required metadata header not specified' web "$SB_ASK" -H 'Metadata: True'
refuses 'a header-less probe of a pod without identity' 400 'Required metadata header' plain "$SB_TOKEN" -H 'Metadata:'
refuses 'X-Forwarded-For' 400 '' web "$SB_ASK" -H 'X-Forwarded-For: 10.0.0.1'
refuses 'no resource' 400 resource web "$SB_TOKEN?api-version=2018-02-01"
refuses 'an empty resource' 400 resource web "$SB_TOKEN?api-version=2018-02-01&resource="
refuses 'no api-version' 400 api-version web "$SB_TOKEN?resource=$SB_ARM"
refuses 'an unknown api-version' 400 api-version web "$SB_TOKEN?api-version=latest&resource=$SB_ARM"
refuses 'an api-version before tokens' 400 api-version web "$SB_TOKEN?api-version=2017-08-01&resource=$SB_ARM"
refuses 'a parameter twice' 400 '' web "$SB_ASK&resource=$SB_ARM"
refuses 'two selectors' 400 '' web "$SB_ASK&client_id=$SB_SHOP&msi_res_id=$SB_IDS/shop"
refuses 'two selectors that contradict' 400 '' web "$SB_ASK&client_id=$SB_SHOP&object_id=22222222-bbbb-4000-8000-000000000002"
refuses 'POST' 405 method_not_allowed web "$SB_ASK" -X POST
like 'POST: told what is allowed' "$SB_HEAD" 'Allow: GET'
refuses 'IMDSv2 platform metadata' 404 not_found web '/metadata/identity/getplatformmetadata?cred-api-version=2.0'
refuses 'IMDSv2 credential' 404 not_found web '/metadata/identity/issuecredential?cred-api-version=2.0' -X POST -d '{}'
refuses 'other paths of identity' 404 not_found web '/metadata/identity/info?api-version=2018-02-01'

# Every spelling that the real service might take for the token path, or for one of the others there.
while read -r path; do
	sb_ask web "$path?api-version=2018-02-01&resource=$SB_ARM&client_id=$SB_KUBELET"
	unlike "no token for $path" "$SB_STATUS$SB_BODY" '^200|access_token|node leak'
done <<-'END'
	/metadata/identity\oauth2\token
	/metadata\identity/oauth2/token
	/metadata/identity%2foauth2%2ftoken
	/metadata/identity%5coauth2%5ctoken
	/metadata%2fidentity/oauth2/token
	/metadata/./identity/oauth2/token
	/metadata/instance/../identity/oauth2/token
	/metadata/instance/%2e%2e/identity/oauth2/token
	/metadata/instance/..%2fidentity/oauth2/token
	/metadata//identity//oauth2//token
	//metadata/identity/oauth2/token
	/METADATA/IDENTITY/OAUTH2/TOKEN
	/metadata/Identity/oauth2/token
	/metadata/identity/oauth2/%74oken
	/%6detadata/identity/oauth2/token
	/metadata/identity/oauth2/token%00
	/metadata/identity%0a/oauth2/token
	/metadata/identity/oauth2/tokenX
	/metadata/identity/oauth2/token/x
	/metadata/identity/getplatformmetadata/
	/metadata/identity%2fgetplatformmetadata
	/metadata/%69dentity/issuecredential
	/metadata/%2569dentity/oauth2/token
END
no_leak 'none of these reached IMDS from a pod'

# An address that no pod object has: wait for one, then come back later.
sb_pod_net ghost 10.244.0.30
t=$EPOCHREALTIME
sb_ask ghost "$SB_ASK"
is 'an unknown pod is asked to come back' "$SB_STATUS" 503
like 'and told when' "$SB_HEAD" 'Retry-After: [0-9]+'
at_most 'after the wait that was set (ms)' "$(msec_since "$t")" 3000
(sleep 0.4 && sb_pod_object ghost shop 10.244.0.30 aadpodidbinding=shop) &
gives 'a pod that becomes known while it waits is served' "$SB_SHOP" ghost "$SB_ASK"
wait $!

# Two pods with one address: nobody is served.
sb_pod_object twin shop 10.244.0.11 aadpodidbinding=billing
asks_503() { sb_ask web "$SB_ASK" -m 3; [[ $SB_STATUS == 503 ]]; }
passes 'two pods with one address: nobody is served' eventually 2 asks_503
sb_api DELETE 'api/v1/namespaces/shop/pods/twin?gracePeriodSeconds=0' >/dev/null
passes 'one again: served' eventually 2 asks_as web "$SB_SHOP"

# A pod that borrows the address of another, on a link of its own.
ip -n "$(sb_pod_ns plain)" addr add 10.244.0.11/32 dev eth0
sb_ask plain "$SB_ASK" --interface 10.244.0.11 -m 3
is 'a borrowed address is not answered' "$SB_STATUS" 000
gives 'its owner still is' "$SB_SHOP" web "$SB_ASK"
ip -n "$(sb_pod_ns plain)" addr del 10.244.0.11/32 dev eth0

# The agent's own port, not by way of the redirect.
out=$(sb_exec web curl -s -m 2 -o /dev/null -w '%{http_code}' -H Metadata:true "http://$SB_NODE_IP:2579$SB_ASK")
is 'the port of the agent is closed to those who come directly' "$out" 000

# What IMDS refuses, passed on so that SDKs do the right thing. Failures are remembered for a moment, so
# each is met with a resource of its own, and throttling, which concerns all, comes last.
fresh() { printf '%s?api-version=2018-02-01&resource=https://%s.example.com' "$SB_TOKEN" "$1"; }
fails() { # SENTENCE STATUS REGEX FAULT...
	sb_imds fault area=token "${@:4}" >/dev/null
	refuses "$1" "$2" "$3" web "$(fresh "${4//[^a-z0-9]/}")"
	sb_imds clear >/dev/null
}
# each until cleared: on a connection that is kept, one failure alone is tried again unseen
fails 'IMDS fails' 503 service_unavailable status=500
fails 'IMDS is out of order' 503 service_unavailable status=503
fails 'IMDS closes' 503 service_unavailable kind=close
fails 'IMDS answers with no JSON' 503 '' kind=garbage
fails 'IMDS answers with half a body' 503 '' kind=truncated
fails 'IMDS answers with {}' 503 '' kind=empty
fails 'IMDS answers with 2 MiB' 503 '' kind=huge
fails 'IMDS is being updated' 410 '' status=410
sb_imds fault area=token times=1 status=500 >/dev/null
sb_ask web "$SB_ASK&bypass_cache=true"
gives 'a renewal that failed spoils nothing' "$SB_SHOP" web "$SB_ASK"
sb_imds clear >/dev/null
sb_identity other gone 99999999-aaaa-4000-8000-000000000009 "$SB_IDS/gone"
sb_binding other gone gone gone
sb_add_pod orphan other 10.244.0.22 aadpodidbinding=gone
refuses 'an identity that the machine does not have' 400 'Identity not found' orphan "$SB_ASK"
refuses 'a resource that the tenant does not have' 400 AADSTS500011 web "$SB_TOKEN?api-version=2018-02-01&resource=https://x.invalid"
fails 'IMDS throttles' 429 too_many_requests status=429
gives 'while it throttles the cache still serves' "$SB_BILLING" billing "$SB_ASK"

no_leak 'IMDS has seen no pod'
e2e_end
