/* SPDX-License-Identifier: MIT */

#include "nmi/front/head.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define GUID "0b1f3ee0-2f0c-4b1e-9d3e-7d1a0c3c0c11"

struct pair {
	const char *name, *value;
};

static struct head read_head(const struct pair *pairs, const char *version)
{
	struct head h = { 0 };

	for (size_t i = 0; pairs[i].name; i++)
		head_add(&h, str_of(pairs[i].name), str_of(pairs[i].value));
	head_end(&h, version);
	return h;
}

static const struct {
	const char *version;
	struct pair pairs[4];
	const char *fault; /* NULL: well-formed */
} heads[] = {
	{ "HTTP/1.1", { { "Host", "169.254.169.254" } }, NULL },
	{ "HTTP/1.1", { { "host", "x" }, { "User-Agent", "caf\xc3\xa9\tx" } }, NULL },
	{ "HTTP/1.1", { { "Host", "x" }, { "Content-Length", "0" } }, NULL },
	{ "HTTP/1.1", { { "Host", "x" }, { "Transfer-Encoding", "chunked" } }, NULL },
	{ "HTTP/1.0", { { NULL } }, NULL },
	{ "HTTP/1.0", { { "Host", "x" }, { "Content-Length", "5" } }, NULL },

	{ "HTTP/1.1", { { NULL } }, "Host is missing" },
	{ "HTTP/1.1", { { "Hostname", "x" } }, "Host is missing" },
	{ "HTTP/1.1", { { "Host", "x" }, { "HOST", "x" } }, "Host is given more than once" },
	{ "HTTP/1.0", { { "Host", "x" }, { "host", "y" } }, "Host is given more than once" },
	{ "HTTP/1.9", { { "Host", "x" } }, "version" },
	{ "HTTP/2.0", { { "Host", "x" } }, "version" },
	{ "http/1.1", { { "Host", "x" } }, "version" },
	{ NULL, { { "Host", "x" } }, "version" },
	{ "HTTP/1.1",
	  { { "Host", "x" }, { "Content-Length", "1" }, { "Content-Length", "1" } },
	  "Content-Length is given more than once" },
	{ "HTTP/1.1",
	  { { "Host", "x" }, { "Content-Length", "1" }, { "Transfer-Encoding", "chunked" } },
	  "both" },
	{ "HTTP/1.1",
	  { { "Host", "x" },
	    { "Transfer-Encoding", "chunked" },
	    { "transfer-encoding", "chunked" } },
	  "Transfer-Encoding is given more than once" },
	{ "HTTP/1.1",
	  { { "Host", "x" }, { "Transfer-Encoding", "gzip, chunked" } },
	  "not chunked" },
	{ "HTTP/1.1", { { "Host", "x" }, { "Transfer-Encoding", "identity" } }, "not chunked" },
	{ "HTTP/1.0", { { "Transfer-Encoding", "chunked" } }, "HTTP/1.0" },
	{ "HTTP/1.1", { { "Host", "x" }, { "Content-Length", "" } }, "empty" },
	{ "HTTP/1.1", { { "Host", "x" }, { "Content-Length", "+1" } }, "not a number" },
	{ "HTTP/1.1", { { "Host", "x" }, { "Content-Length", "1,1" } }, "not a number" },
	{ "HTTP/1.1", { { "Host", "x" }, { "Content-Length", "0x1" } }, "not a number" },
	{ "HTTP/1.1",
	  { { "Host", "x" }, { "Content-Length", "18446744073709551616" } },
	  "not a number" },
	/* what folding makes of them in libmicrohttpd 0.9.75 */
	{ "HTTP/1.1", { { "Host", "x" }, { "Content-Length0", "1" } }, "folded" },
	{ "HTTP/1.1", { { "Host", "x" }, { "Transfer-Encodingchunked", "" } }, "folded" },
	{ "HTTP/1.1", { { "Host", "x" }, { " X", "1" } }, "name" },
	{ "HTTP/1.1", { { "Host", "x" }, { "FooX-Forwarded-For: 1", "a" } }, "name" },
	{ "HTTP/1.1", { { "Host", "x" }, { "Metadata ", "true" } }, "name" },
	{ "HTTP/1.1", { { "Host", "x" }, { "a\tb", "1" } }, "name" },
	{ "HTTP/1.1", { { "Host", "x" }, { "a\x80", "1" } }, "name" },
	{ "HTTP/1.1", { { "Host", "x" }, { "a\"b", "1" } }, "name" },
	{ "HTTP/1.1", { { "Host", "x" }, { "a(b)", "1" } }, "name" },
	{ "HTTP/1.1", { { "Host", "x" }, { "", "1" } }, "name" },
	{ "HTTP/1.1", { { "Host", "x" }, { "A", "1\r2" } }, "control" },
	{ "HTTP/1.1", { { "Host", "x" }, { "A", "\x7f" } }, "control" },
};

START_TEST(an_ambiguous_head_is_a_fault)
{
	struct head h = read_head(heads[_i].pairs, heads[_i].version);

	if (!heads[_i].fault)
		ck_assert_msg(!h.fault, "%s", h.fault);
	else
		ck_assert_msg(h.fault && strstr(h.fault, heads[_i].fault), "row %d: %s", _i,
			      h.fault);
}
END_TEST

START_TEST(a_name_is_made_of_token_bytes_and_no_others)
{
	static const char marks[] = "!#$%&'*+-.^_`|~"; /* RFC 9110, 5.6.2 */

	for (int c = 0; c < 256; c++) {
		const char name[] = { 'a', (char)c };
		struct head h = { 0 };
		bool is_good = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			       (c >= 'a' && c <= 'z') || (c && strchr(marks, c));

		head_add(&h, (struct str){ name, sizeof(name) }, STR("b"));
		ck_assert_msg(!h.fault == is_good, "%d", c);
	}
}
END_TEST

START_TEST(a_nul_byte_in_a_value_is_a_fault)
{
	struct head h = { 0 };

	head_add(&h, STR("Metadata"), STR("true\0x"));
	ck_assert_ptr_nonnull(h.fault);
	ck_assert(!head_has_metadata(&h));
}
END_TEST

static const struct {
	struct pair pairs[3];
	bool has;
} metadata[] = {
	{ { { "Metadata", "true" } }, true },
	{ { { "metadata", "true" } }, true },
	{ { { "METADATA", "true" } }, true },
	{ { { NULL } }, false },
	{ { { "Metadata", "True" } }, false },
	{ { { "Metadata", "TRUE" } }, false },
	{ { { "Metadata", "true " } }, false },
	{ { { "Metadata", "" } }, false },
	{ { { "Metadata", "false" } }, false },
	{ { { "Metadata", "1" } }, false },
	{ { { "Metadata", "true" }, { "metadata", "true" } }, false },
	{ { { "Metadata", "false" }, { "Metadata", "true" } }, false },
	{ { { "Metadata-Flavor", "true" } }, false },
	{ { { "X-Metadata", "true" } }, false },
};

START_TEST(metadata_counts_when_it_is_exactly_true_and_there_once)
{
	struct head h = read_head(metadata[_i].pairs, "HTTP/1.0");

	ck_assert_int_eq(head_has_metadata(&h), metadata[_i].has);
}
END_TEST

static const struct {
	const char *name;
	bool is;
} forwarded[] = {
	{ "X-Forwarded-For", true },
	{ "x-forwarded-for", true },
	{ "X-FORWARDED-FOR", true },
	{ "X_Forwarded_For", true },
	{ "X-Forwarded_For", true },
	{ "X-Forwarded-For2", true }, /* folded */
	{ "X-Forwarded-For10.0.0.1", true },
	{ "X-Forwarded-Proto", false }, /* what service meshes add */
	{ "X-Forwarded-Fo", false },
	{ "Xx-Forwarded-For", false },
	{ "X-Request-Id", false },
};

START_TEST(every_spelling_of_x_forwarded_for_is_seen)
{
	struct pair pairs[] = { { forwarded[_i].name, "10.0.0.1" }, { NULL } };
	struct head h = read_head(pairs, "HTTP/1.0");

	ck_assert_int_eq(h.forwarded_for, forwarded[_i].is);
}
END_TEST

static const struct {
	const char *value, *id;
} ids[] = {
	{ GUID, GUID },
	{ "0B1F3EE0-2F0C-4B1E-9D3E-7D1A0C3C0C11", "0B1F3EE0-2F0C-4B1E-9D3E-7D1A0C3C0C11" },
	{ "", "" },
	{ "{" GUID "}", "" },
	{ GUID "0", "" },
	{ "0b1f3ee0-2f0c-4b1e-9d3e-7d1a0c3c0c1", "" },
	{ "0b1f3ee0-2f0c-4b1e-9d3e-7d1a0c3c0c1g", "" },
	{ "0b1f3ee0x2f0c-4b1e-9d3e-7d1a0c3c0c11", "" },
	{ "\"},\"access_token\":\"000000000000000000", "" },
};

START_TEST(a_client_request_id_is_kept_only_when_it_is_a_guid)
{
	struct pair pairs[] = { { "x-ms-client-request-id", ids[_i].value }, { NULL } };
	struct head h = read_head(pairs, "HTTP/1.0");

	ck_assert_str_eq(h.client_request_id, ids[_i].id);
}
END_TEST

UNIT_MAIN("head", UNIT(a_name_is_made_of_token_bytes_and_no_others),
	  UNIT_LOOP(an_ambiguous_head_is_a_fault, heads), UNIT(a_nul_byte_in_a_value_is_a_fault),
	  UNIT_LOOP(metadata_counts_when_it_is_exactly_true_and_there_once, metadata),
	  UNIT_LOOP(every_spelling_of_x_forwarded_for_is_seen, forwarded),
	  UNIT_LOOP(a_client_request_id_is_kept_only_when_it_is_a_guid, ids))
