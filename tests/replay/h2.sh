#!/bin/bash
# SPDX-License-Identifier: MIT
# Watches over HTTP/2 and TLS, against nginx in a network namespace of its own: five share one
# connection, a wrong certificate is refused, a rotated CA is picked up, and a peer that is cut off
# without a FIN is noticed within seconds.
set -u
peer=$1

for tool in nginx openssl nft unshare ip; do
	PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || { echo "1..0 # SKIP no $tool"; exit 77; }
done
PATH=$PATH:/usr/sbin:/sbin
if [ "${NMI_H2_INSIDE:-}" != 1 ]; then
	unshare -rn true 2>/dev/null || { echo "1..0 # SKIP no namespaces"; exit 77; }
	NMI_H2_INSIDE=1 exec unshare -rn "$0" "$@"
fi

ip link set lo up
dir=$(mktemp -d /tmp/nmi-h2-XXXXXX)
n=0 bad=0 nginx="" pid="" heard=""
cleanup() {
	[ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid"
	[ -n "$nginx" ] && kill "$nginx" 2>/dev/null && wait "$nginx"
	rm -rf "$dir"
}
trap cleanup EXIT
check() { # check NAME COMMAND...
	local name=$1; shift
	n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; bad=1; fi
}

ca() { # ca NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$dir/$1.key" -out "$dir/$1.crt" 2>/dev/null
}
server_cert() { # server_cert CA
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=api \
		-keyout "$dir/api.key" -out "$dir/api.csr" 2>/dev/null
	openssl x509 -req -in "$dir/api.csr" -CA "$dir/$1.crt" -CAkey "$dir/$1.key" -CAcreateserial \
		-days 2 -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:api.test") \
		-out "$dir/api.crt" 2>/dev/null
}
start_nginx() {
	nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/stderr" &
	nginx=$!
	for _ in $(seq 50); do
		(exec 3<>/dev/tcp/127.0.0.1/6443) 2>/dev/null && return
		sleep 0.1
	done
	sed 's/^/# /' "$dir/stderr"
	echo "Bail out! nginx did not start"
	exit 1
}
stop_nginx() { kill "$nginx"; wait "$nginx"; nginx=; }

ca one; ca two
server_cert one
cp "$dir/one.crt" "$dir/trusted.crt"
cat >"$dir/nginx.conf" <<END
user root root; daemon off; master_process off; pid $dir/pid; error_log $dir/error.log;
events {}
http {
	log_format conn '\$connection \$server_protocol \$ssl_server_name \$http_host \$status';
	access_log $dir/access.log conn;
	client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/f;
	uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
	server {
		listen 127.0.0.1:6443 ssl http2;
		ssl_certificate $dir/api.crt;
		ssl_certificate_key $dir/api.key;
		location / {
			proxy_pass http://unix:$dir/api.sock;
			proxy_http_version 1.1;
			proxy_buffering off;
			proxy_read_timeout 600s;
		}
	}
}
END

# each conversation with the peer: words to its stdin, lines from its stdout
run() { # run SERVER_NAME: starts the peer on fds 3 (to) and 4 (from)
	rm -f "$dir/api.sock" "$dir/to" "$dir/from"
	mkfifo "$dir/to" "$dir/from"
	"$peer" "$dir/api.sock" https://127.0.0.1:6443 "$dir/trusted.crt" "$1" \
		<"$dir/to" >"$dir/from" &
	pid=$!
	exec 3>"$dir/to" 4<"$dir/from"
}
say() { echo "$1" >&3; }
hear() { IFS= read -r -t 70 -u 4 heard; }
finish() { say quit; exec 3>&- 4<&-; wait "$pid"; local r=$?; pid=; return $r; }
connections() { cut -d' ' -f1 "$dir/access.log" | sort -u | wc -l; }

start_nginx
run ""
hear
check "five watches are in step" [ "$heard" = "synced 5" ]
check "the peer ends cleanly" finish
sleep 0.3
check "all five requests were logged" [ "$(wc -l <"$dir/access.log")" -eq 5 ]
check "they shared one connection" [ "$(connections)" -eq 1 ]
check "and it was HTTP/2" [ "$(grep -c 'HTTP/2.0' "$dir/access.log")" -eq 5 ]

: >"$dir/access.log"; kill -USR1 "$nginx"
run api.test
hear
check "another name is verified and sent" [ "$heard" = "synced 5" ]
finish
sleep 0.3
check "as SNI, with the real host in Host" \
	[ "$(grep -c ' api.test 127.0.0.1:6443 200' "$dir/access.log")" -ge 1 ]
run wrong.test
say alive
sleep 2
kill "$pid"; exec 3>&- 4<&-; wait "$pid" 2>/dev/null; pid=
check "a name that the certificate lacks is refused" \
	[ "$(grep -c wrong.test "$dir/access.log")" -eq 0 ]

# the CA and the server's certificate change while the watches run
run ""
hear
check "in step again" [ "$heard" = "synced 5" ]
stop_nginx
server_cert two
say dead; hear
check "a server that ends is noticed" [ "${heard%% *}" = noticed ]
start_nginx
sleep 2
cp "$dir/two.crt" "$dir/trusted.new"; mv "$dir/trusted.new" "$dir/trusted.crt"
say alive; hear
echo "# $heard"
check "a rotated CA is picked up without a restart" [ "${heard%% *}" = back ]

# every packet from the server is lost, as when its machine loses power
nft -f - <<'END'
table inet cut { chain in { type filter hook input priority 0; tcp sport 6443 drop; tcp dport 6443 drop; }; }
END
say dead; hear
echo "# $heard"
check "a peer that is cut off is noticed within 8 s" [ "${heard#noticed }" -lt 8000 ]
nft delete table inet cut
say alive; hear
echo "# $heard"
check "and the watches come back" [ "${heard%% *}" = back ]
finish

echo "1..$n"
exit $bad
