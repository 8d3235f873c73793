/* SPDX-License-Identifier: MIT */

/*
 * The self-test: see selftest.h.
 *
 * Theory of operation
 *
 * A rule that is in place does not mean that pods come here: another table at the same hook may decide
 * first. So the redirector has somebody outside the host's own stack ask the metadata address for a nonce
 * (iptables/tester.c), and the test has passed if the pods' listener of this very process was asked for it
 * and the answer got back. Who else answers, or that nobody does, is the reason in /readyz.
 *
 * Rules of ours. Not ready before the first test has passed. Then one failure is forgiven (a moment of a
 * firewall's restart), the second in a row is not. A test that cannot be made (no user namespaces here) says
 * nothing: the rules were read back, which is weaker, and that is logged once. What a failed test has
 * said is only taken back by one that passes.
 *
 * Traffic brought by the network plugin. Cilium's local redirect policy sends pods to agents that are ready,
 * and to no other (its test pod-readiness.txtar), so to wait for traffic before being ready is to wait for
 * ever. Hence readiness is offered:
 *
 *	offered    ready, unproven, for a minute: something has to arrive, the test or a pod. It does: proven.
 *	withdrawn  nothing came: not ready, with the reason. Tests go on, and one that passes proves. After five
 *	           minutes it is offered again, since what was missing may have been made meanwhile.
 *	proven     ready. Only tests take that back, and only where one has passed before: on a node where
 *	           the plugin sees pods alone, and not the test, a pod that has come is the proof.
 */

#include "nmi/selftest.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/metric.h"
#include "lib/loop/loop.h"
#include "nmi/metrics.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PERIOD_MSEC 60000
/* 10 % to both sides, so that a fleet does not test in step. */
#define JITTER_MSEC 6000
#define AGAIN_MSEC  5000
/* The redirector tells within TESTER_WAIT_MSEC, or it is stuck. */
#define LOST_MSEC 10000
/* In a row, after one that passed. */
#define FORGIVEN_FAILURES 1
/* The kubelet looks every 10 s by default, and Cilium hears of it from the API server. */
#define OFFER_MSEC	60000
#define WITHDRAWN_MSEC	300000
#define REASON_MAX	240 /* with its name, a line of health.h */
#define TARGET_TEXT_MAX INET_IP_PORT_TEXT_MAX

enum verdict { VERDICT_NONE, VERDICT_PASSED, VERDICT_FAILED };

struct selftest {
	struct loop *loop;
	struct selftest_spec spec;
	struct loop_timer next, lost, offer;
	bool started, paused;
	bool trying; /* selftest_done() is due */
	bool asked;  /* for the nonce of that */
	uint8_t nonce[REDIRECT_NONCE_BYTES];

	enum verdict verdict;
	unsigned failures; /* in a row */
	bool passed_once;
	struct mono passed_at;
	struct mono tried_at; /* 0: never */
	bool impossible_told;
	bool proven, offered;	 /* SELFTEST_PLUGIN only */
	char reason[REASON_MAX]; /* of the last that failed */
};

static void on_next(struct loop_timer *t);

static const char *target(const struct selftest *s, char buf[static TARGET_TEXT_MAX])
{
	return inet_ip_print_port(&s->spec.metadata_ip, s->spec.metadata_port, buf);
}

static uint64_t period_msec(void)
{
	uint16_t r;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != (ssize_t)sizeof(r))
		return PERIOD_MSEC;
	return PERIOD_MSEC - JITTER_MSEC + r % (2 * JITTER_MSEC + 1);
}

static bool is_ready(const struct selftest *s)
{
	if (s->spec.kind == SELFTEST_OFF)
		return true;
	if (s->spec.kind == SELFTEST_PLUGIN)
		return s->proven || s->offered;
	return s->verdict == VERDICT_PASSED || (s->verdict == VERDICT_NONE && s->impossible_told);
}

static void plan(struct selftest *s, uint64_t msec)
{
	if (s->started && !s->paused)
		loop_timer_set_msec(s->loop, &s->next, msec, on_next);
}

/* Repairs may come by the dozen, and a test is work for who makes them: not one behind the other. */
static void plan_soon(struct selftest *s)
{
	struct mono now = loop_mono(s->loop), soon = mono_add_msec(s->tried_at, AGAIN_MSEC);

	plan(s, s->tried_at.ns && mono_before(now, soon) ? mono_msec_until(now, soon) : 0);
}

static void count(struct selftest *s, const char *result)
{
	metric_add(s->spec.metrics, NMI_METRIC_SELF_TESTS, &result, 1);
}

/* SELFTEST_PLUGIN: readiness before anything has come */

static void on_offer_end(struct loop_timer *t)
{
	struct selftest *s = container_of(t, struct selftest, offer);

	s->offered = !s->offered;
	if (s->offered)
		log_info("self-test: ready again for %d s, so that a network plugin which sends "
			 "pods to "
			 "ready agents only can do so",
			 OFFER_MSEC / 1000);
	else
		log_err("self-test: no request has come, so this node is not ready: %s", s->reason);
	loop_timer_set_msec(s->loop, t, s->offered ? OFFER_MSEC : WITHDRAWN_MSEC, on_offer_end);
}

static void offer_anew(struct selftest *s)
{
	if (s->spec.kind != SELFTEST_PLUGIN || s->proven || !s->started || s->paused)
		return;
	s->offered = true;
	loop_timer_set_msec(s->loop, &s->offer, OFFER_MSEC, on_offer_end);
}

static void prove(struct selftest *s, const char *by)
{
	if (s->proven)
		return;
	log_info("self-test: pods' requests arrive here (%s)", by);
	s->proven = true;
	s->offered = false;
	loop_timer_del(&s->offer);
}

/* What the test that passed before had proven. */
static void disprove(struct selftest *s)
{
	s->proven = false;
	loop_timer_set_msec(s->loop, &s->offer, WITHDRAWN_MSEC, on_offer_end);
}

/* outcomes */

static void pass(struct selftest *s)
{
	char buf[TARGET_TEXT_MAX];

	count(s, "passed");
	if (s->verdict == VERDICT_FAILED || !s->passed_once)
		log_info("self-test: a connection to %s reaches this agent", target(s, buf));
	s->verdict = VERDICT_PASSED;
	s->failures = 0;
	s->passed_once = true;
	s->passed_at = loop_mono(s->loop);
	if (s->spec.kind == SELFTEST_PLUGIN)
		prove(s, "the test did");
	plan(s, period_msec());
}

static void fail(struct selftest *s)
{
	bool was = is_ready(s);

	count(s, "failed");
	s->failures++;
	if (!s->passed_once || s->failures > FORGIVEN_FAILURES) {
		s->verdict = VERDICT_FAILED;
		if (s->proven && s->passed_once)
			disprove(s);
	}
	if (was && !is_ready(s))
		log_err("self-test failed, so this node is not ready: %s", s->reason);
	else if (s->failures == 1)
		log_warn("self-test failed, trying again: %s", s->reason);
	plan(s, AGAIN_MSEC);
}

static void impossible(struct selftest *s, const char *why)
{
	count(s, "impossible");
	if (!s->impossible_told)
		log_warn("self-test: it cannot be made (%s), so that %s; allow user namespaces to "
			 "the agent (user.max_user_namespaces, seccomp and AppArmor profile of the "
			 "pod)",
			 why,
			 s->spec.kind == SELFTEST_PLUGIN
				 ? "whether pods' requests arrive is only seen when a pod asks"
				 : "the packet rules are read back and not tried, which is weaker");
	s->impossible_told = true;
	/* there is nothing that could prove, and no sign that anything is wrong */
	if (s->spec.kind == SELFTEST_PLUGIN && !s->proven && !s->passed_once)
		prove(s, "not tested");
	plan(s, period_msec());
}

#define LOOK "; see: nft list ruleset, iptables-save"

static void explain_answer(struct selftest *s, const struct redirect_test *t)
{
	char buf[TARGET_TEXT_MAX];
	bool plugin = s->spec.kind == SELFTEST_PLUGIN;

	if (strncmp(t->body, REDIRECT_TEST_OTHER, strlen(REDIRECT_TEST_OTHER)) == 0)
		(void)snprintf(s->reason, sizeof(s->reason),
			       "another nmi answers at %s, on this node or on another one: end it, "
			       "or "
			       "the rule that leads to it" LOOK,
			       target(s, buf));
	else
		(void)snprintf(s->reason, sizeof(s->reason),
			       "%s is answered by somebody else (\"%.40s\", Server \"%.32s\"): %s",
			       target(s, buf), t->text, t->server,
			       plugin ? "nothing redirects it to this agent; see the network "
					"plugin's redirect policy"
				      : "a rule decides before ours" LOOK);
}

static void explain(struct selftest *s, const struct redirect_test *t)
{
	char buf[TARGET_TEXT_MAX];
	const char *at = target(s, buf);

	switch (t->outcome) {
	case REDIRECT_TEST_ANSWERED:
		explain_answer(s, t);
		break;
	case REDIRECT_TEST_GARBLED:
		(void)snprintf(s->reason, sizeof(s->reason),
			       "%s is answered by somebody else, and not in HTTP (\"%.40s\")" LOOK,
			       at, t->text);
		break;
	case REDIRECT_TEST_REFUSED:
		(void)snprintf(s->reason, sizeof(s->reason),
			       "a connection to %s was refused: it is not redirected (NOTRACK, or "
			       "an "
			       "earlier rule), or not to this agent" LOOK,
			       at);
		break;
	case REDIRECT_TEST_SILENT:
		(void)snprintf(s->reason, sizeof(s->reason),
			       "a connection to %s hears nothing: packets to port %u of this node, "
			       "or "
			       "back, are dropped by somebody's rule" LOOK,
			       at, (unsigned)s->spec.agent_port);
		break;
	case REDIRECT_TEST_MUTE:
		(void)snprintf(s->reason, sizeof(s->reason),
			       "%s takes a connection and does not answer: it is somebody else, or "
			       "the answer is dropped" LOOK,
			       at);
		break;
	case REDIRECT_TEST_BROKEN:
	case REDIRECT_TEST_IMPOSSIBLE:
	case REDIRECT_TESTED:
		(void)snprintf(s->reason, sizeof(s->reason), "a connection to %s failed: %.100s",
			       at, t->text);
		break;
	}
}

void selftest_done(struct selftest *s, const struct redirect_test *t)
{
	if (!s->trying)
		return;
	s->trying = false;
	loop_timer_del(&s->lost);
	if (s->paused)
		return;
	if (t->outcome == REDIRECT_TEST_IMPOSSIBLE) {
		impossible(s, t->text);
		return;
	}
	if (s->asked && t->outcome == REDIRECT_TEST_ANSWERED && t->status == 200) {
		pass(s);
		return;
	}
	if (s->asked)
		(void)snprintf(s->reason, sizeof(s->reason),
			       "a request reached this agent, but its answer did not get back: "
			       "packets "
			       "to pods are dropped by somebody's rule" LOOK);
	else
		explain(s, t);
	fail(s);
}

static void on_lost(struct loop_timer *t)
{
	struct selftest *s = container_of(t, struct selftest, lost);

	s->trying = false;
	(void)snprintf(s->reason, sizeof(s->reason),
		       "the redirector does not answer; if it stays so, restart the agent");
	fail(s);
}

static void on_next(struct loop_timer *t)
{
	struct selftest *s = container_of(t, struct selftest, next);
	struct err err = { 0 };

	if (s->trying)
		return; /* which plans the next one */
	if (getrandom(s->nonce, sizeof(s->nonce), 0) != (ssize_t)sizeof(s->nonce)) {
		plan(s, AGAIN_MSEC);
		return;
	}
	s->asked = false;
	s->trying = true;
	s->tried_at = loop_mono(s->loop);
	loop_timer_set_msec(s->loop, &s->lost, LOST_MSEC, on_lost);
	if (s->spec.try(s->spec.ctx, s->nonce, &err) == 0)
		return;
	s->trying = false;
	loop_timer_del(&s->lost);
	(void)snprintf(s->reason, sizeof(s->reason), "%.*s", REASON_MAX - 1, err.msg);
	fail(s);
}

bool selftest_asked(struct selftest *s, struct str nonce)
{
	char hex[2 * REDIRECT_NONCE_BYTES + 1] = "";

	if (!s->trying)
		return false;
	for (size_t i = 0; i < sizeof(s->nonce); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", s->nonce[i]);
	if (!str_eq(nonce, str_of(hex)))
		return false;
	s->asked = true;
	return true;
}

void selftest_arrived(struct selftest *s)
{
	if (s->spec.kind == SELFTEST_PLUGIN && !s->proven && s->started)
		prove(s, "a pod's did");
}

void selftest_start(struct selftest *s)
{
	bool first = !s->started;

	if (s->spec.kind == SELFTEST_OFF)
		return;
	s->started = true;
	if (first)
		offer_anew(s);
	plan_soon(s);
}

void selftest_pause(struct selftest *s)
{
	s->paused = true;
	loop_timer_del(&s->next);
	loop_timer_del(&s->offer);
}

void selftest_resume(struct selftest *s)
{
	s->paused = false;
	offer_anew(s);
	plan(s, 0);
}

bool selftest_check(void *selftest, char *why, size_t size)
{
	const struct selftest *s = selftest;

	if (is_ready(s))
		return true;
	(void)snprintf(why, size, "%s", *s->reason ? s->reason : "not tried yet");
	return false;
}

void selftest_print(const struct selftest *s, char out[static SELFTEST_TEXT_MAX])
{
	if (s->verdict == VERDICT_PASSED && s->passed_once)
		(void)snprintf(out, SELFTEST_TEXT_MAX, "passed, %.0f s ago",
			       mono_seconds_between(s->passed_at, loop_mono(s->loop)));
	else if (s->spec.kind == SELFTEST_OFF)
		(void)snprintf(out, SELFTEST_TEXT_MAX, "off (--self-test)");
	else
		(void)snprintf(out, SELFTEST_TEXT_MAX, "%s",
			       *s->reason ? s->reason : "not tried yet");
}

void selftest_measure(const struct selftest *s)
{
	metric_set(s->spec.metrics, NMI_METRIC_SELF_TEST_PASSED, NULL,
		   s->verdict == VERDICT_PASSED);
	metric_set(s->spec.metrics, NMI_METRIC_SELF_TEST_AGE, NULL,
		   s->passed_once ? mono_seconds_between(s->passed_at, loop_mono(s->loop)) : -1);
}

struct selftest *selftest_new(struct loop *l, const struct selftest_spec *spec)
{
	struct selftest *s = xnew(struct selftest);

	s->loop = l;
	s->spec = *spec;
	return s;
}

struct selftest *selftest_free(struct selftest *s)
{
	if (!s)
		return NULL;
	loop_timer_del(&s->next);
	loop_timer_del(&s->lost);
	loop_timer_del(&s->offer);
	free(s);
	return NULL;
}
