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
 * spaced out (bucket.h), with one warning.
 *
 * Beside them go the rules against borrowed addresses (spoof.c), which nobody else can alter. The ports
 * of pods behind bridges come from nmi as it learns them.
 *
 * A second start message is not read: who takes nmi over later cannot redirect the node elsewhere. The
 * ports can be used to cut pods off, not to send anybody anywhere.
 * When nmi ends, however it ends, the socketpair does, and so does this process: table nmi-live goes with
 * it, if there is one; table nmi stays, without an owner, and keeps pods away from the metadata service.
 */

#include "iptables/redirector.h"

#include "iptables/backend.h"
#include "iptables/confine.h"
#include "iptables/conntrack.h"
#include "iptables/culprit.h"
#include "iptables/ipt_left.h"
#include "iptables/monitor.h"
#include "iptables/ruleset.h"
#include "iptables/spoof.h"
#include "iptables/spoof_rules.h"
#include "iptables/tester.h"
#include "iptables/trial.h"
#include "iptables/wire.h"
#include "lib/base/backoff.h"
#include "lib/base/bucket.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/resident.h"
#include "lib/loop/loop.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/*
 * How often a repair may happen at once: a burst is let through, so that one clumsy restart of a firewall
 * never waits; two programs that undo each other's work are slowed down. A repair takes about a
 * millisecond: the burst is 100 flushes in a row, the rate 2 % of a CPU.
 */
#define REPAIR_BURST	 100
#define REPAIR_PER_SEC	 20
#define RETRY_MIN_MSEC	 250
#define RETRY_MAX_MSEC	 5000
#define RETRY_RESET_MSEC 120000
/* Once the commit is through: the listing of connections must not hold up a repair. */
#define CONNTRACK_DELAY_MSEC 20
/* After the last look at the rules, and the listing of connections. */
#define SETTLED_MSEC 200
/* How often another reason is told while the rules are not in place. */
#define FAILING_LOG_MSEC 10000
/* How often news are subscribed to again, where the kernel has refused it. */
#define SUBSCRIBE_MSEC	1000
#define FIGHT_LOG_MSEC	60000
#define REPAIR_LOG_MSEC 10000
/* Who it was is told after what was done, and repairs do not wait for that. */
#define REPAIR_TELL_MSEC 20
/* How often is looked who has borrowed an address; sooner while rules against it are not in place. */
#define SPOOF_LOOK_MSEC	 5000
#define SPOOF_RETRY_MSEC 500
#define SPOOF_LOG_MSEC	 10000
/* What a second spec may ask for: whole seconds, as many as the setting takes. */
#define SWEEP_MIN_MSEC 1000U
#define SWEEP_MAX_MSEC 1000000000U

struct redirector {
	struct loop *loop;
	struct confine_files files; /* `tester`: until `trial` has it */
	struct loop_fd channel;
	struct redirect_status status, sent;
	struct redirect_spec spec;
	bool runs_programs;		 /* it may: it is confined so that it can */
	enum redirect_backend automatic; /* what REDIRECT_AUTO is */

	const struct backend *backend; /* NULL until one works */
	void *state;
	struct monitor *monitor;
	bool started;	 /* the spec has come */
	bool installed;	 /* apply() went through once */
	bool waits;	 /* another nmi has the rules */
	bool altered;	 /* found so, and not yet put back */
	bool has_looked; /* at the rules, and not settled since */
	struct mono altered_since;
	char rules_note[sizeof(((struct backend_report *)0)->text)]; /* of the last report */
	char conntrack_note[80], spoof_note[120], news_note[120];    /* "": all is well */

	struct spoof *spoof; /* NULL: no rules of ours, or not yet */
	bool spoofs_untold;  /* packets were dropped, and no line says whose */
	uint8_t msg[WIRE_DOWN_MAX + 1];
	struct trial *trial;
	uint32_t test_seq;
	struct redirect_port *ports; /* told before there was `spoof`, which has them since */
	size_t n_ports;

	struct loop_timer retry, sweep, conntrack, settled, look, tell, subscribe;
	char repaired[sizeof(((struct backend_report *)0)->text)]; /* to be told */
	struct backoff backoff;
	struct bucket repairs; /* that may still be made at once */
	struct log_limit repair_log, fight_log, spoof_log, failing_log, tune_log;
};

/* status */

static void send_status(struct redirector *r)
{
	uint8_t msg[WIRE_STATUS_BYTES];
	bool full;

	wire_put_status(&r->status, msg);
	full = send(r->files.channel, msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	       (errno == EAGAIN || errno == EINTR);
	/* Another failure means that nmi is gone, which the channel tells by itself. */
	(void)loop_fd_mod(&r->channel, full ? EPOLLIN | EPOLLOUT : EPOLLIN, NULL);
}

static void publish(struct redirector *r)
{
	const struct redirect_status *a = &r->status, *b = &r->sent;

	if (a->state == b->state && a->protection == b->protection && a->backend == b->backend &&
	    a->repairs == b->repairs && a->spoofed == b->spoofed && a->ports == b->ports &&
	    strcmp(a->why, b->why) == 0)
		return;
	r->sent = r->status;
	send_status(r);
}

/*
 * A listing of our tables costs libnftables two megabytes, of which it keeps one, and glibc what was freed.
 * Given back when all is quiet, never while a repair may be due.
 */
static void on_settled(struct loop_timer *t)
{
	struct redirector *r = container_of(t, struct redirector, settled);

	if (!r->has_looked) {
		(void)malloc_trim(0); /* it had nothing to give, or it did */
		return;
	}
	r->has_looked = false;
	if (r->backend->rest)
		r->backend->rest(r->state);
	resident_release();
}

/* All that the operator should know although the rules are in place. */
static void put_notes(struct redirector *r)
{
	const char *const notes[] = { r->rules_note, r->news_note, r->conntrack_note,
				      r->spoof_note };
	char *why = r->status.why;
	size_t n = 0;

	*why = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(notes); i++) {
		if (!*notes[i])
			continue;
		(void)snprintf(why + n, sizeof(r->status.why) - n, "%s%s", n ? "; " : "", notes[i]);
		n = strlen(why);
	}
}

static void set_active(struct redirector *r, const struct backend_report *report)
{
	struct redirect_status *s = &r->status;

	r->installed = true;
	r->altered = false;
	r->has_looked = true;
	backoff_reset(&r->backoff);
	s->state = report->waits ? REDIRECT_FAILING : REDIRECT_ACTIVE;
	s->protection = report->protection;
	memcpy(r->rules_note, report->text, sizeof(r->rules_note));
	put_notes(r);
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
	if (r->status.state == REDIRECT_ACTIVE)
		put_notes(r);
	publish(r);
}

static void plan_conntrack(struct redirector *r)
{
	if (r->spec.delete_conntrack && r->backend->events && !r->conntrack.loop)
		loop_timer_set_msec(r->loop, &r->conntrack, CONNTRACK_DELAY_MSEC, on_conntrack);
}

/* borrowed addresses */

static void tell_culprits(struct redirector *r)
{
	struct spoof_culprits c;
	struct err err = { 0 };
	unsigned long held;

	if (!r->spoofs_untold ||
	    !log_limit_pass(&r->spoof_log, loop_mono(r->loop), SPOOF_LOG_MSEC, &held))
		return;
	r->spoofs_untold = false;
	if (spoof_culprits(r->spoof, &c, &err) < 0) {
		log_warn("dropped packets with borrowed addresses; whose is not known: %s",
			 err.msg);
		return;
	}
	for (size_t i = 0; i < c.n_worst; i++) {
		const struct spoof_source *s = &c.worst[i];
		char ip[INET_IP_TEXT_MAX];

		log_warn("dropped %llu packets with a borrowed address: %s came from link %s, "
			 "which is "
			 "not its own",
			 (unsigned long long)s->packets, inet_ip_print(&s->from.ip, ip),
			 LOG_Q(s->from.link));
	}
	if (c.n_more)
		log_warn("dropped packets with borrowed addresses from %zu more sources", c.n_more);
}

/* Puts the ports in place; true if all is well. */
static bool apply_spoof(struct redirector *r)
{
	size_t before = r->status.ports;
	char note[sizeof(r->spoof_note)] = "";
	struct err err = { 0 };

	if (spoof_apply(r->spoof, &err) < 0)
		(void)snprintf(note, sizeof(note), "borrowed addresses: %.90s", err.msg);
	r->status.ports = (uint32_t)spoof_ports(r->spoof);
	if (*note && strcmp(note, r->spoof_note) != 0)
		log_warn("rules against borrowed addresses are not in place, trying again: %s",
			 err.msg);
	if (!before != !r->status.ports)
		log_info("addresses behind bridges that are tied to their port: %u",
			 (unsigned)r->status.ports);
	memcpy(r->spoof_note, note, sizeof(note));
	loop_timer_set_msec(r->loop, &r->settled, SETTLED_MSEC, on_settled);
	if (r->status.state == REDIRECT_ACTIVE)
		put_notes(r);
	publish(r);
	return !*note;
}

static void on_look(struct loop_timer *t)
{
	struct redirector *r = container_of(t, struct redirector, look);
	uint64_t packets = 0;
	struct err err = { 0 };
	bool well;

	if (spoof_look(r->spoof, &packets, &err) < 0)
		log_debug("%s", err.msg);
	r->status.spoofed += packets;
	r->spoofs_untold = r->spoofs_untold || packets;
	tell_culprits(r);
	well = apply_spoof(r);
	loop_timer_set_msec(r->loop, t, well ? SPOOF_LOOK_MSEC : SPOOF_RETRY_MSEC, on_look);
}

/* With the first rules; ports that were told before come in with them. */
static void start_spoof(struct redirector *r)
{
	struct nft_ctx *writer = NULL;

	if (r->spoof)
		return;
	if (r->backend->id == REDIRECT_NFT)
		writer = nft_backend_writer(r->state);
	else if (r->backend->id == REDIRECT_IPTABLES)
		writer = ipt_backend_writer(r->state);
	if (!writer)
		return;
	r->spoof = spoof_new(&r->spec, writer);
	spoof_set_ports(r->spoof, r->ports, r->n_ports);
	free(r->ports);
	r->ports = NULL;
	on_look(&r->look);
}

/* The first time, or after another nmi had them. */
static void put_in_place(struct redirector *r, const struct backend_report *report)
{
	r->waits = report->waits;
	set_active(r, report);
	if (report->waits)
		return;
	plan_conntrack(r);
	start_spoof(r);
	ipt_left_remove(&r->files.left);
}

/*
 * rules: each of these returns 0, or how many milliseconds to wait before the next look
 */

static unsigned later(struct redirector *r, const struct err *err)
{
	bool is_news = r->status.state != REDIRECT_FAILING || strcmp(r->status.why, err->msg) != 0;
	unsigned long held;

	/* The first at once; one that comes and goes with each try is not told each time. */
	if (is_news &&
	    (log_limit_pass(&r->failing_log, loop_mono(r->loop), FAILING_LOG_MSEC, &held) ||
	     r->status.state != REDIRECT_FAILING))
		log_err("packet rules are not as they should be, trying again: %s", err->msg);
	set_failing(r, err->msg);
	return backoff_next(&r->backoff, loop_mono(r->loop));
}

static unsigned install(struct redirector *r)
{
	struct backend_report report;
	struct err err = { 0 };

	if (r->backend->apply(r->state, &report, &err) < 0)
		return later(r, &err);
	if (!report.waits)
		log_info("packet rules in place (%s, %s)", r->backend->name,
			 redirect_protection_name(report.protection));
	if (*report.text)
		log_warn("packet rules: %s", report.text);
	if (*r->news_note)
		log_warn("packet rules: %s", r->news_note);
	put_in_place(r, &report);
	return report.again_msec;
}

static const char *print_culprit(const struct redirector *r, char buf[static CULPRIT_TEXT_MAX])
{
	static const struct culprits nobody;

	return culprits_print(r->monitor ? monitor_culprits(r->monitor) : &nobody, buf);
}

static void on_tell(struct loop_timer *t)
{
	struct redirector *r = container_of(t, struct redirector, tell);
	char who[CULPRIT_TEXT_MAX];
	unsigned long held;

	if (log_limit_pass(&r->repair_log, loop_mono(r->loop), REPAIR_LOG_MSEC, &held))
		log_warn("packet rules put back after %u us: %s; it was %s (%lu repairs since the "
			 "last such line)",
			 (unsigned)r->status.last_repair_usec, r->repaired, print_culprit(r, who),
			 held);
}

static void plan_tell(struct redirector *r, const char *what)
{
	(void)snprintf(r->repaired, sizeof(r->repaired), "%s", what);
	if (!r->tell.loop)
		loop_timer_set_msec(r->loop, &r->tell, REPAIR_TELL_MSEC, on_tell);
}

static unsigned repair(struct redirector *r, const char *what)
{
	char who[CULPRIT_TEXT_MAX];
	struct backend_report report;
	struct err err = { 0 };
	struct mono now = loop_mono(r->loop);
	unsigned long held;

	if (!bucket_try(&r->repairs, NSEC_PER_SEC / REPAIR_PER_SEC, REPAIR_BURST, now)) {
		(void)err_set(&err, ERR_LIMIT, "another program keeps undoing them: %.80s: %.80s",
			      print_culprit(r, who), what);
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
	plan_tell(r, what);
	/* Where one of our tables stood all the time, nobody got past the rules. */
	if (report.protection == REDIRECT_REPAIRED)
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
	if (verdict == BACKEND_SAME && r->waits) {
		if (!report.waits)
			log_info("packet rules in place (%s, %s): the other nmi ended",
				 r->backend->name, redirect_protection_name(report.protection));
		put_in_place(r, &report);
		return report.again_msec;
	}
	if (verdict == BACKEND_SAME) {
		set_active(r, &report);
		start_spoof(r); /* beside iptables, nftables may have come only now */
		return report.again_msec;
	}
	if (!r->altered)
		r->altered_since = since;
	r->altered = true;
	return repair(r, report.text);
}

static const struct backend *choose(struct redirector *r, struct err *err)
{
	enum redirect_backend id = r->spec.backend;

	if (id == REDIRECT_AUTO)
		id = r->automatic;
	if (id == REDIRECT_IPTABLES && !r->runs_programs) {
		(void)err_set(err, ERR_INPUT, "this redirector was not started to run iptables");
		return NULL;
	}
	return backend_choose(id, err);
}

/* Puts the rules in place or back. */
static unsigned advance(struct redirector *r, struct mono since, bool deleted)
{
	struct err err = { 0 };

	if (!r->backend) {
		const struct backend *b = choose(r, &err);

		r->state = b ? b->open(&r->spec, &err) : NULL;
		if (!r->state)
			return later(r, &err);
		r->backend = b;
		r->status.backend = b->id;
		if (r->monitor)
			monitor_set_concerns(r->monitor, b->concerns);
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
	char rival[MONITOR_RIVAL_MAX];
	unsigned wait;

	if (r->monitor && monitor_take_rival(r->monitor, rival) && r->backend &&
	    r->backend->outranked)
		r->backend->outranked(r->state, rival);
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

static void on_subscribe(struct loop_timer *t)
{
	struct redirector *r = container_of(t, struct redirector, subscribe);
	struct err err = { 0 };

	r->news_note[0] = '\0';
	r->monitor = monitor_new(r->loop, on_news, r, &err);
	if (r->monitor) {
		if (r->backend)
			monitor_set_concerns(r->monitor, r->backend->concerns);
		on_news(r, loop_mono(r->loop), false); /* what was missed */
		return;
	}
	(void)snprintf(r->news_note, sizeof(r->news_note),
		       "changes are only seen by the sweep: %.80s", err.msg);
	loop_timer_set_msec(r->loop, t, SUBSCRIBE_MSEC, on_subscribe);
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
		on_subscribe(&r->subscribe);
	on_retry(&r->retry);
	return 0;
}

/* A second spec may differ in how often all is compared and in what is logged; where pods are sent stays. */
static void tune(struct redirector *r, size_t n)
{
	struct redirect_spec spec;
	struct mono at;
	struct err err = { 0 };
	unsigned long held;

	if (wire_get_start(r->msg, n, &spec, &err) == 0 &&
	    (spec.sweep_msec < SWEEP_MIN_MSEC || spec.sweep_msec > SWEEP_MAX_MSEC))
		(void)err_set(&err, ERR_INPUT, "not every %u ms", spec.sweep_msec);
	if (err.kind) {
		if (log_limit_pass(&r->tune_log, loop_mono(r->loop), FAILING_LOG_MSEC, &held))
			log_warn("ignoring what nmi says again about the rules: %s", err.msg);
		return;
	}
	log_setup(spec.log_json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT,
		  spec.log_verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	r->spec.sweep_msec = spec.sweep_msec;
	/* never put off: whoever says it again and again would have none at all */
	at = mono_add_msec(loop_mono(r->loop), spec.sweep_msec);
	if (!r->sweep.loop || mono_before(at, r->sweep.at))
		loop_timer_set(r->loop, &r->sweep, at, on_sweep);
}

static void set_ports(struct redirector *r, size_t n)
{
	_cleanup_free_ struct redirect_port *ports = xcalloc(REDIRECT_PORTS_MAX, sizeof(*ports));
	struct err err = { 0 };
	size_t n_ports;
	int e = wire_get_ports(r->msg, n, ports, &n_ports, &err);

	if (e == 0)
		e = spoof_rules_check(ports, n_ports, &err);
	if (e < 0) {
		log_warn("ignoring what nmi says about ports: %s", err.msg);
		return;
	}
	if (!r->spoof) {
		free(r->ports);
		r->ports = steal_ptr(ports);
		r->n_ports = n_ports;
		return;
	}
	spoof_set_ports(r->spoof, ports, n_ports);
	if (!apply_spoof(r))
		loop_timer_set_msec(r->loop, &r->look, SPOOF_RETRY_MSEC, on_look);
}

/* If nmi does not read, it takes the test for failed. */
static void on_tested(void *ctx, const struct redirect_test *t)
{
	struct redirector *r = ctx;
	uint8_t msg[WIRE_TESTED_BYTES];

	wire_put_tested(r->test_seq, t, msg);
	(void)send(r->files.channel, msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void test(struct redirector *r, size_t n)
{
	uint8_t nonce[REDIRECT_NONCE_BYTES];
	struct err err = { 0 };
	uint32_t seq;

	if (!r->started || wire_get_try(r->msg, n, &seq, nonce, &err) < 0) {
		log_warn("ignoring what nmi says about a self-test");
		return;
	}
	if (trial_is_under_way(r->trial))
		return; /* nmi has waited for that one too long, and waits for this one */
	r->test_seq = seq;
	trial_try(r->trial, &r->spec, nonce);
}

static void on_message(struct redirector *r, size_t n)
{
	struct err err = { 0 };

	if (wire_is_ports(r->msg, n))
		set_ports(r, n);
	else if (wire_is_try(r->msg, n))
		test(r, n);
	else if (r->started)
		tune(r, n);
	else if (start(r, r->msg, n, &err) < 0)
		set_failing(r, err.msg);
	else
		r->started = true;
}

static void on_channel(struct loop_fd *f, uint32_t events)
{
	struct redirector *r = container_of(f, struct redirector, channel);
	ssize_t n;

	if (events & EPOLLOUT)
		send_status(r);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	n = recv(r->files.channel, r->msg, sizeof(r->msg), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		loop_quit(r->loop, 0); /* nmi ended, or wants us to */
	else
		on_message(r, (size_t)n);
}

static struct redirector *redirector_free(struct redirector *r)
{
	if (!r)
		return NULL;
	r->monitor = monitor_free(r->monitor);
	r->spoof = spoof_free(r->spoof);
	r->trial = trial_free(r->trial);
	free(r->ports);
	if (r->backend)
		r->backend->close(r->state);
	r->loop = loop_free(r->loop);
	if (r->files.channel >= 0)
		close(r->files.channel);
	if (r->files.left >= 0)
		close(r->files.left);
	free(r);
	return NULL;
}
DEFINE_CLEANUP(struct redirector, redirector_free);

static int live(int fd, enum redirect_backend wanted, struct err *err)
{
	_cleanup_(redirector_freep) struct redirector *r = xnew(struct redirector);
	char why[BACKEND_WHY_MAX];
	int e;

	r->files = (struct confine_files){ .channel = fd, .tester = -1, .left = -1 };
	r->backoff = (struct backoff){ .min_msec = RETRY_MIN_MSEC,
				       .max_msec = RETRY_MAX_MSEC,
				       .reset_msec = RETRY_RESET_MSEC };
	r->automatic = backend_resolve(wanted, why);
	r->runs_programs = r->automatic == REDIRECT_IPTABLES;
	if (*why)
		log_info("redirect backend: %s, since %s", redirect_backend_name(r->automatic),
			 why);
	if (r->automatic == REDIRECT_NFT)
		r->files.left = ipt_left_prepare();
	if (tester_spawn(&r->files.tester, err) < 0)
		log_warn("no self-tests: %s", err->msg);
	e = confine(&r->files, r->runs_programs, err);
	if (e < 0)
		return err_wrap(err, "confining the redirector");
	r->loop = loop_new(err);
	if (!r->loop)
		return -(int)ERR_OS;
	r->trial = trial_new(r->loop, r->files.tester, on_tested, r);
	e = loop_fd_add(r->loop, &r->channel, r->files.channel, EPOLLIN, on_channel, err);
	return e < 0 ? e : loop_run(r->loop, err);
}

_Noreturn void redirector_main(int fd, enum redirect_backend wanted)
{
	struct err err = { 0 };
	int r = live(fd, wanted, &err);

	if (r < 0)
		log_err("the redirector ends: %s", err.msg);
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
