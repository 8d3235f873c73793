/* SPDX-License-Identifier: MIT */

#include "lib/base/cleanup.h"
#include "nmi/token/credential.h"
#include "tests/unit/mk-json.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
	const char *data;
	const char *value; /* NULL: refused, and `why` says so */
	const char *why;
} secrets[] = {
	{ "{\"clientSecret\":\"YWJj\"}", "abc", NULL },
	{ "{\"ClientSecret\":\"YWJj\"}", "abc", NULL },
	{ "{\"clientsecret\":\"YWI=\"}", "ab", NULL },
	{ "{\"whatever\":\"YQ==\"}", "a", NULL },
	{ "{\"tenant\":\"dA==\",\"clientSecret\":\"YWJj\",\"other\":\"eA==\"}", "abc", NULL },
	{ "{\"ClientSecret\":\"eA==\",\"clientSecret\":\"YWJj\"}", "abc", NULL },
	{ "{\"clientSecret\":\"YWJjCg==\"}", "abc", NULL },   /* echo */
	{ "{\"clientSecret\":\"YWJjDQo=\"}", "abc", NULL },   /* echo on Windows */
	{ "{\"clientSecret\":\"IGFiYyA=\"}", " abc ", NULL }, /* not ours to judge */
	{ "{\"clientSecret\":\"w6kiXA==\"}", "\xc3\xa9\"\\", NULL },
	{ "{}", NULL, "it holds no keys" },
	{ "{\"one\":\"YQ==\",\"two\":\"Yg==\"}", NULL,
	  "keys one, two, and none of them is clientSecret" },
	{ "{\"clientSecret\":\"\"}", NULL, "key clientSecret is empty" },
	{ "{\"clientSecret\":\"Cg==\"}", NULL, "key clientSecret is empty" },
	{ "{\"clientSecret\":null,\"a\":\"YQ==\"}", NULL, "none of them is clientSecret" },
	{ "{\"clientSecret\":7}", NULL, "key clientSecret is empty" },
	{ "{\"clientSecret\":\"not base64!\"}", NULL, "key clientSecret is not base64" },
	{ "{\"clientSecret\":\"YWJ\"}", NULL, "not base64" },
	{ "{\"clientSecret\":\"YW=j\"}", NULL, "not base64" },
	{ "{\"clientSecret\":\"=\"}", NULL, "not base64" },
};

START_TEST(a_client_secret_is_found_and_decoded)
{
	_cleanup_(jval_freep) struct jval *data = mk_json(secrets[_i].data);
	_cleanup_(secret_deinit) struct secret got = { 0 };
	struct err err = { 0 };
	int r = credential_read_secret(data, &got, &err);

	if (secrets[_i].value) {
		ck_assert_msg(r == 0, "%s", err.msg);
		ck_assert_uint_eq(got.n, strlen(secrets[_i].value));
		ck_assert_mem_eq(got.p, secrets[_i].value, got.n);
	} else {
		ck_assert_int_eq(r, -ERR_INPUT);
		ck_assert_msg(strstr(err.msg, secrets[_i].why) != NULL, "%s", err.msg);
		ck_assert_ptr_null(got.p);
	}
}
END_TEST

START_TEST(a_secret_without_data_holds_nothing)
{
	_cleanup_(secret_deinit) struct secret a = { 0 }, b = { 0 };
	struct err err = { 0 };

	ck_assert_int_eq(credential_read_secret(NULL, &a, &err), -ERR_INPUT);
	ck_assert_str_eq(err.msg, "it holds no keys");
	ck_assert_int_eq(credential_read_certificate(NULL, &a, &b, &err), -ERR_INPUT);
}
END_TEST

START_TEST(too_long_a_secret_is_refused)
{
	char text[8192] = "{\"clientSecret\":\"";
	_cleanup_(secret_deinit) struct secret got = { 0 };
	_cleanup_(jval_freep) struct jval *data = NULL;
	struct err err = { 0 };
	size_t n = strlen(text);

	memset(text + n, 'A', 5464); /* 4,098 bytes */
	memcpy(text + n + 5464, "\"}", 3);
	data = mk_json(text);
	ck_assert_int_eq(credential_read_secret(data, &got, &err), -ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, "has 4098 bytes"));
}
END_TEST

static const struct {
	const char *data;
	const char *certificate, *password; /* NULL: refused */
	const char *why;
} certificates[] = {
	{ "{\"certificate\":\"YWJj\",\"password\":\"cHc=\"}", "abc", "pw", NULL },
	{ "{\"certificate\":\"YWJj\"}", "abc", "", NULL },
	{ "{\"certificate\":\"YWJj\",\"password\":\"\"}", "abc", "", NULL },
	{ "{\"certificate\":\"YWJj\",\"password\":null}", "abc", "", NULL },
	{ "{\"certificate\":\"YWJj\",\"password\":\"cHcK\"}", "abc", "pw\n", NULL },
	{ "{\"cert\":\"YWJj\",\"password\":\"cHc=\"}", NULL, NULL,
	  "no key certificate, but cert, password" },
	{ "{\"certificate\":\"\"}", NULL, NULL, "key certificate is empty" },
	{ "{\"certificate\":\"YWJj\",\"password\":\"?\"}", NULL, NULL,
	  "key password is not base64" },
};

START_TEST(a_certificate_is_found_with_its_password)
{
	_cleanup_(jval_freep) struct jval *data = mk_json(certificates[_i].data);
	_cleanup_(secret_deinit) struct secret certificate = { 0 }, password = { 0 };
	struct err err = { 0 };
	int r = credential_read_certificate(data, &certificate, &password, &err);

	if (certificates[_i].certificate) {
		ck_assert_msg(r == 0, "%s", err.msg);
		ck_assert_mem_eq(certificate.p, certificates[_i].certificate, certificate.n);
		ck_assert_uint_eq(password.n, strlen(certificates[_i].password));
	} else {
		ck_assert_int_eq(r, -ERR_INPUT);
		ck_assert_msg(strstr(err.msg, certificates[_i].why) != NULL, "%s", err.msg);
		ck_assert(!certificate.p && !password.p);
	}
}
END_TEST

UNIT_MAIN("credential", UNIT_LOOP(a_client_secret_is_found_and_decoded, secrets),
	  UNIT(a_secret_without_data_holds_nothing), UNIT(too_long_a_secret_is_refused),
	  UNIT_LOOP(a_certificate_is_found_with_its_password, certificates))
