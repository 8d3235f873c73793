#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The manifests of deploy/rbac and deploy/policy, read and evaluated by Kubernetes' own code, over the very
# request that nmi sends.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"
root=$here/../..
build=${NMI_BUILD:-$root/build}
to=$root/build/interop/policy

"$here/install" "${to%/*}" || bail 'the test cannot be built'
"$build/tests/interop/token-request" web 0d5c2a1e-7f0b-4c39-9d6e-2b8f1a3c4d5e >"$to/token-request.json" ||
	bail 'what nmi asks cannot be had'
# the libraries log each thing that they do
exec "$to/policy" "$to/token-request.json" "$root"/deploy/policy/*.yaml -- "$root"/deploy/rbac/*.yaml \
	-- "$root"/deploy/boot-guard/*.yaml 2>"$to/log"
