# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # variables of who sources this
# Pods for each way to get a token, in a box with Entra; for what runs longer than a test. Sourced after tests/e2e/lib.sh.

SP=44444444-aaaa-4000-8000-000000000004
CERT=55555555-aaaa-4000-8000-000000000005
FED=66666666-aaaa-4000-8000-000000000006

bound_pod() { # NAME IP SERVICE-ACCOUNT
	sb_binding shop "$1" "$1" "$1" && sb_account shop "$3" && sb_add_pod "$1" shop "$2" "app=$1,aadpodidbinding=$1" "$3"
}

furnish() { # LIFETIME of tokens, in seconds: one pod for each source, and one whose identity will change
	sb_imds lifetime seconds="$1" >/dev/null && sb_entra lifetime seconds="$1" >/dev/null || return
	sb_certificate app && sb_app $CERT certificate="$SB_DIR/certs/app.crt" || return
	sb_app $SP secret=right && sb_app $FED federated=system:serviceaccount:shop:fed || return
	sb_secret shop sp clientSecret=right && sb_secret shop cert certificate=@"$SB_DIR/certs/app.p12" || return
	sb_identity shop sp $SP '' 1 tenant="$SB_TENANT" secret=sp && bound_pod sp 10.244.0.21 default || return
	sb_identity shop cert $CERT '' 2 tenant="$SB_TENANT" secret=cert && bound_pod cert 10.244.0.22 default || return
	sb_identity shop fed $FED '' 3 tenant="$SB_TENANT" && bound_pod fed 10.244.0.23 fed || return
	sb_identity shop flip "$SB_SHOP" "$SB_IDS/shop" && bound_pod flip 10.244.0.24 default
}
