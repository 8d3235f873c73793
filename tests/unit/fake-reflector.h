/* SPDX-License-Identifier: MIT */
#pragma once

/* The reflectors of fake-kube.h, whose part this is; nobody else includes it. */

struct reflector *reflector_new(struct loop *l, struct kube_client *client,
				const struct reflector_spec *spec, const struct reflector_ops *ops,
				void *ctx)
{
	struct reflector *r = xnew(struct reflector);

	ck_assert_ptr_nonnull(l);
	ck_assert_ptr_nonnull(client);
	r->spec = *spec;
	r->ops = ops;
	r->ctx = ctx;
	ck_assert_uint_lt(fake_kube.n_reflectors, FAKE_MAX);
	fake_kube.reflectors[fake_kube.n_reflectors++] = r;
	return r;
}

struct reflector *reflector_free(struct reflector *r)
{
	free(r);
	return NULL;
}

void reflector_start(struct reflector *r)
{
	r->is_started = true;
}

const struct reflector_status *reflector_status(const struct reflector *r)
{
	return &r->status;
}

const char *reflector_name(const struct reflector *r)
{
	return r->spec.name;
}

static inline void fake_upsert(struct reflector *r, const char *text)
{
	_cleanup_(jval_freep) struct jval *obj = fake_json(text);

	r->ops->upsert(r->ctx, obj);
}

static inline void fake_remove(struct reflector *r, const char *text)
{
	_cleanup_(jval_freep) struct jval *obj = fake_json(text);

	r->ops->remove(r->ctx, obj);
}

static inline void fake_begin(struct reflector *r)
{
	r->ops->begin(r->ctx);
}

/* An attempt failed; the state of a reflector that has seen nothing stays. */
static inline void fake_failed(struct reflector *r, int http_status, const char *msg)
{
	r->status.last_err = (struct err){ 0 };
	(void)err_set(&r->status.last_err, ERR_REFUSED, "%s", msg);
	r->status.last_err.http_status = http_status;
	if (r->ops->failed)
		r->ops->failed(r->ctx, &r->status.last_err);
}

/* The state changes after the call, the later of the two that the header allows. */
static inline void fake_end(struct reflector *r)
{
	r->ops->end(r->ctx);
	r->status.has_synced = true;
	r->status.state = REFLECTOR_SYNCED;
}
