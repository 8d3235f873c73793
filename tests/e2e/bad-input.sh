#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Bad input of every kind, from pods, from the API server, from the operator: a clear refusal, never a
# crash, a hang or a leak, and everybody else is served as before.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_begin bad-input
pid=$(sb_pid nmi)
well() { # AFTER WHAT
	gives "$1: served as before" "$SB_SHOP" web "$SB_ASK"
	is "$1: by the same process" "$(sb_pid nmi)" "$pid"
}

# ---- from pods ----
while read -r verdict what; do
	if [[ $verdict == ok ]]; then ok "HTTP: ${what}"; else not_ok "HTTP: ${what%% b\'*}" "$what"; fi
done < <(sb_exec web timeout 400 python3 "$e2e_here/badhttp.py" 2>&1)
well 'bad HTTP'
t=$EPOCHREALTIME
sb_exec web python3 - <<-'END' >"$SB_DIR/slow" 2>&1
	import socket, time
	s = socket.create_connection(("169.254.169.254", 80)); end = time.time() + 40
	try:
	    while time.time() < end:
	        s.sendall(b"G" if s else b""); time.sleep(0.5)
	except OSError:
	    print("cut")
END
is 'a byte now and then: cut off' "$(<"$SB_DIR/slow")" cut
at_most 'a byte now and then: after the limit (ms)' "$(msec_since "$t")" 20000
sb_exec web python3 - <<-'END' >"$SB_DIR/many" 2>&1
	import socket
	held = []
	try:
	    for _ in range(900): held.append(socket.create_connection(("169.254.169.254", 80), timeout=3))
	except OSError: pass
	s = None
	print(len(held))
END
gives 'many idle connections of one pod: another pod is served' "$SB_BILLING" billing "$SB_ASK"
well 'many connections'
no_leak 'bad requests: IMDS saw no pod'

# ---- objects: as an older definition, without a schema, let them in ----
lax='{"spec":{"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object",
	"x-kubernetes-preserve-unknown-fields":true}}}]}}'
for plural in azureidentities azureidentitybindings azurepodidentityexceptions; do
	sb_api PATCH "apis/apiextensions.k8s.io/v1/customresourcedefinitions/$plural.aadpodidentity.k8s.io" \
		"$lax" application/merge-patch+json >/dev/null
done
object() { # KIND PLURAL NAME SPEC
	sb_apply "$SB_GROUP/namespaces/shop/$2" "$3" "{\"apiVersion\":\"${SB_GROUP#apis/}\",\"kind\":\"$1\",
		$(sb_meta shop "$3"),\"spec\":$4}"
}
warnings() { grep -c "$1" "$SB_DIR/nmi.log"; }
named() { [[ $(warnings "$1") -ge 1 ]]; }
while read -r kind plural name spec; do
	passes "$kind $spec: can be made" object "$kind" "$plural" "$name" "$spec"
	passes "$kind $spec: a warning names it" eventually 2 named "shop/$name"
	is "$kind $spec: one warning" "$(warnings "shop/$name")" 1
done <<-'END'
	AzureIdentity azureidentities bad-type {"type":"zero","clientID":"x"}
	AzureIdentity azureidentities bad-client {"type":0,"clientID":7}
	AzureIdentity azureidentities bad-spec "text"
	AzureIdentityBinding azureidentitybindings bad-selector {"azureIdentity":"shop","selector":["shop"]}
	AzureIdentityBinding azureidentitybindings bad-identity {"azureIdentity":{},"selector":"shop"}
	AzureIdentityBinding azureidentitybindings no-selector {"azureIdentity":"shop"}
	AzureIdentityBinding azureidentitybindings no-identity {"selector":"shop"}
	AzureIdentityBinding azureidentitybindings bad-weight {"azureIdentity":"shop","selector":"x","weight":"heavy"}
	AzurePodIdentityException azurepodidentityexceptions bad-labels {"podLabels":["app"]}
	AzurePodIdentityException azurepodidentityexceptions no-labels {}
	AzurePodIdentityException azurepodidentityexceptions bad-value {"podLabels":{"app":{}}}
END
well 'bad objects'
sb_ask plain "$SB_ASK"
is 'a bad exception excepts nobody' "$SB_STATUS" 400
object AzureIdentityBinding azureidentitybindings mended '{"azureIdentity":"billing","selector":7}'
sb_add_pod mender shop 10.244.0.50 aadpodidbinding=mended
object AzureIdentityBinding azureidentitybindings mended '{"azureIdentity":"billing","selector":"mended"}'
passes 'a bad object that is mended counts' eventually 2 asks_as mender "$SB_BILLING"
object AzureIdentityBinding azureidentitybindings mended '{"azureIdentity":"billing","selector":7}'
refused() { sb_ask mender "$SB_ASK" -m 2; [[ $SB_STATUS == 400 ]]; }
passes 'a good object that turns bad no longer counts' eventually 2 refused
object AzureIdentity azureidentities sp '{"type":9,"clientID":"44444444-aaaa-4000-8000-000000000004","tenantID":"x"}'
sb_binding shop sp sp sp
sb_add_pod principal shop 10.244.0.51 aadpodidbinding=sp
answers 'an identity of a type that is not served: told so' 400 'type' principal "$SB_ASK"
object AzureIdentity azureidentities old-case "{\"ClientID\":\"$SB_SHOP\",\"ResourceID\":\"$SB_IDS/shop\"}"
sb_binding shop old-case old-case old-case
sb_add_pod old shop 10.244.0.52 aadpodidbinding=old-case
passes 'fields in the capitals of old objects are read' eventually 2 asks_as old "$SB_SHOP"
sb_api POST api/v1/namespaces/shop/pods '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"no-ip","namespace":"shop"},
	"spec":{"nodeName":"'"$SB_NODE_NAME"'","containers":[{"name":"a","image":"b"}]}}' >/dev/null
well 'a pod without an address'

# ---- an API server that talks nonsense ----
for kind in truncated invalid binary array number wrong-types no-version unknown-event deep long-line error-event empty; do
	sb_start badapi "$SB_API" python3 "$e2e_here/badapi.py" "$SB_API_IP" 6444 "$SB_DIR/pki/server.crt" \
		"$SB_DIR/pki/server.key" "$kind"
	sb_in "$SB_API" nft 'add table ip bad; add chain ip bad pre { type nat hook prerouting priority -100; };
		add rule ip bad pre ip saddr '"$SB_NODE_IP"' tcp dport 6443 redirect to :6444'
	SB_FROM=$SB_API sb_api POST '_sandbox/close-watches?abort=1' >/dev/null
	passes "API server: $kind: nmi asks it" eventually 35 grep -q '^/api' "$SB_DIR/badapi.log"
	sleep 0.5
	well "API server: $kind"
	sb_stop badapi KILL
	rm -f "$SB_DIR/badapi.log"
	sb_in "$SB_API" nft delete table ip bad
done
sb_add_pod after shop 10.244.0.53 aadpodidbinding=shop
passes 'API server: sane again: news count' eventually 40 asks_as after "$SB_SHOP"
at_most 'memory has not run away (KiB)' "$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status")" 60000

# ---- what its faults may do ----
for fault in 'fail?status=500&count=5' 'fail?status=429&count=5' 'close-watches' 'compact' 'expire?on=1' 'expire?on=0'; do
	sb_api POST "_sandbox/$fault" >/dev/null
	sb_api POST '_sandbox/close-watches?abort=1' >/dev/null
	sleep 0.3
	well "API server: $fault"
done
sb_api POST '_sandbox/fail?count=0' >/dev/null
sb_binding shop shop billing shop
passes 'after all faults: a change counts' eventually 40 asks_as web "$SB_BILLING"
sb_binding shop shop shop shop
passes 'and back' eventually 5 asks_as web "$SB_SHOP"
no_leak 'IMDS has seen no pod'

# ---- from the operator ----
nmi=$(sb_program nmi)
while read -r name args; do
	# shellcheck disable=SC2086 # arguments
	out=$(sb_in "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" timeout 10 "$nmi" $args 2>&1 >/dev/null)
	status=$?
	is "settings: $args: exit status" "$status" 2
	is "settings: $args: one line" "$(wc -l <<<"$out")" 1
	like "settings: $args: names it" "$out" "$name"
done <<-END
	node --operation-mode=managed
	operation-mode --node x --operation-mode=other
	nmi-port --node x --nmi-port=99999
	nmi-port --node x --nmi-port=abc
	pod-wait --node x --pod-wait=10
	metadata-ip --node x --operation-mode=managed --metadata-ip=nowhere
	nmi-listen-address --node x --operation-mode=managed --nmi-listen-address=1.2.3
	no-such --node x --no-such-setting
	redirect-backend --node x --redirect-backend=magic
	log-format --node x --log-format=xml
END
out=$(sb_in "$SB_NODE" env KUBECONFIG=/nonexistent timeout 10 "$nmi" --node x --operation-mode=managed 2>&1)
status=$?
like 'no kubeconfig: told so, and ended' "$status $out" '^2 .*--kubeconfig: .*nonexistent'
is 'no kubeconfig: one error' "$(grep -c ' error ' <<<"$out")" 1
out=$(sb_in "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" timeout 10 "$nmi" --node x --nmi-port=2600 --http-probe-port=0 \
	--prometheus-port=0 --redirect-backend=none --user=nmi-nobody-has-it 2>&1)
status=$?
like 'no such user: told so, and ended' "$status $out" "^2 .*--user: there is no user 'nmi-nobody-has-it'"
e2e_end
