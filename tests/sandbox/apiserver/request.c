/* SPDX-License-Identifier: MIT */

/* Requests: see request.h. */

#include "tests/sandbox/apiserver/request.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <string.h>

static int hex(char c)
{
	const char *digits = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)((at - digits) % 16) : -1;
}

/* %00 is refused: all that follows works with C strings. */
static char *decode(const char *p, size_t n, bool plus_is_space)
{
	char *out = xcalloc(n + 1, 1);
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)p[i];

		if (c == '%') {
			int hi = i + 2 < n ? hex(p[i + 1]) : -1;
			int lo = hi >= 0 ? hex(p[i + 2]) : -1;

			c = hi >= 0 && lo >= 0 ? hi * 16 + lo : 0;
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == 0) {
			free(out);
			return NULL;
		}
		out[len++] = (char)c;
	}
	return out;
}

static int parse_path(struct req *r, const char *p, size_t n, struct err *err)
{
	const char *end = p + n;

	if (!n || *p != '/')
		return err_set(err, ERR_INPUT, "the target is not a path");
	r->path = xstrndup(p, n);
	while (p < end) {
		size_t len;

		p++; /* the slash */
		len = strcspn(p, "/?#");
		if (p + len > end)
			len = (size_t)(end - p);
		if (len == 0 && p == end)
			break; /* a slash at the end means nothing */
		if (r->n_segs == REQ_SEGMENTS_MAX)
			return err_set(err, ERR_LIMIT, "too many path segments");
		r->segs[r->n_segs] = decode(p, len, false);
		if (!r->segs[r->n_segs])
			return err_set(err, ERR_INPUT, "bad escape in the path");
		r->n_segs++;
		p += len;
	}
	return 0;
}

static int parse_query(struct req *r, const char *p, struct err *err)
{
	while (*p) {
		size_t n = strcspn(p, "&"), key_len = strcspn(p, "=&");
		bool has_value = key_len < n;

		if (n) {
			if (r->n_query == REQ_QUERY_MAX)
				return err_set(err, ERR_LIMIT, "too many query parameters");
			r->query[r->n_query].key = decode(p, key_len, true);
			r->query[r->n_query].value = has_value ? decode(p + key_len + 1,
									n - key_len - 1, true)
							       : xstrdup("");
			r->n_query++;
			if (!r->query[r->n_query - 1].key || !r->query[r->n_query - 1].value)
				return err_set(err, ERR_INPUT, "bad escape in the query");
		}
		p += n + (p[n] == '&');
	}
	return 0;
}

int req_parse_target(struct req *r, const char *target, struct err *err)
{
	size_t n = strcspn(target, "?#");
	int rc = parse_path(r, target, n, err);

	if (rc == 0 && target[n] == '?')
		rc = parse_query(r, target + n + 1, err);
	if (rc < 0)
		req_deinit(r);
	return rc;
}

void req_deinit(struct req *r)
{
	free(r->path);
	for (size_t i = 0; i < r->n_segs; i++)
		free(r->segs[i]);
	for (size_t i = 0; i < r->n_query; i++) {
		free(r->query[i].key);
		free(r->query[i].value);
	}
	*r = (struct req){ 0 };
}

bool req_has(const struct req *r, const char *key)
{
	for (size_t i = 0; i < r->n_query; i++) {
		if (strcmp(r->query[i].key, key) == 0)
			return true;
	}
	return false;
}

const char *req_query(const struct req *r, const char *key)
{
	for (size_t i = 0; i < r->n_query; i++) {
		if (strcmp(r->query[i].key, key) == 0)
			return r->query[i].value;
	}
	return "";
}

bool req_flag(const struct req *r, const char *key)
{
	const char *v = req_query(r, key);

	/* as the real decoder has it: anything but these is true, "watch" alone included */
	return req_has(r, key) && strcmp(v, "false") != 0 && strcmp(v, "0") != 0;
}

bool req_number(const struct req *r, const char *key, int64_t *out)
{
	const char *v = req_query(r, key);
	long long n;
	char *end;

	if (!*v)
		return true;
	errno = 0;
	n = strtoll(v, &end, 10);
	if (errno || *end || *v == ' ')
		return false;
	*out = n;
	return true;
}

bool req_is(const struct req *r, const char *method)
{
	return strcmp(r->method, method) == 0;
}
