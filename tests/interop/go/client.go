// SPDX-License-Identifier: MIT

// One token by the Azure SDK for Go, as one line of JSON: {"token": …, "expires_on": seconds} or
// {"error": …}.
//
// usage: client identity|default RESOURCE [client_id|resource_id|object_id VALUE]
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

func credential(kind, selector, value string) (azcore.TokenCredential, error) {
	if kind == "default" {
		if selector == "client_id" {
			os.Setenv("AZURE_CLIENT_ID", value)
		}
		return azidentity.NewDefaultAzureCredential(nil)
	}
	options := &azidentity.ManagedIdentityCredentialOptions{}
	switch selector {
	case "client_id":
		options.ID = azidentity.ClientID(value)
	case "resource_id":
		options.ID = azidentity.ResourceID(value)
	case "object_id":
		options.ID = azidentity.ObjectID(value)
	}
	return azidentity.NewManagedIdentityCredential(options)
}

func token() (azcore.AccessToken, error) {
	args := append(os.Args[1:], "", "")
	if len(args) < 4 {
		return azcore.AccessToken{}, fmt.Errorf("usage: client identity|default RESOURCE [SELECTOR VALUE]")
	}
	c, err := credential(args[0], args[2], args[3])
	if err != nil {
		return azcore.AccessToken{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	return c.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{args[1] + "/.default"}})
}

func main() {
	answer := map[string]any{}
	t, err := token()
	if err != nil {
		answer["error"] = err.Error()
	} else {
		answer["token"] = t.Token
		answer["expires_on"] = t.ExpiresOn.Unix()
	}
	text, _ := json.Marshal(answer)
	fmt.Println(string(text))
	if err != nil {
		os.Exit(1)
	}
}
