#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each source of tokens, as real Azure SDKs see it from inside a pod: does the token say whose it is, does the
# SDK know how long it lives, and when there is none, does the user see why, soon and without the secret?
set -uo pipefail
# shellcheck source=tests/tokens/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tokens/lib.sh"
# shellcheck source=tests/interop/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
interop_install
tokens_begin sources --workload-identity

# Nobody's default, so that a lifetime that was guessed shows.
LIFETIME=5000
sb_entra lifetime seconds=$LIFETIME >/dev/null
CLOCKS=3 # seconds that an expiry may lose on its way, since each on it counts whole ones
PASSWORD='päss&word=1 "\'
sb_certificate p12 password="$PASSWORD" && sb_certificate pem || bail 'no certificates'

# ---- the sources ----

# NAME is the pod, its label and its service account; the identity, its binding and its Secret.
pod_of() { # NAME [key=value,... of labels]
	n=$((${n:-20} + 1))
	sb_account shop "$1" && sb_add_pod "$1" shop "10.244.0.$n" "${2:-aadpodidbinding=$1}" "$1"
}
identity_of() { # NAME CLIENT-ID TYPE [OPTION of sb_identity...]
	sb_identity shop "$1" "$2" "$SB_IDS/$1" "${@:3}" && sb_binding shop "$1" "$1" "$1" && pod_of "$1"
}
account_of() { printf 'system:serviceaccount:shop:%s' "$1"; }
trusts() { # CLIENT-ID TENANT NAME: the service account of that name
	sb_app "$1" tenant="$2" federated="$(account_of "$3")"
}

# Each is called as of_SOURCE NAME CLIENT-ID TENANT, and has a row in the table below.
of_imds() { identity_of "$1" "$2" 0; }
of_secret() {
	local secret="~Q8~$1&secret=+/ %é\"\\"
	sb_app "$2" tenant="$3" secret="$secret" && sb_secret shop "$1" clientSecret="$secret" &&
		identity_of "$1" "$2" 1 tenant="$3" secret="$1"
}
of_pkcs12() {
	sb_app "$2" tenant="$3" certificate="$SB_DIR/certs/p12.crt" &&
		sb_secret shop "$1" certificate=@"$SB_DIR/certs/p12.p12" password="$PASSWORD" &&
		identity_of "$1" "$2" 2 tenant="$3" secret="$1"
}
of_pem() {
	sb_app "$2" tenant="$3" certificate="$SB_DIR/certs/pem.crt" &&
		sb_secret shop "$1" certificate=@"$SB_DIR/certs/pem.pem" && identity_of "$1" "$2" 2 tenant="$3" secret="$1"
}
of_federation() { trusts "$2" "$3" "$1" && identity_of "$1" "$2" 3 tenant="$3"; }
of_annotation() {
	trusts "$2" "$3" "$1" && identity_of "$1" "$2" 0 tenant="$3" note=aadpodidentity.k8s.io/token-source=federation
}

of_account() { # no label, no binding, no AzureIdentity
	local prefix=azure.workload.identity
	trusts "$2" "$3" "$1" && sb_account_note shop "$1" $prefix/client-id="$2" $prefix/tenant-id="$3" && pod_of "$1" app="$1"
}

# What the token must say: of which client id it is, of which tenant (an application is in no other), how it
# proved itself (appidacr: 1 a secret, 2 an assertion, as IMDS does), and whose key has signed it.
sources="
imds		$SB_BILLING	$SB_TENANT	2	imds	type 0, by IMDS
secret		44444444-aaaa-4000-8000-000000000004	$SB_TENANT_B	1	entra	type 1, by a secret
pkcs12		55555555-aaaa-4000-8000-000000000005	$SB_TENANT	2	entra	type 2, by a certificate in PKCS#12
pem		66666666-aaaa-4000-8000-000000000006	$SB_TENANT_B	2	entra	type 2, by a certificate in PEM
federation	77777777-aaaa-4000-8000-000000000007	$SB_TENANT_C	2	entra	type 3, by federation
annotation	88888888-aaaa-4000-8000-000000000008	$SB_TENANT_B	2	entra	type 0 with the annotation, by federation
account		99999999-aaaa-4000-8000-000000000009	$SB_TENANT_C	2	entra	an annotated ServiceAccount, by federation
"

jwks_of() { # imds | entra
	if [[ $1 == imds ]]; then echo "$SB_DIR/jwks.imds"; else echo "$SB_DIR/entra/jwks"; fi
}

# Of the last answer: the token is of that application, and lives as long as the SDK says.
is_token_of() { # SENTENCE CLIENT-ID TENANT WAY ISSUER
	is "$1: its claims and signature say whose it is" \
		"$(sdk_claims "$(jwks_of "$5")" appid tid aud appidacr)" "$2 $3 $VAULT $4"
	at_most "$1: the SDK's expiry is the token's, within seconds" "$(expiry_off "$5")" $CLOCKS
}
expiry_off() { # ISSUER
	local exp said
	exp=$(sdk_claims "$(jwks_of "$1")" exp) said=$(sdk_field expires_on)
	[[ ! $exp$said =~ [^0-9] && -n $exp && -n $said ]] && echo $((exp > said ? exp - said : said - exp))
}

while read -r source client_id tenant way issuer sentence; do
	[[ -n $source ]] || continue
	of_"$source" "$source" "$client_id" "$tenant" || bail "$source cannot be laid out"
	for sdk in $SDKS; do
		client "$sdk" "$source" identity
		is_token_of "$sdk, $sentence" "$client_id" "$tenant" "$way" "$issuer"
		client "$sdk" "$source" default client_id "$client_id"
		is_token_of "$sdk, $sentence, default credential with a client id" "$client_id" "$tenant" "$way" "$issuer"
	done
	other=$([[ $issuer == imds ]] && echo entra || echo imds)
	like "$sentence: the key of another issuer does not verify it" "$(sdk_claims "$(jwks_of $other)" appid)" '^no token: '
done <<<"$sources"
is 'however many SDKs asked, Entra gave one token for each of its sources' "$(sb_entra_count issued)" \
	"$(awk '$5 == "entra"' <<<"$sources" | wc -l)"

# ---- when there is none: what an application's user sees ----

account_pod() { # NAME CLIENT-ID: of type 3; its account proves nothing yet
	identity_of "$1" "$2" 3 tenant="$SB_TENANT"
}
secret_pod() { # NAME CLIENT-ID SECRET
	sb_secret shop "$1" clientSecret="$3" && identity_of "$1" "$2" 1 tenant="$SB_TENANT" secret="$1"
}
REFUSED='nmi_refusals_total{reason="upstream_refused"}'
refused() { # SENTENCE POD AADSTS HINT
	local before sdk kind
	for sdk in $SDKS; do
		for kind in identity default; do
			before=$(metric "$REFUSED")
			client "$sdk" "$2" "$kind"
			printf '%s\n' "$SDK_ANSWER" >>"$NMI_REFUSALS" # searched for secrets at the end
			like "$sdk $kind, $1: the message says what to do" "$(sdk_field error)" "AADSTS$3.*$4"
			is "$sdk $kind, $1: it is asked for once" $(($(metric "$REFUSED") - before)) 1
			at_most "$sdk $kind, $1: and given up soon (ms)" "$SDK_MSEC" 20000
		done
	done
}
to_configure() { # NAME: what the hint on federation ends with
	printf 'configure one with exactly issuer %s, subject %s, audience %s' "$SB_ISSUER" "$(account_of "$1")" "$SB_EXCHANGE"
}

WRONG=99999999-aaaa-4000-8000-000000000001
ECHOED=99999999-aaaa-4000-8000-000000000002
UNTRUSTED=99999999-aaaa-4000-8000-000000000003
UNKNOWN=99999999-aaaa-4000-8000-000000000004
sb_app $WRONG secret=the-right-one && secret_pod wrong $WRONG 'wrong~secret&=+/ %' || bail 'no pods'
refused 'a wrong secret' wrong 7000215 'Secret shop/wrong: the client secret is wrong'
sb_app $ECHOED secret=the-right-one && secret_pod echoed $ECHOED 'quoted~secret&=+/ %' || bail 'no pods'
sb_entra_behave do=echo client=$ECHOED times=0
refused 'a wrong secret that Entra quotes' echoed 7000215 'Secret shop/echoed: the client secret is wrong'
is 'which it did' $(($(sb_entra_count behaved) > 0)) 1
sb_entra clear >/dev/null
trusts $UNTRUSTED "$SB_TENANT" somebody && account_pod untrusted $UNTRUSTED || bail 'no pods'
refused 'another service account is trusted' untrusted 700213 "$(to_configure untrusted)"
sb_app $UNKNOWN && account_pod unknown $UNKNOWN || bail 'no pods'
refused 'no service account is trusted' unknown 70021 "$(to_configure unknown)"

# ---- when Entra is away ----

AWAY=99999999-aaaa-4000-8000-000000000005
sb_app $AWAY secret=secret-of-away && secret_pod away $AWAY secret-of-away || bail 'no pods'
for sdk in $SDKS; do
	VAULT=https://short-$sdk.example.org # that was not asked for before
	# longer than the agent itself tries
	sb_entra_behave do=throttle retry-after=1 times=6 client=$AWAY
	before=$(metric 'nmi_refusals_total{reason="upstream_throttled"}')
	client "$sdk" away identity
	is "$sdk: Entra throttles for a while, and the application has its token all the same" \
		"$(sdk_claims "$(jwks_of entra)" appid tid aud)" "$AWAY $SB_TENANT $VAULT"
	is "$sdk: after the SDK was told to come again" \
		$(($(metric 'nmi_refusals_total{reason="upstream_throttled"}') > before)) 1
done
sb_entra_behave do=status code=503 times=0 client=$AWAY
for sdk in $SDKS; do
	VAULT=https://long-$sdk.example.org
	client "$sdk" away identity
	printf '%s\n' "$SDK_ANSWER" >>"$NMI_REFUSALS"
	like "$sdk: Entra is away, and the message says so" "$(sdk_field error)" 'login.microsoftonline.com.* answered 503'
	at_most "$sdk: the SDK does not try for ever (ms)" "$SDK_MSEC" 90000
done
sb_entra clear >/dev/null

# ---- a token that is not new any more ----

VAULT=https://vault.azure.net
for source in imds secret; do
	issuer=$([[ $source == imds ]] && echo imds || echo entra)
	for sdk in $SDKS; do
		client "$sdk" $source identity
		at_most "$sdk: a cached token of $source: the SDK's expiry is still the token's" "$(expiry_off $issuer)" $CLOCKS
		is "$sdk: though it was had a while ago" $((EPOCHSECONDS - $(sdk_claims "$(jwks_of $issuer)" iat) > 3 * CLOCKS)) 1
	done
done
no_leak 'IMDS has seen no pod'
tokens_end
