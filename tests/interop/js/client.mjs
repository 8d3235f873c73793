// SPDX-License-Identifier: MIT
//
// One token by one SDK, as one line of JSON: {"token": …, "expires_on": seconds} or {"error": …}.
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
  const { token, expiresOnTimestamp } = await credential.getToken(
    `${resource}/.default`,
  );
  return { token, expires_on: Math.floor(expiresOnTimestamp / 1000) };
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
  const { accessToken, expiresOn } = await app.acquireToken({ resource });
  return { token: accessToken, expires_on: Math.floor(expiresOn / 1000) };
}

try {
  console.log(
    JSON.stringify(await (kind === "msal" ? viaMsal() : viaIdentity())),
  );
} catch (error) {
  console.log(JSON.stringify({ error: `${error.name}: ${error.message}` }));
  process.exitCode = 1;
}
