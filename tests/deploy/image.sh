#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The container image: small, the same each time, and the agent works from it with what a container has.
set -uo pipefail
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"

sb_use image
build=$SB_BUILD/image
rm -rf "$build"
passes 'it is made' "$sb_root/deploy/image/build" "$build/a"
passes 'and once more, elsewhere' "$sb_root/deploy/image/build" "$build/another"
is 'with the same digest' "$(cat "$build/a/digest" 2>&1)" "$(cat "$build/another/digest")"
like 'which is one' "$(cat "$build/a/digest")" '^sha256:[0-9a-f]{64}$'
size=$(du -sb --apparent-size "$build/a/rootfs" | cut -f1)
at_most 'it is less than 25 MiB (bytes)' "$size" $((25 * 1024 * 1024))
echo "# $((size / 1024)) KiB; packed $(du -sk "$build/a/nmi.oci" | cut -f1) KiB"
is 'there is no shell in it, nor any other program' "$(find "$build/a/rootfs" -type f -path '*bin/*' -printf '%P\n')" usr/sbin/nmi
is 'nothing in it is setuid, nor for all to write' "$(find "$build/a/rootfs" ! -type l -perm /6002)" ''

# what Debian's libraries are linked with and we do not use is not there, and is not called either
lib=$(dirname "$(find "$build/a/rootfs" -name libc.so.6)")
is 'what it does without is not in it' \
	"$(find "$build/a/rootfs" -type f -name 'lib*' -printf '%f\n' | grep -E 'gnutls|ldap|krb5|ssh2|rtmp|p11|unistring|sasl')" ''
refuses() { # FUNCTION
	python3 -c 'import ctypes, sys; getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])()' "$lib/libnmi-absent.so" "$1" 2>&1
}
said=$(refuses gnutls_certificate_set_x509_key_mem)
is 'who calls a function of it ends' $? 134
like 'and says which' "$said" \
	'nmi: gnutls_certificate_set_x509_key_mem\(\) was called'
passes 'but for what is called in passing' refuses gnutls_global_init
host() { # URL: what libcurl says of it
	LD_LIBRARY_PATH=$lib python3 - "$1" 2>&1 <<-'END'
		import ctypes, sys
		curl = ctypes.CDLL("libcurl.so.4")
		curl.curl_easy_init.restype = ctypes.c_void_p
		easy = ctypes.c_void_p(curl.curl_easy_init())
		curl.curl_easy_setopt(easy, 10002, sys.argv[1].encode())
		print(curl.curl_easy_perform(easy))
	END
}
is 'a host that is not ASCII is a malformed URL' "$(host http://löcal.invalid/)" 3
is 'also in another spelling' "$(host http://l%c3%b6cal.invalid/)" 3
cp -a "$build/a/rootfs" "$build/more" && rm "$build/more${lib#"$build/a/rootfs"}"/lib{nmi-absent,gnutls,ssh2}.*
cp -L "$(ldconfig -p | awk '$1 == "libgnutls.so.30" { print $NF; exit }')" "$build/more${lib#"$build/a/rootfs"}/"
cp "$lib/libmicrohttpd.so.12" "$build/more/usr/sbin/another"
like 'and a program that needs one is no image' "$("$sb_root/deploy/image/absent.py" "$build/more" 2>&1)" 'another: wants a library'

# whom it trusts: those of Debian's package, whatever else this machine has been told to
is 'it trusts the certificates of Debian, no other' \
	"$(openssl crl2pkcs7 -nocrl -certfile "$build/a/rootfs/etc/ssl/certs/ca-certificates.crt" | openssl pkcs7 -print_certs -noout | grep '^subject' | sort)" \
	"$(dpkg -L ca-certificates | grep '/mozilla/.*crt$' | while read -r f; do openssl x509 -in "$f" -noout -subject; done | sort)"

# the bill of materials names each file, with what it really is
is 'each file is in the bill of materials, as it is' "$(python3 - "$build/a" <<-'END'
	import hashlib, json, pathlib, sys
	top = pathlib.Path(sys.argv[1])
	spdx = json.loads((top / "nmi.spdx.json").read_text())
	said = {f["fileName"][1:]: f["checksums"][0]["checksumValue"] for f in spdx["files"]}
	root = top / "rootfs"
	there = {"/" + str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
	         for p in root.rglob("*") if p.is_file() and not p.is_symlink()}
	print(*(f for f in sorted(said.keys() | there.keys()) if said.get(f) != there.get(f)))
	END
	)" ''
like 'and the package and version of each library' "$(grep -o 'pkg:deb/debian/libssl3@[0-9.]*' "$build/a/nmi.spdx.json")" 'libssl3@3'

# what a container has: its own root, read-only but for /run/nmi, and the node's network
SB_NMI_ROOT=$build/a/rootfs
SB_UNDER=("$sb_root/tests/sandbox/cluster.sh" --name "e2e${NMI_E2E_BOX:-}-image" contained "$SB_NMI_ROOT")
e2e_begin image
is 'that is its root' "$(readlink "/proc/$(sb_pid nmi)/root")" "$SB_NMI_ROOT"
gives 'from it, a pod is served' "$SB_SHOP" web "$SB_ASK"
answers 'and another is refused' 400 'no_label' plain "$SB_ASK"
no_leak 'none reaches IMDS'
e2e_end
