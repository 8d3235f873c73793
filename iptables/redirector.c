/* SPDX-License-Identifier: MIT */

/*
 * The redirector: a process of its own that keeps the packet rules.
 *
 * Theory of operation
 *
 * nmi forks it before anything else. It confines itself (confine.c), waits for one message with the
 * spec, puts the rules in place and from then on keeps them so:
 *
 *   news from the kernel (monitor.c), or the sweep's timer  ─▶ check(): compare all with the standard
 *   something is missing or altered                         ─▶ put all back in one transaction
 *   that fails                                              ─▶ try again later, waiting longer each
 *                                                              time; never end because of it
 *
 * Our own commit is news too; it is compared once, found right, and that is all, so there is no loop.
 * Where another program undoes each repair, a burst goes through at full speed and then repairs are
 * spaced out (damper.c), with one warning.
 *
 * A second start message is not read: who takes nmi over later cannot redirect the node elsewhere.
 * When nmi ends, however it ends, the socketpair does, and so does this process: table nmi-live goes
 * with it, table nmi stays and keeps pods away from the metadata service.
 */

#include "iptables/redirector.h"

#include "iptables/backend.h"
#include "iptables/confine.h"
#include "iptables/conntrack.h"
#include "iptables/damper.h"
#include "iptables/monitor.h"
#include "iptables/ruleset.h"
#include "iptables/wire.h"
#include "lib/base/backoff.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* A repair takes about a millisecond: the burst is 100 flushes in a row, the rate 2 % of a CPU. */
#define REPAIR_BURST	 100
#define REPAIR_PER_SEC	 20
#define RETRY_MIN_MSEC	 250
#define RETRY_MAX_MSEC	 5000
#define RETRY_RESET_MSEC 120000
/* Once the commit is through: the listing of connections must not hold up a repair. */
#define CONNTRACK_DELAY_MSEC 20
/* After the last look at the rules, and the listing of connections. */
#define SETTLED_MSEC	200
#define FIGHT_LOG_MSEC	60000
#define REPAIR_LOG_MSEC 10000

struct redirector {
	struct loop *loop;
	int fd;
	struct loop_fd channel;
	struct redirect_status status, sent;
	struct redirect_spec spec;

	const struct backend *backend; /* NULL until one works */
	void *state;
	struct monitor *monitor;
	bool started;	/* the spec has come */
	bool installed; /* apply() went through once */
	bool altered;	/* found so, and not yet put back */
	struct mono altered_since;
	char conntrack_note[80];

	struct loop_timer retry, sweep, conntrack, settled;
	struct backoff backoff;
	struct damper damper;
	struct log_limit repair_log, fight_log;
};

/* status */

static void send_status(struct redirector *r)
{
	uint8_t msg[WIRE_STATUS_BYTES];
	bool full;

	wire_put_status(&r->status, msg);
	full = send(r->fd, msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	       (errno == EAGAIN || errno == EINTR);
	/* Another failure means that nmi is gone, which the channel tells by itself. */
	(void)loop_fd_mod(&r->channel, full ? EPOLLIN | EPOLLOUT : EPOLLIN, NULL);
}

static void publish(struct redirector *r)
{
	const struct redirect_status *a = &r->status, *b = &r->sent;

	if (a->state == b->state && a->owned == b->owned && a->repairs == b->repairs &&
	    strcmp(a->why, b->why) == 0)
		return;
	r->sent = r->status;
	send_status(r);
}

/*
 * A listing of our tables costs libnftables two megabytes for a moment, and glibc keeps what was freed.
 * Given back when all is quiet, never while a repair may be due.
 */
static void on_settled(struct loop_timer *t)
{
	(void)t;
	(void)malloc_trim(0); /* it had nothing to give, or it did */
}

/* Rules in place. What the operator should know all the same is in `why`. */
static void set_active(struct redirector *r, const struct backend_report *report)
{
	struct redirect_status *s = &r->status;
	size_t n;

	r->installed = true;
	r->altered = false;
	backoff_reset(&r->backoff);
	s->state = REDIRECT_ACTIVE;
	s->owned = report->owned;
	memcpy(s->why, report->text, sizeof(s->why));
	n = strlen(s->why);
	if (*r->conntrack_note)
		(void)snprintf(s->why + n, sizeof(s->why) - n, "%s%s", n ? "; " : "",
			       r->conntrack_note);
	loop_timer_set_msec(r->loop, &r->settled, SETTLED_MSEC, on_settled);
	publish(r);
}

static void set_failing(struct redirector *r, const char *why)
{
	struct redirect_status *s = &r->status;

	s->state = REDIRECT_FAILING;
	(void)snprintf(s->why, sizeof(s->why), "%s", why);
	publish(r);
}

/* connections older than the rules */

static void on_conntrack(struct loop_timer *t)
{
	struct redirector *r = container_of(t, struct redirector, conntrack);
	struct err err = { 0 };
	unsigned deleted;

	if (conntrack_delete_stale(&r->spec, &deleted, &err) == 0) {
		r->conntrack_note[0] = '\0';
		if (deleted)
			log_info(
				"ended %u connections to the metadata service that were older than "
				"the rules",
				deleted);
		return;
	}
	if (!*r->conntrack_note)
		log_info("connections older than the rules are not ended: %s", err.msg);
	(void)snprintf(r->conntrack_note, sizeof(r->conntrack_note),
		       "older connections stay: %.60s", err.msg);
}

static void plan_conntrack(struct redirector *r)
{
	if (r->spec.delete_conntrack && r->backend->events && !r->conntrack.loop)
		loop_timer_set_msec(r->loop, &r->conntrack, CONNTRACK_DELAY_MSEC, on_conntrack);
}

/*
 * rules: each of these returns 0, or how many milliseconds to wait before the next look
 */

static unsigned later(struct redirector *r, const struct err *err)
{
	if (r->status.state != REDIRECT_FAILING || strcmp(r->status.why, err->msg) != 0)
		log_warn("packet rules are not as they should be, trying again: %s", err->msg);
	set_failing(r, err->msg);
	return backoff_next(&r->backoff, loop_mono(r->loop));
}

static unsigned install(struct redirector *r)
{
	struct backend_report report;
	struct err err = { 0 };

	if (r->backend->apply(r->state, &report, &err) < 0)
		return later(r, &err);
	log_info("packet rules in place (%s, %s)", r->backend->name,
		 report.owned ? "owned table" : "no owned table");
	if (*report.text)
		log_warn("packet rules: %s", report.text);
	plan_conntrack(r);
	set_active(r, &report);
	return report.again_msec;
}

static unsigned repair(struct redirector *r, const char *what)
{
	struct backend_report report;
	struct err err = { 0 };
	struct mono now = loop_mono(r->loop);
	unsigned long held;

	if (!damper_take(&r->damper, now)) {
		(void)err_set(&err, ERR_LIMIT, "another program keeps undoing them: %.150s", what);
		if (log_limit_pass(&r->fight_log, now, FIGHT_LOG_MSEC, &held))
			log_warn("packet rules: %s; repairing %d times a second from now on",
				 err.msg, REPAIR_PER_SEC);
		set_failing(r, err.msg);
		return 1000 / REPAIR_PER_SEC;
	}
	if (r->backend->apply(r->state, &report, &err) < 0)
		return later(r, &err);
	now = loop_mono(r->loop);
	r->status.repairs++;
	r->status.last_repair_usec = (uint32_t)((now.ns - r->altered_since.ns) / 1000);
	if (log_limit_pass(&r->repair_log, now, REPAIR_LOG_MSEC, &held))
		log_warn("packet rules put back after %u us: %s (%lu repairs since the last such "
			 "line)",
			 (unsigned)r->status.last_repair_usec, what, held);
	/* Where the owned table stood all the time, nobody got past the rules. */
	if (!report.owned)
		plan_conntrack(r);
	set_active(r, &report);
	return report.again_msec;
}

static unsigned verify(struct redirector *r, struct mono since, bool deleted)
{
	struct backend_report report;
	enum backend_verdict verdict;
	struct err err = { 0 };

	if (r->backend->verify(r->state, deleted, &verdict, &report, &err) < 0)
		return later(r, &err);
	if (verdict == BACKEND_SAME) {
		set_active(r, &report);
		return report.again_msec;
	}
	if (!r->altered)
		r->altered_since = since;
	r->altered = true;
	return repair(r, report.text);
}

/* Puts the rules in place or back. */
static unsigned advance(struct redirector *r, struct mono since, bool deleted)
{
	struct err err = { 0 };

	if (!r->backend) {
		const struct backend *b = backend_choose(r->spec.backend, &err);

		r->state = b ? b->open(&r->spec, &err) : NULL;
		if (!r->state)
			return later(r, &err);
		r->backend = b;
	}
	return r->installed ? verify(r, since, deleted) : install(r);
}

static void on_retry(struct loop_timer *t)
{
	struct redirector *r = container_of(t, struct redirector, retry);
	unsigned wait = advance(r, loop_mono(r->loop), false);

	if (wait)
		loop_timer_set_msec(r->loop, t, wait, on_retry);
}

static void on_news(void *ctx, struct mono since, bool deleted)
{
	struct redirector *r = ctx;
	unsigned wait;

	/* A try after a failure is due anyway; news do not hasten it. */
	if (!r->installed || (r->retry.loop && r->status.state == REDIRECT_FAILING))
		return;
	wait = advance(r, since, deleted);
	if (wait)
		loop_timer_set_msec(r->loop, &r->retry, wait, on_retry);
}

static void on_sweep(struct loop_timer *t)
{
	struct redirector *r = container_of(t, struct redirector, sweep);

	on_news(r, loop_mono(r->loop), false);
	loop_timer_set_msec(r->loop, t, r->spec.sweep_msec, on_sweep);
}

/* the channel to nmi */

static int start(struct redirector *r, const void *msg, size_t n, struct err *err)
{
	int e = wire_get_start(msg, n, &r->spec, err);

	if (e == 0)
		e = ruleset_check(&r->spec, err);
	if (e < 0)
		return e;
	if (r->spec.sweep_msec)
		loop_timer_set_msec(r->loop, &r->sweep, r->spec.sweep_msec, on_sweep);
	/* Subscribed before the first commit, so that no change after it can be missed. */
	if (r->spec.backend != REDIRECT_NONE)
		r->monitor = monitor_new(r->loop, on_news, r, err);
	if (!r->monitor && r->spec.backend != REDIRECT_NONE)
		log_warn("changes of the packet rules are only seen by the sweep: %s", err->msg);
	on_retry(&r->retry);
	return 0;
}

static void on_channel(struct loop_fd *f, uint32_t events)
{
	struct redirector *r = container_of(f, struct redirector, channel);
	uint8_t msg[WIRE_START_BYTES + 1];
	struct err err = { 0 };
	ssize_t n;

	if (events & EPOLLOUT)
		send_status(r);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	n = recv(r->fd, msg, sizeof(msg), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_quit(r->loop, 0); /* nmi ended, or wants us to */
		return;
	}
	if (r->started) {
		log_warn("the redirector was told twice where to send pods: ignoring the second");
		return;
	}
	if (start(r, msg, (size_t)n, &err) < 0)
		set_failing(r, err.msg);
	else
		r->started = true;
}

static struct redirector *redirector_free(struct redirector *r)
{
	if (!r)
		return NULL;
	r->monitor = monitor_free(r->monitor);
	if (r->backend)
		r->backend->close(r->state);
	r->loop = loop_free(r->loop);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
	return NULL;
}
DEFINE_CLEANUP(struct redirector, redirector_free);

static int live(int fd, struct err *err)
{
	_cleanup_(redirector_freep) struct redirector *r = xnew(struct redirector);
	int e;

	r->fd = fd;
	r->backoff = (struct backoff){ .min_msec = RETRY_MIN_MSEC,
				       .max_msec = RETRY_MAX_MSEC,
				       .reset_msec = RETRY_RESET_MSEC };
	r->damper = (struct damper){ .burst = REPAIR_BURST, .per_sec = REPAIR_PER_SEC };
	e = confine(&r->fd, err);
	if (e < 0)
		return err_wrap(err, "confining the redirector");
	r->loop = loop_new(err);
	if (!r->loop)
		return -(int)ERR_OS;
	e = loop_fd_add(r->loop, &r->channel, r->fd, EPOLLIN, on_channel, err);
	return e < 0 ? e : loop_run(r->loop, err);
}

_Noreturn void redirector_main(int fd)
{
	struct err err = { 0 };
	int r = live(fd, &err);

	if (r < 0)
		log_err("the redirector ends: %s", err.msg);
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
