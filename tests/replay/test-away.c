/* SPDX-License-Identifier: MIT */

/*
 * The watches of an agent while their server is away, and when it is back: they share one client, so one
 * of them knocks for all (lib/kube/knock.h).
 */

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/kube/config.h"
#include "lib/kube/reflector.h"
#include "lib/loop/loop.h"
#include "tests/replay/server.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define WATCHES	  6
#define BACK_MSEC 5000 /* promised: a server that is back is noticed within */
#define KNOCK_SEC 2    /* and it is asked no more often than once in, by all together */

enum mood { WELL, BAD, SILENT };

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"

static const char *const answers[] = {
	[WELL] = HEAD "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\","
		      "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n",
	[BAD] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
	[SILENT] = "", /* it hangs up */
};

static struct {
	struct loop *loop;
	struct server *server;
	struct kube_client *client;
	struct watch {
		struct reflector *reflector;
		struct server_conn *open; /* what it watches by */
		char path[32];
	} watches[WATCHES];
	enum mood mood;
	unsigned asked;
} rig;

static void on_request(void *ctx, struct server_conn *conn, const char *text)
{
	const char *answer = answers[rig.mood];

	(void)ctx;
	/* from where it was, and nothing has happened since */
	if (rig.mood == WELL && strstr(text, "resourceVersion=7&"))
		answer = HEAD;
	rig.asked++;
	server_say(conn, answer, strlen(answer), 0);
	if (rig.mood == SILENT)
		server_hang_up(conn);
	if (rig.mood != WELL)
		return;
	for (size_t i = 0; i < WATCHES; i++) {
		if (strstr(text, rig.watches[i].path))
			rig.watches[i].open = conn;
	}
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void no_object(void *ctx, const struct jval *obj)
{
	(void)ctx;
	(void)obj;
	ck_abort_msg("there is none");
}

static const struct reflector_ops ops = { nothing, no_object, no_object, nothing };

static void settle(void)
{
	for (unsigned quiet = 0; quiet < 3;) {
		unsigned long was = server_activity(rig.server);

		for (unsigned i = 0; i < 8; i++)
			(void)loop_turn(rig.loop, 0, NULL);
		quiet = was == server_activity(rig.server) ? quiet + 1 : 0;
	}
}

/* The time that it took until all of them watch, or `most`. */
static unsigned pass(unsigned most_msec, bool until_all)
{
	unsigned passed = 0;

	settle();
	for (; passed < most_msec; passed += 50) {
		unsigned n = 0;

		for (size_t i = 0; i < WATCHES; i++)
			n += rig.watches[i].open != NULL;
		if (until_all && n == WATCHES)
			break;
		loop_fake_advance(rig.loop, 50);
		settle();
	}
	return passed;
}

static void start(enum mood mood)
{
	struct kube_config config = { 0 };
	struct err err = { 0 };

	memset(&rig, 0, sizeof(rig)); /* in one process there was one before */
	rig.mood = mood;
	rig.loop = loop_new_fake(&err);
	rig.server = server_new(rig.loop, NULL, on_request, NULL, &err);
	ck_assert_msg(rig.loop && rig.server, "%s", err.msg);
	config.server = xasprintf("http://%s:%u", server_host(rig.server), server_port(rig.server));
	rig.client = kube_client_new(rig.loop, &config, "away", &err);
	ck_assert_msg(rig.client, "%s", err.msg);
	kube_config_deinit(&config);
	for (size_t i = 0; i < WATCHES; i++) {
		struct watch *w = &rig.watches[i];
		const struct reflector_spec spec = { .name = w->path, .path = w->path };

		(void)snprintf(w->path, sizeof(w->path), "/api/v1/things%zu", i);
		w->reflector = reflector_new(rig.loop, rig.client, &spec, &ops, NULL);
		reflector_start(w->reflector);
	}
}

static void finish(void)
{
	for (size_t i = 0; i < WATCHES; i++)
		rig.watches[i].reflector = reflector_free(rig.watches[i].reflector);
	rig.client = kube_client_free(rig.client);
	rig.server = server_free(rig.server);
	rig.loop = loop_free(rig.loop);
}

/* Its streams break, and it is as bad as that from now on. */
static void go_away(enum mood mood)
{
	rig.mood = mood;
	for (size_t i = 0; i < WATCHES; i++) {
		ck_assert_ptr_nonnull(rig.watches[i].open);
		server_hang_up(rig.watches[i].open);
		rig.watches[i].open = NULL;
	}
	settle();
}

static void is_noticed(unsigned within_msec)
{
	unsigned msec;

	rig.mood = WELL;
	msec = pass(2 * within_msec, true);
	ck_assert_msg(msec <= within_msec, "noticed after %u ms", msec);
	settle();
	for (size_t i = 0; i < WATCHES; i++)
		ck_assert_int_eq(reflector_status(rig.watches[i].reflector)->state,
				 REFLECTOR_SYNCED);
}

/* So short that the watches go on from where they were; so long that they begin with a list. */
static const unsigned away_sec[] = { 4, 10, 60, 300 };

START_TEST(a_server_that_answered_badly_is_noticed_by_all_when_it_is_back)
{
	start(WELL);
	is_noticed(BACK_MSEC);
	for (unsigned outage = 0; outage < 3; outage++) {
		go_away(BAD);
		(void)pass(away_sec[_i] * 1000, false);
		is_noticed(BACK_MSEC);
		(void)pass(150000, false); /* and what it was like is forgotten */
	}
	finish();
}
END_TEST

START_TEST(an_agent_that_starts_while_the_server_answers_badly_notices_as_soon)
{
	start(BAD);
	(void)pass(away_sec[_i] * 1000, false);
	is_noticed(BACK_MSEC);
	finish();
}
END_TEST

START_TEST(a_server_that_answers_badly_is_asked_as_if_by_one)
{
	start(WELL);
	is_noticed(BACK_MSEC);
	go_away(BAD);
	(void)pass(20000, false); /* each of them has to be told first */
	rig.asked = 0;
	(void)pass(300000, false);
	ck_assert_uint_le(rig.asked, 300 / KNOCK_SEC + 1);
	ck_assert_uint_ge(rig.asked, 300 / 5);
	finish();
}
END_TEST

/* A try costs it nothing: each of them tries by itself. */
START_TEST(a_server_that_did_not_answer_at_all_is_noticed_within_a_second)
{
	start(WELL);
	is_noticed(BACK_MSEC);
	go_away(SILENT);
	(void)pass(away_sec[_i] * 1000, false);
	is_noticed(1000);
	finish();
}
END_TEST

UNIT_MAIN("replay-away",
	  UNIT_LOOP(a_server_that_answered_badly_is_noticed_by_all_when_it_is_back, away_sec),
	  UNIT_LOOP(an_agent_that_starts_while_the_server_answers_badly_notices_as_soon, away_sec),
	  UNIT(a_server_that_answers_badly_is_asked_as_if_by_one),
	  UNIT_LOOP(a_server_that_did_not_answer_at_all_is_noticed_within_a_second, away_sec))
