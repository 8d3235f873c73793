#!/bin/sh
# SPDX-License-Identifier: MIT
# update.sh DOCS PAGE...: the pages that the build has printed to DOCS, and the numbers of the bench to where they stand.
set -e
docs=$1
shift
cp "$@" "$docs"
"$docs/../tests/bench/pages.py" update
