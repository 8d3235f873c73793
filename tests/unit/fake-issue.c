/* SPDX-License-Identifier: MIT */

/* The issuer's functions for tests of its callers: see fake-issue.h. */

#include "tests/unit/fake-issue.h"

#include "lib/base/mem.h"

#include <string.h>
#include <utlist.h>

struct issue {
	struct issuer *issuer;
	issue_done_fn *done;
	void *ctx;
	struct issue *prev, *next;
};

void issuer_admit(struct issuer *i, const struct inet_ip *peer)
{
	i->admitted++;
	i->admitted_peer = *peer;
}

const char *issuer_owner(const struct issuer *i, const struct inet_ip *peer)
{
	(void)peer;
	return i->owner;
}

struct issue *issue_start(struct issuer *i, const struct issue_request *req,
			  struct issue_answer *out, issue_done_fn *done, void *ctx)
{
	struct issue *q;

	i->started++;
	i->peer = req->peer;
	i->bypass_cache = req->bypass_cache;
	i->selector_kind = req->selector.kind;
	snprintf(i->resource, sizeof(i->resource), "%s", req->resource);
	snprintf(i->selector, sizeof(i->selector), "%s", req->selector.value);
	snprintf(i->id, sizeof(i->id), "%s", req->id);
	snprintf(i->pod_uid, sizeof(i->pod_uid), "%s", req->pod_uid ? req->pod_uid : "");
	i->pod[0] = '\0';
	if (req->by_name)
		snprintf(i->pod, sizeof(i->pod), "%s/%s", req->pod_namespace, req->pod_name);
	if (i->on_start)
		i->on_start(i->on_start_arg);
	if (!i->hold) {
		*out = i->answer;
		return NULL;
	}
	q = xnew(struct issue);
	*q = (struct issue){ .issuer = i, .done = done, .ctx = ctx };
	DL_APPEND(i->waiting, q);
	i->n_waiting++;
	return q;
}

static void drop(struct issue *q)
{
	DL_DELETE(q->issuer->waiting, q);
	q->issuer->n_waiting--;
	free(q);
}

const char *issue_pod_uid(const struct issue *q)
{
	return q->issuer->under_way;
}

void issue_cancel(struct issue *q)
{
	q->issuer->cancelled++;
	drop(q);
}

void fake_issue_finish(struct issuer *i)
{
	while (i->waiting) {
		struct issue was = *i->waiting;

		drop(i->waiting);
		was.done(was.ctx, &i->answer);
	}
}

char *issue_body(struct issuer *i, const struct token *token, size_t *out_len)
{
	i->bodies++;
	*out_len = strlen(token->body);
	return xstrdup(token->body);
}

char *issue_body_first(struct issuer *i, const struct token *token, size_t *out_len)
{
	return issue_body(i, token, out_len);
}

void issue_body_free(char *body, size_t len)
{
	explicit_bzero(body, len);
	free(body);
}
