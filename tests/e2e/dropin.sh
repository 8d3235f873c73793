#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# In the place of aad-pod-identity's NMI: its manifests start, its probes, metrics and log lines are there.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_box dropin
nmi=$(sb_program nmi)
probe() { sb_in "$SB_NODE" curl -s -m 5 "http://127.0.0.1:$1"; }

like 'version in one line' "$("$nmi" --version)" '^[^'$'\n'']+$'

# what its manifest of managed mode and its chart pass
sb_launch_nmi --forceNamespaced --enableScaleFeatures=true --metadata-header-required=true -v=1 \
	--logtostderr=true --log-format=text --retry-attempts-for-created=16 --MICNamespace=default \
	--retry-attempts-for-assigned=4 --find-identity-retry-interval=5 --set-retry-after-header=false \
	--ipt-update-interval-sec=60 --enable-conntrack-deletion=false --allow-network-plugin-kubenet=false \
	--kubelet-config=/etc/default/kubelet --block-instance-metadata=false --enableProfile=false \
	--custom-user-agent=test --nmi-port=2579 --alsologtostderr=false --stderrthreshold=2 -v 5
passes 'the settings of the old manifests are taken' eventually 10 sb_nmi_ready
gives 'and it serves' "$SB_SHOP" web "$SB_ASK"

is '/healthz says the word that monitors look for' "$(probe 8085/healthz)" Active
like '/readyz' "$(probe 8085/readyz)" ok
is '/livez is there' "$(sb_in "$SB_NODE" curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8085/livez)" 200
is 'no profiler on the probe port' "$(sb_in "$SB_NODE" curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8085/debug/pprof/)" 404
is 'no token on the probe port' "$(sb_in "$SB_NODE" curl -s -o /dev/null -w '%{http_code}' -H Metadata:true "http://127.0.0.1:8085$SB_ASK")" 404

sb_ask plain "$SB_ASK"
page=$(sb_metrics)
like 'requests by route and status' "$page" 'aadpodidentity_nmi_operations_duration_seconds_count\{[^}]*status_code="200"[^}]*\} 1'
like 'with the labels of the dashboards' "$page" 'aadpodidentity_nmi_operations_duration_seconds_bucket\{namespace="shop",operation_type="[^"]*",resource="https://management.azure.com/",status_code="200",le="0.5"\}'
like 'refused ones too' "$page" 'status_code="400"'
like 'time of IMDS' "$page" 'aadpodidentity_imds_operations_duration_seconds_sum\{operation_type="adal_token_msi_userassignedid"\}'
like 'refusals by reason' "$page" 'nmi_refusals_total\{reason="no_label"\} 1'
like 'pods' "$page" 'nmi_pods 4'
like 'rules' "$page" 'nmi_redirect_active 1'
like 'watches' "$page" 'nmi_watch_up\{resource="pods"\} 1'
is 'every line is one of the text format' "$(grep -vcE '^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.eE]+|[a-z_]+(\{.*\})? (\+Inf|NaN))$' <<<"$page")" 0

like 'a request is a line of the log' "$(<"$SB_DIR/nmi.log")" 'shop/web|peer=10.244.0.11.*namespace=shop'
like 'one that was refused says why' "$(<"$SB_DIR/nmi.log")" 'no_label'
unlike 'no token in the metrics' "$page" 'eyJ'

# another box of the same node: what is set in the environment, and what is missing
sb_stop_nmi
sb_start nmi "$SB_NODE" env KUBECONFIG="$SB_NMI_KUBECONFIG" NODE_NAME="$SB_NODE_NAME" "$nmi" \
	--operation-mode=Managed --http-probe-port=8085
passes 'the node by NODE_NAME, the mode in any case, no namespaced flag' eventually 10 sb_nmi_ready
gives 'serves as well' "$SB_SHOP" web "$SB_ASK"
sb_stop_nmi
sb_start_nmi --log-format=json -v 5
gives 'with JSON logs' "$SB_SHOP" web "$SB_ASK"
is 'every line of which is JSON' "$(tail -n 3 "$SB_DIR/nmi.log" | python3 -c 'import json,sys; print(all(isinstance(json.loads(l), dict) for l in sys.stdin))')" True
sb_stop_nmi
sb_start_nmi --nmi-port=12579 --nmi-listen-address=0.0.0.0
gives 'on another port, all addresses' "$SB_SHOP" web "$SB_ASK"
out=$(sb_exec web curl -s -m 2 -o /dev/null -w '%{http_code}' -H Metadata:true "http://$SB_NODE_IP:12579$SB_ASK")
is 'which pods reach by the redirect only' "$out" 000
sb_stop_nmi
sb_start_nmi --metadata-header-required=false
gives 'the header not required' "$SB_SHOP" web "$SB_ASK" -H 'Metadata:'
sb_stop_nmi

# leftovers of the old agent
# shellcheck disable=SC2016 # for the shell that it is given to
sb_in "$SB_NODE" env IPT="${NMI_BACKEND:-iptables}" sh -c '$IPT -t nat -N aad-metadata && $IPT -t nat -A aad-metadata ! -s 127.0.0.1/32 \
	-d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 127.0.0.1:2579 &&
	$IPT -t nat -I PREROUTING -j aad-metadata'
sb_start_nmi
gives 'beside the rules that the old agent left' "$SB_SHOP" web "$SB_ASK"
no_leak 'IMDS has seen no pod'
e2e_end
