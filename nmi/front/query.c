/* SPDX-License-Identifier: MIT */

/* The query of a token request: see query.h. */

#include "nmi/front/query.h"

#include "nmi/front/percent.h"

#include <string.h>

/* The version that brought the token endpoint; any later date is good, so that no list grows old. */
#define FIRST_API_VERSION "2018-02-01"
/* IMDS's own sentence, which people search for. */
#define NO_API_VERSION                                                                             \
	"Bad request. api-version was not specified in the request. For more information refer "   \
	"to aka.ms/azureimds"

enum param { RESOURCE, CLIENT_ID, OBJECT_ID, MSI_RES_ID, MI_RES_ID, API_VERSION, BYPASS, PARAMS };

static const struct {
	const char *name;
	enum selector_kind selector;
} known[PARAMS] = {
	[RESOURCE] = { "resource", SELECTOR_NONE },
	[CLIENT_ID] = { "client_id", SELECTOR_CLIENT_ID },
	[OBJECT_ID] = { "object_id", SELECTOR_OBJECT_ID },
	[MSI_RES_ID] = { "msi_res_id", SELECTOR_RESOURCE_ID },
	[MI_RES_ID] = { "mi_res_id", SELECTOR_RESOURCE_ID },
	[API_VERSION] = { "api-version", SELECTOR_NONE },
	[BYPASS] = { "bypass_cache", SELECTOR_NONE },
};

/* While parsing. */
struct reader {
	char *at; /* where the next string goes */
	const char *names[QUERY_PARAMS_MAX];
	size_t n_names;
	const char *values[PARAMS]; /* NULL: absent */
};

bool query_is_plain(struct str raw)
{
	for (size_t i = 0; i < raw.n; i++) {
		unsigned char c = (unsigned char)raw.p[i];

		if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\')
			return false;
	}
	return true;
}

/* Decode once, '+' as a space; NULL for a bad escape or a byte that is not printable ASCII. */
static const char *decode(struct reader *r, struct str raw)
{
	const char *start = r->at;

	for (size_t i = 0; i < raw.n; i++) {
		int c = (unsigned char)raw.p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			c = percent_decode(raw, i);
			i += 2;
		}
		if (c < ' ' || c >= 0x7f)
			return NULL;
		*r->at++ = (char)c;
	}
	*r->at++ = '\0';
	return start;
}

static int take_known(struct reader *r, const char *name, const char *value, struct err *err)
{
	for (size_t i = 0; i < PARAMS; i++) {
		if (strcmp(name, known[i].name) != 0)
			continue;
		if (strlen(value) > LIMIT_PARAM_BYTES)
			return err_set(err, ERR_LIMIT, "parameter %s is longer than %d bytes", name,
				       LIMIT_PARAM_BYTES);
		r->values[i] = value;
	}
	return 0;
}

static int take_pair(struct reader *r, struct str pair, struct err *err)
{
	const char *eq = memchr(pair.p, '=', pair.n), *name, *value;
	size_t name_n = eq ? (size_t)(eq - pair.p) : pair.n;

	if (r->n_names == QUERY_PARAMS_MAX)
		return err_set(err, ERR_LIMIT, "the query has more than %d parameters",
			       QUERY_PARAMS_MAX);
	name = decode(r, (struct str){ pair.p, name_n });
	value = name ? decode(r, eq ? (struct str){ eq + 1, pair.n - name_n - 1 } : STR("")) : NULL;
	if (!value)
		return err_set(err, ERR_INPUT,
			       "parameter %zu of the query cannot be decoded: after a %% two hex "
			       "digits must follow, and only printable ASCII may come out",
			       r->n_names + 1);
	for (size_t i = 0; i < r->n_names; i++) {
		if (strcmp(r->names[i], name) == 0)
			return err_set(err, ERR_INPUT, "parameter %.64s is given more than once",
				       name);
	}
	r->names[r->n_names++] = name;
	return take_known(r, name, value, err);
}

static int take_all(struct reader *r, struct str raw, struct err *err)
{
	while (raw.n) {
		const char *amp = memchr(raw.p, '&', raw.n);
		struct str pair = { raw.p, amp ? (size_t)(amp - raw.p) : raw.n };
		int rc = pair.n ? take_pair(r, pair, err) : 0;

		if (rc < 0)
			return rc;
		raw.p += pair.n + (amp ? 1 : 0);
		raw.n -= pair.n + (amp ? 1 : 0);
	}
	return 0;
}

static bool is_date(const char *s)
{
	static const char shape[] = "dddd-dd-dd";
	int month, day;

	if (strlen(s) != strlen(shape))
		return false;
	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != '-')
			return false;
	}
	month = (s[5] - '0') * 10 + s[6] - '0';
	day = (s[8] - '0') * 10 + s[9] - '0';
	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static int check_api_version(const char *v, struct err *err)
{
	if (!v || !*v)
		return err_set(err, ERR_INPUT, NO_API_VERSION);
	if (!is_date(v))
		return err_set(err, ERR_INPUT,
			       "parameter api-version is not a date of the form YYYY-MM-DD: use "
			       "api-version=" FIRST_API_VERSION " or a later one");
	if (strcmp(v, FIRST_API_VERSION) < 0)
		return err_set(err, ERR_INPUT,
			       "api-version %s is older than the token endpoint: use "
			       "api-version=" FIRST_API_VERSION " or a later one",
			       v);
	return 0;
}

static int pick_selector(const struct reader *r, struct selector *out, struct err *err)
{
	const char *first = NULL;

	*out = (struct selector){ SELECTOR_NONE, "" };
	for (size_t i = 0; i < PARAMS; i++) {
		if (known[i].selector == SELECTOR_NONE || !r->values[i] || !*r->values[i])
			continue;
		if (first)
			return err_set(err, ERR_INPUT,
				       "parameters %s and %s are both given: name the identity by "
				       "one of client_id, object_id and msi_res_id",
				       first, known[i].name);
		first = known[i].name;
		*out = (struct selector){ known[i].selector, r->values[i] };
	}
	return 0;
}

static int read_bypass(const char *v, bool *out, struct err *err)
{
	*out = v && strcmp(v, "true") == 0;
	if (v && *v && !*out && strcmp(v, "false") != 0)
		return err_set(err, ERR_INPUT, "parameter bypass_cache can only be true or false");
	return 0;
}

static int parse(struct str raw, bool wants_version, struct query *out, struct err *err)
{
	struct reader r = { .at = out->store };
	struct selector selector;
	bool bypass;
	int rc;

	if (raw.n > LIMIT_TARGET_BYTES)
		return err_set(err, ERR_LIMIT, "the query is longer than %d bytes",
			       LIMIT_TARGET_BYTES);
	if (!query_is_plain(raw))
		return err_set(err, ERR_INPUT,
			       "the query has a byte that must be percent-encoded: a space, a "
			       "backslash, a #, a control byte or one outside ASCII");
	if ((rc = take_all(&r, raw, err)) < 0 ||
	    (wants_version && (rc = check_api_version(r.values[API_VERSION], err)) < 0))
		return rc;
	if (!r.values[RESOURCE] || !*r.values[RESOURCE])
		return err_set(
			err, ERR_INPUT,
			"parameter resource cannot be empty: name the service that the token "
			"is for, for example resource=https://management.azure.com/");
	if ((rc = pick_selector(&r, &selector, err)) < 0 ||
	    (rc = read_bypass(r.values[BYPASS], &bypass, err)) < 0)
		return rc;
	out->resource = r.values[RESOURCE];
	out->api_version = r.values[API_VERSION] ? r.values[API_VERSION] : "";
	out->selector = selector;
	out->bypass_cache = bypass;
	return 0;
}

int query_parse(struct str raw, struct query *out, struct err *err)
{
	return parse(raw, true, out, err);
}

int query_parse_host(struct str raw, struct query *out, struct err *err)
{
	return parse(raw, false, out, err);
}
