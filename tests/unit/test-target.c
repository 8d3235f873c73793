/* SPDX-License-Identifier: MIT */

#include "nmi/front/target.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define TOKEN "/metadata/identity/oauth2/token"

static int parse(const char *raw, struct target *t, struct err *err)
{
	return target_parse(str_of(raw), t, err);
}

static const struct {
	const char *raw, *path, *query;
} taken[] = {
	{ TOKEN, TOKEN, NULL },
	{ TOKEN "?a=b&c=d", TOKEN, "a=b&c=d" },
	{ TOKEN "?", TOKEN, "" },
	{ TOKEN "?resource=https://x/?y", TOKEN, "resource=https://x/?y" },
	/* one trailing slash, two leading ones before metadata, the case of metadata */
	{ TOKEN "/", TOKEN, NULL },
	{ TOKEN "/?a=b", TOKEN, "a=b" },
	{ "/" TOKEN, TOKEN, NULL },
	{ "//METADATA/identity/oauth2/token/", TOKEN, NULL },
	{ "/Metadata/identity/oauth2/token", TOKEN, NULL },
	{ "/metadata/Identity/oauth2/token", "/metadata/Identity/oauth2/token", NULL },
	{ "/metadata/identity/OAuth2/Token", "/metadata/identity/OAuth2/Token", NULL },
	/* escapes that never change the meaning */
	{ "/%6detadata/identity/oauth2/token", TOKEN, NULL },
	{ "/%6D%65%74%61%64%61%74%61/identity/oauth2/token", TOKEN, NULL },
	{ "/metadata/identity/oauth%32/toke%6E", TOKEN, NULL },
	{ "/metadata/identity%2eold", "/metadata/identity.old", NULL },
	{ "/", "/", NULL },
	{ "/?a", "/", "a" },
	{ "/a", "/a", NULL },
	{ "/a/", "/a", NULL },
	{ "/a...b/..c", "/a...b/..c", NULL },
	{ "/metadata", "/metadata", NULL },
	{ "//metadata", "/metadata", NULL },
	{ "/metadatax", "/metadatax", NULL },
	{ "/MetadataX", "/MetadataX", NULL },
	{ "/latest/meta-data", "/latest/meta-data", NULL },
	{ "/a!$&'()*+,=:@b~_-", "/a!$&'()*+,=:@b~_-", NULL },
};

START_TEST(a_plain_target_becomes_its_canonical_path)
{
	struct err err = { 0 };
	struct target t;

	ck_assert_msg(parse(taken[_i].raw, &t, &err) == 0, "%s: %s", taken[_i].raw, err.msg);
	ck_assert_str_eq(t.path.p, taken[_i].path);
	ck_assert_uint_eq(t.path.n, strlen(taken[_i].path));
	ck_assert_int_eq(t.query.p != NULL, taken[_i].query != NULL);
	if (taken[_i].query) {
		ck_assert_uint_eq(t.query.n, strlen(taken[_i].query));
		ck_assert_int_eq(memcmp(t.query.p, taken[_i].query, t.query.n), 0);
	}
}
END_TEST

START_TEST(a_canonical_path_is_its_own_canonical_path)
{
	struct target t, again;

	ck_assert_int_eq(parse(taken[_i].raw, &t, NULL), 0);
	ck_assert_int_eq(target_parse(t.path, &again, NULL), 0);
	ck_assert_str_eq(again.path.p, t.path.p);
}
END_TEST

static const char *const refused[] = {
	/* a backslash: CVE-2022-23551 */
	"/metadata/identity\\oauth2\\token",
	"/metadata\\identity/oauth2/token",
	"\\metadata\\identity\\oauth2\\token",
	"/metadata%5cidentity/oauth2/token",
	"/metadata%5Cidentity/oauth2/token",
	/* an encoded slash */
	"/metadata%2Fidentity/oauth2/token",
	"/metadata/identity%2foauth2/token",
	"/metadata/identity/oauth2/token%2f",
	"%2fmetadata/identity/oauth2/token",
	/* double encoding */
	"/metadata%252Fidentity/oauth2/token",
	"/metadata/%2569dentity/oauth2/token",
	"/%25",
	/* dot segments, however spelled */
	"/metadata/./identity/oauth2/token",
	"/metadata/instance/../identity/oauth2/token",
	"/metadata/instance/%2e%2e/identity/oauth2/token",
	"/metadata/instance/.%2E/identity/oauth2/token",
	"/metadata/%2e/identity/oauth2/token",
	"/metadata/identity/..",
	"/.",
	"/..",
	"/../",
	"/%2e%2e",
	/* empty segments */
	"///metadata/identity/oauth2/token",
	"/metadata//identity/oauth2/token",
	"/metadata/identity/oauth2/token//",
	"//",
	"//a",
	"//metadata//",
	"//metadatax",
	/* path parameters */
	"/metadata;a=b/identity/oauth2/token",
	"/metadata/identity;/oauth2/token",
	"/metadata/identity/oauth2/token;jsessionid=1",
	"/metadata/identity%3b/oauth2/token",
	/* NUL, control bytes, space, DEL, outside ASCII, overlong UTF-8 */
	"/metadata/identity/oauth2/token%00",
	"/metadata/identity%0a/oauth2/token",
	"/metadata/identity%0D%0A/oauth2/token",
	"/metadata/identity\t/oauth2/token",
	"/metadata/identity%09/oauth2/token",
	"/metadata/identity%20/oauth2/token",
	"/metadata/identity /oauth2/token",
	"/metadata/identity%7f/oauth2/token",
	("/metadata/\x69\xcc\x87"
	 "dentity/oauth2/token"),
	"/metadata%c0%afidentity/oauth2/token",
	"/metadata\xc0\xafidentity/oauth2/token",
	/* what would begin a query or a fragment later */
	"/metadata/identity%3Fa/oauth2/token",
	"/metadata/identity%23",
	"/metadata/identity#/oauth2/token",
	(TOKEN "#"),
	/* other forms of a target */
	"http://169.254.169.254/metadata/identity/oauth2/token",
	("HTTP://169.254.169.254" TOKEN),
	("//169.254.169.254" TOKEN),
	"169.254.169.254:80",
	"metadata/identity/oauth2/token",
	"?a=b",
	"*",
	"",
	/* broken escapes, and those of bytes that need none but mean something */
	"/metadata/identity%",
	"/metadata/identity%6",
	"/metadata/identity%zz/oauth2/token",
	"/metadata/identity%6/oauth2/token",
	"/metadata/%u0069dentity/oauth2/token",
	"/metadata/identity%2boauth2/token",
	"/metadata/identity%3doauth2/token",
	"/a\"b",
	"/a<b",
	"/a[b",
	"/a^b",
	"/a`b",
	"/a|b",
	"/a{b}",
};

START_TEST(an_ambiguous_target_is_refused_and_nothing_written)
{
	struct target t = { .path = STR("before"), .query = STR("before") };
	struct err err = { 0 };

	ck_assert_msg(parse(refused[_i], &t, &err) == -ERR_INPUT, "taken: %s", refused[_i]);
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_str_ne(err.msg, "");
	ck_assert_str_eq(t.path.p, "before");
	ck_assert_str_eq(t.query.p, "before");
}
END_TEST

START_TEST(a_nul_byte_in_the_path_is_refused)
{
	static const char raw[] = TOKEN "\0/x";
	struct target t;

	ck_assert_int_eq(target_parse((struct str){ raw, sizeof(raw) - 1 }, &t, NULL), -ERR_INPUT);
}
END_TEST

START_TEST(a_target_may_be_as_long_as_the_limit_and_no_longer)
{
	char raw[LIMIT_TARGET_BYTES + 2];
	struct target t;

	memset(raw, 'a', sizeof(raw));
	raw[0] = '/';
	ck_assert_int_eq(target_parse((struct str){ raw, LIMIT_TARGET_BYTES }, &t, NULL), 0);
	ck_assert_uint_eq(t.path.n, LIMIT_TARGET_BYTES);
	ck_assert_int_eq(target_parse((struct str){ raw, LIMIT_TARGET_BYTES + 1 }, &t, NULL),
			 -ERR_LIMIT);
}
END_TEST

/* Every single byte, plain and escaped, inside the path: refused, or decided as it is when plain. */
START_TEST(a_byte_and_its_escape_are_decided_alike_or_refused)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		char plain[32], escaped[32];
		struct target a, b;
		int ra, rb;

		snprintf(plain, sizeof(plain), "/metadata/x%cy", (int)byte);
		snprintf(escaped, sizeof(escaped), "/metadata/x%%%02xy", byte);
		ra = target_parse((struct str){ plain, 13 }, &a, NULL);
		rb = target_parse((struct str){ escaped, 15 }, &b, NULL);
		ck_assert_msg(rb < 0 || ra == 0, "byte %02x", byte);
		if (rb == 0)
			ck_assert_str_eq(a.path.p, b.path.p);
	}
}
END_TEST

static const struct {
	const char *path;
	bool identity, instance;
} kinds[] = {
	{ TOKEN, true, false },
	{ "/metadata/identity", true, false },
	{ "/metadata/IDENTITY/info", true, false },
	{ "/metadata/Identity.x", true, false },
	{ "/x/metadata/identity/oauth2/token", true, false },
	{ "/metadata/instance", false, true },
	{ "/metadata/instance/compute", false, true },
	{ "/metadata/Instance/compute", false, true },
	{ "/metadata/instances", false, true },
	{ "/metadata+/instance", false, true },
	{ "/x/metadata/INSTANCE", false, true },
	{ "/metadata/attested/document", false, false },
	{ "/metadata/versions", false, false },
	{ "/", false, false },
};

START_TEST(identity_and_instance_paths_are_known_in_any_case)
{
	ck_assert_int_eq(target_is_identity(str_of(kinds[_i].path)), kinds[_i].identity);
	ck_assert_int_eq(target_is_instance(str_of(kinds[_i].path)), kinds[_i].instance);
}
END_TEST

UNIT_MAIN("target", UNIT_LOOP(a_plain_target_becomes_its_canonical_path, taken),
	  UNIT_LOOP(a_canonical_path_is_its_own_canonical_path, taken),
	  UNIT_LOOP(an_ambiguous_target_is_refused_and_nothing_written, refused),
	  UNIT(a_nul_byte_in_the_path_is_refused),
	  UNIT(a_target_may_be_as_long_as_the_limit_and_no_longer),
	  UNIT(a_byte_and_its_escape_are_decided_alike_or_refused),
	  UNIT_LOOP(identity_and_instance_paths_are_known_in_any_case, kinds))
