#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# deploy/boot-guard: a node is closed without any agent, the agent does not meet it, and it comes back after a flush.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

files=$e2e_here/../../deploy/boot-guard
WIRE=168.63.129.16

# ---- the files ----

unit() { # [DROP-IN]: the unit's directory, as on a node
	rm -rf "$SB_DIR/unit" && mkdir -p "$SB_DIR/unit/nmi-boot-guard.service.d" &&
		cp "$files/nmi-boot-guard.service" "$SB_DIR/unit/" &&
		{ [[ -z ${1:-} ]] || cp "$files/$1" "$SB_DIR/unit/nmi-boot-guard.service.d/"; }
}
# What systemd would run of it: each command is a line; an empty assignment forgets those before.
commands() { # Exec... [DROP-IN]
	sed -nE "s/^$1=//p" "$files/nmi-boot-guard.service" ${2:+"$files/$2"} |
		awk '/^$/ { n = 0; next } { line[n++] = $0 } END { for (i = 0; i < n; i++) print line[i] }'
}
run_unit() { # Exec... [DROP-IN]: in the node
	local line
	while IFS= read -r line; do
		sb_in "$SB_NODE" sh -c "${line//\/etc\/nmi/$files}" </dev/null || return
	done < <(commands "$@")
}
guard() { sb_in "$SB_NODE" nft -s list table ip nmi-boot 2>&1; }
met() { # how many packets the rules of the guard have seen
	sb_in "$SB_NODE" nft list table ip nmi-boot | sed -nE 's/.*packets ([0-9]+).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'
}

e2e_box boot-guard
for drop_in in '' iptables.conf; do
	unit $drop_in
	is "systemd takes the unit${drop_in:+ with $drop_in}" "$(systemd-analyze verify --man=no "$SB_DIR/unit/nmi-boot-guard.service" 2>&1)" ''
done
unit
at_most 'it may do little: the exposure that systemd reckons' \
	"$(systemd-analyze security --offline=true "$SB_DIR/unit/nmi-boot-guard.service" | sed -nE 's/.*exposure level.*: ([0-9.]+).*/\1/p')" 2
is 'a stop of it, which a restart of nftables is too, takes nothing away' "$(commands ExecStop)$(commands ExecStopPost)" ''
is 'nft takes the rules' "$(nft -c -f "$files/nmi-boot.nft" 2>&1)" ''

# ---- how they get onto a node ----

# What the DaemonSet runs, with directories of our own for the node's, and without the node's systemd.
install() { # PROGRAM that the node has, or none
	local to=$SB_DIR/node
	rm -rf "$to" && mkdir -p "$to/bin" "$to/nmi" "$to/units"
	# shellcheck disable=SC2016 # for the program that is printed
	printf '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift; PATH=%s/bin; export PATH; "$@"\n' "$to" >"$to/bin/nsenter"
	printf '#!/bin/sh\necho "$@" >>%s/said\n' "$to" >"$to/bin/systemctl"
	ln -s /bin/sh "$to/bin/sh"
	[[ -z ${1:-} ]] || ln -s /bin/true "$to/bin/$1"
	chmod +x "$to"/bin/nsenter "$to"/bin/systemctl
	PATH=$to/bin:$PATH sh -euc "$(sed -n '/^        - |$/,/^      containers:/{s/^          //p}' "$files/daemonset.yaml" |
		sed -E "s,(^| )/(nmi|units)/,\1$to/\2/,g; s,/files/,$files/,g")"
	(cd "$to" && find nmi units -type f | sort | tr '\n' ' ' && cat said)
}
is 'a node with nft gets the rules and the unit, enabled and started' "$(install nft)" \
	$'nmi/nmi-boot.nft nmi/nmi-boot.rules units/nmi-boot-guard.service daemon-reload\nenable nmi-boot-guard.service\nrestart nmi-boot-guard.service'
like 'one without it the drop-in too' "$(install)" ' units/nmi-boot-guard.service.d/iptables.conf '

# ---- without an agent ----

sb_in "$SB_IMDS" ip addr add $WIRE/32 dev lo
sb_in "$SB_NODE" ip route add $WIRE/32 via 10.241.0.1 dev imds0 src "$SB_NODE_IP"
for port in 53 80 32526; do
	sb_start "wire$port" "$SB_IMDS" python3 -c "import socketserver as s
s.TCPServer(('$WIRE', $port), s.BaseRequestHandler).serve_forever()"
done
reaches() { # NAMESPACE ADDRESS PORT
	sb_in "$1" python3 -c "import socket; socket.create_connection(('$2', $3), timeout=3)" 2>/dev/null
}
web=$(sb_pod_ns web)
passes 'the WireServer is there' eventually 5 reaches "$web" $WIRE 32526
instance='/metadata/instance?api-version=2021-02-01'
sb_ask web "$instance"
is 'without a guard a pod reaches IMDS' "$SB_STATUS" 200

closed() { # WHEN
	local t=$EPOCHREALTIME pod
	sb_imds reset >/dev/null
	for pod in web plain addon; do
		sb_ask $pod "$SB_ASK" -m 3
		is "$1: pod $pod does not reach IMDS" "$SB_STATUS" 000
	done
	at_most "$1: and is told so at once (ms)" "$(msec_since "$t")" 1500
	no_leak "$1: IMDS saw no pod"
	sb_ask_from "$SB_NODE" "$instance" -H Metadata:true -m 3
	is "$1: the host reaches IMDS" "$SB_STATUS" 200
	for port in 80 32526; do
		passes "$1: no pod reaches the WireServer, port $port" eval "! reaches $web $WIRE $port"
		passes "$1: the host does" reaches "$SB_NODE" $WIRE $port
	done
	passes "$1: its DNS is everybody's" reaches "$web" $WIRE 53
}

run_unit ExecStart
first=$(guard)
closed 'guarded'
run_unit ExecStart
is 'loaded again it is the same' "$(guard)" "$first"
run_unit ExecReload
is 'and reloaded' "$(guard)" "$first"
is 'the table, the chain and each rule say what they are for' \
	"$(grep -c 'comment "' <<<"$first") $(grep -c 'reject' <<<"$first")" '4 2'
sb_in "$SB_NODE" sh -c 'iptables -F; iptables -t nat -F; iptables -P FORWARD ACCEPT'
closed 'after iptables -F'

# ---- with one ----

run_unit ExecStart
sb_start_nmi || bail 'nmi does not start'
gives 'with the agent a pod has its token' "$SB_SHOP" web "$SB_ASK"
answers 'an excepted pod the node'"'"'s' 200 access_token addon "$SB_ASK"
answers 'one without identity is refused' 400 no_label plain "$SB_ASK"
is 'none of that met the guard' "$(met)" 0
is 'which is as it was' "$(guard)" "$first"

# ---- the agent gone, everything flushed ----

sb_kill_nmi
sb_in "$SB_NODE" nft flush ruleset
sb_ask web "$instance" -m 3
is 'the agent dead and all flushed, the node is open' "$SB_STATUS" 200
run_unit ExecStart
closed 'the unit restarted, as nftables is'
sb_in "$SB_NODE" nft -f - <<<"flush ruleset; include \"$files/nmi-boot.nft\""
closed 'flushed by a file that includes it'
sb_start_nmi || bail 'nmi does not start again'
gives 'a new agent serves' "$SB_SHOP" web "$SB_ASK"
sb_stop_nmi
like 'uninstall takes it away, and says how it comes back' "$(sb_in "$SB_NODE" "$(sb_program nmi)" uninstall 2>&1)" \
	'table nmi-boot removed too: nmi-boot-guard.service .* next boot'
is 'nothing is left' "$(sb_in "$SB_NODE" nft list ruleset)" ''

# ---- a node without nft ----

for flavour in nft legacy; do
	iptables() { sb_in "$SB_NODE" "iptables-$flavour" "$@"; }
	mkdir -p "$SB_DIR/$flavour"
	for name in iptables iptables-restore; do
		ln -sf "$(command -v "${name/iptables/iptables-$flavour}")" "$SB_DIR/$flavour/$name"
	done
	for _ in 1 2; do PATH=$SB_DIR/$flavour:$PATH run_unit ExecStart iptables.conf; done
	PATH=$SB_DIR/$flavour:$PATH run_unit ExecReload iptables.conf
	closed "iptables-$flavour"
	is "iptables-$flavour: three loads are one jump and three rules" \
		"$(iptables -S FORWARD | grep -c nmi-boot) $(iptables -S nmi-boot | grep -c REJECT)" '1 3'
	iptables -Z nmi-boot
	sb_start_nmi || bail 'nmi does not start beside iptables'
	gives "iptables-$flavour: with the agent a pod has its token" "$SB_SHOP" web "$SB_ASK"
	is "iptables-$flavour: and met no rule of the guard" "$(iptables -L nmi-boot -vnx | awk 'NR > 2 { n += $1 } END { print n }')" 0
	sb_stop_nmi
	sb_in "$SB_NODE" "$(sb_program nmi)" uninstall >/dev/null 2>&1
	iptables -D FORWARD -j nmi-boot && iptables -F nmi-boot && iptables -X nmi-boot
done
e2e_end
