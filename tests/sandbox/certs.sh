#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# certs.sh DIR NAME ADDRESS...
#
# What the stand-in API server and its clients need, made in DIR: ca.crt, server.crt and server.key for
# NAME and each ADDRESS (IP or DNS name), `tokens` with an admin (system:masters) and the agent, and a
# kubeconfig of each that has the CA inside and says https://ADDRESS:PORT of the first address. The port
# is 6443, or $PORT. What is there already is kept, so that a restarted server still has its clients.
set -euo pipefail

(($# >= 3)) || { echo "usage: certs.sh DIR NAME ADDRESS..." >&2; exit 2; }
dir=$1 name=$2
shift 2
mkdir -p "$dir"
chmod 700 "$dir"

names=DNS:$name,DNS:localhost,DNS:kubernetes.default.svc
for a in "$@"; do
	if [[ $a =~ ^[0-9.]+$ || $a == *:* ]]; then names+=,IP:$a; else names+=,DNS:$a; fi
done

make_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null ||
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

if [[ ! -s $dir/ca.crt ]]; then
	make_key "$dir/ca.key"
	openssl req -x509 -new -key "$dir/ca.key" -sha256 -days 3650 -subj "/CN=nmi sandbox CA" \
		-addext "basicConstraints=critical,CA:TRUE" \
		-addext "keyUsage=critical,keyCertSign,cRLSign" -out "$dir/ca.crt"
fi
if [[ ! -s $dir/server.crt ]]; then
	make_key "$dir/server.key"
	openssl req -new -key "$dir/server.key" -subj "/CN=$name" -out "$dir/server.csr"
	openssl x509 -req -in "$dir/server.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial \
		-sha256 -days 3650 -out "$dir/server.crt" 2>/dev/null -extfile <(
		printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names"
	)
	rm -f "$dir/server.csr"
fi
if [[ ! -s $dir/tokens ]]; then
	{
		echo "$(openssl rand -hex 24) admin system:masters system:authenticated"
		echo "$(openssl rand -hex 24) system:serviceaccount:kube-system:nmi system:serviceaccounts" \
			"system:serviceaccounts:kube-system system:authenticated"
	} >"$dir/tokens"
fi

host=$1
[[ $host != *:* ]] || host=[$host]
kubeconfig() { # FILE USER TOKEN
	cat >"$1" <<-END
		apiVersion: v1
		kind: Config
		clusters:
		- name: sandbox
		  cluster:
		    server: https://$host:${PORT:-6443}
		    certificate-authority-data: $(base64 -w0 "$dir/ca.crt")
		users:
		- name: $2
		  user:
		    token: $3
		contexts:
		- name: sandbox
		  context:
		    cluster: sandbox
		    user: $2
		current-context: sandbox
	END
}
{
	read -r token _
	kubeconfig "$dir/kubeconfig" admin "$token"
	read -r token _
	kubeconfig "$dir/kubeconfig-nmi" nmi "$token"
	printf '%s' "$token" >"$dir/nmi.token"
} <"$dir/tokens"
