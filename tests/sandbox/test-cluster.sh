#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The node in a box, without the agent: pods reach IMDS and each other as the tests rely on, and
# nothing stays behind, however it ended.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tap.sh
source "$here/../tap.sh"
# shellcheck source=tests/sandbox/cluster.sh
source "$here/cluster.sh"
sb_use "self${NMI_E2E_BOX:-}"
trap sb_down EXIT

t=$SECONDS
passes 'up' sb_up
at_most 'within some seconds' $((SECONDS - t)) 15
passes 'the example' sb_example
like 'status names what runs' "$(sb_status)" 'apiserver +runs.*imds +runs.*pod billing +shop 10.244.0.12 azv2'

# without an agent the hole is there: what the tests then prove is that nmi closes it
sb_ask web "$SB_ASK"
is 'without nmi a pod gets the token of the node' "$SB_STATUS $(sb_claim appid)" "200 $SB_SYSTEM"
is 'and IMDS sees its address' "$(sb_leaks)" 1
sb_ask_from "$SB_NODE" "$SB_ASK" -H Metadata:true
is 'the host gets it as well' "$SB_STATUS" 200
sb_imds reset >/dev/null
is 'counts can be reset' "$(sb_leaks)" 0
is 'host ends of pods have no IPv4 address' "$(ip -n "$SB_NODE" -4 -o addr show | grep -c azv)" 0
is 'route_localnet is 0' "$(sb_in "$SB_NODE" sh -c 'cat /proc/sys/net/ipv4/conf/*/route_localnet | sort -u')" 0
passes 'pods reach one another' sb_exec web python3 - <<-'END'
	import socket, subprocess
	s = socket.socket(socket.AF_INET, socket.SOCK_STREAM); s.settimeout(2)
	try: s.connect(("10.244.0.12", 1))
	except ConnectionRefusedError: pass
END

like 'the API server has the pod' "$(sb_api GET api/v1/namespaces/shop/pods/web)" '"podIP": ?"10.244.0.11"'
like 'kubectl works' "$(sb_kubectl get azureidentities -A 2>&1)" 'shop +billing +0 +22222222-aaaa'
like 'by short name, with the columns that users know' "$(sb_kubectl get azidb -n shop 2>&1)" 'NAME +AZUREIDENTITY +SELECTOR +AGE'
sb_binding shop shop billing shop
like 'objects can be changed' "$(sb_api GET "$SB_GROUP/namespaces/shop/azureidentitybindings/shop")" '"azureIdentity": ?"billing"'
passes 'a pod can be deleted' sb_del_pod plain
is 'its namespace goes with it' "$(ip netns list | grep -c nmi-$SB_NAME-pod-plain)" 0

passes 'a Secret is made' sb_secret shop sp clientSecret='a=b c' other=x
passes 'and made again, without what it had' sb_secret shop sp clientSecret=@<(printf 'x\0y')
like 'its bytes are those that were given' "$(sb_api GET api/v1/namespaces/shop/secrets/sp)" '"data": ?\{"clientSecret": ?"eAB5"\}'
passes 'an identity refers to it' sb_identity shop sp 1111 '' 1 tenant=contoso secret=sp auxiliary=a,b endpoint=https://x/ note=k/e=v
like 'with all that was said' "$(sb_api GET "$SB_GROUP/namespaces/shop/azureidentities/sp")" \
	'"annotations":\{"k/e":"v"\}.*"adEndpoint":"https://x/","auxiliaryTenantIDs":\["a","b"\].*"clientPassword":\{"name":"sp","namespace":"shop"\}.*"tenantID":"contoso","type":1'
passes 'an account is annotated' sb_account_note shop default azure.workload.identity/client-id=1111
like 'which it then is' "$(sb_api GET api/v1/namespaces/shop/serviceaccounts/default)" '"azure.workload.identity/client-id":"1111"'
for kind in '' 'legacy=true password=pw'; do
	# shellcheck disable=SC2086 # words
	passes "a certificate, ${kind:-plain}" sb_certificate c $kind
	is 'its PKCS#12 holds the same' "$(openssl pkcs12 -legacy -in "$SB_DIR/certs/c.p12" -passin "pass:${kind##*=}" -nokeys 2>/dev/null | openssl x509)" \
		"$(<"$SB_DIR/certs/c.crt")"
done

# Entra, which only some tests need
SP=44444444-aaaa-4000-8000-000000000004
see=("$here/cluster.sh" --name "$SB_NAME" see)
entra_ask() { # NAMESPACE HOST CURL-ARGUMENT...: from there, as the agent would
	SB_BODY=$(sb_in "$1" "${see[@]}" curl -sS -m 10 -d grant_type=client_credentials -d client_id=$SP "${@:3}" \
		--data-urlencode scope=https://vault.azure.net/.default \
		"https://$2/$SB_TENANT/oauth2/v2.0/token" 2>&1)
}
hosts=$(</etc/hosts)
is 'without Entra all is as on the machine' "$("${see[@]}" cat /etc/hosts)" "$hosts"
passes 'Entra' sb_entra_up
passes 'an application is registered' sb_app $SP secret='one~&+ 1' secret=two federated=system:serviceaccount:shop:default
like 'and what cannot be registered is not passed over' "$(sb_app $SP secert=x 2>&1)" 'what is secert'
for host in $SB_LOGIN_HOSTS; do
	entra_ask "$SB_NODE" "$host" --data-urlencode client_secret='one~&+ 1'
	is "the node gets a token of $host" "$(sb_claim appid) $(sb_claim tid)" "$SP $SB_TENANT"
done
entra_ask "$(sb_pod_ns web)" login.microsoftonline.com -d client_secret=two
is 'a pod as well' "$(sb_claim appid)" $SP
sb_ask web "$SB_ASK"
is 'and tokens of IMDS are known as before' "$(sb_claim appid)" "$SB_SYSTEM"
entra_ask "$SB_NODE" login.microsoftonline.com -d client_secret=three
like 'a wrong secret is refused' "$SB_BODY" 'invalid_client.*AADSTS7000215'
is 'what was sent is on record, with the answer' "$(sb_entra_received $SP secret | tail -n 2 | xargs)" \
	'200 two AADSTS7000215 three'
token=$(sb_api POST api/v1/namespaces/shop/serviceaccounts/default/token \
	"{\"spec\":{\"audiences\":[\"$SB_EXCHANGE\"]}}" | sed -nE 's/.*"token":"([^"]*)".*/\1/p')
entra_ask "$SB_NODE" login.microsoftonline.com -d client_assertion="$token" \
	-d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer
is 'a service account is believed by what the API server publishes' "$(sb_claim appid) $(sb_claim appidacr)" "$SP 2"
is 'and its token is on record' "$(sb_account_tokens)" "$token"
sb_entra_behave do=throttle retry-after=7 times=2
entra_ask "$SB_NODE" login.microsoftonline.com -d client_secret=two -i
like 'it throttles when told to' "$SB_BODY" '429 .*Retry-After: 7.*AADSTS90055'
is 'and counts' "$(sb_entra_count behaved) $(sb_entra_count refused 7000215)" '1 1'
is "the machine's hosts file is as it was" "$(</etc/hosts)" "$hosts"

sb_exec web sleep 300 &
stray=$!
disown
passes 'up again over what is there' sb_up
is 'a stray process of a pod was ended' "$(sb_born $stray)" ''
passes 'down' sb_down
is 'down: no namespace' "$(ip netns list | grep -c nmi-$SB_NAME-)" 0
is 'down: no state' "$(ls -d "$SB_DIR" 2>/dev/null)" ''
passes 'down again' sb_down

# half an up: nothing to build from
NMI_BUILD=/nonexistent sb_use "self${NMI_E2E_BOX:-}"
out=$(sb_up 2>&1)
status=$?
is 'up fails when a program is missing' "$status" 1
like 'and says which, and what to do' "$out" 'nmi-sandbox-apiserver is not in .*meson setup build'
is 'leaving no namespace' "$(ip netns list | grep -c nmi-$SB_NAME-)" 0
sb_use "self${NMI_E2E_BOX:-}"
like 'a bad name is refused' "$(sb_use 'A b' 2>&1)" 'not a name'
done_testing
