# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # variables of cluster.sh
# Azure Resource Manager (arm.py) in the box, beside the API server: 203.0.113.8, management.azure.com for whoever is run
# by sb_arm_see. Sourced after cluster.sh.

SB_ARM_IP=203.0.113.8
SB_SUBSCRIPTION=11111111-2222-4333-8444-555555555555
SB_ARM_GROUP=shop

sb_arm_up() { # OBJECT-ID...: who has a role on the resource group
	local role roles=()
	for role in "$@"; do roles+=(--role "$role"); done
	mkdir -p "$SB_DIR/arm" && chmod 711 "$SB_DIR/arm"
	printf '127.0.0.1 localhost\n%s management.azure.com\n' "$SB_ARM_IP" >"$SB_DIR/arm/hosts"
	[[ -n $(ip -n "$SB_API" addr show to "$SB_ARM_IP/32") ]] || ip -n "$SB_API" addr add "$SB_ARM_IP/32" dev lo || return
	sb_stop arm && sb_start arm "$SB_API" /usr/bin/python3 "$sb_here/arm.py" --listen "$SB_ARM_IP:443" --dir "$SB_DIR/arm" \
		--jwks "$SB_DIR/jwks" --log "$SB_DIR/arm/asked" --tenant "$SB_TENANT" --subscription "$SB_SUBSCRIPTION" \
		--group "$SB_ARM_GROUP" "${roles[@]}" || return
	sb_wait 20 "ARM ($SB_DIR/arm.log)" sb_in "$SB_API" curl -s --cacert "$SB_DIR/arm/ca.crt" \
		--connect-to "::$SB_ARM_IP" -o /dev/null https://management.azure.com/
}

sb_arm_see() { # POD COMMAND...: which finds ARM by its name and trusts its CA, as a user without rights
	# shellcheck disable=SC2016 # the inner shell expands these
	sb_exec "$1" unshare --mount --propagation private sh -ec 'dir=$1; shift
		mount --bind "$dir/hosts" /etc/hosts
		mount --bind "$dir/ca.crt" /etc/ssl/certs/ca-certificates.crt
		exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$@"' sh "$SB_DIR/arm" "${@:2}"
}
