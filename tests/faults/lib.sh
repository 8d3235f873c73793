# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of faults share: a box with Entra, every source of tokens, a small disk of the agent's own for its
# log, audit log and sockets, and a wall clock that can be set. A script is: faults_begin NAME, tests, faults_end.

faults_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$faults_here/../e2e/lib.sh"
# shellcheck source=tests/soak/furnish.sh
source "$faults_here/../soak/furnish.sh"

LIFETIME=240 # of tokens; schedule.py says why

faults_launch() { # NAME [ARGUMENT...]: in the box in use
	sb_start "$1" "$SB_NODE" "$sb_here/cluster.sh" --name "$SB_NAME" see env \
		LD_PRELOAD="${FAULTS_PRELOAD:+$FAULTS_PRELOAD:}$(realpath "$SB_BUILD/tests/faults/clock.so")" NMI_CLOCK="$SB_DIR/clock" \
		KUBECONFIG="$SB_NMI_KUBECONFIG" FORCENAMESPACED=true "$(sb_program nmi)" --node "$SB_NODE_NAME" --operation-mode=managed \
		--http-probe-port=8085 --prometheus-port=9090 --tenant-id="$SB_TENANT" --run-directory="$SB_DIR/disk/nmi" \
		--audit-log="$SB_DIR/disk/audit.log" "${@:2}"
}

faults_box() { # NAME [SIZE OF THE DISK]: all but the agent
	disk=
	e2e_box "$1"
	trap faults_cleanup EXIT
	mkdir "$SB_DIR/disk" && mount -t tmpfs -o size="${2:-16m}" tmpfs "$SB_DIR/disk" || bail 'no tmpfs'
	disk=$SB_DIR/disk
	: >"$disk/nmi.log"
	# where everybody looks for them
	ln -s disk/nmi.log "$SB_DIR/nmi.log" && ln -s disk/nmi.log "$SB_DIR/nmi-next.log" && ln -s disk/audit.log "$SB_DIR/audit.log" &&
		ln -s disk/nmi "$SB_DIR/nmi" || bail 'no links'
	head -c 8 /dev/zero >"$SB_DIR/clock"
	sb_entra_up || bail "Entra does not start: $(tail -n 5 "$SB_DIR/entra.log")"
	furnish $LIFETIME || bail 'the pods cannot be made'
}

faults_begin() { # NAME [ARGUMENT of nmi...]
	faults_box "$1"
	faults_launch nmi "${@:2}"
	eventually 15 sb_nmi_ready || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
}

# What is on the disk outlives it.
leave_disk() {
	[[ -n ${disk:-} ]] || return 0
	rm -f "$disk/filler" "$SB_DIR"/{nmi,nmi-next,audit}.log
	cp "$disk/nmi.log" "$SB_DIR/nmi.log" && { [[ ! -e $disk/audit.log ]] || cp "$disk/audit.log" "$SB_DIR/audit.log"; }
	umount -l "$disk" && disk=
}

faults_cleanup() {
	local status=$?
	leave_disk
	(exit $status)
	e2e_cleanup
}

faults_end() {
	sb_gather
	sb_stop_nmi
	leave_disk
	e2e_end
}

# The program of faults, over the box in use; the report is in $report, its status in $schedule_status.
schedule() { # ARGUMENT...
	local out=${FAULTS_OUT:-$SB_BUILD/faults}
	mkdir -p "$out"
	report=$out/$SB_NAME.json
	rm -f "$report"
	/usr/bin/python3 "$faults_here/schedule.py" --box "$SB_NAME" --directory "$SB_DIR" --nmi "$(sb_program nmi)" \
		--report "$report" --sp $SP --cert $CERT --fed $FED "$@" 2>&1
	schedule_status=$?
}

# A sentence for each promise; what breaks it stands below.
judge() {
	local verdict sentence what n=0
	while IFS=$'\t' read -r verdict sentence what; do
		n=$((n + 1))
		if [[ $verdict == ok ]]; then ok "$sentence ($what)"; else not_ok "$sentence" "${what//|/$'\n'}"; fi
	done < <(/usr/bin/python3 "$faults_here/verdict.py" "$report" 2>&1)
	is 'the schedule came to its end' "$schedule_status" 0
	((n == 8)) || not_ok 'all was judged' "$n of 8"
}
