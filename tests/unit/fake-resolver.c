/* SPDX-License-Identifier: MIT */

/* A resolver of one address: see fake-resolver.h. */

#include "tests/unit/fake-resolver.h"

#include "lib/base/mem.h"
#include "nmi/pods/pod.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

struct resolver_wait {
	struct resolver *resolver;
	resolve_done_fn *done;
	void *ctx;
	struct resolver_wait *prev, *next;
};

struct by_name_wait {
	struct by_name *owner;
	by_name_done_fn *done;
	void *ctx;
	struct by_name_wait *prev, *next;
};

struct pod *pod_ref(const struct pod *p)
{
	struct pod *mine = (struct pod *)(uintptr_t)p;

	mine->refs++;
	return mine;
}

struct pod *pod_unref(struct pod *p)
{
	if (p)
		p->refs--;
	return NULL;
}

enum resolve_result resolver_peek(const struct resolver *r, const struct inet_ip *ip,
				  const struct pod **out)
{
	if (r->result == RESOLVE_FOUND || r->result == RESOLVE_UNPLACED ||
	    r->result == RESOLVE_UNSEEN)
		*out = r->pod;
	return r->result;
}

void resolver_claimants(const struct resolver *r, const struct inet_ip *ip,
			void (*fn)(void *ctx, const struct pod *pod), void *ctx)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->claimants) && r->claimants[i]; i++)
		fn(ctx, r->claimants[i]);
}

void resolver_admit(struct resolver *r, const struct inet_ip *ip)
{
	r->admitted++;
}

bool resolver_vouch(struct resolver *r, const struct inet_ip *ip, struct place *out)
{
	*out = (struct place){ .kind = PLACE_LINK, .link = r->link };
	return r->vouched;
}

bool resolver_vouches(struct resolver *r, const struct inet_ip *ip, const struct pod *p,
		      const struct place *then)
{
	return then->link == r->link;
}

void resolver_print_place(const struct resolver *r, const struct inet_ip *ip,
			  char buf[PLACE_NAME_MAX])
{
	(void)snprintf(buf, PLACE_NAME_MAX, "veth%u", r->link);
}

struct resolver_wait *resolver_wait(struct resolver *r, const struct inet_ip *ip,
				    resolve_done_fn *done, void *ctx)
{
	struct resolver_wait *w;

	if (r->full)
		return NULL;
	w = xnew(struct resolver_wait);
	w->resolver = r;
	w->done = done;
	w->ctx = ctx;
	DL_APPEND(r->waits, w);
	r->n_waits++;
	return w;
}

void resolver_cancel(struct resolver_wait *w)
{
	DL_DELETE(w->resolver->waits, w);
	w->resolver->n_waits--;
	free(w);
}

void fake_resolver_tell(struct resolver *r)
{
	struct resolver_wait *w, *next;

	DL_FOREACH_SAFE (r->waits, w, next) {
		resolve_done_fn *done = w->done;
		void *ctx = w->ctx;

		resolver_cancel(w);
		if (r->vouched)
			done(ctx, RESOLVE_FOUND, r->vouched);
		else
			done(ctx, r->result, r->result == RESOLVE_FOUND ? r->pod : NULL);
	}
}

const struct pod *by_name_peek(const struct by_name *b, const char *namespace, const char *name)
{
	struct by_name *mine = (void *)(uintptr_t)b;

	(void)snprintf(mine->asked, sizeof(mine->asked), "%s/%s", namespace, name);
	return b->pod;
}

struct by_name_wait *by_name_wait(struct by_name *b, const char *namespace, const char *name,
				  by_name_done_fn *done, void *ctx)
{
	struct by_name_wait *w;

	(void)namespace;
	(void)name;
	if (b->full)
		return NULL;
	w = xnew(struct by_name_wait);
	*w = (struct by_name_wait){ .owner = b, .done = done, .ctx = ctx };
	DL_APPEND(b->waits, w);
	b->n_waits++;
	return w;
}

void by_name_cancel(struct by_name_wait *w)
{
	DL_DELETE(w->owner->waits, w);
	w->owner->n_waits--;
	free(w);
}

void fake_by_name_tell(struct by_name *b)
{
	struct by_name_wait *w, *next;

	DL_FOREACH_SAFE (b->waits, w, next) {
		by_name_done_fn *done = w->done;
		void *ctx = w->ctx;

		by_name_cancel(w);
		done(ctx, b->pod);
	}
}
