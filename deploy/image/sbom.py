#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bill of materials of an image's root directory, as SPDX 2.3: sbom.py ROOTFS VERSION SECONDS"""
import datetime, hashlib, json, os, pathlib, subprocess, sys


def owners(paths):
    """The Debian package of each file that is of one. dpkg knows a file by the one of its names that it was packed with."""
    names = {name: path for path in paths for name in (path, path.removeprefix("/usr"), "/usr" + path, os.path.realpath(path))}
    told = subprocess.run(["dpkg-query", "-S", *names], capture_output=True, text=True).stdout
    lines = (line.rsplit(": ", 1) for line in told.splitlines() if not line.startswith("diversion "))
    return {names[name]: package.split(",")[0] for package, name in lines if name in names}


def main():
    root, version, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    files, packages, relations, total = [], {}, [], hashlib.sha256()
    there = {"/" + str(p.relative_to(root)): p for p in sorted(root.rglob("*")) if p.is_file() and not p.is_symlink()}
    known = owners(path for path in there if "/lib" in path or "/xtables-" in path)
    for inside, f in there.items():
        digest = hashlib.sha256(f.read_bytes()).hexdigest()
        total.update(f"{digest} {inside}\n".encode())
        ref = f"SPDXRef-File-{len(files)}"
        files.append({"SPDXID": ref, "fileName": "." + inside, "checksums": [{"algorithm": "SHA256", "checksumValue": digest}],
                      "licenseConcluded": "NOASSERTION", "copyrightText": "NOASSERTION"})
        package = known.get(inside) or ("ca-certificates" if inside.startswith("/etc/ssl") else None)
        if package and package not in packages:
            got, source = subprocess.run(["dpkg-query", "-W", "-f", "${Version} ${source:Package}", package], capture_output=True,
                                         text=True, check=True).stdout.split()
            name = package.split(":")[0]
            packages[package] = {"SPDXID": f"SPDXRef-Package-{name}", "name": name, "versionInfo": got, "supplier": "Organization: Debian",
                                 "sourceInfo": source, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                                 "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
                                 "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                                   "referenceLocator": f"pkg:deb/debian/{name}@{got}?distro=debian-12"}]}
            relations.append(("SPDXRef-Package-nmi", "DEPENDS_ON", packages[package]["SPDXID"]))
        relations.append((packages[package]["SPDXID"] if package else "SPDXRef-Package-nmi", "CONTAINS", ref))
    nmi = {"SPDXID": "SPDXRef-Package-nmi", "name": "nmi", "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
           "licenseConcluded": "MIT", "licenseDeclared": "MIT", "copyrightText": "NOASSERTION"}
    json.dump({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"nmi-{version}",
               # the same for the same content, and for no other
               "documentNamespace": f"urn:nmi:sbom:{version}:{total.hexdigest()}",
               "creationInfo": {"created": datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                                "creators": ["Tool: nmi-deploy-image-sbom"]},
               "packages": [nmi, *(packages[p] for p in sorted(packages))], "files": files,
               "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Package-nmi"},
                                 *({"spdxElementId": a, "relationshipType": r, "relatedSpdxElement": b} for a, r, b in relations)]},
              sys.stdout, indent=1)


main()
