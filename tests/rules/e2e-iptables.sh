#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The end-to-end tests, and life beside kube-proxy, over the iptables backend, with each of the two iptables: a test here
# is a script there.
#
# Those that are about traffic and short. Left out: refuse.sh, api-down.sh, bad-input.sh (a minute and more each) and
# docs.sh, herd.sh, rbac.sh, which are about what the agent does with a request once it has it.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/tap.sh
source "$here/../tap.sh"

out=$(mktemp)
trap 'rm -f "$out"' EXIT

over() { # BACKEND SCRIPT
	local status started=$SECONDS
	NMI_BACKEND=$1 timeout 120 "$here/../e2e/$2.sh" >"$out" 2>&1 </dev/null
	status=$?
	if ((status == 0)); then
		ok "$1: $2.sh"
	else
		not_ok "$1: $2.sh" "ended with $status"$'\n'"$(grep -vE '^ok\b' "$out" | tail -n 30)"
	fi
	echo "# $(grep -cE '^ok\b' "$out") tests, $((SECONDS - started)) s"
}

for backend in iptables-nft iptables-legacy; do
	for script in token kill flush dropin proxy ../rules/kube-proxy; do over $backend $script; done
done
done_testing
