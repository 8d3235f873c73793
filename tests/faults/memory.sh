#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# In a cgroup with a limit of memory, as in a pod of Kubernetes: what pods can do to the agent at once fits into the limit
# that our manifests name. With far less than it needs it is killed, and then as ever: no pod reaches IMDS, and the next one serves.
set -uo pipefail
# shellcheck source=tests/rules/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../rules/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Either version of cgroups, whichever has the controller.
group='' limit_file=''
make_group() {
	local name=nmi-$SB_NAME root
	for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
		grep -qsw memory "$root/cgroup.controllers" || continue
		echo +memory >"$root/cgroup.subtree_control" 2>/dev/null
		mkdir "$root/$name" 2>/dev/null && [[ -e $root/$name/memory.max ]] && { group=$root/$name limit_file=memory.max; return; }
		rmdir "$root/$name" 2>/dev/null
	done
	mkdir "/sys/fs/cgroup/memory/$name" 2>/dev/null && group=/sys/fs/cgroup/memory/$name limit_file=memory.limit_in_bytes
}
leave_group() {
	[[ -z $group ]] || eventually 5 rmdir "$group" || echo "# $group is left"
}
e2e_box memory
trap 'e2e_cleanup; leave_group' EXIT
make_group || bail 'no cgroup for memory can be made here'
limit=$(sed -nE '/limits:/,/requests:/{s/^ *memory: *([0-9]+)Mi.*/\1/p}' "$sb_root/deploy/kustomize/managed/nmi.yaml")
like 'our manifest names a limit' "$limit" '^[0-9]+$'
echo "# $limit MiB, $limit_file"
allow() { echo "$1" >"$group/$limit_file"; } # BYTES
events() { cat "$group"/memory.{events,oom_control} 2>/dev/null | sed -nE 's/^oom_kill //p' | tail -n 1; }
allow $((limit << 20))
# shellcheck disable=SC2016 # the inner shell expands these
SB_UNDER=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
sb_start_nmi || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
is 'all of its processes are in it' "$(sort -n "$group/cgroup.procs" | xargs)" \
	"$(for p in $(ip netns pids "$SB_NODE"); do [[ $(readlink "/proc/$p/exe") != */nmi ]] || echo "$p"; done | sort -n | xargs)"
pid=$(sb_pid nmi)
gives 'a pod is served' "$SB_SHOP" web "$SB_ASK"

# ---- all that a pod may have at once ----

ulimit -n 8192
sb_spawn plain /usr/bin/python3 "$here/hold.py" 2000 >"$SB_DIR/held"
holder=$SB_SPAWNED
passes 'a pod holds 2000 connections, with half a request on each' eventually 30 grep -q 2000 "$SB_DIR/held"
for i in {1..40}; do sb_ask web "$SB_TOKEN?api-version=2018-02-01&resource=https://m$i.example.com"; done
gives 'with them, and with many tokens, another one is served' "$SB_SHOP" web "$SB_ASK"
is 'within the limit' "$(sb_pid nmi) $(events)" "$pid 0"
kill "$holder" && wait "$holder" 2>/dev/null

# ---- far too little ----

sb_imds reset >/dev/null
asking web --of="$SB_SHOP" "$SB_ASK"
asking plain --of=nobody "$SB_ASK"
asking addon '/metadata/instance?api-version=2021-02-01'
gone() { ! sb_pid nmi; }
for mib in 4 3 2 1; do # the limit of a group that is in use can not always be lowered
	sb_kill_nmi
	allow $((mib << 20))
	sb_launch_nmi
	sb_spawn plain /usr/bin/python3 "$here/hold.py" 2000 >"$SB_DIR/held"
	holder=$SB_SPAWNED
	eventually 3 gone && break
	kill "$holder" 2>/dev/null && wait "$holder" 2>/dev/null
done
kill "$holder" 2>/dev/null && wait "$holder" 2>/dev/null
passes "with $mib MiB it is killed" gone
sleep 0.5
answered
like 'pods were refused then' "$replies" 'error'
no_leak 'and none reached IMDS'
unlike 'nor was one answered with what is not its own' "$replies" 'wrong'
allow $((limit << 20))
sb_launch_nmi
passes 'the next one serves' eventually 5 asks_as web "$SB_SHOP"
passes 'and gets ready' eventually 5 sb_nmi_ready
e2e_end
