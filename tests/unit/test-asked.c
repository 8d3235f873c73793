/* SPDX-License-Identifier: MIT */

/*
 * A connection that asks for the same again: the target is not read twice, and everything else is looked at
 * as if it had been.
 */

#include "nmi/front/asked.h"
#include "nmi/metrics.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define UID   "uid-1"
#define OTHER "api-version=2018-02-01&resource=https://storage.azure.com"
#define REQUEST(method, query, headers)                                                            \
	method " " TOKEN_PATH "?" query " HTTP/1.1\r\n" headers "\r\n"

static struct rig rig;

static void start(void)
{
	rig = (struct rig){ .spec.metadata_header_required = true };
	rig_start(&rig);
	rig.issuer.answer.pod_uid = UID;
}

static void stop(void)
{
	rig_stop(&rig);
}

START_TEST(what_was_read_is_copied)
{
	struct query q = { .bypass_cache = true };
	struct asked *a;
	char resource[] = "r", id[] = "i";

	q.resource = resource;
	q.selector = (struct selector){ SELECTOR_CLIENT_ID, id };
	a = asked_new(NULL, &q);
	resource[0] = id[0] = 'x';
	ck_assert_str_eq(a->resource, "r");
	ck_assert_str_eq(a->selector.value, "i");
	ck_assert_int_eq(a->selector.kind, SELECTOR_CLIENT_ID);
	ck_assert(a->bypass_cache);
	ck_assert_ptr_null(a->granted);
	free(a);
}
END_TEST

/* What may differ from the request before; `resource` NULL: the issuer is not asked. */
static const struct {
	const char *what, *request;
	int status;
	const char *resource;
	enum selector_kind selector;
	const char *id;
	bool bypass_cache;
} others[] = {
	/* clang-format off */
	{ "nothing", TOKEN_REQUEST, 200, "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ "resource", REQUEST("GET", OTHER, HEADERS), 200, "https://storage.azure.com", SELECTOR_NONE, "", false },
	{ "its end", REQUEST("GET", QUERY "x", HEADERS), 200, "https://vault.azure.netx", SELECTOR_NONE, "", false },
	{ "less", REQUEST("GET", "api-version=2018-02-01&resource=https://vault.azure.ne", HEADERS), 200,
	  "https://vault.azure.ne", SELECTOR_NONE, "", false },
	{ "client id", REQUEST("GET", QUERY "&client_id=a", HEADERS), 200, "https://vault.azure.net",
	  SELECTOR_CLIENT_ID, "a", false },
	{ "cache", REQUEST("GET", QUERY "&bypass_cache=true", HEADERS), 200, "https://vault.azure.net",
	  SELECTOR_NONE, "", true },
	{ "spelling", REQUEST("GET", "api-version=2018-02-01&resource=https%3A//vault.azure.net", HEADERS), 200,
	  "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ "no version", REQUEST("GET", "resource=https://vault.azure.net", HEADERS), 400, NULL, 0, NULL, false },
	{ "path", "GET /metadata/identity/oauth2/toke?" QUERY " HTTP/1.1\r\n" HEADERS "\r\n", 404, NULL, 0, NULL, false },
	{ "method", REQUEST("PUT", QUERY, HEADERS "Content-Length: 0\r\n"), 405, NULL, 0, NULL, false },
	{ "no Metadata", REQUEST("GET", QUERY, "Host: a\r\n"), 400, NULL, 0, NULL, false },
	{ "false Metadata", REQUEST("GET", QUERY, "Host: a\r\nMetadata: false\r\n"), 400, NULL, 0, NULL, false },
	{ "a proxy", REQUEST("GET", QUERY, HEADERS "X-Forwarded-For: 1.2.3.4\r\n"), 400, NULL, 0, NULL, false },
	{ "a byte", REQUEST("GET", "api-version=2018-02-01&resource=https://vault.azure.nex", HEADERS), 200,
	  "https://vault.azure.nex", SELECTOR_NONE, "", false },
	/* clang-format on */
};

static void is_as_told(struct client *c, size_t i)
{
	static struct answer a;

	rig.issuer.started = 0;
	client_send(c, others[i].request);
	ck_assert_msg(client_next(c, &a), "%s", others[i].what);
	ck_assert_msg(a.status == others[i].status, "%s: %d", others[i].what, a.status);
	ck_assert_uint_eq(rig.issuer.started, others[i].resource != NULL);
	if (!others[i].resource)
		return;
	ck_assert_str_eq(rig.issuer.resource, others[i].resource);
	ck_assert_int_eq(rig.issuer.selector_kind, others[i].selector);
	ck_assert_str_eq(rig.issuer.selector, others[i].id);
	ck_assert_int_eq(rig.issuer.bypass_cache, others[i].bypass_cache);
}

/* Three of the first, so that it is known; three of the other; the first again. */
START_TEST(what_is_different_counts)
{
	struct client *c;

	start();
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 3; i++)
		is_as_told(c, 0);
	for (int i = 0; i < 3; i++)
		is_as_told(c, (size_t)_i);
	is_as_told(c, 0);
	client_free(c);
	stop();
}
END_TEST

START_TEST(what_is_known_of_a_connection_is_nothing_to_the_next)
{
	struct client *first, *second;

	start();
	first = client_open(&rig, rig.spec.port);
	second = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 3; i++)
		is_as_told(first, 0);
	for (int i = 0; i < 3; i++) {
		is_as_told(second, 1);
		is_as_told(first, 0);
	}
	client_free(first);
	client_free(second);
	stop();
}
END_TEST

START_TEST(a_target_that_is_too_long_stays_so)
{
	static char request[LIMIT_TARGET_BYTES + 512];
	static struct answer a;
	struct client *c;

	start();
	(void)snprintf(request, sizeof(request), "GET /%0*d HTTP/1.1\r\n" HEADERS "\r\n",
		       LIMIT_TARGET_BYTES, 0);
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 3; i++) {
		client_send(c, request);
		ck_assert(client_next(c, &a));
		ck_assert_int_eq(a.status, 413);
	}
	is_as_told(c, 0);
	client_free(c);
	stop();
}
END_TEST

static double granted(const char *namespace, const char *resource, const char *status)
{
	return metric_get(rig.metrics, NMI_METRIC_OPERATION,
			  (const char *const[]){ namespace, "/metadata/identity/oauth2/token",
						 resource, status });
}

START_TEST(each_is_counted_as_what_it_is)
{
	struct client *c;

	start();
	(void)snprintf(rig.issuer.answer.pod_namespace, sizeof(rig.issuer.answer.pod_namespace),
		       "shop");
	c = client_open(&rig, rig.spec.port);
	for (int i = 0; i < 5; i++)
		is_as_told(c, 0);
	is_as_told(c, 10);
	for (int i = 0; i < 4; i++)
		is_as_told(c, 1);
	is_as_told(c, 0);
	ck_assert_double_eq(granted("shop", "https://vault.azure.net", "200"), 6);
	ck_assert_double_eq(granted("shop", "https://storage.azure.com", "200"), 4);
	ck_assert_double_eq(metric_sum(rig.metrics, NMI_METRIC_OPERATION), 11);
	client_free(c);
	stop();
}
END_TEST

UNIT_MAIN("asked", UNIT(what_was_read_is_copied), UNIT_LOOP(what_is_different_counts, others),
	  UNIT(what_is_known_of_a_connection_is_nothing_to_the_next),
	  UNIT(a_target_that_is_too_long_stays_so), UNIT(each_is_counted_as_what_it_is))
