#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is the stand-in for IMDS as strict as the real service? On loopback; no namespaces needed.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tap.sh
source "$here/../tap.sh"
prog=${NMI_BUILD:-$here/../../build}/tests/sandbox/imds/nmi-sandbox-imds
work=$(mktemp -d)
read -r port other < <(python3 -c 'import socket
free = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in free))')
imds=127.0.0.1:$port
control=127.0.0.1:$other

"$prog" --identities "$here/identities.json" --listen "$imds" --control "$control" --key "$work/key" \
	--ledger "$work/ledger" 2>"$work/log" &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -rf "$work"' EXIT

# Status, then the body, on one line.
raw() {
	local out
	out=$(curl -s -m 10 --path-as-is -w '\n%{http_code}' "${@:2}" "http://$imds$1")
	printf '%s %s' "${out##*$'\n'}" "${out%$'\n'*}"
}
ask() { raw "$1" -H 'Metadata: true' "${@:2}"; }
ctl() { curl -s -m 10 -X "${3:-POST}" "http://$control/$1" "${@:4}"; }
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)'"$1"')' 2>&1; }

eventually 5 curl -s "http://$control/stats" || bail "it does not start: $(<"$work/log")"
ctl 'limits?token-rate=0&other-rate=0&token-concurrent=0' >/dev/null

token=/metadata/identity/oauth2/token
arm='https%3A%2F%2Fmanagement.azure.com%2F'
good="$token?api-version=2018-02-01&resource=$arm"
shop=11111111-aaaa-4000-8000-000000000001

like 'no header: refused' "$(raw "$good")" '^400 .*Required metadata header not specified'
is 'its body has the 88 bytes of the real one' "$(raw "$good" | sed 's/^400 //' | tr -d '\n' | wc -c)" 88
like 'header of another case: refused' "$(raw "$good" -H 'Metadata: True')" '^400 '
like 'header twice: refused' "$(raw "$good" -H 'Metadata: true' -H 'Metadata: true')" '^400 '
like 'X-Forwarded-For: refused' "$(ask "$good" -H 'X-Forwarded-For: 1.2.3.4')" '^400 '
like 'no api-version: refused, newest ones named' "$(ask "$token?resource=$arm")" '^400 .*newest-versions'
like 'api-version before tokens: refused' "$(ask "$token?api-version=2017-08-01&resource=$arm")" '^400 '
like 'api-version that is no date: refused' "$(ask "$token?api-version=latest&resource=$arm")" '^400 '
like 'a later api-version is served' "$(ask "$token?api-version=2030-01-01&resource=$arm")" '^200 '
like 'no resource: refused' "$(ask "$token?api-version=2018-02-01")" '^400 .*resource'
like 'a parameter twice: refused' "$(ask "$good&resource=$arm")" '^400 .*twice'
like 'two selectors: refused' "$(ask "$good&client_id=$shop&object_id=$shop")" '^400 .*exclusive'
is 'unknown identity: as recorded' "$(ask "$good&client_id=99999999-0000-0000-0000-000000000000")" \
	'400 {"error":"invalid_request","error_description":"Identity not found"}'
like 'bypass_cache=false: refused' "$(ask "$good&bypass_cache=false")" '^400 '
like 'unknown resource: refused' "$(ask "$token?api-version=2018-02-01&resource=https://x.invalid")" '^400 .*AADSTS500011'
like 'POST: 405' "$(ask "$good" -X POST)" '^405 .*method_not_allowed'
like 'HEAD: 405' "$(ask "$good" -I)" '405'
like 'unknown path: 404' "$(ask '/metadata/nothing?api-version=2021-02-01')" '^404 '
like 'a path in other spelling leads there too' "$(ask '/METADATA\identity//oauth2/%74oken'"?api-version=2018-02-01&resource=$arm")" '^200 '
like 'another case further on does not' "$(ask "/metadata/Identity/oauth2/token?api-version=2018-02-01&resource=$arm")" '^404 '

body=$(ask "$good&client_id=$shop" | sed 's/^200 //')
is 'every value is a string' "$(python3 -c 'import json,sys; print({type(v).__name__ for v in json.load(sys.stdin).values()})' <<<"$body")" "{'str'}"
is 'the token is on record, before it is given, for its owner' "$(stat -c %a "$work/ledger") $(grep -cF "\"client\":\"$shop\"" "$work/ledger") $(
	python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readlines()[-1])["value"] == json.load(sys.stdin)["access_token"])' "$work/ledger" <<<"$body")" '600 1 True'
is 'the eight fields of the real one' "$(python3 -c 'import json,sys; print(*json.load(sys.stdin))' <<<"$body")" \
	'access_token client_id expires_in expires_on ext_expires_in not_before resource token_type'
is 'the resource comes back decoded' "$(field '["resource"]' <<<"$body")" 'https://management.azure.com/'
ctl jwks x GET >"$work/keys"
claims=$(field '["access_token"]' <<<"$body" | "$prog" --verify "$work/keys" 2>&1)
is 'the signature holds; appid' "$(field '["appid"]' <<<"$claims")" "$shop"
is 'aud' "$(field '["aud"]' <<<"$claims")" 'https://management.azure.com/'
like 'xms_mirid' "$(field '["xms_mirid"]' <<<"$claims")" 'userAssignedIdentities/shop$'
forged=$(field '["access_token"]' <<<"$body" | sed 's/\.[^.]*$/.AAAA/')
like 'a forged one is refused' "$("$prog" --verify "$work/keys" <<<"$forged" 2>&1)" '^token refused'
is 'IMDS gives a cached token again' "$(ask "$good&client_id=$shop" | sed 's/^200 //' | field '["access_token"]')" \
	"$(field '["access_token"]' <<<"$body")"
unlike 'but not with bypass_cache' "$(ask "$good&client_id=$shop&bypass_cache=true" | sed 's/^200 //' | field '["access_token"]')" \
	"^$(field '["access_token"]' <<<"$body")\$"
like 'no selector: system-assigned' "$(ask "$good")" '^200 .*00000000-aaaa-4000-8000-000000000001'
python3 - "$here/identities.json" >"$work/several" <<'PY'
import json, sys
d = json.load(open(sys.argv[1])); del d["systemAssigned"]; print(json.dumps(d))
PY
ctl identities x PUT --data-binary @"$work/several" >/dev/null
like 'no selector and several: the text of the real one' "$(ask "$good")" '^400 .*Multiple user assigned identities exist, please specify'
ctl identities x PUT --data-binary @"$here/identities.json" >/dev/null

like 'instance' "$(ask '/metadata/instance?api-version=2021-02-01')" '^200 .*"location": ?"westeurope"'
is 'instance, one leaf as text' "$(ask '/metadata/instance/compute/location?api-version=2021-02-01&format=text')" '200 westeurope'
like 'a leaf as JSON is refused' "$(ask '/metadata/instance/compute/location?api-version=2021-02-01')" '^400 '
like 'instance of an unknown version is refused' "$(ask '/metadata/instance?api-version=2030-01-01')" '^400 '
like 'versions need none' "$(ask /metadata/versions)" '^200 .*2018-02-01'
like 'info' "$(ask '/metadata/identity/info?api-version=2018-02-01')" '^200 .*tenantId'
like 'IMDSv2 gives what a test can recognise' "$(ask '/metadata/identity/getplatformmetadata?cred-api-version=2.0')" '^200 .*node leak'
like 'the Server header says IMDS' "$(curl -s -i -H Metadata:true "http://$imds/metadata/versions")" 'Server: IMDS/'

ctl 'fault?area=token&status=429&times=2&retry-after=3' >/dev/null
like 'a fault: 429' "$(ask "$good" -i)" '429.*Retry-After: 3'
like 'twice' "$(ask "$good")" '^429 '
like 'then no more' "$(ask "$good")" '^200 '
ctl 'fault?area=token&kind=close' >/dev/null
like 'a fault: closed' "$(ask "$good")" '^000'
ctl 'fault?area=token&kind=garbage' >/dev/null
like 'a fault: garbage' "$(ask "$good")" '^200 <html>'
like 'a fault leaves the others alone' "$(ask '/metadata/versions')" '^200 '
ctl 'fault?area=token&kind=hang' >/dev/null
(ask "$good" >"$work/hung") &
hung=$!
sleep 0.2
is 'a fault: no answer' "$(wc -c <"$work/hung")" 0
ctl clear >/dev/null
wait "$hung"
like 'cleared, and what hung is answered' "$(<"$work/hung")" '^200 '
like 'a bad fault is refused' "$(ctl 'fault?status=200')" 'error'

ctl reset >/dev/null
ctl 'limits?token-rate=20&token-concurrent=5' >/dev/null
codes=$(curl -s -o /dev/null -w '%{http_code}\n' -H Metadata:true "http://$imds$good&n=[1-30]" | sort | uniq -c | tr -s ' \n' ' ')
is 'over 20 a second: 429' "$codes" ' 20 200 10 429 '
is 'and counted' "$(ctl stats x GET | field '["sources"]["127.0.0.1"]["token"]')" 30
is 'and how many came in one second' "$(ctl stats x GET | field '["token_second_max"]')" 30
sleep 1
raw "$good" >/dev/null
is 'which is the most there were' "$(ctl stats x GET | field '["token_second_max"]')" 30
ctl reset >/dev/null
raw "$good" >/dev/null
is 'until it is reset' "$(ctl stats x GET | field '["token_second_max"]')" 1
ctl 'limits?token-rate=0' >/dev/null
ctl 'latency?msec=300&area=token' >/dev/null
codes=$(curl -s --no-progress-meter --parallel --parallel-immediate --parallel-max 8 -o /dev/null -w '%{http_code}\n' -H Metadata:true "http://$imds$good&n=[1-8]" 2>/dev/null | sort | uniq -c | tr -s ' \n' ' ')
is 'over 5 at once: 429' "$codes" ' 5 200 3 429 '
kill -TERM "$pid"
wait "$pid"
is 'ends at SIGTERM' "$?" 0
unlike 'nothing complained' "$(<"$work/log")" 'err|Sanitizer'
done_testing
