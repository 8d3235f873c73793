#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Leaves out of an image the libraries that its libcurl and libmicrohttpd are linked with and we never use: absent.py ROOTFS

Debian's libcurl speaks LDAP, SFTP, RTMP and Kerberos, and its libmicrohttpd TLS by GnuTLS. We ask them for none of it, but the
loader wants every library that they name, and every symbol. So one small library stands in for all of those: it has the symbols
that are asked for, in the versions that are asked for, and a function of it that is called ends the process, saying its name. Where
a library asks for something in passing, RETURNS has what is answered instead. docs/decisions/025 says why.

What is asked for is read from the files themselves, so a new version from Debian needs nothing done here; if it asks for something
new while it starts, the image's test sees the process end.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

STAND_IN = "libnmi-absent.so"
# Who is known not to need them. Anybody else who names one of them is an error.
USERS = {"libcurl.so.4", "libmicrohttpd.so.12"}
ABSENT = ["libgnutls.so.30", "libldap-2.5.so.0", "liblber-2.5.so.0", "libgssapi_krb5.so.2", "libssh2.so.1", "librtmp.so.1",
          "libpsl.so.5", "libidn2.so.0", "libbrotlidec.so.1", "libzstd.so.1"]
RETURNS = {
    # when the two start and end
    "gnutls_global_init": 0, "gnutls_global_deinit": 0, "libssh2_init": 0, "libssh2_exit": 0,
    # what a server can bring about: an error of that request (out of memory)
    "BrotliDecoderCreateInstance": 0, "BrotliDecoderDestroyInstance": 0, "ZSTD_createDStream": 0, "ZSTD_freeDStream": 0,
    # what a setting can, a host that is not ASCII: the same (libidn2 is too old, so libcurl goes no further)
    "idn2_check_version": 0,
}


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", path))


def symbols(path):
    """(name, version, is it asked for, is it data, size) of each symbol that others see or that it wants of others."""
    for line in run("readelf", "--dyn-syms", "-W", path).splitlines():
        field = line.split()
        if len(field) < 8 or not field[0].rstrip(":").isdigit() or field[4] == "LOCAL":
            continue
        name, _, version = field[7].partition("@")
        yield name, version.lstrip("@"), field[6] == "UND", field[3] == "OBJECT", int(field[2], 0)


def wanted(users, absent):
    """{(name, version): size of the object, or 0 for a function} of what users want of absent."""
    offered = {}
    for path in absent:
        for name, version, is_wanted, is_data, size in symbols(path):
            if not is_wanted:
                offered[name] = (version, size if is_data else 0)
    return {(name, offered[name][0]): offered[name][1]
            for path in users for name, _, is_wanted, *_ in symbols(path) if is_wanted and name in offered}


def source(want):
    yield "#include <stdio.h>\n#include <stdlib.h>\n"
    yield ("static _Noreturn void refuse(const char *name)\n{\n"
           f'\tfprintf(stderr, "nmi: %s() was called, and its library is not in this image ({STAND_IN})\\n", name);\n\tabort();\n}}\n')
    for (name, _), size in sorted(want.items()):
        if size:
            yield f"char {name}[{size}] __attribute__((aligned(16)));\n"
        elif name in RETURNS:
            yield f"long {name}(void)\n{{\n\treturn {RETURNS[name]};\n}}\n"
        else:
            yield f"void {name}(void)\n{{\n\trefuse(__func__);\n}}\n"


def versions(want):
    for version in sorted({version for _, version in want if version}):
        yield f"{version} {{ global: {' '.join(f'{name};' for name, v in sorted(want) if v == version)} }};\n"


def stand_in(want, path, work):
    (work / "absent.c").write_text("".join(source(want)))
    (work / "absent.map").write_text("".join(versions(want)))
    run("cc", "-std=gnu17", "-O2", "-fPIC", "-shared", "-fno-builtin", "-w", "-s", "-Wl,-z,relro,-z,now,--build-id=none",
        f"-Wl,-soname,{STAND_IN}", "-Wl,--version-script=absent.map", "-o", str(path), "absent.c", cwd=work)
    path.chmod(0o644)


def reachable(roots, libraries):
    """The names of the libraries that the programs, and what they load by name, need, and that those need."""
    seen, todo = set(), list(roots)
    while todo:
        for name in needed(todo.pop()):
            if name in libraries and name not in seen:
                seen.add(name)
                todo.append(libraries[name])
    return seen


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    files = [f for f in root.rglob("*") if f.is_file() and not f.is_symlink() and f.open("rb").read(4) == b"\x7fELF"]
    place = {f: str(f.relative_to(root)) for f in files}
    libraries = {f.name: f for f in files if re.fullmatch(r"usr/lib/[^/]+/lib.*", place[f])}
    absent = {name: libraries.pop(name) for name in ABSENT if name in libraries}
    if not absent:
        sys.exit("absent.py: there is nothing to leave out")
    # what only the absent ones want goes with them
    roots = [f for f in files if f not in absent.values() and f not in libraries.values()]
    left = reachable(roots, libraries)
    users = [f for f in [*roots, *(libraries[name] for name in left)] if set(needed(f)) & absent.keys()]
    strangers = sorted(f.name for f in users if f.name not in USERS)
    if strangers:
        sys.exit(f"absent.py: {', '.join(strangers)}: wants a library that is to be left out, see USERS")
    want = wanted(users, absent.values())
    idle = sorted(RETURNS.keys() - {name for name, _ in want})
    if idle:
        sys.exit(f"absent.py: nobody asks for {', '.join(idle)} any more: take it out of RETURNS")
    here = libraries["libc.so.6"].parent
    for f in [*absent.values(), *(f for name, f in libraries.items() if name not in left)]:
        f.unlink()
    with tempfile.TemporaryDirectory() as work:
        stand_in(want, here / STAND_IN, pathlib.Path(work))
    for name in absent:
        (here / name).symlink_to(STAND_IN)


main()
