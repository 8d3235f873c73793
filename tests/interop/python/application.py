# SPDX-License-Identifier: MIT
"""One token by the SDK, for an application that proves itself to Entra: {"token": …} or {"error": …}.

usage: application.py TENANT CLIENT-ID RESOURCE KIND ARGUMENT
  secret VALUE, account FILE (a service account's token), certificate | sha1 | sha1-chain FILE (PEM with the key)
"""
import json
import sys


def via_msal(tenant, client, resource, credential):
    import msal

    application = msal.ConfidentialClientApplication(
        client, client_credential=credential, authority=f"https://login.microsoftonline.com/{tenant}")
    result = application.acquire_token_for_client([f"{resource}/.default"])
    if "access_token" not in result:
        raise RuntimeError(json.dumps(result))
    return result["access_token"]


def certificate(path, kind):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    with open(path) as f:
        text = f.read()
    cert = x509.load_pem_x509_certificate(text.encode())
    chain = text[text.index("-----BEGIN CERTIFICATE"):]
    sha1 = cert.fingerprint(hashes.SHA1()).hex()
    return {
        "certificate": {"private_key": text, "public_certificate": chain},
        "sha1": {"private_key": text, "thumbprint": sha1},  # the older form
        "sha1-chain": {"private_key": text, "thumbprint": sha1, "public_certificate": chain},
    }[kind]


def via_workload_identity(tenant, client, resource, path):
    from azure.identity import WorkloadIdentityCredential

    return WorkloadIdentityCredential(tenant_id=tenant, client_id=client, token_file_path=path).get_token(
        f"{resource}/.default").token


def main():
    tenant, client, resource, kind, argument = sys.argv[1:]
    try:
        if kind == "account":
            token = via_workload_identity(tenant, client, resource, argument)
        elif kind == "secret":
            token = via_msal(tenant, client, resource, argument)
        else:
            token = via_msal(tenant, client, resource, certificate(argument, kind))
        print(json.dumps({"token": token}))
    except Exception as error:  # whatever the SDK raises is what its user sees
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        sys.exit(1)


main()
