/* SPDX-License-Identifier: MIT */

#include "nmi/metrics.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define NONCE "000102030405060708090a0b0c0d0e0f"

static struct rig rig;
static unsigned asked, arrived;

static bool self_test(void *ctx, struct str nonce)
{
	ck_assert_ptr_eq(ctx, &rig);
	asked++;
	return str_eq(nonce, STR(NONCE));
}

static void on_arrived(void *ctx)
{
	ck_assert_ptr_eq(ctx, &rig);
	arrived++;
}

static void start(void)
{
	asked = arrived = 0;
	rig = (struct rig){ .spec = { .metadata_header_required = true,
				      .self_test = self_test,
				      .arrived = on_arrived,
				      .self_test_ctx = &rig } };
	rig_start(&rig);
}

static struct answer get(const char *target)
{
	char request[512];

	(void)snprintf(request, sizeof(request),
		       "GET %s HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n",
		       target);
	return ask(&rig, request);
}

/* As the child of the tester asks: without the header that pods have to send. */
START_TEST(the_nonce_of_a_test_under_way_is_known)
{
	struct answer a;

	start();
	a = get("/nmi/self-test/" NONCE);
	ck_assert_int_eq(a.status, 200);
	ck_assert_uint_eq(asked, 1);
	rig_stop(&rig);
}
END_TEST

static const char *const strangers[] = {
	"/nmi/self-test/" NONCE "0",
	"/nmi/self-test/0" NONCE,
	"/nmi/self-test/" NONCE "/x",
	"/nmi/self-test/ffffffffffffffffffffffffffffffff",
};

START_TEST(any_other_is_not_and_learns_nothing)
{
	struct answer a;

	start();
	a = get(strangers[_i]);
	ck_assert_int_eq(a.status, 404);
	ck_assert_str_eq(a.body, "nmi: no such self-test.\n");
	ck_assert_uint_eq(rig.http.sent, 0); /* nothing of it goes to IMDS */
	rig_stop(&rig);
}
END_TEST

START_TEST(a_front_without_self_tests_knows_no_nonce)
{
	start();
	rig_stop(&rig);
	rig = (struct rig){ 0 };
	rig_start(&rig);
	ck_assert_int_eq(get("/nmi/self-test/" NONCE).status, 404);
	rig_stop(&rig);
}
END_TEST

START_TEST(it_is_no_request_of_a_pod)
{
	char *text;
	size_t n;

	start();
	(void)get("/nmi/self-test/" NONCE);
	(void)get("/nmi/self-test/" NONCE "0");
	ck_assert_uint_eq(rig.issuer.started, 0);
	text = metrics_print(rig.metrics, &n);
	ck_assert_ptr_null(strstr(text, "operation_type"));
	ck_assert_ptr_null(strstr(text, "reason="));
	free(text);
	ck_assert_uint_eq(arrived, 0);
	rig_stop(&rig);
}
END_TEST

/* Loopback is not where pods come from. */
START_TEST(what_comes_from_the_host_itself_is_no_arrival)
{
	start();
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_uint_eq(arrived, 0);
	rig_stop(&rig);
}
END_TEST

UNIT_MAIN("h_self_test", UNIT(the_nonce_of_a_test_under_way_is_known),
	  UNIT_LOOP(any_other_is_not_and_learns_nothing, strangers),
	  UNIT(a_front_without_self_tests_knows_no_nonce), UNIT(it_is_no_request_of_a_pod),
	  UNIT(what_comes_from_the_host_itself_is_no_arrival))
