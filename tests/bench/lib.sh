# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts of the bench share: a node in a box with nmi and nginx in it, load, and samples, which go to
# build/bench/samples/PART.jsonl. What they come to, and what is too much, stands in rows.py; memory.sh and instructions.sh,
# which other work does not disturb, hold to less than that.
#
# BENCH_MODE is short, as in `tests/run bench`, or long (tests/bench/long): more points, more and longer runs.

bench_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.sh
source "$bench_here/../e2e/lib.sh"

BENCH_MODE=${BENCH_MODE:-short}
[[ $BENCH_MODE == short || $BENCH_MODE == long ]] || bail "BENCH_MODE is short or long, not $BENCH_MODE"
BENCH_NGINX=169.254.169.253 # leads to nginx, as 169.254.169.254 does to nmi
BENCH_NEW_IP=10.244.0.60 # of a pod that is always new
BENCH_ASK="http://169.254.169.254$SB_ASK"

mode() { if [[ $BENCH_MODE == long ]]; then printf '%s\n' "$2"; else printf '%s\n' "$1"; fi; } # SHORT LONG
py() { /usr/bin/python3 "$bench_here/$1" "${@:2}"; }

bench_part() { # PART: what it measured the last time is forgotten
	bench_samples=$sb_root/build/bench/samples/$1.jsonl
	mkdir -p "${bench_samples%/*}"
	: >"$bench_samples"
}

bench_raise() {
	e2e_box "$bench_name"
	sb_pod_net new "$BENCH_NEW_IP" || bail 'the network of a pod'
}

bench_box() { # PART: a box with the example in it
	bench_part "$1"
	bench_name=bench-${1#growth-} # names of namespaces have their limit
	bench_raise
	# an answer of a connection that is gone is none of the log's business
	sb_in "$SB_NODE" sh -c 'echo 0 >/proc/sys/net/netfilter/nf_conntrack_log_invalid' 2>/dev/null || true
}

# A curve begins with nothing made, and so it does a second time.
growth_begin() {
	made=0
	nmi_start
	nginx_start || bail 'nginx did not start'
}
growth_again() { ((made == 0)) || { bench_raise && growth_begin; }; }

sample() { # WHAT WHO VALUE [X]: of a curve, X is where; a value may be a list, [1,2]
	printf '{"what":"%s","who":"%s","value":%s%s}\n' "$1" "$2" "$3" "${4:+,\"x\":$4}" >>"$bench_samples"
}

judge() { # ROW...: as rows.py says
	local verdict sentence seen n=0
	while IFS=$'\t' read -r verdict sentence seen; do
		case $verdict in
		ok) ok "$sentence ($seen)" ;;
		'not ok') not_ok "$sentence" "$seen" ;;
		*) echo "# $verdict" && continue ;;
		esac
		n=$((n + 1))
	done < <(py report.py judge "$@" 2>&1 | tail -n $(($# + 5)))
	is "$*: all was judged" "$n" "$#"
}

within() { py report.py within "$@" >/dev/null; } # ROW...

# Other work on the machine takes more from whoever runs at that moment: what misses its budget is measured anew, three
# times at most, and only the last series counts.
series() { # "ROW..." COMMAND...
	local rows=$1 whats i
	shift
	# shellcheck disable=SC2086 # words
	whats=$(py report.py whats $rows)
	for i in 1 2 3; do
		grep -vE "^\{\"what\": ?\"($whats)\"" "$bench_samples" >"$bench_samples.new"
		mv "$bench_samples.new" "$bench_samples"
		"$@" || bail "$1: it cannot be measured"
		# shellcheck disable=SC2086
		! within $rows || break
		((i == 3)) || echo "# $rows: again, since a budget was missed"
	done
	# shellcheck disable=SC2086
	judge $rows
}

populate() { # ARGUMENT of populate.py...: objects of the node, straight to the API server
	sb_in "$SB_NODE" /usr/bin/python3 "$bench_here/populate.py" --server "$SB_API_URL" --ca "$SB_DIR/pki/ca.crt" \
		--token "$SB_DIR/token" --node "$SB_NODE_NAME" "$@" || bail "populate $*"
}

# The addresses of populate's pods lead to a link, as those of real ones do.
fill_routes() { # FROM TO
	[[ -e $SB_DIR/filled ]] || {
		ip -n "$SB_NODE" link add fill0 type veth peer name fill1 && ip -n "$SB_NODE" link set fill0 up && ip -n "$SB_NODE" link set fill1 up && : >"$SB_DIR/filled"
	} || return
	awk -v a="$1" -v b="$2" 'BEGIN { for (i = a; i < b; i++)
		printf "route add 10.244.%d.%d/32 dev fill0 scope link\n", 10 + int(i / 200), 1 + i % 200 }' | ip -n "$SB_NODE" -batch -
}

# nginx, one worker, with the body that nmi has, over the same veth and a redirect of its own.
nginx_start() {
	sb_exec web curl -sf -m 5 -H Metadata:true "$BENCH_ASK" >"$SB_DIR/body" || return
	cat >"$SB_DIR/nginx.conf" <<-END
		daemon off; worker_processes 1; pid $SB_DIR/nginx-own.pid; error_log $SB_DIR/nginx.err;
		events { worker_connections 1024; }
		http {
			access_log off; keepalive_requests 100000000; keepalive_timeout 75;
			client_body_temp_path $SB_DIR/ngx1; proxy_temp_path $SB_DIR/ngx2;
			fastcgi_temp_path $SB_DIR/ngx3; uwsgi_temp_path $SB_DIR/ngx4; scgi_temp_path $SB_DIR/ngx5;
			server {
				listen $SB_NODE_IP:8088;
				location / {
					default_type "application/json; charset=utf-8";
					return 200 '$(<"$SB_DIR/body")';
				}
			}
		}
	END
	sb_start nginx "$SB_NODE" nginx -c "$SB_DIR/nginx.conf"
	sb_in "$SB_NODE" nft -f - <<-END || return
		table ip bench {
			chain prerouting {
				type nat hook prerouting priority -150;
				ip daddr $BENCH_NGINX tcp dport 80 dnat to $SB_NODE_IP:8088
			}
		}
	END
	sb_wait 5 nginx sb_exec web curl -sf -m 2 "http://$BENCH_NGINX/"
}
nginx_pid() { pgrep -P "$(sb_pid nginx)"; } # of its worker

nmi_start() { # [ARGUMENT...]: with the token that is asked for in its cache
	sb_start_nmi "$@" || bail "nmi does not start: $(tail -n 5 "$SB_DIR/nmi.log")"
	sb_wait 10 'a token' asks_ok web
}

cpu_of() { # PID: nanoseconds on a processor, ticks as user and as system
	awk 'FNR == 1 && FILENAME ~ /schedstat/ { ns = $1 } FILENAME ~ /\/stat$/ { sub(/.*\) /, ""); u = $12; s = $13 }
		END { printf "%.0f %d %d\n", ns, u, s }' "/proc/$1/schedstat" "/proc/$1/stat"
}

# A cached token over 8 connections that are kept: requests/s, latencies, errors, and CPU per request.
load() { # nmi|nginx PREFIX SECONDS [X]
	local url=$BENCH_ASK pid rate p50 p99 errors n ns0 u0 s0 ns u s
	if [[ $1 == nmi ]]; then
		pid=$(sb_pid nmi)
	else
		url="http://$BENCH_NGINX${SB_ASK}" pid=$(nginx_pid)
	fi || return
	read -r ns0 u0 s0 < <(cpu_of "$pid")
	read -r rate p50 p99 errors n < <(sb_exec web wrk -t1 -c8 -d"${3}s" --latency -s "$bench_here/report.lua" \
		-H 'Metadata: true' "$url" | tail -n 1)
	read -r ns u s < <(cpu_of "$pid")
	[[ ${n:-} =~ ^[1-9][0-9]*$ ]] || { sb_say "wrk got no answer of $1" && return 1; }
	[[ $2 != warm ]] || return 0
	sample "$2_rate" "$1" "$rate" "${4:-}"
	sample "$2_p50" "$1" "$p50" "${4:-}"
	sample "$2_p99" "$1" "$p99" "${4:-}"
	sample "$2_errors" "$1" "$errors" "${4:-}"
	sample "$2_cpu" "$1" "$(awk -v d=$((ns - ns0)) -v n="$n" 'BEGIN { printf "%.3f", d / n / 1000 }')" "${4:-}"
	sample "$2_system" "$1" "$(awk -v u=$((u - u0)) -v s=$((s - s0)) 'BEGIN { printf "%.3f", s / (u + s + (u + s == 0)) }')" "${4:-}"
}

memory() { # PREFIX [X]: of all processes of the agent, KiB
	py held.py "$(sb_pid nmi)" "$1" ${2:+"$2"} >>"$bench_samples"
}

# How soon a pod is served that the API server is told of, as tests/bench/served.py does it; sb_pod_net new has been there.
served() { # PREFIX ROUNDS [X]
	sb_in "$SB_NODE" /usr/bin/python3 "$bench_here/served.py" --server "$SB_API_URL" --ca "$SB_DIR/pki/ca.crt" --token "$SB_DIR/token" \
		--node "$SB_NODE_NAME" --pod "$(sb_pod_ns new)" "$BENCH_NEW_IP" --rounds "$2" --what "$1" ${3:+--x "$3"} >>"$bench_samples"
}

point() { # PART X: of a curve: memory, how soon a pod is served, and the rate beside nginx
	local i seconds
	seconds=$(mode 1 4)
	load nmi warm 1
	memory "$1" "$2"
	served "$1_served" "$(mode 8 50)" "$2" || return
	for ((i = 0; i < $(mode 3 5); i++)); do
		load nmi "$1" "$seconds" "$2" && load nginx "$1" "$seconds" "$2" || return
	done
}
