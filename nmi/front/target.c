/* SPDX-License-Identifier: MIT */

/*
 * Request targets: see target.h.
 *
 * Theory of operation. aad-pod-identity was bypassed once by a backslash (CVE-2022-23551): its router
 * and IMDS disagreed about what a path is. So the grammar accepted here is the part of RFC 3986 on
 * which nobody disagrees: a path of plain characters, where only letters, digits and "-._~" may be
 * percent-encoded (RFC 3986, 2.3: encoding those never changes the meaning). What is refused: encoded
 * slash, backslash, NUL, percent (double encoding) and so on, dot segments however they are spelled,
 * path parameters (";"), empty segments, fragments, absolute-form and authority-form.
 *
 * Three liberties remain, since clients take them: "//metadata" (msal4j with a configured host that
 * ends in "/"), one trailing slash, and the case of "metadata", which IMDS ignores. The result has none
 * of them, so parsing a result again gives the same result.
 */

#include "nmi/front/target.h"

#include "nmi/front/percent.h"

#include <string.h>

/* unreserved, then what a path segment may also hold unescaped: sub-delims without ";", ":" and "@" */
#define UNRESERVED "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
#define PLAIN	   UNRESERVED "!$&'()*+,=:@/"

static bool is_in(const char *set, int c)
{
	return c && strchr(set, c);
}

static bool is_plain(int c)
{
	/* nearly every byte of nearly every path */
	return (c >= 'a' && c <= 'z') || c == '/' || is_in(PLAIN, c);
}

static int decode_path(struct str raw, char *out, size_t *out_n, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		int c = (unsigned char)raw.p[i];

		if (c == '%') {
			c = percent_decode(raw, i);
			if (c < 0)
				return err_set(
					err, ERR_INPUT,
					"the path has a %% that two hex digits do not follow");
			if (!is_in(UNRESERVED, c))
				return err_set(err, ERR_INPUT,
					       "the path has %%%02X: only letters, digits and -._~ "
					       "may be escaped in it",
					       (unsigned)c);
			i += 2;
		} else if (!is_plain(c)) {
			return err_set(err, ERR_INPUT,
				       "the path has a byte 0x%02x, which is not allowed in it",
				       (unsigned)c);
		}
		out[n++] = (char)c;
	}
	out[n] = '\0';
	*out_n = n;
	return 0;
}

/* The segment at p, which stands after a slash. */
static size_t segment_len(const char *p)
{
	return strcspn(p, "/");
}

static bool is_metadata(const char *segment)
{
	return str_ieq((struct str){ segment, segment_len(segment) }, STR("metadata"));
}

static int check_segments(const char *path, struct err *err)
{
	if (strcmp(path, "/") == 0)
		return 0;
	for (const char *p = path; *p == '/'; p += 1 + segment_len(p + 1)) {
		struct str s = { p + 1, segment_len(p + 1) };

		if (s.n == 0)
			return err_set(err, ERR_INPUT, "the path has an empty segment (//)");
		if (str_eq(s, STR(".")) || str_eq(s, STR("..")))
			return err_set(err, ERR_INPUT, "the path has a dot segment (. or ..)");
	}
	return 0;
}

int target_parse(struct str raw, struct target *out, struct err *err)
{
	const char *question;
	struct str path = raw;
	char *start = out->store;
	size_t n = 0;
	int r;

	if (raw.n > LIMIT_TARGET_BYTES)
		return err_set(err, ERR_LIMIT, "the request target is longer than %d bytes",
			       LIMIT_TARGET_BYTES);
	if (raw.n == 0 || raw.p[0] != '/')
		return err_set(
			err, ERR_INPUT,
			"the request target is not a path: it must begin with /, as a client "
			"sends it that uses no HTTP proxy");
	question = memchr(raw.p, '?', raw.n);
	if (question)
		path.n = (size_t)(question - raw.p);
	r = decode_path(path, out->store, &n, err);
	if (r < 0)
		return r;
	if (start[1] == '/' && is_metadata(start + 2)) {
		start++;
		n--;
	}
	if (n > 1 && start[n - 1] == '/' && start[n - 2] != '/')
		start[--n] = '\0';
	r = check_segments(start, err);
	if (r < 0)
		return r;
	if (is_metadata(start + 1))
		memcpy(start + 1, "metadata", strlen("metadata"));
	out->path = (struct str){ start, n };
	out->query = (struct str){ 0 };
	if (question)
		out->query = (struct str){ question + 1, raw.n - path.n - 1 };
	return 0;
}

bool target_is_identity(struct str path)
{
	/*
	 * Wider than /metadata/identity: nothing else that IMDS serves has the word in its path, and
	 * what IMDS makes of "/metadata/Identity" or "/x/metadata/identity" need not be known then.
	 */
	return strcasestr(path.p, "identity");
}

bool target_is_instance(struct str path)
{
	/* as wide, for the same reason: an operator who blocks it blocks "/metadata+/instance" too */
	return strcasestr(path.p, "instance");
}
