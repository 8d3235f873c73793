#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The manifests of deploy/cilium, judged by the schemas of Cilium's own releases: the oldest that docs/cilium.md names,
# a recent one, and one that is too old.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../tap.sh
. "$here/../tap.sh"
root=$here/../..
to=$root/build/interop/cilium
crds=pkg/k8s/apis/cilium.io/client/crds

source_of() { # VERSION: where its source is
	(cd "$to" && go mod download -json "github.com/cilium/cilium@v$1") | sed -nE 's/^\t"Dir": "(.*)",?$/\1/p'
}

"$here/install" "${to%/*}" || bail 'the test cannot be built'
releases=()
for release in 1.16.19= 1.20.2= 1.15.19!; do
	directory=$(source_of "${release%?}")
	[[ -d $directory/$crds ]] || bail "Cilium $release cannot be had"
	releases+=("$release$directory/$crds")
done
exec "$to/cilium" "${releases[@]}" -- "$root"/deploy/cilium/*.yaml
