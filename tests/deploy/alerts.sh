#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A real Prometheus scrapes the real agent: the page is valid in both formats, each alert of deploy/monitoring fires
# when its fault is there and none while all is well, and each panel of the dashboard shows something.
#
# The rules are the file itself, but for how long a fault has to last, and what rates are taken over: seconds here.
# What needs longer than a box lives is promtool's (alerts.test.yaml), on the file as it is.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../rules/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
monitoring=$sb_root/deploy/monitoring
URL=http://127.0.0.1:9099

asks() { sb_in "$SB_NODE" python3 "$here/monitoring.py" "$@"; } # nothing, when all is well
query() { # PROMQL: the first value
	sb_in "$SB_NODE" curl -s -m 5 -G --data-urlencode "query=$1" $URL/api/v1/query | sed -nE 's/.*"value":\[[^,]*,"([^"]*)"\].*/\1/p'
}
firing() { asks firing $URL "$@" | paste -sd' '; }
is_quiet() { [[ -z $(firing 3) ]]; } # nor has one just ended, which the next look would see
# And nothing is about to: spoofed packets are counted every 5 s, so that some are of the faults before; and where a
# scrape fails a rate is taken over fewer samples, which makes more of as many packets.
at_rest() { is_quiet && [[ $(query 'sum(increase(nmi_spoofed_packets_total[6s])) + sum(increase(nmi_redirect_repairs_total[6s]))') == 0 ]]; }
within() { # SECONDS COMMAND...: as eventually, for what is no matter of milliseconds
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.4
	done
}

# Since $since each of them fired, and no other did.
have_fired() { # NAMES: all of these; leaves in $fired what has
	local name
	fired=" $(firing $((SECONDS - since + 1))) "
	for name in $1; do [[ $fired == *" $name "* ]] || return; done
}
fires() { # SENTENCE NAMES [THOSE THAT MAY ALSO]
	local name other=''
	within 20 have_fired "$2" || true
	for name in $2; do like "$name fires: $1" "$fired" " $name "; done
	for name in $fired; do
		[[ " $2 ${3:-} " == *" $name "* ]] || other+=" $name"
	done
	is "and no other: $1" "$other" ''
}

background=()
during() { "$@" >/dev/null 2>&1 & background+=("$!"); }
heal() {
	local pid
	for pid in "${background[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
	background=()
}
trap_heal() { local s=$?; heal; (exit $s); e2e_cleanup; }

# ---- the faults ----

different=0
ask_ever_new() { # POD TARGETS-A-SECOND
	while sleep 0.4; do
		different=$((different + 1))
		sb_ask "$1" "$SB_TOKEN?api-version=2018-02-01&resource=https://$1$different.example.com" -m 3
	done
}
ask_on() { while sleep 0.3; do sb_ask "$1" "$SB_ASK" -m 2; done; }
borrow() { # an address, for connections that nobody answers
	sb_exec billing ip addr add 10.244.0.11/32 dev eth0
	while sleep 0.3; do
		for _ in 1 2 3 4; do sb_exec billing curl -s -m 0.2 --interface 10.244.0.11 http://169.254.169.254/ & done
		wait
	done
}
ask_as_host() { while sleep 0.2; do sb_in "$SB_NODE" curl -s -m 1 "http://127.0.0.1:2579/host/token?resource=$SB_ARM"; done; }
fight() { while sleep 0.4; do sb_in "$SB_NODE" nft delete table ip nmi; done; }
api_away() {
	sb_in "$SB_API" nft 'add table ip away;
		add chain ip away in { type filter hook input priority 0; };
		add rule ip away in ip saddr '"$SB_NODE_IP"' tcp dport 6443 reject with tcp reset'
	sb_in "$SB_API" ss -K dst "$SB_NODE_IP" >/dev/null 2>&1 || true
}
few_files() { # may be open: not many more than are
	local open
	open=$(find "/proc/$(sb_pid nmi)/fd" -type l | wc -l)
	prlimit --pid "$(sb_pid nmi)" --nofile=$((open * 115 / 100)):
}

# ---- all is well ----

e2e_box alerts
trap trap_heal EXIT
no_hold=$SB_BUILD/tests/platform/no-hold.so # so that rules can be removed, as on a kernel before 6.9
sb_identity shop sp 44444444-aaaa-4000-8000-000000000004 '' 1 tenant=contoso.example secret=none
sb_binding shop sp sp sp
sb_add_pod sp shop 10.244.0.15 aadpodidbinding=sp
LD_PRELOAD=$no_hold sb_start_nmi || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
# by the line of the document
(cd "$SB_DIR" && ln -s "$sb_root/deploy" . && eval "$(grep -m 1 "^sed '1,/.spec:" "$sb_root/docs/monitoring.md")")
cp "$here/alerts.test.yaml" "$SB_DIR/"
passes 'the rules are valid' promtool check rules "$SB_DIR/nmi.rules.yaml"
passes 'with their own durations: overdue tokens, a self-test that stands still, memory that grows and refusals that are known are told apart, and a good day is quiet' \
	promtool test rules "$SB_DIR/alerts.test.yaml"

sed -n '/^scrape_configs:/,/^```/{/^```/!p}' "$sb_root/docs/monitoring.md" | sed '/kubernetes_sd_configs:/,+1d' >"$SB_DIR/documented.yaml"
passes 'so is what the document has for a Prometheus of one'"'"'s own, but for the discovery, which Debian'"'"'s lacks' promtool check config "$SB_DIR/documented.yaml"

mkdir "$SB_DIR/prometheus"
sed -E 's/\bfor: [0-9]+[smh]/for: 1s/; s/\[[0-9]+[sm]\]/[6s]/g; s/\[[0-9]+h\]/[15s]/g' "$SB_DIR/nmi.rules.yaml" >"$SB_DIR/prometheus/rules.yaml"
cat >"$SB_DIR/prometheus/prometheus.yaml" <<-END
	global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
	rule_files: [rules.yaml]
	scrape_configs:
	- job_name: nmi
	  static_configs: [{targets: ['127.0.0.1:9090']}]
END
sb_start prometheus "$SB_NODE" prometheus --config.file="$SB_DIR/prometheus/prometheus.yaml" \
	--storage.tsdb.path="$SB_DIR/prometheus/data" --web.listen-address="${URL#http://}" --log.level=warn
during ask_on web
during ask_ever_new billing
scraped() { [[ $(query up) == 1 ]]; }
within 15 scraped || bail "Prometheus does not scrape: $(tail -n 3 "$SB_DIR/prometheus.log")"
sleep 8
is 'while all is well none fires' "$(firing 7)" ''
heal

is 'each alert has a severity, its words, and a runbook that leads to a heading' "$(asks words $URL "$sb_root")" ''
is 'rules and dashboard ask for nothing that is not there' "$(asks names $URL "$monitoring/grafana.json" "$sb_root/nmi/metrics.def")" ''
is 'no rule failed' "$(query 'sum(prometheus_rule_evaluation_failures_total) or vector(0)')" 0

# the page
like 'text is what is served to anybody' "$(sb_metrics -D - -o /dev/null)" 'text/plain; version=0.0.4'
like 'OpenMetrics to who asks for it' "$(sb_metrics -D - -o /dev/null -H 'Accept: application/openmetrics-text;version=1.0.0')" \
	'application/openmetrics-text; version=1.0.0'
# their names are aad-pod-identity's, and stay
is 'promtool finds nothing in it but the names that are kept' \
	"$(sb_metrics | promtool check metrics 2>&1 | grep -vE '^aadpodidentity_(imds|kubernetes_api)_operations_errors_count (counter metrics should have "_total" suffix|non-histogram and non-summary metrics should not have "_count" suffix)$')" ''
is 'Prometheus reads OpenMetrics: bounds as there' "$(query 'count(nmi_upstream_request_duration_seconds_bucket{le="1.0"}) > 0')" 1
metadata() { sb_in "$SB_NODE" curl -s "$URL/api/v1/metadata?metric=$1"; }
like '... a counter' "$(metadata nmi_token_cache_hits)" '"type":"counter"'
like '... a histogram' "$(metadata nmi_upstream_request_duration_seconds)" '"type":"histogram"'
like '... and of an old counter that it is unknown' "$(metadata aadpodidentity_imds_operations_errors_count)$(metadata aadpodidentity_kubernetes_api_operations_errors_count)" '("type":"unknown"|"data":\{\})'

# what it tells of its processes, beside what the kernel tells
near() { # SENTENCE METRIC VALUE DISTANCE
	local got
	got=$(query "$2")
	if awk -v g="$got" -v v="$3" -v d="$4" 'BEGIN { exit !(g != "" && g - v <= d && v - g <= d) }'; then ok "$1"
	else not_ok "$1" "got: $got, near $3"; fi
}
pid=$(sb_pid nmi)
resident() { awk -v page="$(getconf PAGESIZE)" '{ print $2 * page }' "/proc/$1/statm"; }
near 'its memory is what the kernel says' process_resident_memory_bytes "$(resident "$pid")" 2000000
near 'and the redirector'"'"'s' nmi_redirector_resident_memory_bytes "$(resident "$(redirector_pid)")" 2000000
near 'its open files' process_open_fds "$(find "/proc/$pid/fd" -type l | wc -l)" 5
near 'its limit of them' process_max_fds "$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")" 0
near 'and when it started' process_start_time_seconds "$(($(date +%s) - $(ps -o etimes= -p "$pid")))" 2
is 'its version' "$(query "nmi_build_info{version=\"$("$(sb_program nmi)" --version | grep -oE '[0-9]+\.[0-9.]+' | head -n 1)\"}")" 1

# ---- upstream, neighbours, API server, files ----

since=$SECONDS
sb_imds fault status=500 area=token >/dev/null
during ask_ever_new web
during ask_on plain
during ask_on sp
during borrow
during fight
api_away
few_files
fires 'IMDS answers 500, pods are refused, one borrows an address, the API server is away, files are short' \
	'NmiUpstreamErrors NmiRefusals NmiSpoofedPackets NmiRulesFought NmiWatchDown NmiFilesNearLimit'
is 'every panel of the dashboard shows something' "$(asks panels $URL "$monitoring/grafana.json")" ''
sb_in "$SB_API" nft delete table ip away
prlimit --pid "$(sb_pid nmi)" --nofile=4096: # with few files the page may be refused, too
keep_page() { sb_metrics -f >"$SB_DIR/page"; }
within 10 keep_page || true
is 'every metric is documented, and there' "$(asks rows "$sb_root/nmi/metrics.def" "$sb_root/docs/metrics.rst" "$SB_DIR/page")" ''
heal
sb_exec billing ip addr del 10.244.0.11/32 dev eth0
sb_imds clear >/dev/null
passes 'all of them end with the faults' within 30 at_rest || firing

# ---- IMDS hangs; the agent stands still, then is gone ----

since=$SECONDS
sb_imds fault kind=hang area=token >/dev/null
for ((n = 0; n < 60; n++)); do
	during sb_ask web "$SB_TOKEN?api-version=2018-02-01&resource=https://hang$n.example.com" -m 25
done
fires 'IMDS does not answer' NmiFetchesQueued 'NmiUpstreamErrors NmiRefusals' # on a slow machine some have been told before the alert
sb_imds clear >/dev/null
heal
since=$SECONDS
kill -STOP "$(sb_pid nmi)"
sleep 3.5
kill -CONT "$(sb_pid nmi)"
hung='NmiLoopLag NmiFetchesQueued NmiUpstreamErrors NmiRefusals' # while the pods of before are told
fires 'the agent stood still for seconds' NmiLoopLag "$hung NmiAgentDown NmiAgentAbsent"
since=$SECONDS
sb_kill_nmi
fires 'the agent is killed' 'NmiAgentDown NmiAgentAbsent' "$hung"

# ---- it comes back, in bad shape ----

since=$SECONDS
for _ in 1 2 3; do
	sb_start_nmi || bail 'nmi does not start again'
	sleep 1.2
	sb_kill_nmi
done
mkfifo "$SB_DIR/stuck" "$SB_DIR/audit"
# pipes of a page, which nobody reads
during python3 -c 'import fcntl, os, sys, time
p = [os.open(f, os.O_RDWR) for f in sys.argv[1:]]
for f in p: fcntl.fcntl(f, 1031, 4096)
open(sys.argv[1] + ".held", "w").close()
time.sleep(600)' "$SB_DIR/stuck" "$SB_DIR/audit"
# without a reader the agent could not open its audit log, and would not start
within 20 test -e "$SB_DIR/stuck.held" || bail 'nobody holds the pipes'
echo 'events: true' >"$SB_DIR/settings.yaml"
sb_in "$SB_NODE" nft 'add table ip foreign; add chain ip foreign c { type filter hook prerouting priority -300; };
	add rule ip foreign c ip daddr 169.254.169.254 notrack'
# shellcheck disable=SC2016 # the inner shell expands these
SB_UNDER=(sh -c 'fifo=$1; shift; exec "$@" 2>"$fifo"' sh "$SB_DIR/stuck")
sb_launch_nmi -v 9 --audit-log="$SB_DIR/audit" --config="$SB_DIR/settings.yaml"
unset SB_UNDER
during ask_as_host # each is a line
scraped_again() { [[ $(query 'nmi_config_reloads_total{result="failed"}') == 0 ]]; }
within 20 scraped_again || not_ok 'it starts in bad shape' "$(grep -s State "/proc/$(sb_pid nmi)/status"), it said: $(dd if="$SB_DIR/stuck" bs=4096 count=1 iflag=nonblock 2>&1)"
# whoever else writes to that pipe, it never waits for its reader
is 'of the pipe it has an open file of its own' $(($(awk '/^flags:/ { print $2 }' "/proc/$(sb_pid nmi)/fdinfo/2") & 04000)) $((04000))
echo 'events: perhaps' >"$SB_DIR/settings.yaml"
fires 'three restarts in a row, stderr and audit log that nobody reads, settings with a mistake, a foreign NOTRACK' \
	'NmiRestarting NmiLogDropped NmiAuditDropped NmiSettingsRefused NmiSelfTestFailing' 'NmiAgentDown NmiAgentAbsent NmiRefusals'
heal
sb_kill_nmi
sb_in "$SB_NODE" nft delete table ip foreign

since=$SECONDS
LD_PRELOAD=$SB_BUILD/tests/rules/ground.so NMI_GROUND=memory NMI_GROUND_BAD=yes sb_launch_nmi --redirect-backend=nft --run-directory=
fires 'the kernel takes no rules' NmiNotProtected 'NmiAgentDown NmiAgentAbsent NmiRestarting NmiSelfTestFailing NmiLogDropped NmiAuditDropped NmiSettingsRefused NmiRefusals'
sb_kill_nmi
sb_start_nmi || bail 'nmi does not start at last'
passes 'once all is well again none fires' within 25 is_quiet
no_leak 'no pod reached IMDS'
sb_stop prometheus
e2e_end
