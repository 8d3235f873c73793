/* SPDX-License-Identifier: MIT */

/* Token queries: what is read is what escaping it again gives, and a refusal leaves the result alone. */

#include "nmi/front/query.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_text(const char *s, size_t max)
{
	check(s && strlen(s) <= max);
	for (; *s; s++)
		check(*s >= ' ' && *s < 0x7f);
}

static size_t escape(char *out, size_t size, const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (size_t)snprintf(out + n, size - n, "%%%02X", (unsigned char)*s);
	return n;
}

static void check_again(const struct query *q)
{
	static const char *const names[] = {
		[SELECTOR_NONE] = "x",
		[SELECTOR_CLIENT_ID] = "client_id",
		[SELECTOR_RESOURCE_ID] = "mi_res_id",
		[SELECTOR_OBJECT_ID] = "object_id",
	};
	static char raw[8 * LIMIT_PARAM_BYTES];
	static struct query again;
	size_t n;

	n = (size_t)snprintf(raw, sizeof(raw), "bypass_cache=%s&api-version=%s&resource=",
			     q->bypass_cache ? "true" : "false", q->api_version);
	n += escape(raw + n, sizeof(raw) - n, q->resource);
	n += (size_t)snprintf(raw + n, sizeof(raw) - n, "&%s=", names[q->selector.kind]);
	n += escape(raw + n, sizeof(raw) - n, q->selector.value);
	if (n > LIMIT_TARGET_BYTES)
		return;
	check(query_parse((struct str){ raw, n }, &again, NULL) == 0);
	check(strcmp(again.resource, q->resource) == 0);
	check(strcmp(again.selector.value, q->selector.value) == 0);
	check(again.selector.kind == q->selector.kind && again.bypass_cache == q->bypass_cache);
}

/* The host's needs less, and says the same of the rest. */
static void check_host(struct str raw, const struct query *q)
{
	static struct query host;
	int r;

	host.resource = "before";
	r = query_parse_host(raw, &host, NULL);
	if (r < 0) {
		check(!q && strcmp(host.resource, "before") == 0);
		return;
	}
	check_text(host.resource, LIMIT_PARAM_BYTES);
	check_text(host.api_version, LIMIT_PARAM_BYTES);
	check(*host.resource);
	check(!q || (strcmp(q->resource, host.resource) == 0 &&
		     strcmp(q->selector.value, host.selector.value) == 0 &&
		     q->selector.kind == host.selector.kind));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct query q;
	struct err err = { 0 };

	q.resource = q.api_version = q.selector.value = "before";
	q.selector.kind = SELECTOR_OBJECT_ID;
	if (query_parse((struct str){ (const char *)data, size }, &q, &err) < 0) {
		check(err.kind == ERR_INPUT || err.kind == ERR_LIMIT);
		check(err.msg[0] && strcmp(q.resource, "before") == 0 &&
		      strcmp(q.selector.value, "before") == 0 &&
		      q.selector.kind == SELECTOR_OBJECT_ID);
		check_host((struct str){ (const char *)data, size }, NULL);
		return 0;
	}
	check_text(q.resource, LIMIT_PARAM_BYTES);
	check_text(q.selector.value, LIMIT_PARAM_BYTES);
	check(*q.resource && (q.selector.kind == SELECTOR_NONE) == !*q.selector.value);
	check(strlen(q.api_version) == strlen("YYYY-MM-DD"));
	check_again(&q);
	check_host((struct str){ (const char *)data, size }, &q);
	return 0;
}
