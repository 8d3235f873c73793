#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Pods with two addresses, and requests that come by IPv6: a pod is known by each of its addresses, whichever
# comes first, and over IPv6 the agent listens only where others guard its port.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"
e2e_begin dual --pod-wait=1s

four=10.244.0.41,fd00:10:244::41 six=fd00:10:244::42,10.244.0.42
sb_add_pod four shop $four aadpodidbinding=billing
sb_add_pod six shop $six aadpodidbinding=shop
sb_add_pod only6 shop fd00:10:244::43 aadpodidbinding=shop
is 'the API server has both addresses, in order' \
	"$(sb_kubectl -n shop get pod six -o 'jsonpath={.status.podIP} {.status.podIPs[*].ip}')" "${six%%,*} ${six//,/ }"

# From the node itself, or a pod, to a port of the node: http://NODE:2579.
ask_at() { # NAMESPACE BASE TARGET [CURL-ARGUMENT...]; in AS: COMMAND...
	local out header=(-H 'Metadata: true')
	[[ " ${*:4}" != *' Metadata:'* ]] || header=()
	out=$(sb_in "$1" ${AS[@]+"${AS[@]}"} curl -s -g -m 10 -w '\n%{http_code} %{time_total}' \
		${header[@]+"${header[@]}"} "${@:4}" "$2$3" 2>/dev/null)
	SB_BODY=${out%$'\n'*}
	read -r SB_STATUS SB_MSEC <<<"${out##*$'\n'}"
	SB_MSEC=$(awk -v s="$SB_MSEC" 'BEGIN { printf "%.1f", s * 1000 }')
}
AS=()
answers_at() { # SENTENCE STATUS REGEX NAMESPACE BASE TARGET...
	ask_at "${@:4}"
	was_answered "$1" "$2" "$3"
}
gives_at() { # SENTENCE CLIENT-ID NAMESPACE BASE TARGET...
	ask_at "${@:3}"
	was_given "$1" "$2"
}
pod() { sb_pod_ns "$1"; }
N6=http://[$SB_NODE_IP6]:2579 N4=http://$SB_NODE_IP:2579

# ---- with rules of ours ----
gives 'IPv4 first: served' "$SB_BILLING" four "$SB_ASK"
gives 'IPv6 first: served by its second address' "$SB_SHOP" six "$SB_ASK"
is 'only ::1 is listened on by IPv6, for the host' \
	"$(sb_in "$SB_NODE" ss -Hltn6 'sport = :2579' | awk '{ print $4 }')" '[::1]:2579'
for p in four six only6; do
	answers_at "$p, at the node's IPv6 address: nothing" 000 '' "$(pod $p)" "$N6" "$SB_ASK"
done

# The watch is behind. The API server finds pods by their first address alone.
sb_api POST '_sandbox/delay?msec=60000' >/dev/null
sb_add_pod late6 shop fd00:10:244::44,10.244.0.44 aadpodidbinding=billing
sb_add_pod late4 shop 10.244.0.45,fd00:10:244::45 aadpodidbinding=shop
gives 'IPv4 first, its event is late: the API server is asked' "$SB_SHOP" late4 "$SB_ASK"
gives 'IPv6 first, its event is late: as well' "$SB_BILLING" late6 "$SB_ASK"
sb_api POST '_sandbox/delay?msec=0' >/dev/null

# the settings that go with it
refused() { # ARGUMENT...: how nmi ends, and what it says
	sb_in "$SB_NODE" timeout 10 "$(sb_program nmi)" --node x --operation-mode=managed "$@" 2>&1
	echo "status $?"
}
for address in :: "$SB_NODE_IP6" ::1; do
	like "--nmi-listen-address=$address with rules of ours: refused" "$(refused --nmi-listen-address=$address)" \
		"'$address' is an IPv6 address.*IPv4 only.*--redirect-backend=none.*status 2"
done
like 'a link-local one: refused always' "$(refused --nmi-listen-address=fe80::1 --redirect-backend=none)" \
	"'fe80::1' is link-local.*status 2"

# ---- where the network plugin redirects, and listens in both families ----
sb_stop_nmi
sb_in "$SB_NODE" "$(sb_program nmi)" uninstall >/dev/null 2>&1
sb_in "$SB_NODE" nft -f - <<-END
	table ip plugin {
		chain to_nmi {
			type nat hook prerouting priority -100;
			ip daddr 169.254.169.254 tcp dport 80 dnat to $SB_NODE_IP:2579
		}
	}
END
NONE=(--pod-wait=1s --redirect-backend=none -v 4)
sb_start_nmi "${NONE[@]}" --nmi-listen-address=:: || bail 'nmi does not start with ::'
like 'the log says where it listens' "$(<"$SB_DIR/nmi.log")" 'listening on \[::\]:2579, in managed mode'
gives_at 'by IPv6, IPv4 first: served as the same pod' "$SB_BILLING" "$(pod four)" "$N6" "$SB_ASK"
gives_at 'by IPv6, IPv6 first: as well' "$SB_SHOP" "$(pod six)" "$N6" "$SB_ASK"
gives_at 'by IPv6, of a pod that has nothing else' "$SB_SHOP" "$(pod only6)" "$N6" "$SB_ASK"
gives 'by IPv4, to the same listener' "$SB_BILLING" four "$SB_ASK"
gives 'by IPv4, a pod with one address' "$SB_SHOP" web "$SB_ASK"
like 'whose address is told as the pod has it' "$(grep 'token granted' "$SB_DIR/nmi.log" | tail -n 1)" 'peer=10\.244\.0\.11 '
answers_at "by IPv6, somebody else's client id: refused" 403 identity_not_bound "$(pod four)" "$N6" "$SB_ASK&client_id=$SB_SHOP"
sb_add_pod bare shop 10.244.0.46,fd00:10:244::46
answers_at 'by IPv6, a pod without label: refused' 400 no_label "$(pod bare)" "$N6" "$SB_ASK"
answers_at 'by IPv6, without the header: refused' 400 'Required metadata header' "$(pod four)" "$N6" "$SB_ASK" -H 'Metadata:'
answers_at 'by IPv6, /host/token: refused' 403 host_caller "$(pod four)" "$N6" "/host/token/?resource=$SB_ARM" \
	-H 'podns: shop' -H 'podname: web'

# whoever is not known waits, and is then judged
sb_pod_net ghost 10.244.0.47,fd00:10:244::47
answers_at 'by IPv6, nobody that is known: 503' 503 'fd00:10:244::47.*pod_unknown' "$(pod ghost)" "$N6" "$SB_ASK"
at_most 'after the wait (ms beside it)' "$(awk -v m="$SB_MSEC" 'BEGIN { print (m > 1000 ? m - 1000 : 1000 - m) }')" 900
(sleep 0.3 && sb_pod_object ghost shop 10.244.0.47,fd00:10:244::47 aadpodidbinding=shop) &
gives_at 'by IPv6, known while it waits: served' "$SB_SHOP" "$(pod ghost)" "$N6" "$SB_ASK"
wait $!
sb_api POST '_sandbox/delay?msec=60000' >/dev/null
sb_add_pod late shop 10.244.0.48,fd00:10:244::48 aadpodidbinding=billing
gives_at 'by its second address, its event is late: the API server is asked' "$SB_BILLING" "$(pod late)" "$N6" "$SB_ASK"
sb_api POST '_sandbox/delay?msec=0' >/dev/null

# sources that say nothing
ask_at "$(pod four)" "http://[$SB_GATEWAY6%25eth0]:2579" "$SB_ASK"
was_answered 'from a link-local address: refused, with the reason' 403 'fe80:.* is link-local.*169\.254\.169\.254.*source_address'
at_most 'at once (ms)' "$SB_MSEC" 500
ip -n "$(pod bare)" addr add fd00:10:244::41/128 dev eth0 nodad
ask_at "$(pod bare)" "$N6" "$SB_ASK" --interface fd00:10:244::41 -m 2
is 'a borrowed IPv6 address is not answered' "$SB_STATUS" 000
gives_at 'its owner still is' "$SB_BILLING" "$(pod four)" "$N6" "$SB_ASK"

# one address of two is doubled
sb_pod_object twin shop 10.244.0.49,fd00:10:244::41 aadpodidbinding=shop
asks_503() { ask_at "$(pod four)" "$N6" "$SB_ASK"; [[ $SB_STATUS == 503 && $SB_BODY == *ambiguous_ip* ]]; }
passes 'two pods with one IPv6 address: nobody is served there' eventually 5 asks_503
gives 'at its other address the pod is' "$SB_BILLING" four "$SB_ASK"
told() { sb_kubectl -n shop get events --field-selector "reason=NmiAmbiguousIp,involvedObject.name=$1" -o name 2>/dev/null | grep -q .; }
passes 'an Event tells the one' eventually 3 told four
passes 'and the other' eventually 3 told twin
sb_api DELETE 'api/v1/namespaces/shop/pods/twin?gracePeriodSeconds=0' >/dev/null
served_again() { ask_at "$(pod four)" "$N6" "$SB_ASK"; [[ $SB_STATUS == 200 ]]; }
passes 'one again: served' eventually 3 served_again

# ---- processes of the node ----
HOST_ASK="/host/token/?resource=$SB_ARM"
WEB=(-H 'podns: shop' -H 'podname: web')
for base in 'http://[::1]:2579' http://127.0.0.1:2579; do
	answers_at "the node's own, at $base: no pod's token" 403 'from the node itself.*source_address' "$SB_NODE" "$base" "$SB_ASK"
	at_most 'at once (ms)' "$SB_MSEC" 500
	gives_at "root in a pod's name, at $base" "$SB_SHOP" "$SB_NODE" "$base" "$HOST_ASK" "${WEB[@]}"
	AS=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	answers_at "nobody, at $base: refused" 403 'uid 65534' "$SB_NODE" "$base" "$HOST_ASK" "${WEB[@]}"
	AS=()
done
for base in "$N6" "$N4"; do
	answers_at "the node's own, at $base: no pod's token" 503 pod_unknown "$SB_NODE" "$base" "$SB_ASK"
	answers_at "root in a pod's name, at $base: loopback only" 403 loopback "$SB_NODE" "$base" "$HOST_ASK" "${WEB[@]}"
done
# IPv4 from a socket of IPv6, as some runtimes make all of theirs
mapped() { # [COMMAND...]
	sb_in "$SB_NODE" "$@" python3 - "$here" "$HOST_ASK" <<-'END' 2>&1
		import socket, sys
		sys.path.insert(0, sys.argv[1])
		from http1 import exchange
		s = socket.socket(socket.AF_INET6)
		s.settimeout(10)
		s.connect(("::ffff:127.0.0.1", 2579))
		answer = exchange(s, f"GET {sys.argv[2]} HTTP/1.1\r\nHost: a\r\npodns: shop\r\npodname: web\r\n\r\n".encode())
		print(answer.split(b" ")[1].decode())
	END
}
is 'root, IPv4 from a socket of IPv6: proven, served' "$(mapped)" 200
is 'nobody, the same way: refused' "$(mapped setpriv --reuid 65534 --regid 65534 --clear-groups)" 403

# ---- one IPv6 address of the node ----
sb_stop_nmi
sb_start_nmi "${NONE[@]}" --nmi-listen-address="$SB_NODE_IP6" || bail 'nmi does not start on an IPv6 address'
gives_at "on the node's IPv6 address: served" "$SB_SHOP" "$(pod six)" "$N6" "$SB_ASK"
answers_at 'and on no other' 000 '' "$(pod six)" "$N4" "$SB_ASK"
gives_at 'the host has its loopback' "$SB_SHOP" "$SB_NODE" 'http://[::1]:2579' "$HOST_ASK" "${WEB[@]}"
gives_at 'of both families' "$SB_SHOP" "$SB_NODE" http://127.0.0.1:2579 "$HOST_ASK" "${WEB[@]}"

no_leak 'IMDS has seen no pod'
e2e_end
