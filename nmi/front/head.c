/* SPDX-License-Identifier: MIT */

/*
 * Request headers: see head.h.
 *
 * libmicrohttpd 0.9.75 gives a folded header "X-Forwarded-For: 1\r\n 2" as a header named
 * "X-Forwarded-For2", keeps the space of "Metadata : true" in the name, and takes a first header that
 * starts with a space for a header. So a name must be a token (RFC 9110, 5.6.2), and one that begins
 * like a header that matters counts as that header or is a fault.
 */

#include "nmi/front/head.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2: tchar */
static const bool token_bytes[256] = {
	['a' ... 'z'] = true,  ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true,
	['#' ... '\''] = true, ['*'] = true,	     ['+'] = true,	   ['-'] = true,
	['.'] = true,	       ['^' ... '`'] = true, ['|'] = true,	   ['~'] = true,
};

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!token_bytes[(unsigned char)s.p[i]])
			return false;
	}
	return s.n > 0;
}

/* A tab and bytes outside ASCII are legal in a value; other control bytes are not. */
static bool is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* X_Forwarded_For is the same header to a CGI program, so it is to us. */
static bool is_forwarded_for(struct str name)
{
	static const char want[] = "x-forwarded-for";

	for (size_t i = 0; want[i]; i++) {
		unsigned char c = i < name.n ? (unsigned char)name.p[i] : 0;

		if ((c == '_' ? '-' : c | 0x20) != (want[i] | 0x20))
			return false;
	}
	return true;
}

static void fault(struct head *h, const char *sentence)
{
	if (!h->fault)
		h->fault = sentence;
}

static void add_length(struct head *h, struct str value)
{
	uint64_t n = 0;

	h->lengths++;
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9' ||
		    __builtin_mul_overflow(n, UINT64_C(10), &n) ||
		    __builtin_add_overflow(n, (uint64_t)(value.p[i] - '0'), &n)) {
			fault(h, "Content-Length is not a number");
			return;
		}
	}
	if (value.n == 0)
		fault(h, "Content-Length is empty");
	h->content_length = n;
}

/* The two headers that say where a body ends, and what looks like one of them, folded. */
static void add_framing(struct head *h, struct str name, struct str value)
{
	if (str_ieq(name, STR("content-length"))) {
		add_length(h, value);
	} else if (str_ieq(name, STR("transfer-encoding"))) {
		h->encodings++;
		if (!str_ieq(value, STR("chunked")))
			fault(h, "Transfer-Encoding is not chunked");
	} else if (str_istarts(name, STR("content-length")) ||
		   str_istarts(name, STR("transfer-encoding"))) {
		fault(h, "a header that looks like Content-Length or Transfer-Encoding is folded "
			 "or misspelt");
	}
}

void head_add(struct head *h, struct str name, struct str value)
{
	if (!is_token(name)) {
		fault(h, "a header's name has a character that is not allowed in one, or a header "
			 "is folded over two lines");
		return;
	}
	if (!is_clean(value))
		fault(h, "a header's value has a control character");
	switch (name.p[0] | 0x20) {
	case 'c':
	case 't':
		add_framing(h, name, value);
		break;
	case 'h':
		h->hosts += str_ieq(name, STR("host"));
		break;
	case 'm':
		if (str_ieq(name, STR("metadata"))) {
			h->metadata++;
			h->metadata_true |= str_eq(value, STR("true"));
		}
		break;
	case 'x':
		h->forwarded_for |= is_forwarded_for(name);
		if (str_ieq(name, STR("x-ms-client-request-id")) && str_is_guid(value))
			memcpy(h->client_request_id, value.p, GUID_LEN);
		break;
	default: /* of no interest */
		break;
	}
}

void head_end(struct head *h, const char *version)
{
	bool is_1_1 = version && strcmp(version, "HTTP/1.1") == 0;

	if (!is_1_1 && (!version || strcmp(version, "HTTP/1.0") != 0))
		fault(h, "the HTTP version is neither 1.0 nor 1.1");
	if (h->hosts > 1)
		fault(h, "the header Host is given more than once");
	if (is_1_1 && h->hosts == 0)
		fault(h, "the header Host is missing");
	if (h->lengths > 1)
		fault(h, "the header Content-Length is given more than once");
	if (h->encodings > 1)
		fault(h, "the header Transfer-Encoding is given more than once");
	if (h->lengths && h->encodings)
		fault(h, "Content-Length and Transfer-Encoding are both given");
	if (!is_1_1 && h->encodings)
		fault(h, "Transfer-Encoding does not exist in HTTP/1.0");
}
