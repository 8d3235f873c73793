# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # variables of, and for, who sources this
# What the tests of switching over share: aad-pod-identity's own NMI, its manifests and its chart, as they were
# released. Whoever sources this has the box (tests/sandbox/cluster.sh) and TAP (tests/tap.sh).

tools=$sb_root/build/interop
"$sb_root/tests/interop/install" "$tools" || bail 'the old agent cannot be built'
source=$tools/old-agent/source

# The arguments of the container called nmi, one a line.
arguments() { # MANIFESTS
	python3 - "$1" <<-'END'
		import re, sys
		daemonset = [d for d in re.split(r"^---$", open(sys.argv[1]).read(), flags=re.M) if re.search(r"^kind: DaemonSet", d, re.M)]
		for line in daemonset[0].split("args:", 1)[1].split("\n")[1:]:
		    word = re.match(r"\s*- ['\"]?(.*?)['\"]?\s*$", line)
		    if not word:
		        break
		    print(word[1].replace("$(NODE_NAME)", "NODE"))
	END
}
render_old() { # FILE HELM-ARGUMENT...
	"$tools/manifests/helm" template aad "$source/charts/aad-pod-identity" -n kube-system --kube-version 1.31 "${@:2}" >"$1" 2>"$1.err"
}
render() { # FILE HELM-ARGUMENT...: our chart
	"$tools/manifests/helm" template nmi "$sb_root/deploy/helm/nmi" -n kube-system --kube-version 1.31 "${@:2}" >"$1" 2>"$1.err"
}
passed() { # FILE: into `args`, for this node
	mapfile -t args < <(arguments "$1")
	args=("${args[@]/NODE/$SB_NODE_NAME}")
	((${#args[@]} > 2)) || bail "no arguments in $1"
}
