#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# alone: what is flat here is measured while nothing else goes on
#
# soak.sh [DURATION, 60s unless told: 10m, 1h]: the agent as it is built, on a node where something happens all the
# time (life.py), and what it takes meanwhile (sample.py): memory flat, no descriptor left open, no flood in
# the log, no request answered wrongly. The samples are in build/soak/samples.csv.
# SOAK_PRELOAD: a library that spoils the agent, see planted.sh.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$here/../e2e/lib.sh"
# shellcheck source=tests/soak/furnish.sh
source "$here/furnish.sh"

seconds() { # 90s, 10m, 1h
	[[ $1 =~ ^([0-9]+)([smh]?)$ ]] || bail "not a duration: $1"
	case ${BASH_REMATCH[2]} in
	m) echo $((BASH_REMATCH[1] * 60)) ;;
	h) echo $((BASH_REMATCH[1] * 3600)) ;;
	*) echo "${BASH_REMATCH[1]}" ;;
	esac
}
DURATION=$(seconds "${1:-60s}") || exit 1
RATE=${SOAK_RATE:-60}

# A token is used for half of this, and renewed when 70 % of that are over: so all are renewed once a minute.
LIFETIME=120

e2e_box soak
sb_entra_up || bail "Entra does not start: $(tail -n 5 "$SB_DIR/entra.log")"
furnish $LIFETIME && sb_add_pod loose shop 10.244.0.25 app=loose,aadpodidbinding=loose || bail 'the pods cannot be made'
[[ -z ${SOAK_PRELOAD:-} ]] || SB_UNDER=(env LD_PRELOAD="$SOAK_PRELOAD")
sb_start_nmi --tenant-id="$SB_TENANT" || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
out=${SOAK_OUT:-$SB_BUILD/soak}
mkdir -p "$out"
rm -f "$out"/{samples.csv,report.json,sampler.log,life.log}

# in both there are some hundred samples at least
interval=$(awk -v d="$DURATION" 'BEGIN { i = d / 200; print (i < 0.5 ? 0.5 : i > 10 ? 10 : i) }')
/usr/bin/python3 "$here/sample.py" "$(sb_pid nmi)" "$SB_DIR/nmi.log" "$SB_NODE" "$interval" "$out/samples.csv" >"$out/sampler.log" 2>&1 &
sampler=$!
/usr/bin/python3 "$here/life.py" --box "$SB_NAME" --seconds "$DURATION" --rate "$RATE" --report "$out/report.json" \
	--nmi "$(sb_program nmi)" --directory "$SB_DIR" --sp $SP --cert $CERT --fed $FED 2>&1 | tee "$out/life.log"
kill "$sampler" && wait "$sampler"

judged=0
if [[ -s $out/report.json ]]; then
	while IFS=$'\t' read -r verdict sentence figures; do
		judged=$((judged + 1))
		case $verdict in
		ok) ok "$sentence ($figures)" ;;
		'not ok') not_ok "$sentence" "$figures" ;;
		*) echo "$verdict" && judged=$((judged - 1)) ;;
		esac
	done < <(/usr/bin/python3 "$here/verdict.py" "$out/samples.csv" "$out/report.json" "$out/sampler.log" 2>&1)
fi
((judged >= 15)) || not_ok 'all was judged' "$(tail -n 5 "$out/life.log" "$out/sampler.log")"
no_leak 'IMDS has seen no pod'
like 'the agent is ready in the end' "$(sb_in "$SB_NODE" curl -s -m 5 'http://127.0.0.1:8085/readyz?verbose')" 'readyz check passed|ok'
cp "$SB_DIR/nmi.log" "$out/nmi.log"
e2e_end
