#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is not about identity goes through to IMDS, and only that.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
e2e_begin proxy
INSTANCE='/metadata/instance?api-version=2021-02-01'

answers 'instance metadata' 200 '"location": ?"westeurope"' web "$INSTANCE"
like 'with the Server header that SDKs look for' "$SB_HEAD" 'Server: IMDS/'
answers 'also for a pod without identity' 200 westeurope plain "$INSTANCE"
answers 'one leaf as text' 200 '^westeurope$' web '/metadata/instance/compute/location?api-version=2021-02-01&format=text'
like 'with its content type' "$SB_HEAD" 'Content-Type: text/plain'
answers 'in another case' 200 westeurope web "${INSTANCE/metadata/Metadata}"
answers 'versions' 200 2018-02-01 web /metadata/versions
answers 'a status of IMDS passes through' 400 'newest-versions' web '/metadata/instance?api-version=nonsense'
answers 'unknown paths get the 404 of IMDS' 404 'Not found' web '/latest/meta-data/'
answers 'another method gets the 405 of IMDS' 405 '' web "$INSTANCE" -X POST -d 'x=1'
answers 'without the header: refused here' 400 'Required metadata header not specified' web "$INSTANCE" -H 'Metadata:'
answers 'X-Forwarded-For is refused or taken out' '[24]00' '' web "$INSTANCE" -H 'X-Forwarded-For: 1.2.3.4'
unlike 'never passed on' "$(sb_imds stats)" '"status": ?400[^}]*X-Forwarded'
answers 'identity/info is not forwarded' 404 not_found web '/metadata/identity/info?api-version=2018-02-01'
unlike 'nor answered with a tenant' "$SB_BODY" tenantId
answers 'nor IMDSv2' 404 not_found web '/metadata/identity/getplatformmetadata?cred-api-version=2.0'
unlike 'no credential of the node' "$SB_BODY" 'node leak'

sb_imds fault area=instance kind=close >/dev/null
answers 'IMDS closes: 503' 503 service_unavailable web "$INSTANCE"
sb_imds fault area=instance kind=huge >/dev/null
answers 'IMDS answers with more than may be: told so' 502 upstream_too_large web "$INSTANCE"
sb_imds fault area=instance status=429 >/dev/null
answers 'IMDS throttles: 429 passes through' 429 '' web "$INSTANCE"
sb_imds fault area=instance kind=hang >/dev/null
t=$EPOCHREALTIME
answers 'IMDS hangs: 503' 503 '' web "$INSTANCE"
at_most 'in the end (ms)' "$(msec_since "$t")" 25000
sb_imds clear >/dev/null
answers 'and all is well' 200 westeurope web "$INSTANCE"
codes=$(sb_exec web curl -s -o /dev/null -w '%{http_code}\n' -H Metadata:true "http://169.254.169.254$INSTANCE&n=[1-50]" | sort | uniq -c | tr -s ' \n' ' ')
is 'fifty in a row' "$codes" ' 50 200 '
big=$(head -c 100000 /dev/zero | tr '\0' x)
sb_ask web "$INSTANCE" -X POST --data-binary @- <<<"$big"
like 'a body over the limit is refused' "$SB_STATUS" '^(413|405|400|000)$'
no_leak 'IMDS has seen no pod: all of it came from the node'

sb_stop_nmi
sb_start_nmi --block-instance-metadata=true
answers 'blocked: 403' 403 access_denied web "$INSTANCE"
answers 'blocked, by another spelling' '40[03]' '' web "${INSTANCE/instance/%69nstance}"
answers 'blocked, by another case' 403 access_denied web "${INSTANCE/metadata/METADATA}"
gives 'blocked: tokens are served' "$SB_SHOP" web "$SB_ASK"
no_leak 'IMDS has seen no pod'
e2e_end
