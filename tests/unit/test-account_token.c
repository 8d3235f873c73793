/* SPDX-License-Identifier: MIT */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/token/account_token.h"
#include "tests/unit/unit.h"

#include <string.h>

/* {"iss":"https://i","sub":"s","aud":["a"]}, and with two audiences */
#define ONE "eyJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJzIiwiYXVkIjpbImEiXX0"
#define TWO "eyJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJzIiwiYXVkIjpbImEiLCJiIl19"

START_TEST(a_request_is_bound_to_the_pod_and_for_one_audience)
{
	const struct token_pod pod = { .namespace = "n", .name = "p", .uid = "u-1" };
	size_t n;
	char *body = account_token_request(&pod, "api://x\"y", &n);

	ck_assert_str_eq(body,
			 "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\","
			 "\"spec\":{\"audiences\":[\"api://x\\\"y\"],\"expirationSeconds\":600,"
			 "\"boundObjectRef\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
			 "\"name\":\"p\",\"uid\":\"u-1\"}}}");
	ck_assert_uint_eq(n, strlen(body));
	free(body);
}
END_TEST

static const struct {
	const char *doc;
	bool good;
} rows[] = {
	{ "{\"status\":{\"token\":\"h." ONE ".s\"}}", true },
	{ "{\"status\":{\"token\":\"h." TWO ".s\"}}", false },
	{ "{\"status\":{\"token\":\"h." ONE "\"}}", false },
	{ "{\"status\":{\"token\":\"h..s\"}}", false },
	{ "{\"status\":{\"token\":\"h.!!!.s\"}}", false },
	{ "{\"status\":{\"token\":\"\"}}", false },
	{ "{\"status\":{}}", false },
	{ "{}", false },
};

START_TEST(only_a_token_that_says_whose_and_for_whom_is_taken)
{
	struct secret token = { 0 };
	struct account_claims claims = { 0 };
	struct err err = { 0 };
	struct jval *doc = jval_parse(rows[_i].doc, strlen(rows[_i].doc), 4096, NULL);
	int r = account_token_parse(doc, &token, &claims, &err);

	ck_assert_int_eq(r == 0, rows[_i].good);
	ck_assert_int_eq(token.p != NULL, rows[_i].good);
	if (rows[_i].good) {
		ck_assert_str_eq(claims.issuer, "https://i");
		ck_assert_str_eq(claims.subject, "s");
		ck_assert_str_eq(claims.audience, "a");
	} else {
		ck_assert_int_eq(err.kind, ERR_INPUT);
		ck_assert_ptr_null(claims.issuer);
	}
	account_claims_deinit(&claims);
	secret_deinit(&token);
	jval_free(doc);
}
END_TEST

UNIT_MAIN("account_token", UNIT(a_request_is_bound_to_the_pod_and_for_one_audience),
	  UNIT_LOOP(only_a_token_that_says_whose_and_for_whom_is_taken, rows))
