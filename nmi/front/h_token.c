/* SPDX-License-Identifier: MIT */

/* The token path: headers, query, then the issuer, which answers now or later. */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/front/asked.h"
#include "nmi/front/internal.h"

static struct response *make_response(struct front *f, const struct token *token, bool close)
{
	struct response_spec spec = {
		.status = 200,
		.headers = { { "Content-Type", "application/json; charset=utf-8" } },
		.close = close,
		.free_body = issue_body_free,
	};

	spec.body = issue_body(f->spec.issuer, token, &spec.body_len);
	return response_new(&spec);
}

/* A reference of the caller's own. */
static struct response *response_for(struct front *f, const struct issue_answer *a)
{
	struct wall now = loop_wall(f->loop);
	struct response *r;

	if (f->closing)
		return make_response(f, a->token, true);
	r = answers_find(f->answers, a->body_id, now);
	if (r) {
		response_set_date(r, now);
		return response_ref(r);
	}
	r = make_response(f, a->token, false);
	answers_put(f->answers, a->body_id, now, r);
	return r;
}

static void grant(struct front *f, struct exchange *x, const struct issue_answer *a,
		  const char *resource)
{
	_cleanup_(response_unrefp) struct response *r = response_for(f, a);

	front_tell_granted(f, x, a, resource);
	front_answer(f, x, r, a->pod_namespace, resource);
}

static void finish(struct front *f, struct exchange *x, const struct issue_answer *a,
		   const char *resource)
{
	const struct refusal why = front_refusal(a, resource);

	/*
	 * From its first decision on, the connection is that pod's; and if the address has become another's, or
	 * that of two, while the request was under way, it still is of who made it.
	 */
	const char *uid = a->began_as ? a->began_as : a->pod_uid;

	if (!x->pod_uid && uid)
		x->pod_uid = xstrdup(uid);
	if (a->reason == REASON_NONE)
		grant(f, x, a, resource);
	else if (a->reason == REASON_STALE_CONNECTION)
		front_drop(f, x, &why);
	else
		front_refuse(f, x, &why);
}

/* What is asked for, also if it was read before. */
static int read_query(struct front *f, struct exchange *x, const struct target *t,
		      struct issue_request *req, struct err *err)
{
	const struct asked *was = x->asked;
	int r;

	if (was) {
		req->resource = was->resource;
		req->selector = was->selector;
		req->bypass_cache = was->bypass_cache;
		return 0;
	}
	r = query_parse(t->query, &f->query, err);
	if (r < 0)
		return r;
	/* whoever asks twice asks again; most connections are for one request */
	if (x->is_same_target)
		x->asked = asked_new(x->route, &f->query);
	req->resource = f->query.resource;
	req->selector = f->query.selector;
	req->bypass_cache = f->query.bypass_cache;
	return 0;
}

/* `t` is not looked at with `asked`: see on_client() */
void h_token(struct front *f, struct exchange *x, const struct target *t)
{
	struct issue_request req = { .peer = x->peer, .pod_uid = x->pod_uid, .id = x->id };
	struct err err = { 0 };

	if (!front_check_metadata(f, x))
		return;
	if (read_query(f, x, t, &req, &err) < 0) {
		front_refuse(f, x,
			     &(struct refusal){ .reason = REASON_BAD_REQUEST, .text = err.msg });
		return;
	}
	front_issue(f, x, &req, finish);
}

void h_identity(struct front *f, struct exchange *x, const struct target *t)
{
	(void)t;
	/*
	 * MSAL for .NET and Go try getplatformmetadata and issuecredential, which would give them the
	 * node's identity; a 404 makes them take the token path.
	 */
	front_refuse(f, x,
		     &(struct refusal){ .reason = REASON_NOT_FOUND,
					.text = "There is no such identity path: a token is at "
						"/metadata/identity/oauth2/token" });
}
