#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every fault by itself, for three seconds: what it does not concern is not disturbed, and all is as before 5 s
# after its end. schedule.py says what is looked at, faults.py which there are. each.sh REGEX: those of that name.
set -uo pipefail
# shellcheck source=tests/faults/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
faults_begin each
schedule --each --only "${1:-}"
judge
faults_end
