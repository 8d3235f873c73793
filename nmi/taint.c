/* SPDX-License-Identifier: MIT */

/*
 * The start-up taint: see taint.h.
 *
 * Theory of operation. Others change a Node's taints too (the node controller, an autoscaler, a person), and
 * the list is atomic for the API server: a strategic or merge patch has to say it whole, and what somebody
 * else put there meanwhile would be lost. So what is sent is a JSON patch (RFC 6902) which for each place
 * where the key was read says: if this place still has the key, take it out. All of it or nothing, and nothing
 * that it does not name is touched. A refusal means that the list has changed: it is read again.
 */

#include "nmi/taint.h"

#include "lib/base/backoff.h"
#include "lib/base/buf.h"
#include "lib/base/jval.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/loop/loop.h"
#include "nmi/health.h"
#include "nmi/limits.h"

#include <string.h>

/* Several parts make up readiness, and none of them tells when all have come together. */
#define READY_POLL_MSEC 100

/*
 * UNREADY   Entered at first, and when the agent is not ready any more as an attempt begins. Left by the
 *           timer, into READING.
 * READING   `call` gets the Node. Left by on_node().
 * REMOVING  `call` patches it. Left by on_patched().
 * WAITING   An attempt failed; the timer begins the next one.
 * DONE      It is gone: nothing happens any more.
 */
enum taint_state { TAINT_UNREADY, TAINT_READING, TAINT_REMOVING, TAINT_WAITING, TAINT_DONE };

struct taint {
	struct loop *loop;
	struct kube_client *client;
	const struct health *health;
	const char *node, *key;
	char *path; /* of the Node */
	enum taint_state state;
	struct kube_call *call;
	struct loop_timer timer;
	struct backoff backoff;
	unsigned overtaken; /* attempts in a row that found the list changed */
	bool told;	    /* that it does not work, with this status */
	long told_status;
};

static void on_timer(struct loop_timer *timer);

static void try_later(struct taint *t, unsigned retry_after_sec)
{
	unsigned wait = backoff_next(&t->backoff, loop_mono(t->loop));

	if (wait < retry_after_sec * 1000)
		wait = retry_after_sec * 1000;
	t->state = TAINT_WAITING;
	loop_timer_set_msec(t->loop, &t->timer, wait, on_timer);
}

/* What an operator has to change is told once; what passes by itself, when it does not. */
static void on_failed(struct taint *t, long status, const struct err *err)
{
	bool overtaken = t->state == TAINT_REMOVING && (status == 409 || status == 422);
	const char *hint = status == 403 ? "; nmi's account needs get and patch on nodes "
					   "(deploy/rbac/startup-taint.yaml)"
					 : "";

	t->overtaken = overtaken ? t->overtaken + 1 : 0;
	if ((t->told && t->told_status == status) ||
	    (overtaken && t->overtaken < LIMIT_TAINT_OVERTAKEN)) {
		log_debug("taint %s of node %s: trying again: %s", t->key, t->node, err->msg);
	} else {
		t->told = true;
		t->told_status = status;
		log_warn("taint %s of node %s cannot be removed, so that no pod may be put there; "
			 "trying again: %s%s",
			 t->key, t->node, err->msg, hint);
	}
	try_later(t, kube_call_retry_after(t->call));
}

static void on_patched(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	struct taint *t = ctx;

	(void)doc;
	if (err) {
		on_failed(t, status, err);
	} else {
		t->state = TAINT_DONE;
		log_info("taint %s removed from node %s: the agent is ready", t->key, t->node);
	}
	t->call = NULL;
}

static void put_operation(struct buf *patch, const char *op, size_t place, const char *member,
			  const char *value)
{
	_cleanup_free_ char *path = xasprintf("/spec/taints/%zu%s", place, member);
	const struct jval_pair pairs[] = { { "op", op }, { "path", path }, { "value", value } };
	_cleanup_free_ char *text = NULL;
	size_t n;

	text = jval_print_pairs(pairs, ARRAY_SIZE(pairs), &n);
	buf_put(patch, patch->n ? "," : "[", 1);
	buf_put(patch, text, n);
}

/* From the last place to the first, so that each is where it was read. False: there is none. */
static bool print_patch(const struct taint *t, const struct jval *taints, struct buf *out)
{
	for (size_t i = taints ? jval_len(taints) : 0; i-- > 0;) {
		const char *key = jval_as_str(jval_get(jval_at(taints, i), "key"));

		if (!key || strcmp(key, t->key) != 0)
			continue;
		put_operation(out, "test", i, "/key", t->key);
		put_operation(out, "remove", i, "", NULL);
	}
	if (out->n)
		buf_put(out, "]", 1);
	return out->n;
}

static void send_patch(struct taint *t, const struct buf *patch)
{
	t->state = TAINT_REMOVING;
	t->call = kube_send(t->client,
			    &(struct kube_request){
				    .method = "PATCH",
				    .path = t->path,
				    .body = patch->p,
				    .body_len = patch->n,
				    .content_type = "application/json-patch+json",
				    .timeout_msec = LIMIT_TAINT_CALL_MSEC,
			    },
			    on_patched, t);
}

static void on_node(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	_cleanup_(buf_deinit) struct buf patch = { 0 };
	const struct jval *taints = NULL;
	const struct jval_field field = { "spec.taints", JVAL_ARR, JVAL_MAY, &taints };
	struct err why = { 0 };
	struct taint *t = ctx;

	if (!err && jval_read(doc, &field, 1, JVAL_CASE_EXACT, &why) < 0)
		err = &why;
	if (err) {
		on_failed(t, status, err);
		t->call = NULL;
	} else if (print_patch(t, taints, &patch)) {
		send_patch(t, &patch);
	} else {
		t->call = NULL;
		t->state = TAINT_DONE;
		log_info("node %s has no taint %s to be removed", t->node, t->key);
	}
}

static void on_timer(struct loop_timer *timer)
{
	struct taint *t = container_of(timer, struct taint, timer);
	char why[HEALTH_LINE_MAX];

	if (!health_ready(t->health, why, sizeof(why))) {
		t->state = TAINT_UNREADY;
		loop_timer_set_msec(t->loop, timer, READY_POLL_MSEC, on_timer);
		return;
	}
	t->state = TAINT_READING;
	t->call = kube_get(t->client, t->path, LIMIT_TAINT_CALL_MSEC, on_node, t);
}

struct taint *taint_new(struct loop *l, struct kube_client *client, const struct health *health,
			const char *node, const char *key)
{
	struct taint *t = xnew(struct taint);
	_cleanup_free_ char *name = kube_escape(node);

	t->loop = l;
	t->client = client;
	t->health = health;
	t->node = node;
	t->key = key;
	t->path = xasprintf("/api/v1/nodes/%s", name);
	t->backoff = (struct backoff){ .min_msec = LIMIT_TAINT_RETRY_MSEC,
				       .max_msec = LIMIT_TAINT_RETRY_MAX_MSEC,
				       .reset_msec = 4 * LIMIT_TAINT_RETRY_MAX_MSEC };
	loop_timer_set_msec(l, &t->timer, READY_POLL_MSEC, on_timer);
	return t;
}

struct taint *taint_free(struct taint *t)
{
	if (!t)
		return NULL;
	kube_cancel(t->call);
	loop_timer_del(&t->timer);
	free(t->path);
	free(t);
	return NULL;
}
