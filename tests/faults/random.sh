#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# random.sh [--minutes N, or 10] [--seed N, or one of its own]: faults drawn singly and two at a time, around an
# agent whose pods ask all the while. What must hold is told in schedule.py; it takes a tenth of a processor, so that
# others can run beside it. For hours by hand: tests/faults/random.sh --minutes 240; again as it was: --seed.
set -uo pipefail
# shellcheck source=tests/faults/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
minutes=${FAULTS_MINUTES:-10} seed=$((SRANDOM % 1000000))
while (($#)); do
	case $1 in
	--minutes) minutes=$2 && shift 2 ;;
	--seed) seed=$2 && shift 2 ;;
	*) bail "random.sh [--minutes N] [--seed N], not $1" ;;
	esac
done
FAULTS_PRELOAD=${FAULTS_PRELOAD:+$FAULTS_PRELOAD:}$(realpath "${NMI_BUILD:-$faults_here/../../build}/tests/faults/heap.so")
export FAULTS_PRELOAD
faults_begin random
echo "# seed $seed, $minutes minutes"
schedule --seconds "$(awk -v m="$minutes" 'BEGIN { print m * 60 }')" --seed "$seed"
judge
faults_end
