# SPDX-License-Identifier: MIT
"""One token by one SDK, as one line of JSON: {"token": …, "expires_on": seconds} or {"error": …}.

usage: client.py identity|default|msal RESOURCE [client_id|resource_id|object_id VALUE]
"""
import json
import sys
import time


def via_identity(kind, resource, selector, value):
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    if kind == "default":
        credential = DefaultAzureCredential(managed_identity_client_id=value)
    elif selector == "client_id":
        credential = ManagedIdentityCredential(client_id=value)
    elif selector:
        key = {"resource_id": "resource_id", "object_id": "object_id"}[selector]
        credential = ManagedIdentityCredential(identity_config={key: value})
    else:
        credential = ManagedIdentityCredential()
    token = credential.get_token(resource + "/.default")
    return token.token, token.expires_on


def via_msal(resource, selector, value):
    import msal
    import requests

    identity = {
        None: msal.SystemAssignedManagedIdentity,
        "client_id": lambda: msal.UserAssignedManagedIdentity(client_id=value),
        "resource_id": lambda: msal.UserAssignedManagedIdentity(resource_id=value),
        "object_id": lambda: msal.UserAssignedManagedIdentity(object_id=value),
    }[selector]()
    client = msal.ManagedIdentityClient(identity, http_client=requests.Session())
    result = client.acquire_token_for_client(resource=resource)
    if "access_token" not in result:
        raise RuntimeError(json.dumps(result))
    return result["access_token"], int(time.time()) + result["expires_in"]


def main():
    kind, resource = sys.argv[1:3]
    selector, value = sys.argv[3:5] if len(sys.argv) > 4 else (None, None)
    try:
        if kind == "msal":
            token, expires_on = via_msal(resource, selector, value)
        else:
            token, expires_on = via_identity(kind, resource, selector, value)
        print(json.dumps({"token": token, "expires_on": expires_on}))
    except Exception as error:  # whatever the SDK raises is what its user sees
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        sys.exit(1)


main()
