# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# TAP for shell tests: a test is a sentence, and a failed one says what was seen.

tap_count=0
tap_failed=0

ok() { # SENTENCE
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s\n' "$tap_count" "$1"
}

not_ok() { # SENTENCE [WHAT WAS SEEN]
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	printf 'not ok %d - %s\n' "$tap_count" "$1"
	# what is shown goes where everybody reads it, and is searched for tokens (tests/leaks)
	[[ -z ${2:-} ]] || printf '%s\n' "$2" | head -n 30 | sed -E 's/eyJ[A-Za-z0-9_-]{20,}[A-Za-z0-9_.-]*/(a token)/g; s/^/#   /' | cut -c1-400
}

skip() { # SENTENCE REASON
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$1" "$2"
}

is() { # SENTENCE GOT WANT
	if [[ $2 == "$3" ]]; then ok "$1"; else not_ok "$1" "got:  $2"$'\n'"want: $3"; fi
}

like() { # SENTENCE GOT REGEX
	if [[ $2 =~ $3 ]]; then ok "$1"; else not_ok "$1" "got:  $2"$'\n'"want: /$3/"; fi
}

unlike() { # SENTENCE GOT REGEX
	if [[ $2 =~ $3 ]]; then not_ok "$1" "got:  $2"$'\n'"must not match: /$3/"; else ok "$1"; fi
}

at_most() { # SENTENCE GOT LIMIT
	if awk -v a="$2" -v b="$3" 'BEGIN { exit !(a ~ /^-?[0-9]+([.][0-9]+)?$/ && a + 0 <= b + 0) }'; then ok "$1 ($2)"
	else not_ok "$1" "got:  $2"$'\n'"at most: $3"; fi
}

at_least() { # SENTENCE GOT LIMIT
	if awk -v a="$2" -v b="$3" 'BEGIN { exit !(a ~ /^-?[0-9]+([.][0-9]+)?$/ && a + 0 >= b + 0) }'; then ok "$1 ($2)"
	else not_ok "$1" "got:  $2"$'\n'"at least: $3"; fi
}

passes() { # SENTENCE COMMAND...
	local sentence=$1 out
	shift
	if out=$("$@" 2>&1); then ok "$sentence"; else not_ok "$sentence" "status $?: $out"; fi
}

bail() { # REASON: nothing further can be said
	printf 'Bail out! %s\n' "$1"
	exit 1
}

done_testing() {
	printf '1..%d\n' "$tap_count"
	((tap_failed == 0))
}

# Every 20 ms, until COMMAND succeeds or SECONDS have passed. On a machine that is so busy that it could not be tried ten
# times within them, until it was, for 20 s more at most.
eventually() { # SECONDS COMMAND...
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000)) tries=0
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		((${EPOCHREALTIME/./} < end + (tries < 10 ? 20000000 : 0))) || return 1
		sleep 0.02
	done
}
