# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # variables of, and for, who sources this
# What the scripts of this suite share: the SDKs, and one token asked for by one of them inside a pod. Whoever
# sources this has the box (tests/sandbox/cluster.sh) and TAP (tests/tap.sh).

interop_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sdks=$sb_root/build/interop
SDKS='python js go'
VAULT=https://vault.azure.net

interop_install() {
	"$interop_here/install" "$sdks" || bail 'the SDKs could not be installed'
}

# Asks as an application of a pod does, in a process of its own with nothing in its environment. Sets
# SDK_ANSWER, the line of JSON that the client prints, and SDK_MSEC, what it took from start to end.
client() { # SDK POD KIND [SELECTOR VALUE]
	local sdk=$1 pod=$2 kind=$3 started=$EPOCHREALTIME run=()
	shift 3
	case $sdk in
	js) run=(node "$sdks/js/client.mjs") ;;
	python) run=("$sdks/python/venv/bin/python" "$sdks/python/client.py") ;;
	go) run=("$sdks/go/client") ;;
	esac
	SDK_ANSWER=$(sb_exec "$pod" env -i PATH="$PATH" HOME="$SB_DIR" timeout 110 "${run[@]}" "$kind" "$VAULT" "$@" \
		2>>"$SB_DIR/sdk.log" </dev/null | tail -n 1)
	SDK_MSEC=$(((${EPOCHREALTIME/./} - ${started/./}) / 1000))
}

# Of the last answer; nothing when it is not there.
sdk_field() { # token | expires_on | error
	python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$SDK_ANSWER" "$1" 2>/dev/null
}

# The claims that its token says, in one line, after the signature was checked with these keys; or why not.
sdk_claims() { # JWKS CLAIM...
	local claims
	claims=$(sdk_field token | tr -d '\n' | "$(sb_program nmi-sandbox-imds)" --verify "$1" 2>&1)
	python3 -c 'import json, sys
claims = json.loads(sys.argv[1])
print(*(claims.get(name, "-") for name in sys.argv[2:]))' "$claims" "${@:2}" 2>/dev/null ||
		printf 'no token: %s; %s\n' "$claims" "$(sdk_field error || echo "$SDK_ANSWER" | cut -c1-300)"
}
