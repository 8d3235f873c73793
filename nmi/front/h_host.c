/* SPDX-License-Identifier: MIT */

/*
 * Tokens in the name of a pod, for processes of this node: the secrets store CSI driver asks so for a pod
 * that it mounts a volume for.
 *
 * Theory of operation. A process of the node is not told from another by its address, so the kernel is
 * asked whose it is: root's, unless --host-token=any. That is no more than root has anyway, since it can
 * enter any pod. Whatever is not proven is refused. Then the pod that the headers name is looked up and
 * judged as if it had asked, but for one thing: exceptions do not count (issue.h).
 */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/front/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A namespace is a label of DNS, the name of a pod up to a whole name of it (RFC 1035). */
#define NAMESPACE_MAX 63
#define NAME_MAX_DNS  253

/* The request's own strings, valid until it is answered. */
struct subject {
	const char *namespace, *name;
	unsigned namespaces, names;
};

/* may they ask? */

static void refuse(struct front *f, struct exchange *x, enum reason reason, const char *text)
{
	front_refuse(f, x, &(struct refusal){ .reason = reason, .text = text });
}

static bool is_root(struct front *f, struct exchange *x)
{
	struct err err = { 0 };
	struct tcp_ends ends;
	char text[ERR_MSG_MAX + 96];
	uid_t uid = (uid_t)-1;

	if (!exchange_ends(x, &ends))
		(void)err_set(&err, ERR_UNAVAILABLE, "the connection is gone");
	else if (f->spec.peer_uid(&ends, &uid, &err) == 0 && uid == 0)
		return true;
	if (err.kind)
		(void)snprintf(text, sizeof(text),
			       "Whose process asks could not be found out: %s. Only root may ask "
			       "here (--host-token=root)",
			       err.msg);
	else
		(void)snprintf(text, sizeof(text),
			       "The process that asks has the uid %" PRIuMAX
			       ": only root may ask here (--host-token=root)",
			       (uintmax_t)uid);
	refuse(f, x, REASON_HOST_CALLER, text);
	return false;
}

static bool is_allowed(struct front *f, struct exchange *x)
{
	if (f->spec.host_token == FRONT_HOST_OFF) {
		refuse(f, x, REASON_NOT_FOUND,
		       "/host/token is switched off on this node (--host-token=off): a pod asks "
		       "for its own token at /metadata/identity/oauth2/token");
		return false;
	}
	if (!inet_ip_is_loopback(&x->peer)) {
		refuse(f, x, REASON_HOST_CALLER,
		       "/host/token is for processes of the node, by a loopback address: a pod "
		       "asks for its own token at /metadata/identity/oauth2/token");
		return false;
	}
	if (f->spec.host_token == FRONT_HOST_ROOT && !is_root(f, x))
		return false;
	/* what root runs may be a proxy, for anybody */
	return front_check_direct(f, x);
}

/* for whom? */

static void read_header(void *ctx, const char *name, const char *value)
{
	struct subject *s = ctx;

	if (strcasecmp(name, "podns") == 0) {
		s->namespace = value;
		s->namespaces++;
	} else if (strcasecmp(name, "podname") == 0) {
		s->name = value;
		s->names++;
	}
}

static bool is_name(const char *s, size_t max)
{
	size_t n = strlen(s);

	return n > 0 && n <= max && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n;
}

static bool read_subject(struct front *f, struct exchange *x, struct subject *out)
{
	*out = (struct subject){ 0 };
	exchange_each_header(x, read_header, out);
	if (!out->namespaces || !out->names || !*out->namespace || !*out->name)
		refuse(f, x, REASON_BAD_REQUEST,
		       "missing 'podname' and 'podns' from request header: they say whose token "
		       "is asked for");
	else if (out->namespaces > 1 || out->names > 1)
		refuse(f, x, REASON_BAD_REQUEST,
		       "The header podname or podns is given more than once");
	else if (!is_name(out->namespace, NAMESPACE_MAX) || !is_name(out->name, NAME_MAX_DNS))
		refuse(f, x, REASON_BAD_REQUEST,
		       "The headers podns and podname are not the names of a namespace and a pod");
	else
		return true;
	return false;
}

/* answering */

/* {"token":{…},"clientid":"…"} */
static char *body(struct front *f, const struct issue_answer *a, size_t *out_len)
{
	const struct jval_pair client = { "clientid", a->client_id ? a->client_id : "" };
	size_t token_n, rest_n;
	char *token = issue_body_first(f->spec.issuer, a->token, &token_n);
	_cleanup_free_ char *rest = jval_print_pairs(&client, 1, &rest_n);
	char *all = xasprintf("{\"token\":%.*s,%s", (int)token_n, token, rest + 1);

	issue_body_free(token, token_n);
	*out_len = strlen(all);
	return all;
}

static void grant(struct front *f, struct exchange *x, const struct issue_answer *a,
		  const char *resource)
{
	_cleanup_(response_unrefp) struct response *r = NULL;
	struct response_spec spec = {
		.status = 200,
		.headers = { { "Content-Type", "application/json; charset=utf-8" } },
		.close = f->closing,
		.free_body = issue_body_free,
	};

	spec.body = body(f, a, &spec.body_len);
	r = response_new(&spec);
	front_tell_granted(f, x, a, resource);
	front_answer(f, x, r, a->pod_namespace, resource);
}

static void finish(struct front *f, struct exchange *x, const struct issue_answer *a,
		   const char *resource)
{
	const struct refusal why = front_refusal(a, resource);

	if (a->reason == REASON_NONE)
		grant(f, x, a, resource);
	else
		front_refuse(f, x, &why);
}

void h_host_token(struct front *f, struct exchange *x, const struct target *t)
{
	struct issue_request req;
	struct err err = { 0 };
	struct subject who;

	if (!is_allowed(f, x))
		return;
	if (!str_eq(t->path, STR("/host/token"))) {
		h_host_other(f, x, t);
		return;
	}
	if (!read_subject(f, x, &who))
		return;
	if (query_parse_host(t->query, &f->query, &err) < 0) {
		refuse(f, x, REASON_BAD_REQUEST, err.msg);
		return;
	}
	req = (struct issue_request){
		.peer = x->peer,
		.by_name = true,
		.pod_namespace = who.namespace,
		.pod_name = who.name,
		.resource = f->query.resource,
		.selector = f->query.selector,
		.bypass_cache = f->query.bypass_cache,
		.id = x->id,
	};
	front_issue(f, x, &req, finish);
}

void h_host_other(struct front *f, struct exchange *x, const struct target *t)
{
	(void)t;
	refuse(f, x, REASON_NOT_FOUND,
	       "There is no such path for processes of the node: a token "
	       "in a pod's name is at /host/token");
}
