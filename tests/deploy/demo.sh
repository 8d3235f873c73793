#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The demo program (tests/sandbox/demo-client), in pods of a box, against the agent and a stand-in for ARM that trusts
# a token as ARM does; and the manifest that has it in a cluster.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
# shellcheck source=tests/sandbox/arm.sh
source "$sb_root/tests/sandbox/arm.sh"

SHOP_OBJECT=11111111-bbbb-4000-8000-000000000001
# As in a small image: busybox in the place of the shell, sed and all else; and curl.
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
chmod 755 "$tools"
for tool in sh sed base64 tr cat sleep; do ln -s "$(command -v busybox)" "$tools/$tool"; done
ln -s "$(command -v curl)" "$tools/curl"
cp "$sb_root/tests/sandbox/demo-client" "$tools/demo-client"

e2e_begin demo
trap 'rm -rf "$tools"; e2e_cleanup' EXIT
sb_arm_up "$SHOP_OBJECT" || bail 'no ARM'

demo() { # POD SETTING...: what it says into $said, its status into $status
	said=$(sb_arm_see "$1" env -i PATH="$tools" ${SETTINGS[@]+"${SETTINGS[@]}"} "$tools/sh" "$tools/demo-client" "${@:2}" 2>&1)
	status=$?
	printf '%s\n' "$said" >>"$SB_DIR/run/said/demo"
}
lines() { is "$1" "$status $(cut -d' ' -f1 <<<"$said" | xargs)" "$2"; } # SENTENCE "STATUS WORD..."
group=(--subscription-id "$SB_SUBSCRIPTION" --resource-group "$SB_ARM_GROUP")

# ---- granted ----

demo web "${group[@]}" --identity-client-id "$SB_SHOP"
lines 'a pod with an identity gets all four' '0 ok ok ok ok'
like 'instance metadata' "$said" 'metadata: VM aks-nodepool1-12345678-vmss_0 in westeurope, resource group MC_shop_westeurope'
like 'a token, which says whose it is' "$said" "without client id: it is of client id $SB_SHOP \(shop\), for [0-9]{4,5} seconds"
like 'a token of the client id that was asked for' "$said" "with client id $SB_SHOP: it is of client id $SB_SHOP"
like 'and what it asks ARM for' "$said" 'ARM: GET /subscriptions/1.*/resourceGroups/shop: shop is in koreacentral'
is 'ARM was asked once' "$(tail -n 1 "$SB_DIR/arm/asked")" 200
by_flags=$said
SETTINGS=("SUBSCRIPTION_ID=$SB_SUBSCRIPTION" "RESOURCE_GROUP=$SB_ARM_GROUP" "IDENTITY_CLIENT_ID=${SB_SHOP^^}")
demo web
is 'settings come by variables too, and ids have no case' "$status ${said//[0-9]/}" "0 $(sed "s/with client id [^:]*/with client id ${SB_SHOP^^}/; s/[0-9]//g" <<<"$by_flags")"
SETTINGS=()
demo web
lines 'without settings it does what it can' '0 ok ok skipped skipped'
demo web "--subscription-id=$SB_SUBSCRIPTION" "--resource-group=$SB_ARM_GROUP" "--resource-name=https://management.azure.com"
lines 'ARM may be named without the slash' '0 ok ok skipped ok'

# ---- refused ----

demo plain "${group[@]}" --identity-client-id "$SB_SHOP"
lines 'a pod without label gets metadata alone' '1 ok FAILED FAILED FAILED'
like 'it says why, and what to do' "$said" 'token without client id: 400 no_label Identity not found: pod shop/plain has no label.*: add it with'
like 'ARM is not asked without a token' "$said" 'ARM: not asked for /subs.*, since there is no token'
demo web "${group[@]}" --identity-client-id "$SB_BILLING"
lines "another's client id is refused" '1 ok ok FAILED FAILED'
like 'it says why' "$said" "with client id $SB_BILLING: 403 identity_not_bound .*$SB_BILLING"
demo addon --identity-client-id "$SB_SYSTEM"
like 'an excepted pod is the node' "$said" "without client id: it is of client id $SB_SYSTEM"

# ---- ARM refuses ----

demo billing "${group[@]}" --identity-client-id "$SB_BILLING"
lines 'an identity without a role' '1 ok ok ok FAILED'
like 'the line has the command that gives it one' "$said" \
	'no role there: az role assignment create --role Reader --assignee-object-id 22222222-bbbb.* --scope /subscriptions/1.*/resourceGroups/shop'
is 'ARM said so' "$(tail -n 1 "$SB_DIR/arm/asked")" AuthorizationFailed
demo web --subscription-id "$SB_SUBSCRIPTION" --resource-group other
like 'a resource group that does not exist' "$said" "FAILED +ARM: GET .*: 404 Resource group 'other' could not be found"
sb_stop arm
demo web "${group[@]}"
like 'no ARM' "$said" 'FAILED +ARM: no answer .*: may this pod connect to https://management.azure.com\?'

# ---- no agent; wrong settings; again and again ----

sb_spawn web env PATH="$tools" "$tools/sh" "$tools/demo-client" --period=1 >"$SB_DIR/run/said/again"
passes 'with --period it is done again' eventually 10 sh -c "[ \$(grep -c skipped '$SB_DIR/run/said/again') -ge 4 ]"
kill "$SB_SPAWNED"
sb_kill_nmi
demo web
lines 'no agent: the guard refuses' '1 FAILED FAILED skipped skipped'
like 'and the line says where to look' "$said" 'no answer \(curl: .*connect.*\): nmi does not run on this node, .*; on the node: nmi status'
sb_start_nmi --block-instance-metadata || bail 'nmi does not start again'
demo web
lines 'instance metadata that is blocked' '1 FAILED ok skipped skipped'
like 'and who has blocked it' "$said" 'instance metadata: 403 blocked .*--block-instance-metadata'
while IFS='|' read -r arguments regex; do
	# shellcheck disable=SC2086 # words
	demo web $arguments
	is "$arguments is refused" "$status" 2
	like '... by its name' "$said" "$regex"
done <<-'END'
	--no-such=1|what is --no-such
	now|what is now
	--resource-group|--resource-group wants a value
	--subscription-id=x|--subscription-id wants --resource-group
	--period=1s|--period is a number of seconds
END
demo web --help
is 'there is help' "$status ${said%%:*}" '0 Usage'
e2e_end
