/* SPDX-License-Identifier: MIT */

/* What a front may say to whom: see front-model.h. */

#include "tests/fuzz/front-model.h"

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/front/front.h"
#include "tests/fuzz/front-upstream.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define T	       "/metadata/identity/oauth2/token"
#define Q	       "?api-version=2018-02-01&resource=r"
#define V	       " HTTP/1.1\r\n"
#define H	       "Host: 169.254.169.254\r\n"
#define M	       "Metadata: true\r\n"
#define E	       "\r\n"
#define GET	       "GET "
#define WEBS	       (TOKEN_WEB | TOKEN_WEB2 | TOKEN_WEB9)
#define NAMED(ns, pod) "podns: " ns "\r\npodname: " pod "\r\n"

#define HEAD_MAX 8192

const char *const caller_ips[CALLERS] = {
	[CALLER_P1] = "10.0.0.1",      [CALLER_P2] = "10.0.0.2",      [CALLER_P3] = "10.0.0.3",
	[CALLER_P4] = "10.0.0.4",      [CALLER_P5] = "10.0.0.5",      [CALLER_P6] = "10.0.0.6",
	[CALLER_HOST] = "127.0.0.1",   [CALLER_POD_LO] = "127.0.0.1", [CALLER_PROBE] = "10.0.0.1",
	[CALLER_METRICS] = "10.0.0.1",
};

/* clang-format off */
const struct known knowns[] = {
	{ GET T Q V H M E, TOKEN_ANY },
	{ GET T Q "&client_id=c-web" V H M E, TOKEN_WEB | TOKEN_NODE | TOKEN_EVIL },
	{ GET T Q "&client_id=C-WEB2" V H M E, TOKEN_WEB2 | TOKEN_NODE | TOKEN_EVIL },
	{ GET T Q "&client_id=c-web9" V H M E, TOKEN_WEB9 | TOKEN_NODE | TOKEN_EVIL },
	{ GET T Q "&client_id=c-db" V H M E, TOKEN_DB | TOKEN_NODE | TOKEN_EVIL },
	{ GET T Q "&msi_res_id=/id/c-web" V H M E, TOKEN_WEB | TOKEN_NODE | TOKEN_EVIL },
	{ GET T Q "&object_id=c-web" V H M E, TOKEN_NODE | TOKEN_EVIL },
	{ GET T Q "&bypass_cache=true" V H M E, TOKEN_ANY },
	{ GET T "?resource=%68ttps://x&api-version=2018-02-01" V H M E, TOKEN_ANY },
	{ GET T Q V M H "x-ms-client-request-id: 01234567-89ab-cdef-0123-456789abcdef\r\n" E, TOKEN_ANY },
	/* refused, but where no header is needed; and a resource need not be named */
	{ GET T Q V H E, TOKEN_ANY, .is_bare = true },
	{ GET T Q V H "Metadata: false\r\n" E, TOKEN_ANY, .is_bare = true },
	{ GET T Q "&client_id=c-web&client_id=c-db" V H M E, 0 },
	{ GET T Q "&client_id=c-web&msi_res_id=/id/c-web" V H M E, 0 },
	{ GET T V H M E, TOKEN_ANY },
	{ GET T Q V H M "X-Forwarded-For: 10.0.0.2\r\n" E, 0 },
	{ "POST " T Q V H M "Content-Length: 2\r\n" E "ab", 0 },
	{ "PUT " T Q V H M "Transfer-Encoding: chunked\r\n" E "3\r\nabc\r\n0\r\n\r\n", 0 },
	{ "HEAD " T Q V H M E, 0, .is_head = true },
	{ GET "/metadata/identity/info" V H M E, 0 },
	{ GET "/Metadata//identity/./info" Q V H M E, 0 },
	{ GET "/metadata/%69dentity/oauth2/token" Q V H M E, TOKEN_ANY },
	{ GET "/metadata\\identity\\oauth2\\token" Q V H M E, 0 },
	{ GET "/metadata/x/../identity/oauth2/token" Q V H M E, 0 },
	{ "PURGE /metadata/identity" V H M E, 0 },
	/* of the host */
	{ GET "/host/token" Q V H NAMED("shop", "pod-p1") E, WEBS, .is_host = true },
	{ GET "/host/token" Q "&client_id=c-web2" V H NAMED("shop", "pod-p1") E, TOKEN_WEB2, .is_host = true },
	{ GET "/host/token" Q V H NAMED("shop", "pod-p2") E, TOKEN_DB, .is_host = true },
	{ GET "/host/token" Q V H NAMED("shop", "pod-p4") E, 0, .is_host = true },
	{ GET "/host/token" Q V H NAMED("other", "pod-p1") E, 0, .is_host = true },
	{ GET "/host/token" Q V H E, 0, .is_host = true },
	/* passed on, or of the agent itself */
	{ GET "/metadata/instance?api-version=2021-02-01" V H M E, 0, .passes = true },
	{ GET "/metadata/instance/compute/" V H M "Connection: x-a\r\nx-a: b\r\nx-c: d\r\n" E, 0, .passes = true },
	{ "HEAD /metadata/instance" V H M E, 0, .is_head = true, .passes = true },
	{ "POST /metadata/attested/document" V H M "Content-Length: 3\r\n" E "a=b", 0, .passes = true },
	{ GET "/" V H M E, 0, .passes = true },
	{ GET "/metadata/instance" V H E, 0, .passes = true, .is_bare = true },
	{ GET FRONT_SELF_TEST "nonce" V H E, 0, .passes = true },
	{ GET "/healthz" V H E, 0, .passes = true },
	{ GET "/readyz" V H E, 0, .passes = true },
	{ GET "/metrics" V H E, 0, .passes = true },
};
/* clang-format on */
const size_t n_knowns = ARRAY_SIZE(knowns);

/* the cluster */

void model_reset(struct model *m)
{
	*m = (struct model){ .p1 = true, .p7 = true, .is_bound = true, .metadata_needed = true };
}

static unsigned of_web(const struct model *m)
{
	unsigned web = m->is_changed ? TOKEN_WEB9 : TOKEN_WEB;

	return TOKEN_WEB2 | (m->is_bound ? web : 0);
}

const char *model_owner(const struct model *m, unsigned who)
{
	switch (who) {
	case CALLER_P1:
		return m->p1 && m->p8 ? "" : m->p1 ? "p1" : m->p8 ? "p8" : "";
	case CALLER_P2:
		return "p2";
	case CALLER_P3:
		return "p3";
	case CALLER_P4:
		return "p4";
	case CALLER_P5:
		return m->p5 ? "p5" : "";
	case CALLER_P6:
		return m->p7 ? "" : "p6";
	default:
		return "";
	}
}

bool model_has(const struct model *m, const char *pod)
{
	if (strcmp(pod, "p1") == 0)
		return m->p1;
	return strcmp(pod, "p8") == 0 ? m->p8 : true;
}

void model_sent(const struct model *m, struct caller *c)
{
	const struct known *k = c->n_asked ? c->asked[c->n_asked - 1] : NULL;

	if (c->owner[0] || c->is_odd || c->to_send.n || c->who > CALLER_P6 || !k || k->is_bare ||
	    k->is_host || !k->tokens || c->n_asked != c->n_answered + 1)
		return;
	(void)snprintf(c->owner, sizeof(c->owner), "%s", model_owner(m, c->who));
}

/* What the caller may be given, by whatever request. */
static unsigned allowed(const struct model *m, unsigned who)
{
	const char *owner = model_owner(m, who);

	if (who == CALLER_HOST || who == CALLER_POD_LO) {
		if (m->host == FRONT_HOST_OFF || (m->host == FRONT_HOST_ROOT && !m->asks_root))
			return 0;
		return TOKEN_DB | of_web(m);
	}
	if (strcmp(owner, "p1") == 0 || strcmp(owner, "p5") == 0 || strcmp(owner, "p6") == 0)
		return of_web(m);
	if (strcmp(owner, "p2") == 0 || strcmp(owner, "p8") == 0)
		return TOKEN_DB;
	/* the source of the node's own does not care for a name that it did not ask for */
	return strcmp(owner, "p4") == 0 ? TOKEN_NODE | TOKEN_EVIL : 0;
}

/* answers */

struct answer {
	int status;
	struct str head, body;
	bool is_passed_on, is_librarys;
	size_t n; /* of all of it; 0: it is not whole */
};

static struct str header(struct str head, const char *name, unsigned *count)
{
	struct str value = STR("");
	size_t len = strlen(name);

	*count = 0;
	for (const char *p = memmem(head.p, head.n, "\r\n", 2); p && p + 2 < head.p + head.n;) {
		const char *line = p + 2,
			   *end = memmem(line, head.n - (size_t)(line - head.p), "\r\n", 2);

		if (!end || end == line)
			break;
		p = end;
		if ((size_t)(end - line) <= len || strncasecmp(line, name, len) != 0 ||
		    line[len] != ':')
			continue;
		line += len + 1;
		line += *line == ' ';
		value = (struct str){ line, (size_t)(end - line) };
		++*count;
	}
	return value;
}

static void check_line(struct str line)
{
	size_t name = 0;

	while (name < line.n && (isalnum((unsigned char)line.p[name]) || line.p[name] == '-'))
		name++;
	assert(name > 0 && name + 1 < line.n && line.p[name] == ':' && line.p[name + 1] == ' ');
	for (size_t i = name; i < line.n; i++)
		assert((unsigned char)line.p[i] >= ' ' && line.p[i] != 0x7f);
}

static void check_head(struct str head)
{
	const char *p = memmem(head.p, head.n, "\r\n", 2), *end;

	assert(head.n > 15 && head.n < HEAD_MAX);
	assert(memcmp(head.p, "HTTP/1.", 7) == 0 && (head.p[7] == '0' || head.p[7] == '1'));
	assert(head.p[8] == ' ' && isdigit((unsigned char)head.p[9]) &&
	       isdigit((unsigned char)head.p[10]) && isdigit((unsigned char)head.p[11]) &&
	       head.p[12] == ' ');
	for (p += 2; (end = memmem(p, (size_t)(head.p + head.n - p), "\r\n", 2)) && end != p;
	     p = end + 2)
		check_line((struct str){ p, (size_t)(end - p) });
}

static bool contains(const struct buf *b, const char *word)
{
	return b->n && memmem(b->p, b->n, word, strlen(word));
}

/* Is there a body? Of an odd caller it is not known what the answer is to, but what follows tells. */
static bool has_body(const struct caller *c, const struct answer *a, size_t body_n)
{
	const char *rest = c->got.p + a->head.n;
	size_t n = c->got.n - a->head.n;

	if (a->status < 200 || a->status == 204 || a->status == 304)
		return false;
	if (!c->is_odd && c->n_answered < c->n_asked)
		return !c->asked[c->n_answered]->is_head;
	if (!contains(&c->sent, "HEAD "))
		return true;
	return n >= body_n && (n < 7 || memcmp(rest, "HTTP/1.", 7) != 0);
}

/*
 * What the library answers by itself, to what it cannot read, ends the connection. To a Content-Length that it
 * cannot read, 0.9.75 says its head twice, so that the answer is cut by its length.
 */
static bool is_of_library(const struct answer *a)
{
	return a->status >= 400 && (str_starts(a->body, STR("<html>")) ||
				    str_starts(a->body, (struct str){ a->head.p, 13 }));
}

static void read_answer(const struct caller *c, struct answer *a)
{
	const char *end = c->got.n ? memmem(c->got.p, c->got.n, "\r\n\r\n", 4) : NULL;
	struct str length, server;
	unsigned n_lengths, n;
	size_t body_n = 0;

	*a = (struct answer){ 0 };
	if (!end) {
		assert(c->got.n < HEAD_MAX);
		return;
	}
	a->head = (struct str){ c->got.p, (size_t)(end + 4 - c->got.p) };
	check_head(a->head);
	a->status = (int)strtol(a->head.p + 9, NULL, 10);
	(void)header(a->head, "Transfer-Encoding", &n);
	assert(n == 0);
	length = header(a->head, "Content-Length", &n_lengths);
	assert(n_lengths <= 1);
	for (size_t i = 0; i < length.n; i++) {
		assert(isdigit((unsigned char)length.p[i]) && i < 8);
		body_n = body_n * 10 + (size_t)(length.p[i] - '0');
	}
	if (!has_body(c, a, body_n))
		body_n = 0;
	else
		assert(n_lengths == 1);
	if (c->got.n - a->head.n < body_n)
		return;
	a->body = (struct str){ a->head.p + a->head.n, body_n };
	a->n = a->head.n + body_n;
	server = header(a->head, "Server", &n);
	a->is_passed_on = n == 1 && str_eq(server, STR(UPSTREAM_SERVER));
	a->is_librarys = is_of_library(a);
}

/* tokens in it */

static unsigned bit_of(struct str name)
{
	static const char *const names[] = { "c-web", "c-web2", "c-web9", "c-db", "node", "evil" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (str_eq(name, str_of(names[i])))
			return 1u << i;
	}
	return 1u << 31; /* of somebody whom nobody may be */
}

static unsigned tokens_in(const struct model *m, struct str text)
{
	const char *p = text.p, *end = text.p + text.n;
	unsigned found = 0;

	while (p < end && (p = memmem(p, (size_t)(end - p), m->mark, strlen(m->mark)))) {
		const char *tilde;

		p += strlen(m->mark);
		tilde = memchr(p, '~', (size_t)(end - p));
		assert(tilde != NULL);
		found |= bit_of((struct str){ p, (size_t)(tilde - p) });
	}
	return found;
}

/* How often it said so: a header of one request cannot be another's. */
static size_t metadata_said(const struct caller *c)
{
	size_t said = 0;

	for (size_t i = 0; i + 9 <= c->sent.n; i++) {
		size_t at = i + 9;

		if (strncasecmp(&c->sent.p[i], "metadata:", 9) != 0)
			continue;
		while (at < c->sent.n && (c->sent.p[at] == ' ' || c->sent.p[at] == '\t'))
			at++;
		said += at + 4 <= c->sent.n && strncasecmp(&c->sent.p[at], "true", 4) == 0;
	}
	return said;
}

static void check_owner(const struct model *m, struct caller *c)
{
	const char *owner = model_owner(m, c->who);

	if (!c->owner[0])
		(void)snprintf(c->owner, sizeof(c->owner), "%s", owner);
	assert(strcmp(c->owner, owner) == 0); /* a connection is one pod's */
}

static void check_granted(const struct model *m, struct caller *c, const struct answer *a,
			  const struct known *asked)
{
	unsigned may = allowed(m, c->who), tokens = tokens_in(m, a->body);
	bool is_pod = c->who <= CALLER_P6;

	if (c->is_stale)
		return;
	assert(may != 0 && !(tokens & ~may));
	assert(!asked || !asked->is_host || !is_pod);
	assert(!asked || (asked->tokens && !(tokens & ~asked->tokens)));
	c->n_tokens++;
	if (!is_pod)
		return;
	assert(!m->metadata_needed || c->n_tokens <= metadata_said(c));
	check_owner(m, c);
}

static void check_refused(const struct answer *a)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse(a->body.p, a->body.n, 65536, NULL);
	unsigned n;

	assert(doc && jval_get(doc, "error") && jval_get(doc, "error_description"));
	assert(str_starts(header(a->head, "Content-Type", &n), STR("application/json")) && n == 1);
	assert(!memmem(a->body.p, a->body.n, "unreachable", 11));
}

static void judge(const struct model *m, struct caller *c, const struct answer *a,
		  const struct known *asked)
{
	bool is_operator = c->who == CALLER_PROBE || c->who == CALLER_METRICS;
	bool is_head = asked ? asked->is_head : a->body.n == 0;
	bool is_page = !memmem(a->head.p, a->head.n, "json", 4); /* the agent's own */

	if (a->is_passed_on || a->is_librarys || is_operator || a->status < 200 ||
	    (is_page && a->body.n)) {
		assert(tokens_in(m, a->body) == 0);
		assert(a->status >= 300 || a->status < 200 || !asked || asked->passes);
	} else if (a->status < 300 && !is_head) {
		check_granted(m, c, a, asked);
	} else if (!is_head) {
		assert(tokens_in(m, a->body) == 0);
		check_refused(a);
	}
	assert(tokens_in(m, a->head) == 0);
	assert(!asked || !asked->is_bare || !m->metadata_needed || a->status >= 400);
}

void model_check(const struct model *m, struct caller *c)
{
	struct answer a;

	for (read_answer(c, &a); a.n; read_answer(c, &a)) {
		const struct known *asked = NULL;

		if (!c->is_odd && a.status >= 200) {
			assert(c->n_answered < c->n_asked);
			asked = c->asked[c->n_answered++];
		}
		judge(m, c, &a, asked);
		buf_consume(&c->got, a.is_librarys ? c->got.n : a.n);
	}
	/* what is begun is sent whole */
	assert(c->got.n == 0 || c->is_deaf);
}
