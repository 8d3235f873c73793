/* SPDX-License-Identifier: MIT */

/*
 * Links that went before their pods were known: by themselves, and as they decide, through the store, who is
 * found at an IP. All orders in which the news of two pods can come are gone through.
 */

#include "lib/base/log.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/pods/store.h"
#include "nmi/pods/unclaimed.h"
#include "tests/unit/mk-place.h"
#include "tests/unit/mk-pod.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define IP	 "10.0.0.1"
#define OTHER_IP "10.0.0.2"
#define BRIDGE	 1
#define FIRST	 10 /* the first link that may be a pod's */

struct rig {
	struct loop *loop;
	struct unclaimed *u;
	struct pod_store *s;
	struct mk_links l;
	unsigned lapsed;
	int64_t began;
};

static void on_lapse(void *ctx)
{
	struct rig *r = ctx;

	r->lapsed++;
	if (r->s)
		pod_store_moved(r->s, &(struct inet_ip){ 0 }, 0);
}

static void begin(struct rig *r)
{
	*r = (struct rig){ .loop = loop_new_fake(NULL) };
	r->u = unclaimed_new(r->loop, on_lapse, r);
	r->began = loop_wall(r->loop).s;
}

static void end(struct rig *r)
{
	r->s = pod_store_free(r->s);
	r->u = unclaimed_free(r->u);
	r->loop = loop_free(r->loop);
}

static void pass(struct rig *r, uint64_t msec)
{
	loop_fake_advance(r->loop, msec);
	ck_assert_int_eq(loop_turn(r->loop, 0, NULL), 0);
}

/* A pod with these times, in seconds since the test began; -1: not told. */
static struct pod times(const struct rig *r, int64_t started, int64_t ran)
{
	return (struct pod){ .started.s = started < 0 ? 0 : r->began + started,
			     .ran.s = ran < 0 ? 0 : r->began + ran };
}

/* A link that is no port comes, and the IP leads to it. */
static void comes(struct rig *r, uint32_t link, const struct inet_ip *ip)
{
	unclaimed_link(r->u, link, 0);
	unclaimed_led(r->u, ip, link);
}

static bool doubts(const struct rig *r, const char *ip, struct place at, int64_t started,
		   int64_t ran)
{
	const struct inet_ip addr = ip_from(ip);
	const struct pod p = times(r, started, ran);

	return unclaimed_doubts(r->u, &addr, &at, &p);
}

/* A link that came at second 2, had the IP, and went at second 4. */
static void one_goes(struct rig *r)
{
	const struct inet_ip ip = ip_from(IP);

	begin(r);
	pass(r, 2000);
	unclaimed_link(r->u, FIRST, 0);
	unclaimed_led(r->u, &ip, FIRST);
	pass(r, 2000);
	unclaimed_gone(r->u, FIRST);
}

static const struct {
	const char *ip;
	struct place at;
	int64_t started, ran;
	bool want;
} rows[] = {
	{ IP, MK_LINK(11), 1, 3, true },
	{ IP, MK_LINK(11), 2, 4, true },  /* the same second */
	{ IP, MK_LINK(11), 3, 4, false }, /* taken up after it had come */
	{ IP, MK_LINK(11), 1, 5, false }, /* started after it had gone */
	{ IP, MK_LINK(11), -1, -1, true },
	{ IP, MK_LINK(11), -1, 4, true },
	{ IP, MK_LINK(11), 1, -1, true },
	{ IP, MK_NOWHERE, 1, 3, false },
	{ IP, MK_UNASKED, 1, 3, false },
	{ IP, MK_LINK(FIRST), 1, 3, false }, /* is there again */
	{ OTHER_IP, MK_LINK(11), 1, 3, false },
};

START_TEST(a_pod_is_in_doubt_if_it_can_have_been_the_one_whose_link_went)
{
	struct rig r;

	one_goes(&r);
	ck_assert_int_eq(doubts(&r, rows[_i].ip, rows[_i].at, rows[_i].started, rows[_i].ran),
			 rows[_i].want);
	end(&r);
}
END_TEST

START_TEST(a_link_that_a_pod_has_claimed_leaves_no_doubt)
{
	const struct inet_ip ip = ip_from(IP), second = ip_from(OTHER_IP);
	struct rig r;

	begin(&r);
	comes(&r, FIRST, &ip);
	unclaimed_claim(r.u, FIRST);
	unclaimed_led(r.u, &second, FIRST); /* its other IP comes later */
	unclaimed_gone(r.u, FIRST);
	ck_assert(!doubts(&r, IP, MK_LINK(11), 0, 0));
	ck_assert(!doubts(&r, OTHER_IP, MK_LINK(11), 0, 0));
	end(&r);
}
END_TEST

START_TEST(a_route_that_is_led_elsewhere_is_the_end_of_it_too)
{
	const struct inet_ip ip = ip_from(IP);
	struct rig r;

	begin(&r);
	for (uint32_t link = FIRST; link <= FIRST + 1; link++) {
		comes(&r, link, &ip);
	}
	ck_assert(doubts(&r, IP, MK_LINK(FIRST + 1), 0, 0));
	unclaimed_led(r.u, &ip, FIRST); /* and back: the other one's pod may come now */
	ck_assert(doubts(&r, IP, MK_LINK(FIRST), 0, 0));
	end(&r);
}
END_TEST

START_TEST(a_doubt_passes_with_time_and_that_is_told)
{
	struct rig r;

	one_goes(&r);
	pass(&r, LIMIT_UNCLAIMED_MSEC - 1);
	ck_assert(doubts(&r, IP, MK_LINK(11), 1, 3));
	ck_assert_uint_eq(r.lapsed, 0);
	pass(&r, 1);
	ck_assert(!doubts(&r, IP, MK_LINK(11), 1, 3));
	ck_assert_uint_eq(r.lapsed, 1);
	end(&r);
}
END_TEST

static void ends(struct rig *r, const char *ip, int64_t started, int64_t ran)
{
	const struct inet_ip addr = ip_from(ip);
	const struct pod p = times(r, started, ran);

	unclaimed_end(r->u, &addr, &p, true);
}

static const struct {
	const char *ip;
	int64_t started, ran;
	bool want;
} end_rows[] = {
	{ IP, 1, 3, true },	   { IP, 2, 2, true },
	{ IP, 2, 4, true },	   { IP, 3, 3, false }, /* taken up after the link had come */
	{ IP, 1, 5, false },				/* its last container had another link */
	{ IP, 0, 1, false },				/* it ran before the link came */
	{ IP, 1, -1, false },				/* it never ran */
	{ OTHER_IP, 1, 3, false },
};

START_TEST(a_doubt_passes_when_the_pod_of_the_link_is_told_to_have_ended)
{
	struct rig r;

	one_goes(&r);
	ends(&r, end_rows[_i].ip, end_rows[_i].started, end_rows[_i].ran);
	ck_assert_int_eq(doubts(&r, IP, MK_LINK(11), 1, 3), !end_rows[_i].want);
	end(&r);
}
END_TEST

START_TEST(it_may_be_told_to_have_ended_before_its_link_goes)
{
	const struct inet_ip ip = ip_from(IP);
	struct rig r;

	begin(&r);
	comes(&r, FIRST, &ip);
	ends(&r, IP, 0, 0);
	unclaimed_gone(r.u, FIRST);
	ck_assert(!doubts(&r, IP, MK_LINK(11), 0, 0));
	/* that was one of them; another one is another matter */
	comes(&r, 11, &ip);
	unclaimed_gone(r.u, 11);
	ck_assert(doubts(&r, IP, MK_LINK(12), 0, 0));
	end(&r);
}
END_TEST

START_TEST(the_end_of_a_pod_whose_link_may_have_gone_unseen_tells_nothing)
{
	const struct inet_ip ip = ip_from(IP);
	struct rig r;

	begin(&r);
	unclaimed_lost(r.u, 1);
	comes(&r, FIRST, &ip);
	unclaimed_gone(r.u, FIRST);
	ends(&r, IP, 0, 0);
	ck_assert(doubts(&r, IP, MK_LINK(11), 0, 0));
	end(&r);
}
END_TEST

/* Two links, of seconds 0 to 2 and 2 to 4; a pod that may have had either ends: the later one is left. */
START_TEST(one_end_stands_for_the_oldest_link_that_fits)
{
	const struct inet_ip ip = ip_from(IP);
	struct rig r;

	begin(&r);
	for (uint32_t link = FIRST; link <= FIRST + 1; link++) {
		comes(&r, link, &ip);
		pass(&r, 2000);
		unclaimed_gone(r.u, link);
	}
	ends(&r, IP, 0, 2);
	ck_assert(doubts(&r, IP, MK_LINK(12), 0, 1));
	ck_assert(doubts(&r, IP, MK_LINK(12), 2, 2));
	ends(&r, IP, 2, 2);
	ck_assert(!doubts(&r, IP, MK_LINK(12), 0, 1));
	end(&r);
}
END_TEST

/* bridges */

static void port_goes(struct rig *r, uint32_t port)
{
	unclaimed_link(r->u, port, 0);
	unclaimed_link(r->u, port, BRIDGE);
	unclaimed_link(r->u, port, 0); /* as the kernel does before it goes */
	unclaimed_gone(r->u, port);
}

START_TEST(a_port_that_went_may_have_had_any_ip_of_its_bridge)
{
	struct rig r;

	begin(&r);
	port_goes(&r, FIRST);
	ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, 11), 0, 0));
	ck_assert(doubts(&r, OTHER_IP, MK_PORT(BRIDGE, 11), 0, 0));
	ck_assert(!doubts(&r, IP, MK_PORT(BRIDGE, 11), 1, 1));
	ck_assert(!doubts(&r, IP, MK_PORT(BRIDGE, 9), 0, 0)); /* was there before it */
	ck_assert(!doubts(&r, IP, MK_PORT(BRIDGE + 1, 11), 0, 0));
	ck_assert(!doubts(&r, IP, MK_LINK(11), 0, 0));
	end(&r);
}
END_TEST

START_TEST(a_doubt_about_a_port_passes_sooner)
{
	struct rig r;

	begin(&r);
	port_goes(&r, FIRST);
	pass(&r, LIMIT_UNCLAIMED_PORT_MSEC - 1);
	ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, 11), 0, 0));
	pass(&r, 1);
	ck_assert_uint_eq(r.lapsed, 1);
	ck_assert(!doubts(&r, IP, MK_PORT(BRIDGE, 11), 0, 0));
	end(&r);
}
END_TEST

START_TEST(whose_port_it_was_is_known_by_a_pods_end_only_if_it_can_be_no_other)
{
	struct rig r;

	begin(&r);
	unclaimed_link(r.u, FIRST, BRIDGE); /* this one is there still */
	port_goes(&r, FIRST + 1);
	ends(&r, OTHER_IP, 0, 0);
	ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, 12), 0, 0));
	unclaimed_claim(r.u, FIRST); /* and is another pod's */
	ck_assert(!doubts(&r, IP, MK_PORT(BRIDGE, 12), 0, 0));
	end(&r);
}
END_TEST

START_TEST(as_many_ends_as_ports_leave_no_doubt)
{
	struct rig r;

	begin(&r);
	for (uint32_t i = 0; i < 3; i++)
		port_goes(&r, FIRST + i);
	for (int i = 0; i < 3; i++) {
		ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, 20), 0, 0));
		ends(&r, OTHER_IP, 0, 0); /* which is which nobody knows */
	}
	ck_assert(!doubts(&r, IP, MK_PORT(BRIDGE, 20), 0, 0));
	/* of these ports it is only one that concerns this place, and any of them may be that one */
	ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, FIRST + 1), 0, 0));
	port_goes(&r, FIRST + 3);
	ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, 20), 0, 0));
	end(&r);
}
END_TEST

/* what is not known */

static const bool is_told_late[] = { false, true };

/* Which would otherwise be taken for the end of a younger one's pod, of whom is still to be told. */
START_TEST(the_end_of_a_pod_whose_link_is_forgotten_stands_for_no_other)
{
	const bool is_late = is_told_late[_i];
	struct rig r;

	begin(&r);
	unclaimed_link(r.u, FIRST, BRIDGE);
	unclaimed_link(r.u, FIRST + 1, BRIDGE);
	pass(&r, 1000);
	unclaimed_gone(r.u, FIRST);
	if (!is_late)
		ends(&r, OTHER_IP, 0, 0);
	pass(&r, LIMIT_UNCLAIMED_PORT_MSEC - 1000);
	unclaimed_gone(r.u, FIRST + 1);
	ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, 12), 0, 0));
	pass(&r, 1000); /* the first is forgotten */
	if (is_late)
		ends(&r, OTHER_IP, 0, 0);
	ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, 12), 0, 0));
	end(&r);
}
END_TEST

START_TEST(a_link_of_which_news_may_be_missing_may_have_had_any_ip)
{
	struct rig r;

	begin(&r);
	unclaimed_link(r.u, FIRST, 0);
	unclaimed_lost(r.u, 0);
	unclaimed_link(r.u, FIRST + 1, 0);
	unclaimed_gone(r.u, FIRST + 1); /* nothing led to it: it is nobody's */
	ck_assert(!doubts(&r, IP, MK_LINK(12), 0, 0));
	unclaimed_gone(r.u, FIRST);
	ck_assert(doubts(&r, IP, MK_LINK(12), 0, 0));
	ck_assert(doubts(&r, IP, MK_PORT(BRIDGE, 12), 0, 0));
	ck_assert(!doubts(&r, IP, MK_LINK(9), 0, 0));
	end(&r);
}
END_TEST

START_TEST(a_link_that_was_there_before_us_is_in_no_doubt)
{
	struct rig r;

	begin(&r);
	unclaimed_link(r.u, FIRST, 0);
	unclaimed_link(r.u, FIRST + 1, 0);
	unclaimed_lost(r.u, FIRST + 1);
	unclaimed_gone(r.u, FIRST);
	ck_assert(!doubts(&r, IP, MK_LINK(FIRST + 1), 0, 0));
	ck_assert(doubts(&r, IP, MK_LINK(FIRST + 2), 0, 0));
	end(&r);
}
END_TEST

START_TEST(too_many_leave_a_doubt_for_everybody_who_is_as_old)
{
	const struct inet_ip ip = ip_from(IP);
	struct rig r;

	begin(&r);
	for (uint32_t i = 0; i < LIMIT_UNCLAIMED + 10; i++) {
		comes(&r, FIRST + i, &ip);
		unclaimed_gone(r.u, FIRST + i);
		if (i == 9)
			pass(&r, 2000);
	}
	ck_assert(doubts(&r, OTHER_IP, MK_LINK(9999), 0, 0));
	ck_assert(!doubts(&r, OTHER_IP, MK_LINK(9999), 3, 3));
	ck_assert(doubts(&r, IP, MK_LINK(9999), 2, 2));
	end(&r);
}
END_TEST

/*
 * Pod a at link 10, then pod b at link 11 with the same IP. TICK is the clock's second; START is when the
 * kubelet takes the pod up, RAN when its container is started; NEWS tells of the pod as it was last.
 */
enum event {
	TICK,
	TICK2,
	A_START,
	A_UP,
	A_RAN,
	A_DOWN,
	A_NEWS,
	A_END,
	B_START,
	B_UP,
	B_RAN,
	B_NEWS,
	EVENTS
};

#define AFTER(e) (1u << (e))

static const unsigned after[EVENTS] = {
	[TICK2] = AFTER(TICK),
	[A_UP] = AFTER(A_START),
	[A_RAN] = AFTER(A_UP),
	[A_DOWN] = AFTER(A_RAN),
	[A_NEWS] = AFTER(A_UP),
	[A_END] = AFTER(A_NEWS) | AFTER(A_RAN),
	[B_UP] = AFTER(A_DOWN) | AFTER(B_START),
	[B_RAN] = AFTER(B_UP),
	[B_NEWS] = AFTER(B_UP),
};

/* How the end of a is told, and what its link is. */
static const struct variant {
	const char *phase; /* NULL: it is gone, untold */
	bool is_bridged;
	bool has_times;
} variants[] = {
	{ "Succeeded", false, true }, { "Failed", true, true },	     { NULL, false, true },
	{ NULL, true, true },	      { "Succeeded", false, false }, { "Succeeded", true, false },
};

struct play {
	const struct variant *v;
	struct rig r;
	int64_t a_started, a_ran, b_started, b_ran;
	int64_t a_up, a_down, b_told; /* b_told: what of b_ran */
	uint32_t owner;		      /* link that the IP leads to, or 0 */
	unsigned long sequences;      /* all that there are */
	unsigned long waited;	      /* of them, b had to wait for more than the news */
	unsigned long denied;	      /* of the steps, nobody was found though b's news had come */
};

static const char *who(const struct rig *r)
{
	const struct inet_ip ip = ip_from(IP);
	const struct pod *p = NULL;

	return pod_store_find_ip(r->s, &ip, &p) == POD_FOUND ? p->uid : "-";
}

static void up(struct play *y, uint32_t link)
{
	const struct inet_ip ip = ip_from(IP);

	unclaimed_link(y->r.u, link, y->v->is_bridged ? BRIDGE : 0);
	if (!y->v->is_bridged)
		unclaimed_led(y->r.u, &ip, link);
	mk_route(&y->r.l, IP, y->v->is_bridged ? MK_PORT(BRIDGE, link) : MK_LINK(link));
	pod_store_moved(y->r.s, &ip, 128);
	y->owner = link;
}

static void news(struct play *y, const char *uid, const char *phase, int64_t started, int64_t ran)
{
	struct pod *p = pod(.uid = uid, .ip = IP, .phase = phase);

	if (y->v->has_times) {
		p->started.s = started;
		p->ran.s = ran;
	}
	pod_store_put_take(y->r.s, p);
}

static void happen(struct play *y, enum event e)
{
	struct rig *r = &y->r;
	const int64_t now = loop_wall(r->loop).s;

	switch (e) {
	case TICK:
	case TICK2:
		pass(r, 1000);
		break;
	case A_START:
		y->a_started = now;
		break;
	case B_START:
		y->b_started = now;
		break;
	case A_UP:
		y->a_up = now;
		up(y, FIRST);
		break;
	case B_UP:
		up(y, FIRST + 1);
		break;
	case A_RAN:
		y->a_ran = now;
		break;
	case B_RAN:
		y->b_ran = now;
		break;
	case A_DOWN:
		y->a_down = now;
		mk_route(&r->l, IP, MK_NOWHERE);
		unclaimed_gone(r->u, FIRST);
		pod_store_link_gone(r->s, FIRST);
		y->owner = 0;
		break;
	case A_NEWS:
		news(y, "a", "Running", y->a_started, y->a_ran);
		break;
	case A_END:
		if (y->v->phase)
			news(y, "a", y->v->phase, y->a_started, y->a_ran);
		else
			pod_store_remove(r->s, "a");
		break;
	case B_NEWS:
		y->b_told = y->b_ran;
		news(y, "b", "Running", y->b_started, y->b_ran);
		break;
	case EVENTS:
		break;
	}
}

static const char *words(const enum event *order)
{
	static const char *const names[EVENTS] = { "tick",     "tick",	 "a starts", "a up",
						   "a ran",    "a down", "a news",   "a end",
						   "b starts", "b up",	 "b ran",    "b news" };
	static char text[256];

	text[0] = '\0';
	for (unsigned i = 0; i < EVENTS; i++) {
		size_t n = strlen(text);

		ck_assert_uint_lt(order[i], EVENTS);
		(void)snprintf(text + n, sizeof(text) - n, "%s, ", names[order[i]]);
	}
	return text;
}

/* It was bound to a link before; so it is not of the one that came to its IP later, whatever the times allow. */
START_TEST(the_end_of_a_pod_that_had_a_link_tells_nothing_of_another)
{
	const struct inet_ip ip = ip_from(IP);
	struct rig r;
	struct pod *p;

	begin(&r);
	r.s = pod_store_new();
	mk_links_init(&r.l, r.s);
	r.l.source.unclaimed = r.u;
	pass(&r, 1000);
	for (uint32_t link = FIRST; link <= FIRST + 1; link++) {
		comes(&r, link, &ip);
		mk_route(&r.l, IP, MK_LINK(link));
		pod_store_moved(r.s, &ip, 128);
		if (link == FIRST)
			pod_store_put_take(r.s, pod(.uid = "a", .ip = IP));
		ck_assert_str_eq(who(&r), link == FIRST ? "a" : "-");
		pass(&r, 1000);
	}
	unclaimed_gone(r.u, FIRST + 1);
	p = pod(.uid = "a", .ip = IP, .phase = "Failed");
	p->started.s = r.began + 1;
	p->ran.s = r.began + 2; /* while that one stood */
	pod_store_put_take(r.s, p);
	comes(&r, FIRST + 2, &ip);
	mk_route(&r.l, IP, MK_LINK(FIRST + 2));
	pod_store_put_take(r.s, pod(.uid = "b", .ip = IP));
	ck_assert_str_eq(who(&r), "-");
	end(&r);
}
END_TEST

static void play(struct play *y, const enum event *order)
{
	unsigned done = 0;

	begin(&y->r);
	y->r.s = pod_store_new();
	mk_links_init(&y->r.l, y->r.s);
	y->r.l.source.unclaimed = y->r.u;
	y->a_ran = y->b_ran = y->a_started = y->b_started = y->b_told = 0;
	y->owner = 0;
	for (unsigned i = 0; i < EVENTS; i++) {
		const char *found;

		happen(y, order[i]);
		if (order[i] == A_END || i == EVENTS - 1)
			pass(&y->r, 0);
		done |= AFTER(order[i]);
		found = who(&y->r);
		if (*found != '-' && *found != (y->owner == FIRST ? 'a' : 'b'))
			ck_abort_msg("%s is found after event %u of %s", found, i, words(order));
		if ((done & AFTER(B_NEWS)) && y->v->has_times &&
		    (y->b_started > y->a_up || y->b_told > y->a_down) && *found != 'b')
			ck_abort_msg("b is not found, as it could be, after event %u of %s", i,
				     words(order));
		y->denied += *found == '-' && (done & AFTER(B_NEWS));
	}
	y->waited += *who(&y->r) == '-';
	if (*who(&y->r) == '-')
		news(y, "b", "Running", y->b_started, y->b_ran); /* the start of its container */
	if (*who(&y->r) == '-')
		pass(&y->r, LIMIT_UNCLAIMED_MSEC);
	ck_assert_str_eq(who(&y->r), "b");
	y->sequences++;
	end(&y->r);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as there are events */
static void each_order(struct play *y, enum event *order, unsigned n, unsigned done)
{
	if (n == EVENTS) {
		play(y, order);
		return;
	}
	for (enum event e = 0; e < EVENTS; e++) {
		if ((done & AFTER(e)) || (after[e] & ~done))
			continue;
		order[n] = e;
		each_order(y, order, n + 1, done | AFTER(e));
	}
}

START_TEST(in_no_order_of_news_is_one_pod_found_at_the_link_of_the_other)
{
	struct play y = { .v = &variants[_i] };
	enum event order[EVENTS] = { 0 };

	log_set_level(LOG_LEVEL_ERR);
	each_order(&y, order, 0, 0);
	printf("# %lu orders; in %lu b waits when all is told; at %lu moments after its news\n",
	       y.sequences, y.waited, y.denied);
	ck_assert_uint_gt(y.sequences, 5000);
	/* all is told, so nobody waits: the end, or both times, tell */
	if (variants[_i].phase && variants[_i].has_times)
		ck_assert_uint_eq(y.waited, 0);
}
END_TEST

UNIT_MAIN("unclaimed",
	  UNIT_LOOP(a_pod_is_in_doubt_if_it_can_have_been_the_one_whose_link_went, rows),
	  UNIT(a_link_that_a_pod_has_claimed_leaves_no_doubt),
	  UNIT(a_route_that_is_led_elsewhere_is_the_end_of_it_too),
	  UNIT(a_doubt_passes_with_time_and_that_is_told),
	  UNIT_LOOP(a_doubt_passes_when_the_pod_of_the_link_is_told_to_have_ended, end_rows),
	  UNIT(it_may_be_told_to_have_ended_before_its_link_goes),
	  UNIT(the_end_of_a_pod_whose_link_may_have_gone_unseen_tells_nothing),
	  UNIT(one_end_stands_for_the_oldest_link_that_fits),
	  UNIT(a_port_that_went_may_have_had_any_ip_of_its_bridge),
	  UNIT(whose_port_it_was_is_known_by_a_pods_end_only_if_it_can_be_no_other),
	  UNIT(a_doubt_about_a_port_passes_sooner), UNIT(as_many_ends_as_ports_leave_no_doubt),
	  UNIT_LOOP(the_end_of_a_pod_whose_link_is_forgotten_stands_for_no_other, is_told_late),
	  UNIT(a_link_of_which_news_may_be_missing_may_have_had_any_ip),
	  UNIT(a_link_that_was_there_before_us_is_in_no_doubt),
	  UNIT(too_many_leave_a_doubt_for_everybody_who_is_as_old),
	  UNIT(the_end_of_a_pod_that_had_a_link_tells_nothing_of_another),
	  UNIT_LOOP(in_no_order_of_news_is_one_pod_found_at_the_link_of_the_other, variants))
