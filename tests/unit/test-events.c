/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "nmi/events.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "tests/unit/fake-kube.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define ID	   "0b5d4f0e-1111-4222-8333-000000000001"
#define TEN_MIN	   600000
#define SENT_AFTER 5 /* more than the moment that the answer is given */

struct bench {
	struct loop *loop;
	struct metrics *metrics;
	struct events *events;
	int own; /* its address stands for the client */
};

static const struct event_pod web = { "shop", "web-0", "u1" };

static void bench_init(struct bench *b)
{
	fake_kube_reset();
	*b = (struct bench){ .loop = loop_new_fake(NULL) };
	b->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, 16);
	b->events = events_new(b->loop, (void *)&b->own, "node-1", b->metrics);
}

static void bench_deinit(struct bench *b)
{
	b->events = events_free(b->events);
	b->metrics = metrics_free(b->metrics);
	b->loop = loop_free(b->loop);
	for (unsigned i = 0; i < FAKE_MAX; i++)
		ck_assert_ptr_null(fake_kube.calls[i]);
}

static void pass(struct bench *b, uint64_t msec)
{
	loop_fake_advance(b->loop, msec);
}

static bool refused(struct bench *b, const char *text)
{
	return events_refused(b->events, &web, REASON_NO_LABEL, text, ID);
}

static bool refused_pod(struct bench *b, unsigned n)
{
	char uid[16], name[16];

	(void)snprintf(uid, sizeof(uid), "uid-%u", n);
	(void)snprintf(name, sizeof(name), "pod-%u", n);
	return events_refused(b->events, &(struct event_pod){ "shop", name, uid }, REASON_NO_LABEL,
			      "no label", ID);
}

static double counted(const struct bench *b, const char *result)
{
	return metric_get(b->metrics, NMI_METRIC_EVENTS, &result);
}

/* A string of the body of call i, on the heap. */
static char *sent(unsigned i, const char *path)
{
	_cleanup_(jval_freep) struct jval *doc = NULL;
	const char *text = NULL;
	const struct jval_field field = { path, JVAL_STR, JVAL_MUST, &text };

	ck_assert_uint_lt(i, fake_kube.n_calls);
	ck_assert_ptr_nonnull(fake_kube.calls[i]);
	doc = fake_json(fake_kube.calls[i]->body);
	ck_assert_int_eq(jval_read(doc, &field, 1, JVAL_CASE_EXACT, NULL), 0);
	return xstrdup(text);
}

static int64_t sent_count(unsigned i)
{
	_cleanup_(jval_freep) struct jval *doc = fake_json(fake_kube.calls[i]->body);
	int64_t n = -1;
	const struct jval_field field = { "count", JVAL_INT, JVAL_MUST, &n };

	ck_assert_int_eq(jval_read(doc, &field, 1, JVAL_CASE_EXACT, NULL), 0);
	return n;
}

#define ck_sent(i, path, want)                                                                     \
	do {                                                                                       \
		_cleanup_free_ char *got_ = sent(i, path);                                         \
		ck_assert_str_eq(got_, want);                                                      \
	} while (0)

static void created(unsigned i)
{
	fake_answer(i, 201, "{}");
}

START_TEST(an_event_is_about_the_pod_and_says_why_and_which_request)
{
	struct bench b;

	bench_init(&b);
	ck_assert(refused(&b, "pod shop/web-0 has no label"));
	ck_assert_uint_eq(fake_kube.n_calls, 0); /* not in the way of the answer */
	pass(&b, SENT_AFTER);
	ck_assert_uint_eq(fake_kube.n_calls, 1);
	ck_assert_str_eq(fake_kube.calls[0]->path, "/api/v1/namespaces/shop/events");
	ck_sent(0, "apiVersion", "v1");
	ck_sent(0, "kind", "Event");
	ck_sent(0, "metadata.name", "web-0." ID);
	ck_sent(0, "metadata.namespace", "shop");
	ck_sent(0, "involvedObject.apiVersion", "v1");
	ck_sent(0, "involvedObject.kind", "Pod");
	ck_sent(0, "involvedObject.namespace", "shop");
	ck_sent(0, "involvedObject.name", "web-0");
	ck_sent(0, "involvedObject.uid", "u1");
	ck_sent(0, "type", "Warning");
	ck_sent(0, "reason", "NmiNoLabel");
	ck_sent(0, "message", "pod shop/web-0 has no label (request " ID ")");
	ck_sent(0, "source.component", "nmi");
	ck_sent(0, "source.host", "node-1");
	ck_sent(0, "reportingComponent", "nmi");
	ck_sent(0, "reportingInstance", "node-1");
	ck_assert_int_eq(sent_count(0), 1);
	created(0);
	ck_assert_double_eq(counted(&b, "created"), 1);
	bench_deinit(&b);
}
END_TEST

START_TEST(its_times_are_those_of_the_first_and_the_last_refusal)
{
	char first[32], now[32];
	struct bench b;
	struct tm tm;
	time_t s;

	bench_init(&b);
	s = loop_wall(b.loop).s;
	ck_assert(strftime(first, sizeof(first), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm)));
	ck_assert(refused(&b, "x"));
	pass(&b, SENT_AFTER);
	ck_sent(0, "firstTimestamp", first);
	ck_sent(0, "lastTimestamp", first);
	created(0);
	pass(&b, TEN_MIN);
	ck_assert(refused(&b, "x"));
	s = loop_wall(b.loop).s;
	ck_assert(strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm)));
	pass(&b, SENT_AFTER);
	ck_sent(1, "firstTimestamp", first);
	ck_sent(1, "lastTimestamp", now);
	created(1);
	bench_deinit(&b);
}
END_TEST

static const struct {
	enum reason reason;
	const char *want; /* NULL: no Event */
} reasons[] = {
	{ REASON_NO_LABEL, "NmiNoLabel" },
	{ REASON_NO_BINDING, "NmiNoBinding" },
	{ REASON_IDENTITY_NOT_FOUND, "NmiIdentityNotFound" },
	{ REASON_NOT_BOUND, "NmiIdentityNotBound" },
	{ REASON_SELECTOR, "NmiSelectorUnsupported" },
	{ REASON_IDENTITY_TYPE, "NmiIdentityType" },
	{ REASON_IDENTITY_INVALID, "NmiIdentityInvalid" },
	{ REASON_AMBIGUOUS_IP, "NmiAmbiguousIp" },
	{ REASON_UPSTREAM_REFUSED, "NmiUpstreamRefused" },
	{ REASON_POD_UNKNOWN, NULL },
	{ REASON_NOT_SYNCED, NULL },
	{ REASON_OVERLOADED, NULL },
	{ REASON_UPSTREAM_THROTTLED, NULL },
	{ REASON_UPSTREAM_UPDATING, NULL },
	{ REASON_UPSTREAM_DOWN, NULL },
};

START_TEST(a_reason_is_its_code_in_camel_case_and_what_passes_by_itself_makes_no_event)
{
	struct bench b;

	bench_init(&b);
	ck_assert_int_eq(events_refused(b.events, &web, reasons[_i].reason, "x", ID),
			 reasons[_i].want != NULL);
	pass(&b, SENT_AFTER);
	ck_assert_uint_eq(fake_kube.n_calls, reasons[_i].want != NULL);
	if (reasons[_i].want) {
		ck_sent(0, "reason", reasons[_i].want);
		created(0);
	}
	bench_deinit(&b);
}
END_TEST

START_TEST(a_refusal_that_recurs_is_told_again_after_ten_minutes_with_its_count)
{
	struct bench b;

	bench_init(&b);
	ck_assert(refused(&b, "x"));
	pass(&b, SENT_AFTER);
	created(0);
	for (unsigned i = 0; i < 99; i++)
		ck_assert(!refused(&b, "x"));
	pass(&b, TEN_MIN - 10);
	ck_assert(!refused(&b, "x"));
	ck_assert_uint_eq(fake_kube.n_calls, 1);
	pass(&b, 20);
	ck_assert_uint_eq(fake_kube.n_calls, 1); /* not of itself */
	ck_assert(events_refused(b.events, &web, REASON_NO_LABEL, "x", "another-id"));
	pass(&b, SENT_AFTER);
	ck_assert_uint_eq(fake_kube.n_calls, 2);
	ck_assert_int_eq(sent_count(1), 102);
	ck_sent(1, "metadata.name", "web-0.another-id");
	ck_sent(1, "message", "x (request another-id)");
	created(1);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_was_not_seen_for_an_hour_counts_from_one_again)
{
	struct bench b;

	bench_init(&b);
	ck_assert(refused(&b, "x"));
	pass(&b, SENT_AFTER);
	created(0);
	pass(&b, LIMIT_EVENT_FORGET_MSEC);
	ck_assert(refused(&b, "x"));
	pass(&b, SENT_AFTER);
	ck_assert_int_eq(sent_count(1), 1);
	created(1);
	bench_deinit(&b);
}
END_TEST

START_TEST(another_text_another_reason_and_another_pod_are_told_by_themselves)
{
	struct bench b;

	bench_init(&b);
	ck_assert(refused(&b, "x"));
	ck_assert(refused(&b, "y"));
	ck_assert(events_refused(b.events, &web, REASON_NO_BINDING, "x", ID));
	/* the same name with another UID is another pod */
	ck_assert(events_refused(b.events, &(struct event_pod){ "shop", "web-0", "u2" },
				 REASON_NO_LABEL, "x", ID));
	pass(&b, SENT_AFTER);
	ck_assert_uint_eq(fake_kube.n_calls, 4);
	ck_sent(3, "involvedObject.uid", "u2");
	for (unsigned i = 0; i < 4; i++)
		created(i);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_pod_that_makes_up_texts_gets_a_few_events_and_then_no_more)
{
	char text[16];
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "id %u", i);
		ck_assert_int_eq(refused(&b, text), i < LIMIT_EVENTS_PER_POD);
	}
	pass(&b, 20000);
	ck_assert_uint_eq(fake_kube.n_calls, LIMIT_EVENTS_PER_POD);
	ck_assert_double_eq(counted(&b, "dropped"), 1000 - LIMIT_EVENTS_PER_POD);
	ck_assert(refused_pod(&b, 1)); /* others are not held up */
	pass(&b, SENT_AFTER);
	for (unsigned i = 0; i < LIMIT_EVENTS_PER_POD; i++)
		created(i);
	pass(&b, SENT_AFTER);
	created(LIMIT_EVENTS_PER_POD);
	ck_assert(!refused(&b, "a new one")); /* its few were told already */
	pass(&b, TEN_MIN);
	ck_assert(refused(&b, "a new one"));
	pass(&b, SENT_AFTER);
	ck_assert_int_eq(sent_count(LIMIT_EVENTS_PER_POD + 1), 1);
	created(LIMIT_EVENTS_PER_POD + 1);
	bench_deinit(&b);
}
END_TEST

/* Lets so much time pass, in small steps, and has each Event created at once. */
static void pass_creating(struct bench *b, uint64_t msec, unsigned *done)
{
	for (uint64_t t = 0; t < msec; t += 10) {
		pass(b, 10);
		while (*done < fake_kube.n_calls)
			created((*done)++);
	}
}

START_TEST(a_node_tells_ten_at_once_then_one_a_second_and_loses_none)
{
	unsigned done = 0;
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < 15; i++)
		ck_assert(refused_pod(&b, i));
	pass_creating(&b, 500, &done);
	ck_assert_uint_eq(done, LIMIT_EVENT_BURST);
	pass_creating(&b, 1000, &done);
	ck_assert_uint_eq(done, LIMIT_EVENT_BURST + 1);
	pass_creating(&b, 10000, &done);
	ck_assert_uint_eq(done, 15);
	ck_assert_double_eq(counted(&b, "created"), 15);
	/* the bucket has filled again, and not beyond its size */
	pass_creating(&b, 3600000, &done);
	for (unsigned i = 15; i < 30; i++)
		ck_assert(refused_pod(&b, i));
	pass_creating(&b, 500, &done);
	ck_assert_uint_eq(done, 15 + LIMIT_EVENT_BURST);
	pass_creating(&b, 10000, &done);
	ck_assert_uint_eq(done, 30);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_refusal_that_recurs_while_its_event_waits_is_counted_in_it)
{
	unsigned done = 0;
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < LIMIT_EVENT_BURST; i++)
		ck_assert(refused_pod(&b, i));
	pass_creating(&b, 200, &done);
	ck_assert(refused(&b, "x"));
	ck_assert(!refused(&b, "x"));
	pass(&b, 100);
	ck_assert(!refused(&b, "x"));
	ck_assert_uint_eq(fake_kube.n_calls, done);
	pass(&b, 1000);
	ck_assert_uint_eq(fake_kube.n_calls, done + 1);
	ck_assert_int_eq(sent_count(done), 3);
	ck_assert(!refused(&b, "x")); /* while it is being sent */
	created(done);
	ck_assert(!refused(&b, "x"));
	bench_deinit(&b);
}
END_TEST

START_TEST(an_api_server_that_does_not_answer_holds_up_a_few_and_no_memory)
{
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < 2 * LIMIT_EVENT_PODS; i++)
		ck_assert_int_eq(refused_pod(&b, i), i < LIMIT_EVENT_PODS);
	pass(&b, 60000);
	ck_assert_uint_eq(fake_kube.n_calls, LIMIT_EVENTS_SENDING);
	ck_assert_double_eq(counted(&b, "dropped"), LIMIT_EVENT_PODS);
	created(0);
	pass(&b, SENT_AFTER);
	ck_assert_uint_eq(fake_kube.n_calls, LIMIT_EVENTS_SENDING + 1);
	/* its pod is told, so that another one has room */
	ck_assert(refused_pod(&b, 2 * LIMIT_EVENT_PODS));
	bench_deinit(&b); /* cancels what is under way */
	ck_assert_uint_eq(fake_kube.n_cancelled, LIMIT_EVENTS_SENDING);
}
END_TEST

START_TEST(of_too_many_pods_the_one_refused_least_recently_is_forgotten)
{
	unsigned done = 0;
	struct bench b;

	bench_init(&b);
	ck_assert(refused(&b, "x"));
	ck_assert(refused_pod(&b, 0));
	pass_creating(&b, 100, &done);
	ck_assert(!refused(&b, "x"));
	/* fake_kube keeps no more calls than FAKE_MAX: these wait for the bucket */
	for (unsigned i = 1; i < LIMIT_EVENT_PODS; i++)
		ck_assert(refused_pod(&b, i));
	ck_assert(!refused(&b, "x"));  /* known still */
	ck_assert(refused_pod(&b, 0)); /* forgotten: told as if for the first time */
	bench_deinit(&b);
}
END_TEST

static const struct {
	long status;
	const char *says;
	unsigned again_after_msec;
} failures[] = {
	{ 0, "no answer", LIMIT_EVENT_RETRY_MSEC },
	{ 429, "HTTP 429: slow down", LIMIT_EVENT_RETRY_MSEC },
	{ 500, "HTTP 500: etcd", LIMIT_EVENT_RETRY_MSEC },
	{ 503, "HTTP 503: soon", LIMIT_EVENT_RETRY_MSEC },
	{ 403, "HTTP 403: cannot create resource events", TEN_MIN },
	{ 403, "HTTP 403: namespace shop because it is being terminated", TEN_MIN },
	{ 404, "HTTP 404: namespaces shop not found", TEN_MIN },
	{ 409, "HTTP 409: already exists", TEN_MIN },
	{ 422, "HTTP 422: invalid", TEN_MIN },
};

START_TEST(a_failure_is_dropped_and_a_later_refusal_tries_again)
{
	struct bench b;

	bench_init(&b);
	ck_assert(refused(&b, "x"));
	pass(&b, SENT_AFTER);
	fake_finish(0, failures[_i].status, NULL, failures[_i].says);
	ck_assert_double_eq(counted(&b, "failed"), 1);
	pass(&b, failures[_i].again_after_msec - 10);
	ck_assert(!refused(&b, "x"));
	ck_assert_uint_eq(fake_kube.n_calls, 1); /* no retry of its own */
	pass(&b, 20);
	ck_assert(refused(&b, "x"));
	pass(&b, SENT_AFTER);
	ck_assert_uint_eq(fake_kube.n_calls, 2);
	ck_assert_int_eq(sent_count(1), 3);
	created(1);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_missing_permission_is_said_once)
{
	const char *log;
	struct bench b;

	bench_init(&b);
	log_lines_start();
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(refused_pod(&b, i));
		pass(&b, SENT_AFTER);
		fake_finish(i, 403, NULL, "POST /api/v1/namespaces/shop/events: HTTP 403: no");
	}
	log = log_lines_end();
	ck_assert_uint_eq(log_lines_count(log, "\n"), 1);
	ck_assert_ptr_nonnull(strstr(log, "warn"));
	ck_assert_ptr_nonnull(strstr(log, "verb create on events"));
	ck_assert_ptr_nonnull(strstr(log, "--events=false"));
	ck_assert_ptr_nonnull(strstr(log, "/api/v1/namespaces/shop/events"));
	bench_deinit(&b);
}
END_TEST

START_TEST(a_permission_that_was_given_and_is_taken_away_is_said_again)
{
	struct bench b;

	bench_init(&b);
	log_lines_start();
	for (unsigned i = 0; i < 4; i++) {
		ck_assert(refused_pod(&b, i));
		pass(&b, SENT_AFTER);
		if (i == 2)
			created(i);
		else
			fake_finish(i, 403, NULL, "HTTP 403: no");
	}
	ck_assert_uint_eq(log_lines_count(log_lines_end(), "verb create"), 2);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_namespace_that_is_being_deleted_is_no_missing_permission)
{
	struct bench b;

	bench_init(&b);
	log_lines_start();
	ck_assert(refused(&b, "x"));
	pass(&b, SENT_AFTER);
	fake_finish(0, 403, NULL, "namespace shop because it is being terminated");
	ck_assert_str_eq(log_lines_end(), "");
	bench_deinit(&b);
}
END_TEST

static const struct {
	size_t n;	  /* length of the pod's name */
	char last;	  /* the byte where it is cut */
	size_t want_name; /* of it that is left */
} names[] = {
	{ 1, 'a', 1 },	   { 215, 'a', 215 }, { 216, 'a', 216 },
	{ 217, 'a', 216 }, { 253, 'a', 216 }, { 253, '-', 215 },
};

START_TEST(a_long_name_is_cut_so_that_the_events_name_is_one)
{
	char name[254] = "", want[254 + sizeof(ID)];
	struct bench b;

	bench_init(&b);
	memset(name, 'a', names[_i].n);
	if (names[_i].n > 216)
		name[215] = names[_i].last;
	(void)snprintf(want, sizeof(want), "%.*s." ID, (int)names[_i].want_name, name);
	ck_assert(events_refused(b.events, &(struct event_pod){ "shop", name, "u" },
				 REASON_NO_LABEL, "x", ID));
	pass(&b, SENT_AFTER);
	ck_sent(0, "metadata.name", want);
	ck_assert_uint_le(strlen(want), 253);
	ck_sent(0, "involvedObject.name", name);
	created(0);
	bench_deinit(&b);
}
END_TEST

START_TEST(nothing_of_it_is_left_when_it_ends_with_events_waiting)
{
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < 50; i++)
		ck_assert(refused_pod(&b, i));
	ck_assert(refused(&b, "x"));
	pass(&b, SENT_AFTER);
	bench_deinit(&b);
	ck_assert_ptr_null(events_free(NULL));
}
END_TEST

UNIT_MAIN("events", UNIT(an_event_is_about_the_pod_and_says_why_and_which_request),
	  UNIT(its_times_are_those_of_the_first_and_the_last_refusal),
	  UNIT_LOOP(a_reason_is_its_code_in_camel_case_and_what_passes_by_itself_makes_no_event,
		    reasons),
	  UNIT(a_refusal_that_recurs_is_told_again_after_ten_minutes_with_its_count),
	  UNIT(what_was_not_seen_for_an_hour_counts_from_one_again),
	  UNIT(another_text_another_reason_and_another_pod_are_told_by_themselves),
	  UNIT(a_pod_that_makes_up_texts_gets_a_few_events_and_then_no_more),
	  UNIT(a_node_tells_ten_at_once_then_one_a_second_and_loses_none),
	  UNIT(a_refusal_that_recurs_while_its_event_waits_is_counted_in_it),
	  UNIT(an_api_server_that_does_not_answer_holds_up_a_few_and_no_memory),
	  UNIT(of_too_many_pods_the_one_refused_least_recently_is_forgotten),
	  UNIT_LOOP(a_failure_is_dropped_and_a_later_refusal_tries_again, failures),
	  UNIT(a_missing_permission_is_said_once),
	  UNIT(a_permission_that_was_given_and_is_taken_away_is_said_again),
	  UNIT(a_namespace_that_is_being_deleted_is_no_missing_permission),
	  UNIT_LOOP(a_long_name_is_cut_so_that_the_events_name_is_one, names),
	  UNIT(nothing_of_it_is_left_when_it_ends_with_events_waiting))
