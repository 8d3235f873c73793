#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# launch.sh BOX NAME: another agent in a box of faults_box, for schedule.py.
set -uo pipefail
# shellcheck source=tests/faults/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
sb_use "$1"
faults_launch "$2"
