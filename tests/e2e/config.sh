#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Settings from a file, and their change while the agent runs: each live one takes effect, without a request lost;
# the others are said to need a restart; a mistake changes nothing.
# shellcheck disable=SC2016 # what eval is given
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tokens/lib.sh"
tokens_box config
cd "$sb_root" || exit 1
prog=$(sb_program nmi)
volume=$SB_DIR/etc file=$SB_DIR/etc/nmi.yaml
INSTANCE='/metadata/instance?api-version=2021-02-01'

# ---- a volume, written as kubelet does it: a directory for each version, and a link to it that is swapped ----

version=0
lay() { # LINE...: the whole file
	version=$((version + 1))
	mkdir -p "$volume/..$version" && printf '%s\n' "$@" >"$volume/..$version/nmi.yaml"
	ln -s "..$version" "$volume/..data_tmp" && mv -T "$volume/..data_tmp" "$volume/..data"
	[[ -e $file ]] || ln -s ..data/nmi.yaml "$file"
	rm -rf "$volume/..$((version - 1))"
}
# Nothing comes from anywhere else, so that the file alone decides.
base=("node: $SB_NODE_NAME" "kubeconfig: $SB_NMI_KUBECONFIG" 'operation-mode: managed' 'http-probe-port: 8085'
	"run-directory: $SB_DIR/nmi")
start() { # in the background, with that file alone
	sb_start nmi "$SB_NODE" "$sb_here/cluster.sh" --name "$SB_NAME" see "$prog" --config="$file"
	sb_wait 15 "nmi ($SB_DIR/nmi.log)" sb_nmi_ready
}
reads() { # how often it was read again
	sb_metrics | awk '/^nmi_config_reloads_total/ { n += $NF } END { print n + 0 }'
}
has_read() { (($(reads) > $1)); }
change() { # LINE...: beside the base; back when it has been read
	local before
	before=$(reads)
	lay "${base[@]}" "$@"
	eventually 5 has_read "$before" || not_ok "the change is noticed: $*"
}
said() { tail -n +$((said_from + 1)) "$SB_DIR/nmi.log"; }
listen() { said_from=$(wc -l <"$SB_DIR/nmi.log"); }
hup() { # and wait until it was read
	local before
	before=$(reads)
	kill -HUP "$(sb_pid nmi)"
	eventually 5 has_read "$before"
}
status_field() { sb_in "$SB_NODE" "$prog" status --run-directory="$SB_DIR/nmi" --output=json | python3 -c '
import json, sys
print(json.load(sys.stdin)["agent"][sys.argv[1]])' "$1"; }
shown=() # live settings whose effect was seen
live() { # SETTING SENTENCE COMMAND...
	passes "$1: $2" "${@:3}"
	shown+=("$1")
}
status_is() { # STATUS POD TARGET [CURL-ARGUMENT...]
	sb_ask "${@:2}"
	[[ $SB_STATUS == "$1" ]] || { echo "$SB_STATUS $SB_BODY"; false; }
}
took() { # FROM TO: the last answer, in ms
	awk -v m="$SB_MSEC" -v a="$1" -v b="$2" 'BEGIN { exit !(m >= a && m <= b) }' || { echo "$SB_MSEC ms"; false; }
}

# ---- before it starts ----

printed() { # SETTING [ARGUMENT...]: its line of --print-config
	"$prog" --config="$file" "${@:2}" --print-config 2>&1 | grep "^$1: "
}
lay "${base[@]}" 'v: 1'
is 'the file is weaker than the environment, that than the command line' \
	"$(printed v; NMI_V=2 printed v; NMI_V=2 printed v -v3)" $'v: 1 # file\nv: 2 # environment\nv: 3 # command line'
is 'what nobody gives is the default' "$(printed nmi-port)" 'nmi-port: 2579 # default'
"$prog" --config="$file" --print-config >"$SB_DIR/printed.yaml"
is 'what is printed is a file that says the same' "$("$prog" --config="$SB_DIR/printed.yaml" --print-config | sed '1d; s/ # .*//')" \
	"$(sed '1d; s/ # .*//' "$SB_DIR/printed.yaml")"

refused() { # SENTENCE WHAT-IS-SAID
	local out code
	out=$(sb_in "$SB_NODE" timeout -s KILL 20 "$prog" --config="$file" 2>&1)
	code=$?
	is "$1: exit 2" "$code" 2
	like "$1: and why" "$out" "$2"
}
lay "${base[@]}" 'block-instance-metdata: true'
refused 'a name with a typo' "nmi.yaml:6: 'block-instance-metdata': no such setting; did you mean block-instance-metadata\?"
lay "${base[@]}" 'pod-wait: 5'
refused 'a value of the wrong kind' "nmi.yaml:6: pod-wait: duration '5' needs a unit: ms, s, m or h"
lay "${base[@]}" 'prometheus-port: 8085'
refused 'two that cannot both be' 'nmi.yaml:4: --http-probe-port: 8085 is also --prometheus-port'
lay "${base[@]}" && chmod o+w "$file"
refused 'a file that anybody may write' 'nmi.yaml: anybody may write it \(mode 6.6\), so it is not believed: chmod o-w'

# the example of the documentation
sed -n '/^```yaml/,/^```$/p' docs/configuration.md | grep -v '```' >"$SB_DIR/nmi.yaml"
line=$(grep -m 1 -e '--print-config$' docs/configuration.md)
out=$(cd "$SB_DIR" && eval "'$prog' ${line#nmi }" 2>&1)
like 'the example of the documentation is understood, and shown' "$out" 'node: "node1" # command line.*block-instance-metadata: true # file.*pod-wait: 5s # file'

# ---- it runs ----

SECRET=the-right-secret
sb_certificate app password=pw
sb_app $SP secret=$SECRET certificate="$SB_DIR/certs/app.crt"
sb_namespace vault-ns && sb_secret vault-ns far clientSecret=$SECRET && sb_secret shop p12 certificate=@"$SB_DIR/certs/app.p12" password=pw
bound_pod far 10.244.0.21 $SP 1 tenant=$SB_TENANT secret=vault-ns/far || bail 'no pod far'
bound_pod p12 10.244.0.22 $SP 2 tenant=$SB_TENANT secret=p12 || bail 'no pod p12'
sb_pod_net stranger 10.244.0.54 && sb_pod_net second 10.244.0.55
sb_add_pod plain2 shop 10.244.0.41 app=plain2 || bail 'no pod plain2'
sb_add_pod plain3 shop 10.244.0.42 app=plain3 || bail 'no pod plain3'
lay "${base[@]}" 'events: false'
start || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
gives 'with all its settings in the file it serves' "$SB_SHOP" web "$SB_ASK"
asking web "$SB_ASK" && asking billing "$SB_ASK"

events() { metric 'nmi_events_total{result="created"}'; }
sb_ask plain "$SB_ASK"
sleep 0.5
is 'events: switched off, a refusal makes none' "$(events)" 0
change
sb_ask plain2 "$SB_ASK"
live events 'switched on, it does' eventually 5 eval '(($(events) == 1))'
change 'events: false'
sb_ask plain3 "$SB_ASK"
sleep 0.5
is 'and off again' "$(events)" 1

passes 'instance metadata is to be had' status_is 200 web "$INSTANCE"
change 'block-instance-metadata: true'
live block-instance-metadata 'switched on, it holds' status_is 403 web "$INSTANCE"
change
passes 'and switched off' status_is 200 web "$INSTANCE"

passes 'the header is needed' status_is 400 web "$SB_ASK" -H 'Metadata:'
listen
change 'metadata-header-required: false'
live metadata-header-required 'switched off, it is not' status_is 200 web "$SB_ASK" -H 'Metadata:'
like 'which is a risk, and told' "$(said)" 'metadata-header-required=false: a pod that can be made to fetch a URL'

host_status() { # STATUS [COMMAND...]
	local got
	got=$(sb_in "$SB_NODE" "${@:2}" curl -s -m 5 -o "$SB_DIR/host" -w '%{http_code}' -H 'podns: shop' -H 'podname: web' \
		"http://127.0.0.1:2579/host/token/?resource=$VAULT")
	[[ $got == "$1" ]] || { echo "$got"; false; }
}
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
: >"$SB_DIR/host" && chmod 666 "$SB_DIR/host" && chmod o+x "$SB_DIR"
passes 'a process of root is given a token for a pod' host_status 200
passes 'another is not' host_status 403 "${nobody[@]}"
change 'host-token: any'
live host-token 'any: it is' host_status 200 "${nobody[@]}"
change 'host-token: off'
passes 'host-token: off: nobody is' host_status 404
rm -f "$SB_DIR/host"

change 'pod-wait: 1s'
live pod-wait 'who nobody knows waits for so long' eval 'status_is 503 stranger "$SB_ASK" && took 900 2500'

# of those that wait meanwhile
change 'pod-wait: 4s'
ask_bg second "$SB_ASK" && pid=$SB_SPAWNED
passes 'a request waits' eventually 2 is_waiting 1
change 'pod-wait: 0s'
is 'it does so through a change' "$(sb_born "$pid" | grep -c .)" 1
sb_pod_object second shop 10.244.0.55 aadpodidbinding=shop
wait "$pid"
like 'and is served' "$(<"$SB_DIR/bg.status")" '^200 '

sb_imds latency msec=5000 >/dev/null
change 'token-wait: 1s'
live token-wait 'who waits for a token does so for so long' eval 'fresh; sb_ask web "$FRESH"; [[ $SB_STATUS == 50[34] ]] && took 900 2500'
sb_imds latency msec=0 >/dev/null

listen
change 'v: 4'
sb_ask web "$SB_ASK"
live v 'each request is in the log' eventually 2 eval '[[ $(said) == *" token granted "* ]]'
change 'log-format: json'
listen
change 'log-format: json' 'v: 1'
live log-format 'it logs JSON' eval '[[ $(said | tail -n 1) == "{"*"settings changed"* ]] || { said; false; }'
listen
change
sb_ask web "$SB_ASK"
is 'and few lines again, in text' "$(said | grep -c .)" 1

is_of_app() { # POD: an answer with a token of the application
	sb_ask "$1" "$ASK_VAULT"
	[[ $SB_STATUS == 200 && $(sb_claim appid) == "$SP" ]] || { echo "$SB_STATUS $SB_BODY"; false; }
}
answers "a Secret elsewhere is not this pod's to use" 400 secrets-across-namespaces far "$ASK_VAULT"
change 'secrets-across-namespaces: true'
live secrets-across-namespaces 'switched on, it is' eventually 10 is_of_app far
change
answers 'switched off, the token at hand is not given any more' 400 secrets-across-namespaces far "$ASK_VAULT"

passes 'a certificate proves itself with PS256' eventually 5 is_of_app p12
like 'without the chain' "$(last_received $SP assertion | jwt_part head)" '^\{"alg": "PS256", "typ": "JWT", "x5t#S256": '
change 'certificate-assertion: rs256'
is_of_app p12 # from the cache
sb_ask p12 "$ASK_VAULT&bypass_cache=true"
live certificate-assertion 'then with RS256' eval '[[ $(last_received $SP assertion | jwt_part head) == *RS256* ]]'
change 'send-x5c: true'
sb_ask p12 "$ASK_VAULT&bypass_cache=true"
live send-x5c 'then with the chain' eval '[[ $(last_received $SP assertion | jwt_part head) == *\"x5c\"* ]]'

# The redirector wakes for each sweep.
redirector=$(pgrep -P "$(sb_pid nmi)" | head -n 1)
switches() { awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$redirector/status"; }
wakes() { # in four seconds
	local before
	before=$(switches)
	sleep 4
	echo $(($(switches) - before))
}
slow=$(wakes)
change 'ipt-update-interval-sec: 1'
fast=$(wakes)
live ipt-update-interval-sec "the rules are compared more often ($slow, then $fast times)" eval '((fast >= slow + 2 && fast >= 3))'

# ---- a mistake, a setting that needs a restart, one that is stronger elsewhere ----

change 'block-instance-metadata: true'
listen
failed=$(metric 'nmi_config_reloads_total{result="failed"}')
change 'pod-wait: 3' 'block-instance-metadata: false'
like 'a mistake is told' "$(said)" "the file changed: all settings stay as they are: .*nmi.yaml:6: pod-wait: duration '3' needs a unit"
is 'and counted' $(($(metric 'nmi_config_reloads_total{result="failed"}') - failed)) 1
passes 'and nothing has changed' status_is 403 web "$INSTANCE"
rm "$volume/..data"
listen
hup
like 'a file that is gone is told' "$(said)" 'SIGHUP: all settings stay as they are: settings file .*nmi.yaml: No such file'
passes 'and nothing has changed' status_is 403 web "$INSTANCE"
listen
change 'nmi-port: 2580' 'self-test: off' 'pod-wait: 2s'
like 'what needs a restart is told' "$(said)" 'settings changed that wait for a restart: nmi-port 2579 -> 2580, self-test "auto" -> "off"'
like 'the rest has changed' "$(said)" 'settings changed: block-instance-metadata true -> false, pod-wait 0s -> 2s|settings changed: .*pod-wait'
is 'nmi status says so too' "$(status_field restart_needed_for)" 'nmi-port, self-test'
change
is 'until it is taken back' "$(status_field restart_needed_for)" None
listen
hup
like 'SIGHUP without a change' "$(said)" 'settings read again: nothing to change because=SIGHUP'

# ---- many times ----

pid=$(sb_pid nmi)
files() { find "/proc/$pid/fd" -type l ! -lname "socket:*" -printf "%l\n" 2>/dev/null | grep . | sort | uniq -c | xargs; } # but sockets: connections come and go
private() { awk '/^Private_Dirty/ { print $2 }' "/proc/$pid/smaps_rollup"; }
many() { # TIMES
	local i before
	for ((i = 0; i < $1; i++)); do
		before=$(reads)
		lay "${base[@]}" "pod-wait: $((i % 9 + 1))s" "custom-user-agent: a-long-value-of-version-$i" "host-token: any" "# $(printf '%2000s' x)"
		kill -HUP "$pid"
		eventually 5 has_read "$before" || return
	done
}
passes 'it is read twenty times' many 20
files_before=$(files) private_before=$(private)
passes 'and two hundred more' many 200
is 'no file stays open' "$(files)" "$files_before"
# a sanitizer keeps back what was freed, up to a limit of its own
at_most 'no memory is kept (KiB)' $(($(private) - private_before)) $((${NMI_SLOW:-1} == 1 ? 256 : 65536))

answered
is 'all the while each request was answered with 200' "$(grep -v slowest <<<"$replies" | cut -d' ' -f1 | sort -u)" 200
at_most 'the slowest within (ms)' "$(grep slowest <<<"$replies" | cut -d' ' -f2 | sort -n | tail -n 1)" 3000

# ---- how long it waits when it is told to stop ----

sb_imds latency msec=9000 >/dev/null
change 'shutdown-grace: 1s'
ask_bg web "$SB_TOKEN?api-version=2018-02-01&resource=https://slow.example.org" && waiter=$SB_SPAWNED
passes 'a request is under way' eventually 3 is_waiting 1
t=$EPOCHREALTIME
sb_stop_nmi
MSEC=$(msec_since "$t")
live shutdown-grace "it waits for so long ($MSEC ms)" eval '(( ${MSEC%.*} > 800 && ${MSEC%.*} < 5000 ))'
wait "$waiter" 2>/dev/null
sb_imds latency msec=0 >/dev/null

# ---- standard mode ----

base=("${base[@]/operation-mode: managed/operation-mode: standard}")
waits=('retry-attempts-for-created: 1' 'retry-attempts-for-assigned: 1' 'find-identity-retry-interval: 1')
lay "${base[@]}" 'find-identity-retry-interval: 20'
start || bail 'nmi does not start in standard mode'
sb_add_pod fresh shop 10.244.0.35 aadpodidbinding=shop
ask_bg fresh "$SB_ASK" && pid=$SB_SPAWNED
passes 'nothing is assigned: a request waits' eventually 5 is_waiting 1
t=$EPOCHREALTIME
change "${waits[@]}"
wait "$pid"
live find-identity-retry-interval "one that waits is told by the new wait ($(msec_since "$t") ms)" eval '[[ $(<"$SB_DIR/bg.status") == 503* ]]'
answers 'and the next' 503 not_assigned_yet fresh "$SB_ASK"
passes 'after one interval' took 900 2500
change "${waits[@]:1}" 'retry-attempts-for-created: 3'
sb_ask fresh "$SB_ASK"
live retry-attempts-for-created 'so many intervals' took 2900 4500
sb_assigned shop fresh shop "$SB_SHOP" Created
change 'retry-attempts-for-created: 1' 'retry-attempts-for-assigned: 2' 'find-identity-retry-interval: 1'
sb_ask fresh "$SB_ASK"
live retry-attempts-for-assigned 'so many more once it is named' took 2900 4500
change "${waits[@]}"

sb_add_pod spaced other 10.244.0.31 aadpodidbinding=shop
sb_assigned other spaced shop "$SB_SHOP" Assigned ns=shop
passes 'an identity of another namespace is given' eventually 2 asks_as spaced "$SB_SHOP"
change "${waits[@]}" 'forceNamespaced: true'
live forceNamespaced 'then it is not, although the token is at hand' status_is 403 spaced "$SB_ASK"
change "${waits[@]}"
passes 'and again it is' asks_as spaced "$SB_SHOP"

sb_account default mic && sb_account shop mic
sb_add_pod mic-1 default 10.244.0.32 app=mic mic && sb_add_pod mic-2 shop 10.244.0.34 app=mic mic
passes 'the controller has another account' eventually 2 status_is 400 mic-1 "$SB_ASK"
change "${waits[@]}" 'mic-service-account: mic'
live mic-service-account 'then it is this one' asks_as mic-1 "$SB_SYSTEM"
passes 'and not elsewhere' status_is 400 mic-2 "$SB_ASK"
change "${waits[@]}" 'mic-service-account: mic' 'MICNamespace: shop'
live MICNamespace 'then it is elsewhere' asks_as mic-2 "$SB_SYSTEM"
passes 'and only there' status_is 400 mic-1 "$SB_ASK"
sb_stop_nmi

# ---- without a file ----

sb_start_nmi || bail 'nmi does not start without a file'
pid=$(sb_pid nmi)
listen
kill -HUP "$pid"
passes 'SIGHUP without a file is told' eventually 3 eval '[[ $(said) == *"SIGHUP: there is no settings file"* ]]'
is 'and ends nobody' "$(sb_pid nmi)" "$pid"
gives 'it serves on' "$SB_SHOP" web "$SB_ASK"
more() { # LEVEL [COMMAND...]
	sb_in "$SB_NODE" "${@:2}" "$prog" log "$1" --run-directory="$SB_DIR/nmi" 2>&1
	echo "exit $?"
}
is 'without a file, nmi log has it log more' "$(more 4)" $'the agent logs as with --v=4\nexit 0'
listen
sb_ask web "$SB_ASK"
passes 'which it does' eventually 2 eval '[[ $(said) == *" token granted "* ]]'
like 'nobody else may ask for it' "$(more 0 "${nobody[@]}")" 'exit 3$'
is 'and less' "$(more 0)" $'the agent logs as with --v=0\nexit 0'
listen
sb_ask web "$SB_ASK"
sleep 0.2
is 'which it does too' "$(said)" ''
like 'a level that there is not is refused' "$(more 10)" 'exit 1$'

# ---- as another user, who may not read it ----

sb_stop_nmi
base=("${base[@]/operation-mode: standard/operation-mode: managed}")
lay "${base[@]}" 'user: nobody'
chmod 600 "$file" && chmod 755 "$volume" "$volume/..$version" && chmod o+x "$SB_DIR"
listen
start && like 'a user who may not read the file is told of' "$(said)" 'changed settings will not be seen: .*Permission denied, now that the agent runs as --user=nobody'
gives 'and it serves' "$SB_SHOP" web "$SB_ASK"
chmod 644 "$file"
change 'user: nobody' 'block-instance-metadata: true'
passes 'one who may takes changes up, without any privilege' status_is 403 web "$INSTANCE"

# ---- a setting that is live and not shown here is forgotten ----

is 'each live setting was seen to take effect' "$(printf '%s\n' "${shown[@]}" | sort | xargs)" \
	"$(sed -n '/^Live$/,/^Needs a restart$/s/^``\(.*\)``$/\1/p' docs/reload.rst | sort | xargs)"
no_leak 'IMDS has seen no pod'
tokens_end
