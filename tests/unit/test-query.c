/* SPDX-License-Identifier: MIT */

#include "nmi/front/query.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define V    "api-version=2018-02-01"
#define R    "resource=https://vault.azure.net"
#define GUID "0b1f3ee0-2f0c-4b1e-9d3e-7d1a0c3c0c11"
#define ARM                                                                                        \
	"/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/"                   \
	"userAssignedIdentities/n"

static const struct {
	const char *raw, *resource;
	enum selector_kind kind;
	const char *selector;
	bool bypass;
} taken[] = {
	/* what the SDKs send: raw, escaped, in any order */
	{ V "&" R, "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ R "&" V, "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ V "&resource=https%3A%2F%2Fmanagement.azure.com%2F", "https://management.azure.com/",
	  SELECTOR_NONE, "", false },
	{ V "&client_id=" GUID "&" R, "https://vault.azure.net", SELECTOR_CLIENT_ID, GUID, false },
	{ V "&object_id=" GUID "&" R, "https://vault.azure.net", SELECTOR_OBJECT_ID, GUID, false },
	{ V "&msi_res_id=" ARM "&" R, "https://vault.azure.net", SELECTOR_RESOURCE_ID, ARM, false },
	{ V "&mi_res_id=%2Fsubscriptions%2Fs&" R, "https://vault.azure.net", SELECTOR_RESOURCE_ID,
	  "/subscriptions/s", false },
	{ "api-version=2019-08-01&" R, "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ "api-version=2099-12-31&" R, "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ V "&" R "&bypass_cache=true", "https://vault.azure.net", SELECTOR_NONE, "", true },
	{ V "&" R "&bypass_cache=false", "https://vault.azure.net", SELECTOR_NONE, "", false },
	/* a space in both spellings; a plus sign must be escaped */
	{ V "&resource=a+b", "a b", SELECTOR_NONE, "", false },
	{ V "&resource=a%20b", "a b", SELECTOR_NONE, "", false },
	{ V "&resource=a%2Bb", "a+b", SELECTOR_NONE, "", false },
	/* decoded once */
	{ V "&resource=a%2541", "a%41", SELECTOR_NONE, "", false },
	/* an empty selector is none; unknown parameters are ignored, other spellings of known ones too */
	{ V "&" R "&client_id=", "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ V "&" R "&client_id=&object_id=" GUID, "https://vault.azure.net", SELECTOR_OBJECT_ID,
	  GUID, false },
	{ V "&" R "&xms_cc=CP1&authority&=x&&msi-res-id=y", "https://vault.azure.net",
	  SELECTOR_NONE, "", false },
	{ V "&" R "&Client_Id=" GUID, "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ "%61pi-version=2018-02-01&" R, "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ "&" V "&" R "&", "https://vault.azure.net", SELECTOR_NONE, "", false },
	{ V "&resource=a=b;c?d/e", "a=b;c?d/e", SELECTOR_NONE, "", false },
};

START_TEST(a_query_of_an_sdk_is_read)
{
	struct err err = { 0 };
	struct query q;

	ck_assert_msg(query_parse(str_of(taken[_i].raw), &q, &err) == 0, "%s: %s", taken[_i].raw,
		      err.msg);
	ck_assert_str_eq(q.resource, taken[_i].resource);
	ck_assert_int_eq(q.selector.kind, taken[_i].kind);
	ck_assert_str_eq(q.selector.value, taken[_i].selector);
	ck_assert_int_eq(q.bypass_cache, taken[_i].bypass);
}
END_TEST

static const struct {
	const char *raw, *says;
} refused[] = {
	{ "", "api-version was not specified" },
	{ R, "Bad request. api-version was not specified in the request. For more information "
	     "refer to aka.ms/azureimds" },
	{ "api-version=&" R, "api-version was not specified" },
	{ "Api-Version=2018-02-01&" R, "api-version was not specified" },
	{ "api-version=latest&" R, "YYYY-MM-DD" },
	{ "api-version=2018-2-1&" R, "YYYY-MM-DD" },
	{ "api-version=2018-02-01x&" R, "YYYY-MM-DD" },
	{ "api-version=2018-13-01&" R, "YYYY-MM-DD" },
	{ "api-version=2018-00-01&" R, "YYYY-MM-DD" },
	{ "api-version=2018-02-32&" R, "YYYY-MM-DD" },
	{ "api-version=2018-02-00&" R, "YYYY-MM-DD" },
	{ "api-version=2018/02/01&" R, "YYYY-MM-DD" },
	{ "api-version=2018-01-31&" R, "older" },
	{ "api-version=2017-12-01&" R, "older" },
	{ V, "resource cannot be empty" },
	{ V "&resource=", "resource cannot be empty" },
	{ V "&resource", "resource cannot be empty" },
	{ V "&Resource=x", "resource cannot be empty" },
	{ V "&" R "&" R, "resource is given more than once" },
	{ V "&" R "&%72esource=x", "resource is given more than once" },
	{ V "&" R "&" V, "api-version is given more than once" },
	{ V "&" R "&x=1&x=2", "x is given more than once" },
	{ V "&" R "&client_id=a&client_id=a", "client_id is given more than once" },
	{ V "&" R "&client_id=a&object_id=b", "client_id and object_id" },
	{ V "&" R "&client_id=a&msi_res_id=b", "client_id and msi_res_id" },
	{ V "&" R "&msi_res_id=a&mi_res_id=a", "msi_res_id and mi_res_id" },
	{ V "&" R "&bypass_cache=yes", "bypass_cache" },
	{ V "&" R "&bypass_cache=TRUE", "bypass_cache" },
	{ V "&resource=%zz", "cannot be decoded" },
	{ V "&resource=%4", "cannot be decoded" },
	{ V "&resource=%", "cannot be decoded" },
	{ V "&resource=a%00b", "cannot be decoded" },
	{ V "&resource=a%0ab", "cannot be decoded" },
	{ V "&resource=a%7fb", "cannot be decoded" },
	{ V "&resource=a%c3%a9", "cannot be decoded" },
	{ V "&" R "&client_id=%00", "cannot be decoded" },
	{ V "&" R "&%00=x", "cannot be decoded" },
	{ V "&resource=a b", "percent-encoded" },
	{ V "&resource=a#b", "percent-encoded" },
	{ V "&resource=a\\b", "percent-encoded" },
	{ V "&resource=\xc3\xa9", "percent-encoded" },
	{ V "&resource=a\tb", "percent-encoded" },
};

START_TEST(a_wrong_query_is_refused_with_what_to_do_and_nothing_written)
{
	struct query q = { .resource = "before",
			   .api_version = "before",
			   .selector = { SELECTOR_OBJECT_ID, "before" } };
	struct err err = { 0 };

	ck_assert_msg(query_parse(str_of(refused[_i].raw), &q, &err) == -ERR_INPUT, "taken: %s",
		      refused[_i].raw);
	ck_assert_msg(strstr(err.msg, refused[_i].says) != NULL, "%s", err.msg);
	ck_assert_str_eq(q.resource, "before");
	ck_assert_str_eq(q.api_version, "before");
	ck_assert_int_eq(q.selector.kind, SELECTOR_OBJECT_ID);
}
END_TEST

static const struct {
	const char *raw;
	const char *version; /* NULL: refused, with `says` */
	const char *says;
} of_the_host[] = {
	{ R, "", NULL },
	{ R "&api-version=", "", NULL },
	{ R "&" V, "2018-02-01", NULL },
	{ R "&api-version=1", "1", NULL },
	{ R "&client_id=" GUID, "", NULL },
	{ "", NULL, "resource cannot be empty" },
	{ V, NULL, "resource cannot be empty" },
	{ R "&" R, NULL, "more than once" },
	{ R "&client_id=a&msi_res_id=b", NULL, "both given" },
	{ R "&x=%zz", NULL, "cannot be decoded" },
};

START_TEST(a_query_of_the_host_needs_no_version)
{
	struct query q = { .resource = "before" };
	struct err err = { 0 };
	int r = query_parse_host(str_of(of_the_host[_i].raw), &q, &err);

	if (of_the_host[_i].version) {
		ck_assert_msg(r == 0, "%s", err.msg);
		ck_assert_str_eq(q.resource, "https://vault.azure.net");
		ck_assert_str_eq(q.api_version, of_the_host[_i].version);
		return;
	}
	ck_assert_int_eq(r, -ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, of_the_host[_i].says));
	ck_assert_str_eq(q.resource, "before");
}
END_TEST

START_TEST(a_parameter_may_be_as_long_as_the_limit_and_no_longer)
{
	char raw[LIMIT_TARGET_BYTES + 1];
	struct err err = { 0 };
	struct query q;

	snprintf(raw, sizeof(raw), V "&resource=%0*d", LIMIT_PARAM_BYTES, 0);
	ck_assert_int_eq(query_parse(str_of(raw), &q, NULL), 0);
	ck_assert_uint_eq(strlen(q.resource), LIMIT_PARAM_BYTES);
	snprintf(raw, sizeof(raw), V "&resource=%0*d", LIMIT_PARAM_BYTES + 1, 0);
	ck_assert_int_eq(query_parse(str_of(raw), &q, &err), -ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(err.msg, "resource"));
}
END_TEST

START_TEST(the_number_of_parameters_is_limited)
{
	char raw[LIMIT_TARGET_BYTES] = V "&" R;
	size_t n = strlen(raw);
	struct query q;

	for (int i = 2; i < QUERY_PARAMS_MAX; i++)
		n += (size_t)snprintf(raw + n, sizeof(raw) - n, "&%d", i);
	ck_assert_int_eq(query_parse(str_of(raw), &q, NULL), 0);
	snprintf(raw + n, sizeof(raw) - n, "&x");
	ck_assert_int_eq(query_parse(str_of(raw), &q, NULL), -ERR_LIMIT);
}
END_TEST

START_TEST(the_longest_query_fits_its_store)
{
	static char raw[LIMIT_TARGET_BYTES + 2];
	struct query q;
	size_t n = 0;

	/* 31 names without a value: each costs two terminators and had only one separator */
	for (int i = 0; i < QUERY_PARAMS_MAX - 1; i++)
		n += (size_t)snprintf(raw + n, sizeof(raw) - n, "%02d&", i);
	memset(raw + n, 'x', LIMIT_TARGET_BYTES - n);
	ck_assert_int_eq(query_parse((struct str){ raw, LIMIT_TARGET_BYTES }, &q, NULL),
			 -ERR_INPUT);
	ck_assert_int_eq(query_parse((struct str){ raw, LIMIT_TARGET_BYTES + 1 }, &q, NULL),
			 -ERR_LIMIT);
}
END_TEST

START_TEST(a_plain_query_may_be_forwarded)
{
	ck_assert(query_is_plain(STR("api-version=2021-02-01&format=text%20x")));
	ck_assert(query_is_plain((struct str){ 0 }));
	ck_assert(!query_is_plain(STR("a b")));
	ck_assert(!query_is_plain(STR("a#b")));
	ck_assert(!query_is_plain(STR("a\\b")));
	ck_assert(!query_is_plain(STR("a\r\nb")));
	ck_assert(!query_is_plain(STR("a\x80")));
	ck_assert(!query_is_plain(STR("a\0b")));
}
END_TEST

UNIT_MAIN("query", UNIT_LOOP(a_query_of_an_sdk_is_read, taken),
	  UNIT_LOOP(a_wrong_query_is_refused_with_what_to_do_and_nothing_written, refused),
	  UNIT_LOOP(a_query_of_the_host_needs_no_version, of_the_host),
	  UNIT(a_parameter_may_be_as_long_as_the_limit_and_no_longer),
	  UNIT(the_number_of_parameters_is_limited), UNIT(the_longest_query_fits_its_store),
	  UNIT(a_plain_query_may_be_forwarded))
