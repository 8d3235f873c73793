#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The audit log has one record for each decision, which says what the client saw; requests go on where it cannot
# be written, and it says how many are missing. The log has the news of it, and stays small.
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tokens/lib.sh"

audit() { /usr/bin/python3 "$e2e_here/audit.py" "$@"; }
records() { audit count "$AUDIT" "$@"; }
lines() { wc -l <"$1"; }

asked=0
# The last request's record: FIELDs and what they must be.
recorded() { # SENTENCE WANT FIELD...
	asked=$((asked + 1))
	is "$1" "$(audit last "$AUDIT" "${@:3}")" "$2"
}

given() { # SENTENCE "KIND NAMESPACE NAME CLIENT SOURCE" POD TARGET: granted, and recorded so
	sb_ask "$3" "$4"
	recorded "$1" "granted null 200 pod $2 $(date -u -d "@$(sb_field expires_on)" +%FT%TZ)" \
		outcome reason status caller identity_kind identity_namespace identity client_id source expires_on
}

refused() { # SENTENCE "REASON STATUS POD" POD TARGET [CURL-ARGUMENT...]
	local id
	sb_ask "${@:3}"
	id=$(sed -n 's/^x-ms-request-id: //p' <<<"$SB_HEAD")
	recorded "$1" "refused $2 $SB_STATUS ${id:-of nobody}" outcome reason status pod status request
}

flood() { # POD N: so many requests on one connection; the statuses, counted
	sb_exec "$1" curl -s -m 60 -o /dev/null -w '%{http_code}\n' -H Metadata:true "http://169.254.169.254$SB_ASK#[1-$2]" |
		sort | uniq -c | xargs
}

small=
audit_cleanup() {
	local status=$?
	[[ -z $small ]] || umount -l "$small" 2>/dev/null
	(exit "$status")
	e2e_cleanup
}

tokens_box audit
trap audit_cleanup EXIT
AUDIT=$SB_DIR/audit.log

# ---- every kind of decision ----

FED=66666666-aaaa-4000-8000-000000000006 ACC=99999999-aaaa-4000-8000-000000000009
sb_app $SP secret=hush tenant=$SB_TENANT
sb_secret shop sp clientSecret=hush
bound_pod sp 10.244.0.21 $SP 1 tenant=$SB_TENANT secret=sp
sb_app $FED federated=system:serviceaccount:shop:fed
sb_account shop fed && bound_pod fed-0 10.244.0.29 $FED 3 tenant=$SB_TENANT
sb_add_pod fed shop 10.244.0.22 aadpodidbinding=fed-0 fed
sb_app $ACC federated=system:serviceaccount:shop:acc
sb_account shop acc && sb_account_note shop acc "azure.workload.identity/client-id=$ACC"
sb_add_pod acc shop 10.244.0.23 app=acc acc
sb_start_nmi --audit-log="$AUDIT" --log-format=json -v 4 --tenant-id="$SB_TENANT" --workload-identity --pod-wait=1s ||
	bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
is 'the file is for its owner and group' "$(stat -c %a "$AUDIT")" 640

shop="AzureIdentity shop shop $SB_SHOP"
given 'a managed identity, from IMDS' "$shop imds" web "$SB_ASK"
is 'with the pod, its UID, what it asked for, and where from' "$(audit last "$AUDIT" namespace pod pod_uid peer resource route)" \
	"shop web $(sb_api GET api/v1/namespaces/shop/pods/web | sed -nE 's/.*"uid": ?"([^"]*)".*/\1/p') 10.244.0.11 $SB_ARM $SB_TOKEN"
read -r waited total < <(audit last "$AUDIT" token_wait_usec total_usec)
passes "with the wait for the token ($waited us), and all of it ($total us)" test "$waited" -gt 0 -a "$waited" -le "$total"
read -r renew expires < <(audit last "$AUDIT" renew_at expires_on)
passes "with when it is renewed ($renew), before it expires ($expires)" test "$(date +%s)" -lt "$(date -d "$renew" +%s)" -a \
	"$(date -d "$renew" +%s)" -lt "$(date -d "$expires" +%s)"
given 'the same again, from the cache' "$shop cache" web "$SB_ASK"
is 'with the same renewal, and no wait' "$(audit last "$AUDIT" renew_at pod_wait_usec identity_wait_usec token_wait_usec)" "$renew 0 0 0"
given 'a service principal, from Entra' "AzureIdentity shop sp $SP entra" sp "$ASK_VAULT"
given 'a federated identity' "AzureIdentity shop fed-0 $FED federation" fed "$ASK_VAULT"
given 'the identity of a ServiceAccount' "ServiceAccount shop acc $ACC federation" acc "$ASK_VAULT"
given "an excepted pod: the node's own" "node null null $SB_SYSTEM imds" addon "$SB_ASK"
SB_BODY=$(sb_in "$SB_NODE" curl -s -H 'podns: shop' -H 'podname: web' "http://127.0.0.1:2579/host/token/?resource=$SB_ARM")
recorded 'a process of the node, in the name of a pod' "granted node shop web $shop cache /host/token" \
	outcome caller namespace pod identity_kind identity_namespace identity client_id source route
like 'which was given the token' "$SB_BODY" "\"clientid\": ?\"$SB_SHOP\""

refused 'no label' 'no_label 400 plain' plain "$SB_ASK"
is 'with the sentence that the pod was told' "$(audit last "$AUDIT" text)" "$(sb_field error_description)"
refused "somebody else's client id" 'identity_not_bound 403 web' web "$SB_ASK&client_id=$SB_BILLING"
refused 'an id that nobody has' 'identity_unknown 400 web' web "$SB_ASK&client_id=99999999-0000-4000-8000-000000000009"
refused 'no resource' 'bad_request 400 null' web "$SB_TOKEN?api-version=2018-02-01"
sb_ask web "$SB_ASK" -H 'Metadata:'
recorded 'no header' 'refused metadata_header 400 null' outcome reason status pod
refused 'another path of identity' 'not_found 404 null' web /metadata/identity/info
refused 'another method' 'method_not_allowed 405 null' web "$SB_ASK" -X POST
sb_imds fault kind=status area=token status=400 >/dev/null
refused 'IMDS refuses' 'upstream_refused 400 billing' billing "$SB_ASK"
is 'with whose identity, and who refused' "$(audit last "$AUDIT" identity source)" 'billing imds'
sb_imds clear >/dev/null
printf 'other 10.244.0.41\n' >"$SB_DIR/pods/ghost"
sb_pod_net ghost 10.244.0.41
refused 'a pod that nobody knows' 'pod_unknown 503 null' ghost "$SB_ASK"
passes 'with the second that it waited for its pod' test "$(audit last "$AUDIT" pod_wait_usec)" -ge 1000000
sb_ask web "$SB_TOKEN?api-version=2018-02-01&resource=x%22%2C%22outcome%22%3A%22granted%22%5C"
recorded 'what a pod makes up stays one value' 'refused x","outcome":"granted"\' outcome resource
is 'one record for each request' "$(lines "$AUDIT")" "$asked"
is 'each with the fields of the reference' "$(audit check "$AUDIT" "$sb_root/docs/audit.rst")" ''

# ---- rotation: what logrotate's copytruncate does ----

cp "$AUDIT" "$AUDIT.1" && : >"$AUDIT"
given 'after it was copied and truncated' "$shop cache" web "$SB_ASK"
is 'it begins again' "$(lines "$AUDIT")" 1
sb_gather # it is searched for tokens with the rest
is 'what is searched for tokens has it' "$(ls "$SB_DIR"/run/said/audit.* 2>/dev/null | wc -l)" 1

# ---- the log ----

is 'a pod asks 500 times' "$(flood web 500)" '500 200'
is 'every line of the JSON log is one object, with a time, a level and a message' "$(audit log "$SB_DIR/nmi.log")" ''
passes 'of hundreds, with -v 4' test "$(lines "$SB_DIR/nmi.log")" -gt 500
sb_stop_nmi
: >"$SB_DIR/nmi.log" && rm -f "$AUDIT" "$AUDIT.1"
sb_start_nmi --audit-log="$AUDIT" || bail 'nmi does not start again'
before=$(lines "$SB_DIR/nmi.log")
is 'a pod asks 3,000 times' "$(flood web 3000)" '3000 200'
is 'another is refused 3,000 times' "$(flood plain 3000)" '3000 400'
at_most 'of which the log has few lines' "$(($(lines "$SB_DIR/nmi.log") - before))" 6
line=$(grep 'token granted' "$SB_DIR/nmi.log")
like 'one for the first grant: who, which identity, from where, until when' "$line" \
	"news=first .*pod=web identity_kind=AzureIdentity identity_namespace=shop identity=shop client_id=$SB_SHOP .*source=imds expires_on=.* renew_at=20"
like 'one for the refusal: who, and why' "$(grep -m 1 'refused:' "$SB_DIR/nmi.log")" 'warn .*namespace=shop reason=no_label .*pod=plain'
is 'the audit log has them all' "$(records outcome=granted pod=web) $(records reason=no_label pod=plain)" '3000 3000'
sb_stop_nmi

# ---- a full disk ----

mkdir "$SB_DIR/small" && small=$SB_DIR/small
mount -t tmpfs -o size=64k tmpfs "$small" || bail 'no tmpfs'
AUDIT=$small/audit.log
sb_start_nmi --audit-log="$AUDIT" || bail 'nmi does not start on a small disk'
is 'on a disk for about ninety records, requests go on' "$(flood web 300)" '300 200'
dropped=$(metric nmi_audit_dropped_total)
passes "and $dropped are counted as dropped" test "$dropped" -gt 100
said=$(sb_in "$SB_NODE" "$(sb_program nmi)" status --run-directory="$SB_DIR/nmi")
is 'which nmi status says as well' "$(sed -nE 's/.*audit lines lost +//p' <<<"$said")" "$dropped"
like 'which the log says once' "$(grep -c 'audit log .* records are dropped: No space left on device' "$SB_DIR/nmi.log")" '^1$'
is 'those that were written are whole, and the others were dropped' "$(audit check "$AUDIT" "$sb_root/docs/audit.rst") $(records event=decision)" " $((300 - dropped))"
mount -o remount,size=1m "$small"
told() { [[ $(audit missing "$AUDIT") == "$(metric nmi_audit_dropped_total)" ]]; }
passes 'with room again, the file says how many are missing' eventually 5 told
given 'and goes on' "$shop cache" web "$SB_ASK"
is 'as it should be' "$(audit check "$AUDIT" "$sb_root/docs/audit.rst")" ''
sb_stop_nmi
umount "$small" && small=

# ---- a FIFO ----

AUDIT=$SB_DIR/fifo
mkfifo "$AUDIT"
sb_start_nmi --audit-log="$AUDIT" --user=nobody || bail 'nmi does not start without a reader'
is 'another user has taken over' "$(stat -c %U "/proc/$(sb_pid nmi)")" nobody
is 'nobody reads the FIFO, and requests go on' "$(flood web 300)" '300 200'
dropped=$(metric nmi_audit_dropped_total)
passes "$dropped are counted as dropped" test "$dropped" -gt 100
like 'which the log says' "$(<"$SB_DIR/nmi.log")" 'records are dropped: its reader does not keep up'
timeout 3 cat "$AUDIT" >"$SB_DIR/read"
is 'a reader that comes gets whole records' "$(audit check "$SB_DIR/read" "$sb_root/docs/audit.rst")" ''
is 'and is told of all that are missing' "$(audit missing "$SB_DIR/read") $(audit count "$SB_DIR/read" event=decision)" "$dropped $((300 - dropped))"
sb_stop_nmi

# ---- stdout, and what it must not be ----

: >"$SB_DIR/nmi.log"
sb_start_nmi --audit-log=- --log-format=json || bail 'nmi does not start with its audit log on stdout'
sb_ask web "$SB_ASK"
grep '^{"version":1,' "$SB_DIR/nmi.log" >"$SB_DIR/read"
is 'on stdout it is beside the log' "$(audit check "$SB_DIR/read" "$sb_root/docs/audit.rst") $(audit last "$SB_DIR/read" pod outcome)" ' web granted'
sb_stop_nmi
ln -s "$SB_DIR/elsewhere" "$SB_DIR/link"
said=$(sb_in "$SB_NODE" timeout 10 "$(sb_program nmi)" --node=n --kubeconfig="$SB_NMI_KUBECONFIG" --redirect-backend=none --run-directory= --audit-log="$SB_DIR/link" 2>&1)
is 'a symbolic link is refused' "$?" 2
like 'by name' "$said" "--audit-log: $SB_DIR/link is a symbolic link"
e2e_end
