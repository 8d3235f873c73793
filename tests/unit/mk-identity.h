/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/jval.h"
#include "mic-client/crd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An AzureIdentity whose defaults are valid: mk_identity(.client_id = "other"). */
struct mk_identity_args {
	const char *namespace, *name, *client_id, *resource_id, *version, *tenant_id;
	int type;
	const char *annotations; /* lines of JSON; NULL: none */
	const char *spec;	 /* more lines of spec, each with a comma before it */
};

#define mk_identity(...) mk_identity_(&(struct mk_identity_args){ __VA_ARGS__ })

static inline const char *mk_or(const char *given, const char *otherwise)
{
	return given ? given : otherwise;
}

static inline struct azure_identity *mk_identity_(const struct mk_identity_args *a)
{
	const char *name = mk_or(a->name, "web");
	char text[2048];
	struct azure_identity *i;
	struct jval *doc;

	(void)snprintf(text, sizeof(text),
		       "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"uid\":\"u-%s\","
		       "\"resourceVersion\":\"%s\",\"annotations\":{%s}},\"spec\":{\"type\":%d,"
		       "\"clientID\":\"%s\","
		       "\"resourceID\":\"%s\",\"tenantID\":\"%s\"%s}}",
		       mk_or(a->namespace, "shop"), name, name, mk_or(a->version, "1"),
		       mk_or(a->annotations, ""), a->type, mk_or(a->client_id, "c1"),
		       mk_or(a->resource_id, "/subscriptions/s/web"), mk_or(a->tenant_id, ""),
		       mk_or(a->spec, ""));
	doc = jval_parse(text, strlen(text), sizeof(text), NULL);
	i = doc ? azure_identity_parse(doc, NULL) : NULL;
	(void)jval_free(doc);
	if (!i)
		abort();
	return i;
}
