# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # variables of, and for, who sources this
# Microsoft Entra (entra.py) in the box, for the tests that need it. Sourced by cluster.sh.
#
#	api 10.240.0.1 ── inet0 10.242.0.1 ──── eth0 10.242.0.2  entra (203.0.113.4)
#
# It is beyond the API server's namespace, which is the node's way out; nothing of the node changes. The
# node finds it as a real one finds the real one: by the names of the login hosts, in an /etc/hosts of
# the agent's own, and its certificate is of a CA that is in the agent's /etc/ssl alone. From a shell,
# sb_entra_see COMMAND... sees the same.

SB_ENTRA_IP=203.0.113.4
SB_TENANT=72f988bf-0000-4000-8000-2d7cd011db47
SB_TENANT_B=f8cdef31-0000-4000-8000-a31e1eb4d2ab
SB_TENANT_C=0b8ee2ab-0000-4000-8000-6f1b8f4a2c11
SB_EXCHANGE=api://AzureADTokenExchange
# a name each; *.invalid and unregistered ones are not found
SB_LOGIN_HOSTS='login.microsoftonline.com login.microsoftonline.us login.partner.microsoftonline.cn login.chinacloudapi.cn'

sb_entra_net_up() {
	ip -batch - <<-END || return
		netns add $SB_ENTRA
		link add inet0 netns $SB_API type veth peer name eth0 netns $SB_ENTRA
	END
	sb_in "$SB_API" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' || return
	ip -n "$SB_API" -batch - <<-END || return
		addr add 10.242.0.1/30 dev inet0
		link set inet0 up
		route add $SB_ENTRA_IP/32 via 10.242.0.2 dev inet0
	END
	ip -n "$SB_ENTRA" -batch - <<-END
		link set lo up
		addr add $SB_ENTRA_IP/32 dev lo
		addr add 10.242.0.2/30 dev eth0
		link set eth0 up
		route add default via 10.242.0.1 dev eth0 src $SB_ENTRA_IP
	END
}

# After sb_up, before the agent is started.
sb_entra_up() {
	local host
	mkdir -p "$SB_DIR/entra"
	{ printf '127.0.0.1 localhost\n'; for host in $SB_LOGIN_HOSTS; do printf '%s %s\n' "$SB_ENTRA_IP" "$host"; done; } >"$SB_DIR/entra/hosts"
	cp "$SB_DIR/jwks" "$SB_DIR/jwks.imds"
	sb_entra_net_up && sb_entra_start
}

# Knows no application; if it ran before, its CA and the keys of its tokens are the same.
sb_entra_start() {
	sb_start entra "$SB_ENTRA" /usr/bin/python3 "$sb_here/entra.py" --listen "$SB_ENTRA_IP:443" --dir "$SB_DIR/entra" \
		--ledger "$SB_DIR/run/ledger/entra" --issuer-ca "$SB_DIR/pki/ca.crt"
	sb_wait 20 "Entra ($SB_DIR/entra.log)" sb_entra stats || return
	# tokens of either are verified by the one file
	python3 -c 'import json, sys
print(json.dumps({"keys": [k for f in sys.argv[1:] for k in json.load(open(f))["keys"]]}))' \
		"$SB_DIR/jwks.imds" "$SB_DIR/entra/jwks" >"$SB_DIR/jwks.both" && mv "$SB_DIR/jwks.both" "$SB_DIR/jwks"
}

# A command that finds the login hosts and trusts their CA; as it is while there is no Entra.
sb_entra_see() { # COMMAND...
	if [[ ! -e $SB_DIR/entra/ca.crt ]]; then
		exec "$@"
	fi
	# shellcheck disable=SC2016 # the inner shell expands these
	exec unshare --mount --propagation private sh -ec 'dir=$1; shift
		mount --bind "$dir/hosts" /etc/hosts
		mount --bind "$dir/ca.crt" /etc/ssl/certs/ca-certificates.crt
		exec "$@"' sh "$SB_DIR/entra" "$@"
}

sb_entra() { # stats | clear | behave do=... k=v... | clock skew=S | lifetime seconds=S
	local method=POST what=$1 query=''
	shift
	[[ $what != stats ]] || method=GET
	while (($#)); do query+="${query:+&}$1" && shift; done
	curl -sS --fail-with-body -m 20 --unix-socket "$SB_DIR/entra/control" -X "$method" "http://entra/$what${query:+?$query}"
}

sb_entra_behave() { # do=... [k=v...]: see entra.py
	sb_entra behave "$@" >/dev/null
}

sb_entra_count() { # NAME [AADSTS]: of the counters
	sb_entra stats | python3 -c 'import json, sys
n = json.load(sys.stdin)[sys.argv[1]]
print(n.get(sys.argv[2], 0) if len(sys.argv) > 2 else n)' "$@"
}

# Registers an application, in place of what it was:
#	secret=VALUE		expired-secret=VALUE	certificate=FILE (PEM)
#	federated=SUBJECT	system:serviceaccount:NAMESPACE:NAME; issuer= and audience= before it, or the cluster's
#	tenant=TENANT		more of them; without any, $SB_TENANT
#	disabled=true
sb_app() { # CLIENT-ID [k=v...]
	python3 - "$SB_TENANT" "$SB_ISSUER" "$SB_EXCHANGE" "$@" <<-'END' |
		import json, sys
		tenant, issuer, audience, client, *words = sys.argv[1:]
		app = {"appId": client, "tenants": [], "secrets": [], "certificates": [], "federated": []}
		for key, value in (w.split("=", 1) for w in words):
		    match key:
		        case "secret": app["secrets"].append(value)
		        case "expired-secret": app["secrets"].append({"value": value, "expires": 0})
		        case "certificate": app["certificates"].append(open(value).read())
		        case "issuer": issuer = value
		        case "audience": audience = value
		        case "federated": app["federated"].append({"issuer": issuer, "subject": value, "audience": audience})
		        case "tenant": app["tenants"].append(value)
		        case "disabled": app["disabled"] = value == "true"
		        case _: sys.exit(f"sandbox: sb_app: what is {key}?")
		app["tenants"] = app["tenants"] or [tenant]
		print(json.dumps(app))
	END
		curl -sS --fail-with-body -m 20 --unix-socket "$SB_DIR/entra/control" -X PUT --data-binary @- http://entra/apps >/dev/null
}

# What was received, each on a line: what was answered (200, AADSTS...), then the secret or assertion.
sb_entra_received() { # CLIENT-ID [secret | assertion]
	sb_entra_ledger credential "$1" "client_${2:-}"
}

sb_entra_ledger() { # KIND CLIENT-ID NAME-PREFIX
	python3 - "$SB_DIR/run/ledger/entra" "$@" <<-'END'
		import json, sys
		path, kind, client, prefix = sys.argv[1:]
		for line in map(json.loads, open(path)):
		    if line["kind"] == kind and line["client"].lower() == client.lower() and line.get("name", "").startswith(prefix):
		        print(line.get("answer", ""), line["value"])
	END
}

# The tokens of service accounts that the API server gave, one a line.
sb_account_tokens() {
	sed -nE 's/.*"kind":"account-token".*"value":"([^"]*)".*/\1/p' "$SB_DIR/run/ledger/apiserver"
}

# ---- what identities need beside ----

# A Secret with exactly these keys, made or replaced; @FILE for the bytes of a file.
sb_secret() { # NAMESPACE NAME key=value|key=@FILE...
	local doc out
	sb_namespace "$1" || return
	doc=$(python3 - "$@" <<-'END'
		import base64, json, sys
		namespace, name, *words = sys.argv[1:]
		data = {}
		for key, value in (w.split("=", 1) for w in words):
		    raw = open(value[1:], "rb").read() if value.startswith("@") else value.encode()
		    data[key] = base64.b64encode(raw).decode()
		print(json.dumps({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
		                  "metadata": {"namespace": namespace, "name": name}}))
	END
	) || return
	if out=$(sb_api POST "api/v1/namespaces/$1/secrets" "$doc" 2>&1); then return; fi
	[[ $out == *AlreadyExists* ]] || { sb_say "secret $1/$2: $out"; return 1; }
	sb_api PUT "api/v1/namespaces/$1/secrets/$2" "$doc" >/dev/null
}

# A key with a certificate of its own: NAME.key, NAME.crt, NAME.pem (both) and NAME.p12, in $SB_DIR/certs.
sb_certificate() { # NAME [password=...] [days=N] [legacy=true]
	local o dir=$SB_DIR/certs
	local -A opt=([password]='' [days]=30 [legacy]='')
	for o in "${@:2}"; do opt[${o%%=*}]=${o#*=}; done
	mkdir -p "$dir" && chmod 700 "$dir"
	openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days "${opt[days]}" -subj "/CN=$1" -keyout "$dir/$1.key" \
		-out "$dir/$1.crt" 2>/dev/null || return
	cat "$dir/$1.key" "$dir/$1.crt" >"$dir/$1.pem"
	# the environment, since the arguments of a process can be read by all
	SB_PASSWORD=${opt[password]} openssl pkcs12 -export ${opt[legacy]:+-legacy -keypbe PBE-SHA1-RC2-40 -certpbe PBE-SHA1-RC2-40} \
		-inkey "$dir/$1.key" -in "$dir/$1.crt" -passout env:SB_PASSWORD -out "$dir/$1.p12"
}

# The annotations of a ServiceAccount, merged into what it has.
sb_account_note() { # NAMESPACE NAME key=value...
	local pair out=''
	for pair in "${@:3}"; do out+="${out:+,}\"${pair%%=*}\":\"${pair#*=}\""; done
	sb_account "$1" "$2" && sb_api PATCH "api/v1/namespaces/$1/serviceaccounts/$2" "{\"metadata\":{\"annotations\":{$out}}}" \
		application/merge-patch+json >/dev/null
}
