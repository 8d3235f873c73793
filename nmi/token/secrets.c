/* SPDX-License-Identifier: MIT */

/*
 * Kubernetes Secrets: see secrets.h.
 *
 * Theory of operation. An *entry* is one Secret that somebody asked for: the origin of the version last
 * heard of, 0 while there is none, and when that was. News of it come by four ways:
 *
 *	watch	of this one object's metadata, where the agent's role has list and watch on it; then the
 *		entry is always right, also while the watch is down, as all that we know by watching is
 *	look	a GET of the metadata alone
 *	get	a GET of the whole, on a connection that ends with it; its answer is handed to whoever waits
 *		and wiped with the document
 *	nothing	for LIMIT_SECRET_FRESH_MSEC after one of these, the entry is taken for right
 *
 * An API server that is away changes nothing: the version last known stands, and is looked at again in
 * the background, so that no request waits for what does not answer.
 *
 * 403 to the watch means that the role has `get` alone, as aad-pod-identity's has. It is not asked for
 * again for a while. 403 to a GET is a refusal: who was to be kept from a Secret must not be given what
 * it paid for.
 */

#include "nmi/token/secrets.h"

#include "lib/base/hmap.h"
#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/siphash.h"
#include "lib/kube/client.h"
#include "lib/kube/reflector.h"
#include "lib/loop/loop.h"
#include "mic-client/crd.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/failure.h"

#include <string.h>
#include <utlist.h>

#define OPERATION    "get_secret" /* aad-pod-identity's name for it */
#define SWEEP_MSEC   60000
#define NAME_MAX_DNS 253

struct secrets_wait {
	struct secrets_entry *entry;
	struct secrets_wait **list; /* that it is in */
	secrets_done_fn *done;
	void *ctx;
	struct secrets_wait *prev, *next;
};

enum ask { ASK_LOOK, ASK_GET, ASKS };

struct secrets_entry {
	struct hmap_node node;
	char *key; /* "namespace/name" */
	struct secrets *owner;
	char *namespace, *name, *path;
	char *watch_name, *watch_path, *selector; /* of the watch */

	uint64_t origin;
	bool is_known; /* origin has been heard of */
	bool is_away;  /* the API server did not answer when it was last asked */
	struct mono fresh_until, used_at, no_watch_until;

	struct kube_call *calls[ASKS];
	struct secrets_wait *waits[ASKS];
	struct reflector *watch;
	bool seen; /* since the last begin() of the watch */
	unsigned busy;
	struct secrets_entry *prev, *next; /* most recently used first */
};

struct secrets {
	struct loop *loop;
	struct kube_client *kube;
	struct metrics *metrics;
	struct siphash_key hash_key;
	struct hmap entries;
	struct secrets_entry *lru;
	struct loop_timer sweep;
};

/* what is known */

/* Never 0; another Secret of the same name has another uid. */
static uint64_t origin_of(const struct secrets_entry *e, const struct object_id *id)
{
	_cleanup_free_ char *text = xasprintf("%s %s %s", e->key, id->uid, id->resource_version);
	uint64_t hash = siphash(&e->owner->hash_key, text, strlen(text));

	return hash ? hash : 1;
}

static void note(struct secrets_entry *e, uint64_t origin)
{
	e->origin = origin;
	e->is_known = true;
	e->is_away = false;
	e->fresh_until = mono_add_msec(loop_mono(e->owner->loop), LIMIT_SECRET_FRESH_MSEC);
}

/* watching */

static void on_begin(void *ctx)
{
	struct secrets_entry *e = ctx;

	e->seen = false;
}

static void on_upsert(void *ctx, const struct jval *obj)
{
	struct secrets_entry *e = ctx;
	struct object_id id;

	object_id_read(obj, &id);
	if (strcmp(id.name, e->name) != 0 || strcmp(id.namespace, e->namespace) != 0)
		return; /* a server that does not know the selector */
	e->seen = true;
	note(e, origin_of(e, &id));
}

static void on_remove(void *ctx, const struct jval *obj)
{
	struct secrets_entry *e = ctx;
	struct object_id id;

	object_id_read(obj, &id);
	if (strcmp(id.name, e->name) == 0 && strcmp(id.namespace, e->namespace) == 0)
		note(e, 0);
}

static void on_end(void *ctx)
{
	struct secrets_entry *e = ctx;

	if (!e->seen)
		note(e, 0);
}

static const struct reflector_ops watch_ops = { on_begin, on_upsert, on_remove, on_end };

static void watch(struct secrets_entry *e)
{
	struct secrets *s = e->owner;

	if (e->watch || mono_before(loop_mono(s->loop), e->no_watch_until))
		return;
	e->watch = reflector_new(s->loop, s->kube,
				 &(struct reflector_spec){ .name = e->watch_name,
							   .path = e->watch_path,
							   .field_selector = e->selector,
							   .metadata_only = true },
				 &watch_ops, e);
	reflector_start(e->watch);
}

/* Is the entry kept right by a watch? One that is not allowed is given up. */
static bool is_watched(struct secrets_entry *e)
{
	const struct reflector_status *st = e->watch ? reflector_status(e->watch) : NULL;

	if (!st)
		return false;
	if (st->state != REFLECTOR_SYNCED && st->last_err.http_status == 403) {
		log_debug("Secret %s cannot be watched, so it is looked at: %s", e->key,
			  st->last_err.msg);
		e->watch = reflector_free(e->watch);
		e->no_watch_until = mono_add_msec(loop_mono(e->owner->loop),
						  LIMIT_SECRET_UNUSED_MSEC);
		return false;
	}
	return st->has_synced;
}

/* entries */

static void entry_free(struct secrets_entry *e)
{
	struct secrets *s = e->owner;
	struct secrets_wait *w, *next;

	hmap_del(&s->entries, &e->node);
	DL_DELETE(s->lru, e);
	for (size_t i = 0; i < ASKS; i++) {
		kube_cancel(e->calls[i]);
		DL_FOREACH_SAFE (e->waits[i], w, next) {
			free(w);
		}
	}
	e->watch = reflector_free(e->watch);
	free(e->key);
	free(e->namespace);
	free(e->name);
	free(e->path);
	free(e->watch_name);
	free(e->watch_path);
	free(e->selector);
	free(e);
}

static bool is_idle(const struct secrets_entry *e)
{
	return !e->busy && !e->calls[ASK_LOOK] && !e->calls[ASK_GET];
}

/* What nobody has asked for of late is forgotten, and its watch ends. */
static void on_sweep(struct loop_timer *t)
{
	struct secrets *s = container_of(t, struct secrets, sweep);
	struct secrets_entry *e, *next;

	DL_FOREACH_SAFE (s->lru, e, next) {
		struct mono until = mono_add_msec(e->used_at, LIMIT_SECRET_UNUSED_MSEC);

		if (is_idle(e) && !mono_before(loop_mono(s->loop), until))
			entry_free(e);
	}
	if (s->lru)
		loop_timer_set_msec(s->loop, t, SWEEP_MSEC, on_sweep);
}

static void touch(struct secrets_entry *e)
{
	struct secrets *s = e->owner;

	e->used_at = loop_mono(s->loop);
	if (s->lru == e)
		return;
	DL_DELETE(s->lru, e);
	DL_PREPEND(s->lru, e);
}

static struct str entry_key(const struct hmap_node *n)
{
	return str_of(container_of(n, struct secrets_entry, node)->key);
}

static struct secrets_entry *find(const struct secrets *s, const struct secret_ref *ref)
{
	char key[2 * NAME_MAX_DNS + 2];
	int n = snprintf(key, sizeof(key), "%s/%s", ref->namespace, ref->name);
	struct hmap_node *node;

	if (n < 0 || (size_t)n >= sizeof(key))
		return NULL;
	node = hmap_find(&s->entries, key, (size_t)n);
	return node ? container_of(node, struct secrets_entry, node) : NULL;
}

static bool make_room(struct secrets *s)
{
	struct secrets_entry *e, *next, *oldest = NULL;

	if (hmap_count(&s->entries) < LIMIT_SECRETS)
		return true;
	DL_FOREACH_SAFE (s->lru, e, next) {
		oldest = is_idle(e) ? e : oldest;
	}
	if (oldest)
		entry_free(oldest);
	return oldest != NULL;
}

static struct secrets_entry *entry_new(struct secrets *s, const struct secret_ref *ref)
{
	_cleanup_free_ char *namespace = kube_escape(ref->namespace);
	_cleanup_free_ char *name = kube_escape(ref->name);
	struct secrets_entry *e = xnew(struct secrets_entry);

	e->owner = s;
	e->key = xasprintf("%s/%s", ref->namespace, ref->name);
	e->namespace = xstrdup(ref->namespace);
	e->name = xstrdup(ref->name);
	e->path = xasprintf("/api/v1/namespaces/%s/secrets/%s", namespace, name);
	e->watch_name = xasprintf("Secret %s", e->key);
	e->watch_path = xasprintf("/api/v1/namespaces/%s/secrets", namespace);
	e->selector = xasprintf("metadata.name=%s", e->name);
	hmap_add(&s->entries, &e->node, entry_key);
	DL_PREPEND(s->lru, e);
	if (!s->sweep.loop)
		loop_timer_set_msec(s->loop, &s->sweep, SWEEP_MSEC, on_sweep);
	return e;
}

/* answers of the API server */

static void tell(struct secrets_entry *e, enum ask ask, uint64_t origin, const struct jval *data,
		 const struct token_failure *fail)
{
	struct secrets_wait *list = e->waits[ask], *w;

	/* of its own, so that who asks again from inside is not told what was known before */
	e->waits[ask] = NULL;
	DL_FOREACH (list, w) {
		w->list = &list;
	}
	e->busy++;
	while ((w = list)) {
		secrets_done_fn *done = w->done;
		void *ctx = w->ctx;

		DL_DELETE(list, w);
		free(w);
		done(ctx, origin, data, fail);
	}
	e->busy--;
}

static void refuse(struct secrets_entry *e, long status, const struct err *err,
		   struct token_failure *fail)
{
	if (status == 404)
		(void)token_fail(fail, TOKEN_FAULT_CREDENTIAL, "there is no Secret %s", e->key);
	else if (status == 403)
		(void)token_fail(fail, TOKEN_FAULT_CREDENTIAL,
				 "nmi may not read Secret %s: grant its service account get on it",
				 e->key);
	else
		(void)token_fail(fail, TOKEN_FAULT_CREDENTIAL, "Secret %s: %s", e->key, err->msg);
	fail->err.http_status = (int)status;
}

/* Told by a GET; a watch that is up knows better. */
static void note_answer(struct secrets_entry *e, uint64_t origin)
{
	const struct reflector_status *st = e->watch ? reflector_status(e->watch) : NULL;

	if (!st || !st->has_synced || st->state != REFLECTOR_SYNCED)
		note(e, origin);
}

static void on_failure(struct secrets_entry *e, enum ask ask, long status, const struct err *err)
{
	static const char *const labels[] = { OPERATION };
	struct token_failure fail = { 0 };

	metric_add(e->owner->metrics, NMI_METRIC_KUBE_ERRORS, labels, 1);
	/* the API server's own trouble, and its doubts about us, say nothing of the Secret */
	if (status >= 400 && status < 500 && status != 401 && status != 408 && status != 429) {
		refuse(e, status, err, &fail);
		note_answer(e, 0);
		tell(e, ask, 0, NULL, &fail);
		return;
	}
	e->is_away = true;
	e->fresh_until = mono_add_msec(loop_mono(e->owner->loop), LIMIT_SECRET_FRESH_MSEC);
	if (ask == ASK_LOOK && e->is_known && e->origin) {
		tell(e, ask, e->origin, NULL, NULL);
		return;
	}
	(void)token_fail(&fail, TOKEN_FAULT_DOWN, "Secret %s cannot be read now: %s", e->key,
			 err->msg);
	fail.err.http_status = (int)status;
	tell(e, ask, 0, NULL, &fail);
}

static void on_answer(struct secrets_entry *e, enum ask ask, long status, const struct jval *doc,
		      const struct err *err)
{
	struct object_id id;
	uint64_t origin;

	e->calls[ask] = NULL;
	if (err || !doc) {
		static const struct err empty = { .kind = ERR_INPUT, .msg = "an empty answer" };

		on_failure(e, ask, status, err ? err : &empty);
		return;
	}
	object_id_read(doc, &id);
	origin = origin_of(e, &id);
	note_answer(e, origin);
	tell(e, ask, origin, ask == ASK_GET ? jval_get(doc, "data") : NULL, NULL);
}

static void on_look(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	on_answer(ctx, ASK_LOOK, status, doc, err);
}

static void on_get(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	on_answer(ctx, ASK_GET, status, doc, err);
}

/* asking */

static void ask_for(struct secrets_entry *e, enum ask ask)
{
	const struct kube_request req = { .path = e->path,
					  .accept = ask == ASK_LOOK ? KUBE_ACCEPT_METADATA : NULL,
					  .timeout_msec = LIMIT_SECRET_GET_MSEC,
					  .is_secret = ask == ASK_GET };

	if (!e->calls[ask])
		e->calls[ask] = kube_send(e->owner->kube, &req, ask == ASK_LOOK ? on_look : on_get,
					  e);
}

/* As the API server wants them; anything else could become another path. */
static bool is_name(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= NAME_MAX_DNS &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n && s[0] != '.' &&
	       s[n - 1] != '.';
}

static struct secrets_wait *wait_for(struct secrets *s, const struct secret_ref *ref, enum ask ask,
				     secrets_done_fn *done, void *ctx,
				     struct token_failure *out_fail)
{
	struct secrets_entry *e = find(s, ref);
	struct secrets_wait *w;

	if (!is_name(ref->namespace) || !is_name(ref->name)) {
		(void)token_fail(out_fail, TOKEN_FAULT_INVALID,
				 "'%.64s/%.64s' cannot be the namespace and name of a Secret "
				 "(spec.clientPassword)",
				 ref->namespace, ref->name);
		return NULL;
	}
	if (!e && !make_room(s)) {
		(void)token_fail(out_fail, TOKEN_FAULT_OVERLOADED,
				 "%d Secrets are being read already", LIMIT_SECRETS);
		return NULL;
	}
	if (!e)
		e = entry_new(s, ref);
	touch(e);
	(void)is_watched(e); /* gives up what is not allowed, before it is begun again */
	watch(e);
	w = xnew(struct secrets_wait);
	w->entry = e;
	w->list = &e->waits[ask];
	w->done = done;
	w->ctx = ctx;
	DL_APPEND(*w->list, w);
	ask_for(e, ask);
	return w;
}

/* exported */

struct secrets *secrets_new(struct loop *l, struct kube_client *kube, struct metrics *metrics)
{
	struct secrets *s = xnew(struct secrets);

	s->loop = l;
	s->kube = kube;
	s->metrics = metrics;
	arc4random_buf(&s->hash_key, sizeof(s->hash_key));
	return s;
}

struct secrets *secrets_free(struct secrets *s)
{
	struct secrets_entry *e, *next;

	if (!s)
		return NULL;
	DL_FOREACH_SAFE (s->lru, e, next) {
		entry_free(e);
	}
	loop_timer_del(&s->sweep);
	free(s);
	return NULL;
}

enum token_news secrets_check(struct secrets *s, const struct secret_ref *ref, uint64_t origin)
{
	struct secrets_entry *e = find(s, ref);

	if (!e || !e->is_known)
		return TOKEN_NEWS_UNSURE;
	touch(e);
	if (origin != e->origin)
		return TOKEN_NEWS_CHANGED;
	if (is_watched(e) || mono_before(loop_mono(s->loop), e->fresh_until))
		return TOKEN_NEWS_NONE;
	if (!e->is_away)
		return TOKEN_NEWS_UNSURE;
	ask_for(e, ASK_LOOK);
	return TOKEN_NEWS_NONE;
}

struct secrets_wait *secrets_look(struct secrets *s, const struct secret_ref *ref,
				  secrets_done_fn *done, void *ctx, struct token_failure *out_fail)
{
	return wait_for(s, ref, ASK_LOOK, done, ctx, out_fail);
}

struct secrets_wait *secrets_get(struct secrets *s, const struct secret_ref *ref,
				 secrets_done_fn *done, void *ctx, struct token_failure *out_fail)
{
	return wait_for(s, ref, ASK_GET, done, ctx, out_fail);
}

void secrets_cancel(struct secrets_wait *w)
{
	/* the call goes on: its answer is worth having */
	DL_DELETE(*w->list, w);
	free(w);
}

size_t secrets_count(const struct secrets *s)
{
	return hmap_count(&s->entries);
}
