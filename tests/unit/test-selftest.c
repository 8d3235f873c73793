/* SPDX-License-Identifier: MIT */

#include "lib/base/metric.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/selftest.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define PERIOD_MAX_MSEC 66000
#define PERIOD_MIN_MSEC 54000

struct rig {
	struct loop *loop;
	struct metrics *metrics;
	struct selftest *test;
	unsigned tries;
	bool refuses; /* the redirector is not there */
	uint8_t nonce[REDIRECT_NONCE_BYTES];
};

static struct rig r;

static int try_path(void *ctx, const uint8_t nonce[static REDIRECT_NONCE_BYTES], struct err *err)
{
	r.tries++;
	memcpy(r.nonce, nonce, sizeof(r.nonce));
	return r.refuses ? err_set(err, ERR_OS, "it does not listen") : 0;
}

static void begin(enum selftest_kind kind)
{
	struct selftest_spec spec = {
		.kind = kind, .metadata_port = 80, .agent_port = 2579, .try = try_path
	};

	r = (struct rig){ .loop = loop_new_fake(NULL) };
	r.metrics = metrics_new(nmi_metric_descs, NMI_METRICS, LIMIT_METRIC_SERIES);
	spec.metrics = r.metrics;
	ck_assert_int_eq(inet_ip_parse("169.254.169.254", &spec.metadata_ip, NULL), 0);
	r.test = selftest_new(r.loop, &spec);
	log_lines_start();
}

static void end(void)
{
	(void)log_lines_end();
	r.test = selftest_free(r.test);
	r.metrics = metrics_free(r.metrics);
	r.loop = loop_free(r.loop);
}

static const char *why_not(void)
{
	static char why[256];

	why[0] = '\0';
	return selftest_check(r.test, why, sizeof(why)) ? "" : why;
}

#define assert_ready()	     ck_assert_str_eq(why_not(), "")
#define assert_unready(word) ck_assert_ptr_nonnull(strstr(why_not(), word))

static bool ask(const char *nonce)
{
	return selftest_asked(r.test, str_of(nonce));
}

static const char *nonce_text(void)
{
	static char text[2 * REDIRECT_NONCE_BYTES + 1];

	for (size_t i = 0; i < sizeof(r.nonce); i++)
		(void)snprintf(text + 2 * i, 3, "%02x", r.nonce[i]);
	return text;
}

static void tell(enum redirect_tested outcome)
{
	struct redirect_test t = { .outcome = outcome, .text = "No buffer space available" };

	if (outcome == REDIRECT_TEST_ANSWERED)
		t = (struct redirect_test){ .outcome = outcome,
					    .status = 404,
					    .text = "HTTP/1.1 404 Not Found",
					    .server = "IMDS/150.870.65.1" };
	selftest_done(r.test, &t);
}

static void pass(void)
{
	const struct redirect_test t = { .outcome = REDIRECT_TEST_ANSWERED, .status = 200 };

	ck_assert(ask(nonce_text()));
	selftest_done(r.test, &t);
}

static void turn(void)
{
	ck_assert_int_eq(loop_turn(r.loop, 0, NULL), 0);
}

/* Until the next one is tried: how long that took. */
static unsigned await_try(void)
{
	unsigned was = r.tries, msec = 0;

	for (; r.tries == was && msec <= PERIOD_MAX_MSEC; msec += 100)
		loop_fake_advance(r.loop, 100);
	ck_assert_uint_eq(r.tries, was + 1);
	return msec;
}

/* The first test is under way. */
static void begin_started(enum selftest_kind kind)
{
	begin(kind);
	selftest_start(r.test);
	turn();
	ck_assert_uint_eq(r.tries, 1);
}

static void begin_passed(enum selftest_kind kind)
{
	begin_started(kind);
	pass();
	assert_ready();
}

static unsigned count(const char *result)
{
	return (unsigned)metric_get(r.metrics, NMI_METRIC_SELF_TESTS, &result);
}

START_TEST(before_the_rules_are_in_place_nothing_is_tried_and_it_is_not_ready)
{
	begin(SELFTEST_RULES);
	loop_fake_advance(r.loop, 600000);
	ck_assert_uint_eq(r.tries, 0);
	assert_unready("not tried yet");
	end();
}
END_TEST

START_TEST(a_test_that_passes_makes_it_ready)
{
	begin_started(SELFTEST_RULES);
	assert_unready("not tried yet");
	pass();
	assert_ready();
	selftest_measure(r.test);
	ck_assert_double_eq(metric_get(r.metrics, NMI_METRIC_SELF_TEST_PASSED, NULL), 1);
	ck_assert_double_eq(metric_get(r.metrics, NMI_METRIC_SELF_TEST_AGE, NULL), 0);
	ck_assert_uint_eq(count("passed"), 1);
	end();
}
END_TEST

START_TEST(each_test_has_a_nonce_of_its_own_which_counts_only_meanwhile)
{
	char first[64];

	begin_started(SELFTEST_RULES);
	(void)snprintf(first, sizeof(first), "%s", nonce_text());
	ck_assert(!ask("") && !ask("00000000000000000000000000000000"));
	ck_assert(!ask("nmi"));
	pass();
	ck_assert(!ask(first));
	(void)await_try();
	ck_assert_uint_eq(r.tries, 2);
	ck_assert_str_ne(nonce_text(), first);
	ck_assert(!ask(first));
	ck_assert(ask(nonce_text()));
	end();
}
END_TEST

START_TEST(it_is_repeated_about_once_a_minute)
{
	unsigned least = PERIOD_MAX_MSEC, most = 0;

	begin_passed(SELFTEST_RULES);
	for (unsigned i = 0; i < 50; i++) {
		unsigned msec = await_try();

		least = msec < least ? msec : least;
		most = msec > most ? msec : most;
		pass();
	}
	ck_assert_uint_ge(least, PERIOD_MIN_MSEC);
	ck_assert_uint_le(most, PERIOD_MAX_MSEC + 100);
	ck_assert_uint_gt(most - least, 1000); /* a fleet does not test in step */
	end();
}
END_TEST

/* What comes of a test of which nobody asked this agent, and a word of what /readyz says. */
static const struct {
	struct redirect_test t;
	const char *words[3];
} others[] = {
	{ { REDIRECT_TEST_ANSWERED, 404, "HTTP/1.1 404 Not Found", "IMDS/150", "" },
	  { "169.254.169.254:80", "\"HTTP/1.1 404 Not Found\", Server \"IMDS/150\"",
	    "nft list ruleset" } },
	{ { REDIRECT_TEST_ANSWERED, 200, "HTTP/1.1 200 OK", "", "nmi: this agent" },
	  { "somebody else", "HTTP/1.1 200 OK", "before ours" } },
	{ { REDIRECT_TEST_ANSWERED, 404, "HTTP/1.1 404 Not Found", "", "nmi: no such self-test." },
	  { "another nmi", "end it", "nft list ruleset" } },
	{ { REDIRECT_TEST_GARBLED, 0, "SSH-2.0-OpenSSH", "", "" },
	  { "not in HTTP", "SSH-2.0-OpenSSH", "nft list ruleset" } },
	{ { REDIRECT_TEST_REFUSED, 0, "", "", "" }, { "refused", "NOTRACK", "nft list ruleset" } },
	{ { REDIRECT_TEST_SILENT, 0, "", "", "" },
	  { "hears nothing", "port 2579", "nft list ruleset" } },
	{ { REDIRECT_TEST_MUTE, 0, "", "", "" },
	  { "does not answer", "dropped", "nft list ruleset" } },
	{ { REDIRECT_TEST_BROKEN, 0, "No route to host", "", "" },
	  { "failed", "No route to host", "" } },
};

START_TEST(who_answers_instead_is_the_reason)
{
	begin_started(SELFTEST_RULES);
	selftest_done(r.test, &others[_i].t);
	for (size_t i = 0; i < 3; i++)
		assert_unready(others[_i].words[i]);
	ck_assert_uint_eq(log_lines_count(log_lines(), "self-test failed"), 1);
	ck_assert_uint_eq(count("failed"), 1);
	end();
}
END_TEST

/* Whatever a stranger says: the next step stands at the end, and the line fits the page. */
START_TEST(the_longest_answer_does_not_push_the_next_step_out)
{
	struct redirect_test t = { .outcome = REDIRECT_TEST_ANSWERED, .status = 404 };

	memset(t.text, 'x', sizeof(t.text) - 1);
	memset(t.server, 'y', sizeof(t.server) - 1);
	memset(t.body, 'z', sizeof(t.body) - 1);
	begin_started(SELFTEST_RULES);
	selftest_done(r.test, &t);
	assert_unready("iptables-save");
	ck_assert_uint_lt(strlen("[-]self-test: ") + strlen(why_not()), 256);
	end();
}
END_TEST

START_TEST(a_request_whose_answer_is_lost_is_no_success)
{
	static const enum redirect_tested lost[] = { REDIRECT_TEST_MUTE, REDIRECT_TEST_ANSWERED };

	begin_started(SELFTEST_RULES);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(ask(nonce_text()));
		tell(lost[i]);
		assert_unready("did not get back");
		loop_fake_advance(r.loop, 5000);
	}
	end();
}
END_TEST

START_TEST(after_a_failure_it_is_tried_every_five_seconds)
{
	begin_started(SELFTEST_RULES);
	for (unsigned i = 1; i < 20; i++) {
		tell(REDIRECT_TEST_SILENT);
		loop_fake_advance(r.loop, 4999);
		ck_assert_uint_eq(r.tries, i);
		loop_fake_advance(r.loop, 1);
		ck_assert_uint_eq(r.tries, i + 1);
	}
	ck_assert_uint_eq(log_lines_count(log_lines(), "self-test failed"), 1);
	pass();
	assert_ready();
	ck_assert_uint_eq(log_lines_count(log_lines(), "reaches this agent"), 1);
	end();
}
END_TEST

START_TEST(one_failure_after_a_success_is_forgiven_and_two_are_not)
{
	begin_passed(SELFTEST_RULES);
	for (int i = 0; i < 3; i++) {
		(void)await_try();
		tell(REDIRECT_TEST_REFUSED);
		assert_ready();
		loop_fake_advance(r.loop, 5000);
		pass();
	}
	(void)await_try();
	tell(REDIRECT_TEST_REFUSED);
	loop_fake_advance(r.loop, 5000);
	tell(REDIRECT_TEST_REFUSED);
	assert_unready("refused");
	ck_assert_uint_eq(log_lines_count(log_lines(), "trying again"), 4);
	ck_assert_uint_eq(log_lines_count(log_lines(), "this node is not ready"), 1);
	loop_fake_advance(r.loop, 5000);
	pass();
	assert_ready();
	end();
}
END_TEST

START_TEST(a_repair_of_the_rules_is_followed_by_a_test)
{
	begin_passed(SELFTEST_RULES);
	/* not at once: there may be dozens of repairs */
	selftest_start(r.test);
	turn();
	ck_assert_uint_eq(r.tries, 1);
	loop_fake_advance(r.loop, 5000);
	ck_assert_uint_eq(r.tries, 2);
	/* while one is under way there is no other */
	selftest_start(r.test);
	turn();
	ck_assert_uint_eq(r.tries, 2);
	pass();
	(void)await_try();
	ck_assert_uint_eq(r.tries, 3);
	end();
}
END_TEST

START_TEST(a_test_that_cannot_be_made_leaves_it_to_the_rules_and_says_so_once)
{
	begin_started(SELFTEST_RULES);
	for (unsigned i = 1; i < 4; i++) {
		tell(REDIRECT_TEST_IMPOSSIBLE);
		assert_ready();
		ck_assert_uint_eq(count("impossible"), i);
		(void)await_try();
		ck_assert_uint_eq(r.tries, i + 1);
	}
	ck_assert_uint_eq(log_lines_count(log_lines(), "weaker"), 1);
	ck_assert_uint_eq(log_lines_count(log_lines(), "max_user_namespaces"), 1);
	selftest_measure(r.test);
	ck_assert_double_eq(metric_get(r.metrics, NMI_METRIC_SELF_TEST_AGE, NULL), -1);
	end();
}
END_TEST

START_TEST(what_a_failed_test_has_said_is_not_taken_back_by_one_that_cannot_be_made)
{
	begin_started(SELFTEST_RULES);
	tell(REDIRECT_TEST_SILENT);
	loop_fake_advance(r.loop, 5000);
	tell(REDIRECT_TEST_IMPOSSIBLE);
	assert_unready("hears nothing");
	end();
}
END_TEST

START_TEST(a_redirector_that_does_not_answer_is_a_failure)
{
	begin_started(SELFTEST_RULES);
	loop_fake_advance(r.loop, 9999);
	assert_unready("not tried yet");
	loop_fake_advance(r.loop, 1);
	assert_unready("redirector does not answer");
	tell(REDIRECT_TEST_ANSWERED); /* too late */
	ck_assert_uint_eq(count("failed"), 1);
	r.refuses = true;
	loop_fake_advance(r.loop, 5000);
	assert_unready("does not listen");
	ck_assert_uint_eq(count("failed"), 2);
	end();
}
END_TEST

START_TEST(paused_it_tries_nothing_and_believes_nothing)
{
	begin_started(SELFTEST_RULES);
	selftest_pause(r.test);
	tell(REDIRECT_TEST_SILENT);
	assert_unready("not tried yet");
	selftest_start(r.test);
	loop_fake_advance(r.loop, 600000);
	ck_assert_uint_eq(r.tries, 1);
	selftest_resume(r.test);
	turn();
	ck_assert_uint_eq(r.tries, 2);
	pass();
	assert_ready();
	end();
}
END_TEST

START_TEST(resumed_before_it_has_started_it_waits_for_the_rules)
{
	begin(SELFTEST_RULES);
	selftest_pause(r.test);
	selftest_resume(r.test);
	loop_fake_advance(r.loop, 600000);
	ck_assert_uint_eq(r.tries, 0);
	end();
}
END_TEST

START_TEST(switched_off_it_never_tries_and_is_never_in_the_way)
{
	begin(SELFTEST_OFF);
	assert_ready();
	selftest_start(r.test);
	selftest_resume(r.test);
	loop_fake_advance(r.loop, 600000);
	ck_assert_uint_eq(r.tries, 0);
	assert_ready();
	end();
}
END_TEST

/* traffic that the network plugin brings */

/* Fails until so much time has passed. */
static void fail_for(unsigned msec)
{
	for (unsigned t = 0; t < msec; t += 1000) {
		tell(REDIRECT_TEST_ANSWERED);
		loop_fake_advance(r.loop, 1000);
	}
}

START_TEST(a_plugin_that_waits_for_ready_agents_is_offered_one)
{
	begin(SELFTEST_PLUGIN);
	assert_unready("not tried yet");
	selftest_start(r.test);
	turn();
	assert_ready();
	fail_for(59000);
	assert_ready();
	fail_for(2000);
	assert_unready("nothing redirects it to this agent");
	assert_unready("policy");
	ck_assert_uint_ge(r.tries, 12);
	/* and again, five minutes later */
	fail_for(298000);
	assert_unready("somebody else");
	fail_for(2000);
	assert_ready();
	fail_for(60000);
	assert_unready("somebody else");
	ck_assert_uint_eq(log_lines_count(log_lines(), "no request has come"), 2);
	ck_assert_uint_eq(log_lines_count(log_lines(), "ready again"), 1);
	end();
}
END_TEST

START_TEST(with_a_plugin_a_test_that_passes_proves_even_when_withdrawn)
{
	begin_started(SELFTEST_PLUGIN);
	fail_for(70000);
	assert_unready("somebody else");
	loop_fake_advance(r.loop, 5000);
	pass();
	for (unsigned i = 0; i < 10; i++) {
		assert_ready();
		(void)await_try();
		pass();
	}
	ck_assert_uint_eq(log_lines_count(log_lines(), "requests arrive here"), 1);
	end();
}
END_TEST

START_TEST(a_pod_proves_as_much_and_failing_tests_do_not_take_it_back)
{
	begin_started(SELFTEST_PLUGIN);
	tell(REDIRECT_TEST_SILENT);
	selftest_arrived(r.test);
	fail_for(600000);
	assert_ready();
	ck_assert_uint_eq(log_lines_count(log_lines(), "not ready"), 0);
	end();
}
END_TEST

START_TEST(what_a_test_has_proven_two_failures_take_back_until_a_pod_comes)
{
	begin_passed(SELFTEST_PLUGIN);
	(void)await_try();
	tell(REDIRECT_TEST_SILENT);
	assert_ready();
	loop_fake_advance(r.loop, 5000);
	tell(REDIRECT_TEST_SILENT);
	assert_unready("hears nothing");
	selftest_arrived(r.test);
	assert_ready();
	end();
}
END_TEST

START_TEST(with_a_plugin_and_no_test_there_is_no_doubt_and_no_proof)
{
	begin_started(SELFTEST_PLUGIN);
	tell(REDIRECT_TEST_IMPOSSIBLE);
	loop_fake_advance(r.loop, 600000);
	assert_ready();
	ck_assert_uint_eq(log_lines_count(log_lines(), "only seen when a pod asks"), 1);
	end();
}
END_TEST

START_TEST(with_rules_of_ours_a_pod_is_no_proof)
{
	begin_started(SELFTEST_RULES);
	selftest_arrived(r.test);
	assert_unready("not tried yet");
	end();
}
END_TEST

UNIT_MAIN("selftest", UNIT(before_the_rules_are_in_place_nothing_is_tried_and_it_is_not_ready),
	  UNIT(a_test_that_passes_makes_it_ready),
	  UNIT(each_test_has_a_nonce_of_its_own_which_counts_only_meanwhile),
	  UNIT(it_is_repeated_about_once_a_minute),
	  UNIT_LOOP(who_answers_instead_is_the_reason, others),
	  UNIT(the_longest_answer_does_not_push_the_next_step_out),
	  UNIT(a_request_whose_answer_is_lost_is_no_success),
	  UNIT(after_a_failure_it_is_tried_every_five_seconds),
	  UNIT(one_failure_after_a_success_is_forgiven_and_two_are_not),
	  UNIT(a_repair_of_the_rules_is_followed_by_a_test),
	  UNIT(a_test_that_cannot_be_made_leaves_it_to_the_rules_and_says_so_once),
	  UNIT(what_a_failed_test_has_said_is_not_taken_back_by_one_that_cannot_be_made),
	  UNIT(a_redirector_that_does_not_answer_is_a_failure),
	  UNIT(paused_it_tries_nothing_and_believes_nothing),
	  UNIT(resumed_before_it_has_started_it_waits_for_the_rules),
	  UNIT(switched_off_it_never_tries_and_is_never_in_the_way),
	  UNIT(a_plugin_that_waits_for_ready_agents_is_offered_one),
	  UNIT(with_a_plugin_a_test_that_passes_proves_even_when_withdrawn),
	  UNIT(a_pod_proves_as_much_and_failing_tests_do_not_take_it_back),
	  UNIT(what_a_test_has_proven_two_failures_take_back_until_a_pod_comes),
	  UNIT(with_a_plugin_and_no_test_there_is_no_doubt_and_no_proof),
	  UNIT(with_rules_of_ours_a_pod_is_no_proof))
