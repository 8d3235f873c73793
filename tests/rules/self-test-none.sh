#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Readiness where somebody else brings the traffic (--redirect-backend=none): it is offered at first, since a
# plugin may send pods to ready agents only, and then something has to arrive.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box self-test-none

readyz() { sb_in "$SB_NODE" curl -s -m 2 "http://127.0.0.1:8085/readyz" | grep self-test; }
says() { [[ $(readyz) =~ $1 ]]; }
not_ready() { ! sb_nmi_ready; }
logged() { grep -q "$1" "$SB_DIR/nmi.log"; }
plugin() {
	sb_in "$SB_NODE" nft -f - <<-END
		table ip plugin {
			chain c {
				type nat hook prerouting priority -100;
				iif != "lo" ip daddr 169.254.169.254 tcp dport 80 dnat to $SB_NODE_IP:2579
			}
		}
	END
}
none() { sb_start_nmi --redirect-backend=none --nmi-listen-address=0.0.0.0; }

# nobody
none || bail 'nmi does not start'
started=$SECONDS
is 'at first a node is ready, so that it can be chosen' "$(readyz)" '[+]self-test ok'
failed() { (($(metric 'nmi_self_tests_total{result="failed"}') > 0)); }
passes 'although what answers the test is IMDS itself' eventually 5 failed

while ((SECONDS - started < 55)) && says ok; do sleep 0.2; done
passes 'it stays so for a minute' sb_nmi_ready
passes 'when nothing has come by then, it is not' eventually 15 not_ready
like 'and says who answers instead, and where to look' "$(readyz)" \
	'169.254.169.254:80 is answered by somebody else \("HTTP/1.1 [0-9]+ .*", Server ".*"\): nothing redirects it to this agent; see the network plugin'
plugin
passes 'once somebody redirects, it is ready again' eventually 8 sb_nmi_ready
passes 'by the test' logged 'requests arrive here (the test did)'
answers 'and pods are served' 200 access_token web "$SB_ASK"

# redirected from the beginning
sb_stop_nmi
: >"$SB_DIR/nmi.log"
none || bail 'nmi does not start'
passes 'on a node with a redirect the first test passes' eventually 5 logged 'requests arrive here (the test did)'

# a plugin that sees pods alone: nothing else is redirected
sb_stop_nmi
: >"$SB_DIR/nmi.log"
sb_in "$SB_NODE" nft insert rule ip plugin c ip saddr 198.51.100.0/24 accept
none || bail 'nmi does not start'
passes 'a test that the plugin does not see fails' eventually 5 failed
answers 'a pod that comes through it' 200 access_token web "$SB_ASK"
passes 'is the proof' eventually 2 logged "requests arrive here (a pod's did)"
e2e_end
