#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# /host/token: root on the node gets a token in a pod's name, as the secrets store CSI driver asks for
# it; nobody else does.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
e2e_begin host-token --pod-wait=2s

VAULT=https://vault.azure.net
HOST_ASK="/host/token/?resource=$VAULT"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)

# One request from the node, as the driver makes it. POD is namespace/name; COMMAND... runs before curl.
host_ask() { # BASE TARGET POD [CURL-ARGUMENT...]; in HOST_AS: COMMAND...
	local out head=$SB_DIR/head.$BASHPID
	: >"$head"
	chmod 666 "$head" # nobody opens it again, as /dev/stderr
	out=$(sb_in "$SB_NODE" ${HOST_AS[@]+"${HOST_AS[@]}"} curl -s -m 30 --path-as-is -D /dev/stderr -w '\n%{http_code}' \
		${3:+-H "podns: ${3%/*}" -H "podname: ${3#*/}"} "${@:4}" "$1$2" 2>"$head") || true
	SB_HEAD=$(tr -d '\r' <"$head")
	rm -f "$head"
	SB_BODY=${out%$'\n'*}
	SB_STATUS=${out##*$'\n'}
}
HOST_AS=()
L4=http://127.0.0.1:2579 L6='http://[::1]:2579'

host_answers() { # SENTENCE STATUS REGEX BASE TARGET POD [CURL-ARGUMENT...]
	host_ask "${@:4}"
	was_answered "$1" "$2" "$3"
}

host_gives() { # SENTENCE CLIENT-ID BASE TARGET POD [CURL-ARGUMENT...]
	host_ask "${@:3}"
	was_given "$1" "$2"
}

# ---- root ----
host_gives "root asks in a pod's name" "$SB_SHOP" $L4 "$HOST_ASK" shop/web
is 'for the resource that it named, not escaped' "$(sb_claim aud)" "$VAULT"
is "clientid is the identity's" "$(sb_field clientid)" "$SB_SHOP"
is 'the fields are those that the driver reads' \
	"$(python3 -c 'import json,sys; d=json.load(sys.stdin); print(*sorted(d), *sorted(d["token"]), {type(v).__name__ for v in d["token"].values()})' <<<"$SB_BODY")" \
	"clientid token access_token client_id expires_in expires_on ext_expires_in not_before refresh_token resource token_type {'str'}"
like 'as JSON' "$SB_HEAD" 'Content-Type: application/json; charset=utf-8'
host_gives 'over IPv6, where localhost may lead' "$SB_SHOP" "$L6" "$HOST_ASK" shop/web
host_gives 'by the name localhost' "$SB_SHOP" http://localhost:2579 "$HOST_ASK" shop/web
host_gives 'another pod has another' "$SB_BILLING" $L4 "$HOST_ASK" shop/billing
host_gives 'without the slash, and escaped' "$SB_SHOP" $L4 '/host/token?resource=https%3A%2F%2Fvault.azure.net' shop/web
host_gives 'with a client id' "$SB_SHOP" $L4 "$HOST_ASK&client_id=${SB_SHOP^^}" shop/web
host_answers "but not somebody else's" 403 identity_not_bound $L4 "$HOST_ASK&client_id=$SB_BILLING" shop/web
host_answers 'a pod without the label is explained' 400 'shop/plain has no label aadpodidbinding.*no_label' $L4 "$HOST_ASK" shop/plain
host_answers "an excepted pod is not given the node's own identity" 400 no_label $L4 "$HOST_ASK" kube-system/addon
t=$EPOCHREALTIME
host_answers 'a pod that is not of this node: 503' 503 'shop/elsewhere.*pod_unknown' $L4 "$HOST_ASK" shop/elsewhere
like 'with Retry-After' "$SB_HEAD" 'Retry-After: [0-9]+'
at_most 'after its wait (ms)' "$(msec_since "$t")" 3500

# a volume is mounted before the pod has an address, and often before our watch has shown it
pending() { # NAME
	sb_api POST api/v1/namespaces/shop/pods '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"'"$1"'",
		"namespace":"shop","labels":{"aadpodidbinding":"billing"}},"spec":{"nodeName":"'"$SB_NODE_NAME"'",
		"containers":[{"name":"a","image":"b"}]},"status":{"phase":"Pending"}}' >/dev/null
}
(sleep 0.4 && pending mounting) &
t=$EPOCHREALTIME
host_gives "asked before the pod's event: waits for it" "$SB_BILLING" $L4 "$HOST_ASK" shop/mounting
at_most 'and not longer (ms)' "$(msec_since "$t")" 1500
wait

# ---- bad questions ----
host_answers 'no headers' 400 "missing 'podname' and 'podns'" $L4 "$HOST_ASK" ''
host_answers 'no resource' 400 'resource' $L4 /host/token/ shop/web
host_answers 'through a proxy' 400 'X-Forwarded-For' $L4 "$HOST_ASK" shop/web -H 'X-Forwarded-For: 10.0.0.9'
host_answers 'another path' 404 not_found $L4 "$SB_ASK" shop/web -H Metadata:true
host_answers 'instance metadata' 404 not_found $L4 '/metadata/instance?api-version=2021-02-01' shop/web -H Metadata:true

# ---- who is not root ----
HOST_AS=("${nobody[@]}")
for base in "$L4" "$L6"; do
	host_answers "nobody, at $base: refused" 403 'uid 65534.*host-token=root.*host_caller' "$base" "$HOST_ASK" shop/web
done
host_answers 'nobody learns nothing of pods' 403 host_caller $L4 "$HOST_ASK" shop/elsewhere
HOST_AS=()
passes 'it is logged with the uid' grep -q 'request of a process of this node refused: .*uid 65534' "$SB_DIR/nmi.log"

# A socket that nobody holds any more is told as uid 0 by the kernel.
granted() { metric 'aadpodidentity_nmi_operations_duration_seconds_count{namespace="shop",operation_type="/host/token",resource="'$VAULT'",status_code="200"}'; }
before=$(granted)
like 'what was granted is counted' "$before" '^[1-9]'
sb_in "$SB_NODE" "${nobody[@]}" python3 - "$HOST_ASK" <<-'END' >"$SB_DIR/orphans" 2>&1
	import socket, sys
	for _ in range(200):
	    s = socket.create_connection(("127.0.0.1", 2579), timeout=5)
	    s.sendall(f"GET {sys.argv[1]} HTTP/1.1\r\nHost: localhost\r\npodns: shop\r\npodname: web\r\n\r\n".encode())
	    s.close()
	print("done")
END
is 'nobody asks and hangs up at once, 200 times' "$(<"$SB_DIR/orphans")" 'done'
sleep 0.3
is 'nothing was granted for it' "$(granted)" "$before"

# A socket that root made and nobody was given is root's; one that nobody made stays nobody's.
sb_in "$SB_NODE" python3 - "$HOST_ASK" <<-'END' >"$SB_DIR/handed" 2>&1
	import os, socket, sys
	a, b = socket.socketpair()
	if os.fork() == 0:
	    os.setresuid(65534, 65534, 65534)
	    s = socket.create_connection(("127.0.0.1", 2579), timeout=5)
	    socket.send_fds(a, [b"x"], [s.fileno()])
	    os._exit(0)
	_, fds, _, _ = socket.recv_fds(b, 1, 1)
	os.wait()
	s = socket.socket(fileno=fds[0]); s.settimeout(5)
	s.sendall(f"GET {sys.argv[1]} HTTP/1.1\r\nHost: localhost\r\npodns: shop\r\npodname: web\r\n\r\n".encode())
	print(s.recv(65536).split()[1].decode())
END
is "a socket of nobody's in root's hands is nobody's" "$(<"$SB_DIR/handed")" 403

# ---- pods ----
answers 'a pod, by the redirect: refused' 403 'processes of the node.*host_caller' web "$HOST_ASK" -H 'podns: shop' -H 'podname: billing'
out=$(sb_exec web curl -s -m 2 -o /dev/null -w '%{http_code}' -H 'podns: shop' -H 'podname: web' "http://$SB_NODE_IP:2579$HOST_ASK")
is "a pod, at the node's address and port: nothing" "$out" 000
no_leak 'IMDS has seen no pod'

# ---- the setting ----
sb_stop_nmi
sb_start_nmi --host-token=any
HOST_AS=("${nobody[@]}")
host_gives 'any: nobody is served' "$SB_SHOP" $L4 "$HOST_ASK" shop/web
HOST_AS=()
answers 'any: a pod is not' 403 host_caller web "$HOST_ASK" -H 'podns: shop' -H 'podname: billing'
sb_stop_nmi
sb_start_nmi --host-token=off
host_answers 'off: nothing listens on loopback' 000 '' $L4 "$HOST_ASK" shop/web
host_answers 'off: nor on IPv6' 000 '' "$L6" "$HOST_ASK" shop/web
host_answers 'off: the path is not there' 404 'host-token=off.*not_found' "http://$SB_NODE_IP:2579" "$HOST_ASK" shop/web
answers 'off: nor for a pod' 404 not_found web "$HOST_ASK" -H 'podns: shop' -H 'podname: web'
sb_stop_nmi
sb_start_nmi --nmi-listen-address=0.0.0.0
host_gives 'listening everywhere: root is served' "$SB_SHOP" $L4 "$HOST_ASK" shop/web
host_gives 'listening everywhere: over IPv6 too' "$SB_SHOP" "$L6" "$HOST_ASK" shop/web
HOST_AS=("${nobody[@]}")
host_answers 'listening everywhere: nobody is not' 403 'uid 65534' $L4 "$HOST_ASK" shop/web
HOST_AS=()
host_answers "listening everywhere: by the node's address: refused" 403 'loopback' "http://$SB_NODE_IP:2579" "$HOST_ASK" shop/web
gives 'listening everywhere: pods are served' "$SB_SHOP" web "$SB_ASK"
sb_stop_nmi
sb_start_nmi --nmi-listen-address=127.0.0.1 --redirect-backend=none
host_gives 'listening on loopback alone: root is served' "$SB_SHOP" $L4 "$HOST_ASK" shop/web
HOST_AS=("${nobody[@]}")
host_answers 'listening on loopback alone: nobody is not' 403 'uid 65534' $L4 "$HOST_ASK" shop/web
HOST_AS=()
sb_stop_nmi
# as an unprivileged user, without any capability, the proof works as well
sb_start_nmi --user=nobody
host_gives 'nmi as another user: root is served' "$SB_SHOP" $L4 "$HOST_ASK" shop/web
HOST_AS=("${nobody[@]}")
host_answers 'nmi as another user: its own uid is not' 403 'uid 65534' $L4 "$HOST_ASK" shop/web
HOST_AS=()
# a node without IPv6
sb_stop_nmi
sb_in "$SB_NODE" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
sb_start_nmi
host_gives 'a node without IPv6: root is served' "$SB_SHOP" $L4 "$HOST_ASK" shop/web
e2e_end
