// SPDX-License-Identifier: MIT
//
// One token by one SDK, as one line of JSON: {"token": …} or {"error": …}.
// usage: client.mjs identity|default|msal RESOURCE [client_id|resource_id|object_id VALUE]

import { DefaultAzureCredential, ManagedIdentityCredential } from "@azure/identity";
import { ManagedIdentityApplication } from "@azure/msal-node";

const [kind, resource, selector, value] = process.argv.slice(2);

async function viaIdentity() {
  const options = {
    client_id: { clientId: value },
    resource_id: { resourceId: value },
    object_id: { objectId: value },
  }[selector];
  const credential =
    kind === "default"
      ? new DefaultAzureCredential({ managedIdentityClientId: value })
      : new ManagedIdentityCredential(options ?? {});
  return (await credential.getToken(`${resource}/.default`)).token;
}

async function viaMsal() {
  const ids = {
    client_id: { userAssignedClientId: value },
    resource_id: { userAssignedResourceId: value },
    object_id: { userAssignedObjectId: value },
  }[selector];
  const app = new ManagedIdentityApplication(
    ids ? { managedIdentityIdParams: ids } : {},
  );
  return (await app.acquireToken({ resource })).accessToken;
}

try {
  const token = await (kind === "msal" ? viaMsal() : viaIdentity());
  console.log(JSON.stringify({ token }));
} catch (error) {
  console.log(JSON.stringify({ error: `${error.name}: ${error.message}` }));
  process.exitCode = 1;
}
