/* SPDX-License-Identifier: MIT */

/* Who is found at an IP, where places are known; through the store, which is all that claim.c is for. */

#include "nmi/pods/store.h"
#include "tests/unit/mk-place.h"
#include "tests/unit/mk-pod.h"
#include "tests/unit/unit.h"

#define IP "10.0.0.1"

struct rig {
	struct pod_store *s;
	struct mk_links l;
	char ended[256]; /* "a " for each claim that was told to have ended */
	char told[256];	 /* who was found when a change was told */
};

static const char *who_at(const struct pod_store *s, const struct inet_ip *ip)
{
	const struct pod *p = NULL;

	switch (pod_store_find_ip(s, ip, &p)) {
	case POD_FOUND:
		return p->uid;
	case POD_AMBIGUOUS:
		return "?";
	case POD_UNPLACED:
		return p ? "!" : "nobody was told";
	case POD_UNSEEN:
		return p ? "~" : "nobody was told";
	case POD_NONE:
		break;
	}
	return "-";
}

static const char *who(const struct rig *r)
{
	const struct inet_ip ip = ip_from(IP);

	return who_at(r->s, &ip);
}

static void on_end(void *ctx, const struct inet_ip *ip, const char *uid)
{
	struct rig *r = ctx;
	size_t n = strlen(r->ended);

	(void)ip;
	(void)snprintf(r->ended + n, sizeof(r->ended) - n, "%s ", uid);
}

static void on_change(void *ctx, const struct inet_ip *ip)
{
	struct rig *r = ctx;
	size_t n = strlen(r->told);

	(void)snprintf(r->told + n, sizeof(r->told) - n, "%s ", who_at(r->s, ip));
}

static void begin(struct rig *r)
{
	*r = (struct rig){ .s = pod_store_new() };
	mk_links_init(&r->l, r->s);
	pod_store_on_claim_end(r->s, on_end, r);
	pod_store_on_change(r->s, on_change, r);
}

static void end(struct rig *r)
{
	r->s = pod_store_free(r->s);
}

#define put(r, ...) pod_store_put_take((r)->s, pod(__VA_ARGS__))

/* The route changes and the news of it come. */
static void move(struct rig *r, struct place to)
{
	const struct inet_ip ip = ip_from(IP);

	mk_route(&r->l, IP, to);
	pod_store_moved(r->s, &ip, 128);
}

#define ck_who(r, want)	  ck_assert_str_eq(who(r), want)
#define ck_ended(r, want) ck_assert_str_eq((r)->ended, want)

/* Pod A at link 1, bound. */
static void begin_bound(struct rig *r)
{
	begin(r);
	mk_route(&r->l, IP, MK_LINK(1));
	put(r, .uid = "a", .ip = IP);
	ck_who(r, "a");
	r->told[0] = '\0';
}

START_TEST(a_pod_is_found_once_its_ip_leads_to_a_link_of_its_own)
{
	struct rig r;

	begin(&r);
	r.l.newest = 1; /* the link is there, the route comes a moment later */
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "~");
	move(&r, MK_LINK(1));
	ck_who(&r, "a");
	ck_assert_str_eq(r.told, "~ a ");
	ck_ended(&r, "");
	end(&r);
}
END_TEST

/* Whose place nobody knows now may be seen there soon; whose place is known waits for nothing. */
static const struct {
	struct place place;
	const char *want;
} no_places[] = { { { PLACE_NOWHERE }, "~" },
		  { { PLACE_NOWHERE, 9, 0 }, "~" }, /* a bridge that knows no port for it */
		  { { PLACE_SHARED, 9, 0 }, "!" },
		  { { PLACE_UNASKED }, "~" } };

START_TEST(without_a_link_of_its_own_nobody_is_found)
{
	struct rig r;

	begin(&r);
	mk_route(&r.l, IP, no_places[_i].place);
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, no_places[_i].want);
	end(&r);
}
END_TEST

START_TEST(a_bound_pod_whose_ip_leads_nowhere_is_found_again_when_it_leads_to_its_link_again)
{
	struct rig r;

	begin_bound(&r);
	move(&r, no_places[_i].place);
	ck_who(&r, no_places[_i].want);
	move(&r, MK_LINK(1));
	ck_who(&r, "a");
	ck_ended(&r, "");
	end(&r);
}
END_TEST

START_TEST(a_claim_ends_at_once_when_its_link_is_gone)
{
	struct rig r;

	begin_bound(&r);
	mk_route(&r.l, IP, MK_NOWHERE);
	pod_store_link_gone(r.s, 1);
	ck_who(&r, "-");
	ck_ended(&r, "a ");
	ck_assert_str_eq(r.told, "- ");
	ck_assert_ptr_nonnull(pod_store_find_uid(r.s, "a")); /* the pod itself is still known */
	end(&r);
}
END_TEST

START_TEST(the_link_of_another_pod_ends_nothing)
{
	struct rig r;

	begin_bound(&r);
	pod_store_link_gone(r.s, 2);
	pod_store_link_changed(r.s, 2);
	ck_who(&r, "a");
	ck_ended(&r, "");
	end(&r);
}
END_TEST

START_TEST(a_claim_ends_at_once_when_its_ip_leads_to_another_link)
{
	struct rig r;

	begin_bound(&r);
	move(&r, MK_LINK(2));
	ck_who(&r, "-");
	ck_ended(&r, "a ");
	ck_assert_uint_eq(pod_store_stats(r.s)->mismatches, 1);
	end(&r);
}
END_TEST

START_TEST(a_question_finds_what_the_news_have_not_told_yet)
{
	const struct inet_ip ip = ip_from(IP);
	struct rig r;

	begin_bound(&r);
	mk_route(&r.l, IP, MK_LINK(2));
	ck_who(&r, "a");
	pod_store_look(r.s, &ip);
	ck_who(&r, "-");
	ck_ended(&r, "a ");
	end(&r);
}
END_TEST

static void revive_nothing(struct rig *r)
{
	(void)r;
}

static void revive_by_route(struct rig *r)
{
	move(r, MK_LINK(1));
}

static void revive_by_news(struct rig *r)
{
	put(r, .uid = "a", .ip = IP);
}

static void revive_by_another_ip(struct rig *r)
{
	put(r, .uid = "a", .ip = "10.0.0.9");
	put(r, .uid = "a", .ip = IP);
}

static void revive_by_a_rest(struct rig *r)
{
	put(r, .uid = "a", .ip = IP, .phase = "Succeeded");
	put(r, .uid = "a", .ip = IP);
}

static void revive_by_a_server_that_lags(struct rig *r)
{
	pod_store_remove(r->s, "a");
	put(r, .uid = "a", .ip = IP);
}

static void revive_by_a_resync_without_it(struct rig *r)
{
	pod_store_resync_begin(r->s);
	pod_store_resync_end(r->s);
	put(r, .uid = "a", .ip = IP);
}

static const struct {
	void (*fn)(struct rig *r);
} revivals[] = { { revive_nothing },
		 { revive_by_route },
		 { revive_by_news },
		 { revive_by_another_ip },
		 { revive_by_a_rest },
		 { revive_by_a_server_that_lags },
		 { revive_by_a_resync_without_it } };

START_TEST(what_is_dead_stays_dead)
{
	struct rig r;

	begin_bound(&r);
	move(&r, MK_LINK(2));
	revivals[_i].fn(&r);
	ck_who(&r, "-");
	end(&r);
}
END_TEST

START_TEST(a_dead_one_is_no_rival)
{
	struct rig r;

	begin_bound(&r);
	move(&r, MK_LINK(2));
	revivals[_i].fn(&r);
	mk_route(&r.l, IP, MK_LINK(2));
	put(&r, .uid = "b", .ip = IP);
	ck_who(&r, "b");
	end(&r);
}
END_TEST

START_TEST(the_next_pods_link_before_its_object_and_nobody_is_found_until_that_comes)
{
	struct rig r;

	begin_bound(&r);
	move(&r, MK_LINK(2));
	put(&r, .uid = "a", .ip = IP); /* the API server still says so, for half a minute */
	ck_who(&r, "-");
	put(&r, .uid = "b", .ip = IP);
	ck_who(&r, "b");
	pod_store_remove(r.s, "a");
	ck_who(&r, "b");
	ck_ended(&r, "a ");
	end(&r);
}
END_TEST

START_TEST(a_link_that_comes_after_the_claim_is_not_its_own)
{
	struct rig r;

	begin(&r);
	put(&r, .uid = "a", .ip = IP); /* its link has gone before we could see it */
	ck_who(&r, "~");
	move(&r, MK_LINK(1)); /* B's */
	ck_who(&r, "-");
	put(&r, .uid = "b", .ip = IP);
	ck_who(&r, "b");
	end(&r);
}
END_TEST

START_TEST(two_pods_of_which_no_link_is_known_hide_each_other)
{
	struct rig r;

	begin(&r);
	r.l.newest = 2;
	put(&r, .uid = "a", .ip = IP);
	put(&r, .uid = "b", .ip = IP);
	move(&r, MK_LINK(2));
	ck_who(&r, "?");
	pod_store_remove(r.s, "a");
	ck_who(&r, "b");
	end(&r);
}
END_TEST

START_TEST(two_pods_at_one_standing_link_hide_each_other)
{
	struct rig r;

	begin_bound(&r);
	put(&r, .uid = "b", .ip = IP);
	ck_who(&r, "?");
	put(&r, .uid = "a", .ip = IP, .phase = "Failed");
	ck_who(&r, "b");
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "?");
	end(&r);
}
END_TEST

START_TEST(of_two_pods_the_one_whose_link_is_gone_is_no_rival)
{
	struct rig r;

	begin_bound(&r);
	r.l.newest = 2;
	put(&r, .uid = "b", .ip = IP);
	ck_who(&r, "?");
	mk_route(&r.l, IP, MK_LINK(2));
	pod_store_link_gone(r.s, 1);
	ck_ended(&r, "a ");
	ck_who(&r, "b");
	end(&r);
}
END_TEST

START_TEST(a_pod_that_is_being_deleted_is_served_while_its_link_stands)
{
	struct rig r;

	begin_bound(&r);
	put(&r, .uid = "a", .ip = IP, .deleting = true);
	ck_who(&r, "a");
	mk_route(&r.l, IP, MK_NOWHERE);
	pod_store_link_gone(r.s, 1);
	ck_who(&r, "-");
	end(&r);
}
END_TEST

START_TEST(a_pod_that_is_being_deleted_and_was_not_seen_before_is_not_served)
{
	struct rig r;

	begin(&r);
	mk_route(&r.l, IP, MK_LINK(1));
	put(&r, .uid = "a", .ip = IP, .deleting = true);
	ck_who(&r, "-");
	end(&r);
}
END_TEST

/* It may be either's link: the one may have gone already, or the other have ended untold. */
START_TEST(nor_is_another_at_its_ip_until_it_is_gone)
{
	struct rig r;

	begin(&r);
	mk_route(&r.l, IP, MK_LINK(1));
	put(&r, .uid = "b", .ip = IP, .deleting = true);
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "?");
	pod_store_remove(r.s, "b");
	ck_who(&r, "a");
	end(&r);
}
END_TEST

START_TEST(while_a_list_is_read_nobody_new_is_bound)
{
	struct rig r;

	begin(&r);
	mk_route(&r.l, IP, MK_LINK(1));
	pod_store_resync_begin(r.s);
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "-"); /* the other one may be further down */
	put(&r, .uid = "b", .ip = IP);
	pod_store_resync_end(r.s);
	ck_who(&r, "?");
	pod_store_resync_begin(r.s);
	put(&r, .uid = "b", .ip = IP);
	r.told[0] = '\0';
	pod_store_resync_end(r.s);
	ck_who(&r, "b");
	ck_assert_str_eq(r.told, "- b ");
	end(&r);
}
END_TEST

START_TEST(a_list_that_is_read_again_leaves_the_bound_alone)
{
	struct rig r;

	begin_bound(&r);
	pod_store_resync_begin(r.s);
	ck_who(&r, "a");
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "a");
	pod_store_resync_end(r.s);
	ck_who(&r, "a");
	ck_assert_str_eq(r.told, "");
	end(&r);
}
END_TEST

START_TEST(it_does_not_stand_in_the_way_of_one_that_is_bound)
{
	struct rig r;

	begin_bound(&r);
	put(&r, .uid = "b", .ip = IP, .deleting = true);
	ck_who(&r, "a");
	end(&r);
}
END_TEST

START_TEST(it_does_not_stand_in_the_way_of_a_younger_link)
{
	struct rig r;

	begin(&r);
	put(&r, .uid = "b", .ip = IP, .deleting = true);
	mk_route(&r.l, IP, MK_LINK(1));
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "a");
	end(&r);
}
END_TEST

START_TEST(a_link_that_is_another_pods_at_another_ip_is_not_its_own)
{
	struct rig r;

	begin(&r);
	mk_route(&r.l, "10.0.0.9", MK_LINK(1));
	put(&r, .uid = "b", .ip = "10.0.0.9");
	mk_route(&r.l, IP, MK_LINK(1));
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "!");
	end(&r);
}
END_TEST

/* One of them speaks under the address of the other while we are away: whose link it is, nobody can tell. */
START_TEST(of_two_addresses_at_one_link_when_we_start_neither_is_served_until_they_part)
{
	const struct inet_ip nine = ip_from("10.0.0.9");
	struct rig r;

	begin(&r);
	r.l.newest = 3;
	mk_route(&r.l, IP, MK_PORT(1, 2));
	mk_route(&r.l, "10.0.0.9", MK_PORT(1, 2));
	pod_store_resync_begin(r.s);
	put(&r, .uid = "a", .ip = IP);
	put(&r, .uid = "b", .ip = "10.0.0.9");
	pod_store_resync_end(r.s);
	ck_who(&r, "!");
	ck_assert_str_eq(who_at(r.s, &nine), "!");
	move(&r, MK_PORT(1, 3));
	pod_store_look(r.s, &nine);
	ck_who(&r, "a");
	ck_assert_str_eq(who_at(r.s, &nine), "b");
	end(&r);
}
END_TEST

START_TEST(a_pod_that_is_deleted_before_its_link_was_seen_is_not_served)
{
	struct rig r;

	begin(&r);
	r.l.newest = 1;
	put(&r, .uid = "a", .ip = IP);
	put(&r, .uid = "a", .ip = IP, .deleting = true);
	move(&r, MK_LINK(1));
	ck_who(&r, "-");
	end(&r);
}
END_TEST

START_TEST(a_pod_that_rests_and_comes_back_has_its_link_still)
{
	struct rig r;

	begin_bound(&r);
	put(&r, .uid = "a", .ip = IP, .phase = "Succeeded");
	ck_who(&r, "-");
	ck_ended(&r, "a ");
	r.l.newest = 7;
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "a");
	end(&r);
}
END_TEST

START_TEST(a_link_that_goes_while_the_pod_rests_ends_the_claim_too)
{
	struct rig r;

	begin_bound(&r);
	put(&r, .uid = "a", .ip = IP, .phase = "Succeeded");
	pod_store_link_gone(r.s, 1);
	mk_route(&r.l, IP, MK_LINK(2));
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "-");
	end(&r);
}
END_TEST

START_TEST(a_removed_pod_that_is_listed_again_has_its_own_link_and_no_other)
{
	struct rig r;

	begin_bound(&r);
	pod_store_remove(r.s, "a");
	ck_who(&r, "-");
	ck_assert(pod_store_was_removed(r.s, "a"));
	ck_assert_ptr_null(pod_store_find_uid(r.s, "a"));
	ck_assert_uint_eq(pod_store_count(r.s), 0);
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "a");
	ck_assert(!pod_store_was_removed(r.s, "a"));
	pod_store_remove(r.s, "a");
	move(&r, MK_LINK(2));
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "-");
	end(&r);
}
END_TEST

START_TEST(a_removed_pod_that_never_had_a_link_gets_no_younger_one_when_it_is_listed_again)
{
	struct rig r;

	begin(&r);
	put(&r, .uid = "a", .ip = IP);
	pod_store_remove(r.s, "a");
	mk_route(&r.l, IP, MK_LINK(1));
	put(&r, .uid = "b", .ip = IP);
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "b");
	end(&r);
}
END_TEST

START_TEST(a_change_of_the_link_is_looked_into)
{
	struct rig r;

	begin_bound(&r);
	mk_route(&r.l, IP, MK_SHARED(9)); /* the link is down and its route has gone, untold */
	pod_store_link_changed(r.s, 1);
	ck_who(&r, "!");
	mk_route(&r.l, IP, MK_LINK(1));
	pod_store_link_changed(r.s, 1);
	ck_who(&r, "a");
	end(&r);
}
END_TEST

static const struct {
	const char *prefix;
	unsigned bits;
	bool is_it;
} prefixes[] = {
	{ "::", 0, true },
	{ "10.0.0.1", 128, true },
	{ "10.0.0.0", 96 + 24, true },
	{ "10.0.0.0", 96 + 31, true },
	{ "10.0.0.2", 96 + 31, false },
	{ "10.0.0.2", 128, false },
	{ "10.0.1.0", 96 + 24, false },
	{ "10.128.0.0", 96 + 9, false },
	{ "fd00::", 64, false },
};

START_TEST(a_prefix_means_the_ips_in_it)
{
	const struct inet_ip prefix = ip_from(prefixes[_i].prefix);
	struct rig r;

	begin_bound(&r);
	mk_route(&r.l, IP, MK_LINK(2));
	pod_store_moved(r.s, &prefix, prefixes[_i].bits);
	ck_who(&r, prefixes[_i].is_it ? "-" : "a");
	end(&r);
}
END_TEST

START_TEST(each_ip_of_a_pod_stands_for_itself)
{
	const struct inet_ip six = ip_from("fd00::1");
	struct rig r;

	begin(&r);
	mk_route(&r.l, IP, MK_LINK(1));
	mk_route(&r.l, "fd00::1", MK_LINK(1));
	put(&r, .uid = "a", .ip = IP, .ip2 = "fd00::1");
	move(&r, MK_LINK(2));
	ck_who(&r, "-");
	ck_assert_str_eq(who_at(r.s, &six), "a");
	pod_store_link_gone(r.s, 1);
	ck_assert_str_eq(who_at(r.s, &six), "-");
	ck_ended(&r, "a a ");
	end(&r);
}
END_TEST

/* A neighbour can make a bridge believe that an address has moved: no reason to end its owner. */
START_TEST(behind_another_port_nobody_is_found_until_it_is_back)
{
	struct rig r;

	begin(&r);
	mk_route(&r.l, IP, MK_PORT(1, 2));
	put(&r, .uid = "a", .ip = IP);
	ck_who(&r, "a");
	move(&r, MK_PORT(1, 3));
	ck_who(&r, "!");
	move(&r, MK_PORT(1, 2));
	ck_who(&r, "a");
	mk_route(&r.l, IP, MK_NOWHERE);
	pod_store_link_gone(r.s, 2);
	ck_who(&r, "-");
	end(&r);
}
END_TEST

START_TEST(only_the_last_few_claims_of_a_pod_are_remembered)
{
	struct rig r;
	unsigned before;

	begin_bound(&r);
	for (unsigned i = 2; i < 200; i++) {
		char ip[16];

		(void)snprintf(ip, sizeof(ip), "10.0.1.%u", i);
		r.l.n_routes = 0;
		mk_route(&r.l, ip, MK_LINK(i));
		put(&r, .uid = "a", .ip = ip);
	}
	before = r.l.asked;
	pod_store_moved(r.s, &(struct inet_ip){ 0 }, 0); /* asks for each that is remembered */
	ck_assert_uint_le(r.l.asked - before, 9);
	ck_assert_uint_ge(r.l.asked - before, 2);
	end(&r);
}
END_TEST

START_TEST(only_so_many_removed_pods_are_remembered_and_the_last_ones)
{
	struct rig r;
	char uid[8];

	begin(&r);
	mk_route(&r.l, IP, MK_LINK(1));
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(uid, sizeof(uid), "p%u", i);
		put(&r, .uid = uid, .ip = IP);
		ck_who(&r, uid);
		pod_store_remove(r.s, uid);
	}
	ck_assert(pod_store_was_removed(r.s, "p999"));
	ck_assert(pod_store_was_removed(r.s, "p800"));
	ck_assert(!pod_store_was_removed(r.s, "p500"));
	end(&r);
}
END_TEST

START_TEST(what_has_happened_is_taken_in_before_a_pod_is)
{
	struct rig r;
	unsigned before;

	begin(&r);
	before = r.l.caught_up;
	put(&r, .uid = "a", .ip = IP);
	ck_assert_uint_gt(r.l.caught_up, before);
	before = r.l.caught_up;
	pod_store_remove(r.s, "a");
	ck_assert_uint_gt(r.l.caught_up, before);
	end(&r);
}
END_TEST

UNIT_MAIN(
	"claim", UNIT(a_pod_is_found_once_its_ip_leads_to_a_link_of_its_own),
	UNIT_LOOP(without_a_link_of_its_own_nobody_is_found, no_places),
	UNIT_LOOP(a_bound_pod_whose_ip_leads_nowhere_is_found_again_when_it_leads_to_its_link_again,
		  no_places),
	UNIT(a_claim_ends_at_once_when_its_link_is_gone),
	UNIT(the_link_of_another_pod_ends_nothing),
	UNIT(a_claim_ends_at_once_when_its_ip_leads_to_another_link),
	UNIT(a_question_finds_what_the_news_have_not_told_yet),
	UNIT_LOOP(what_is_dead_stays_dead, revivals), UNIT_LOOP(a_dead_one_is_no_rival, revivals),
	UNIT(the_next_pods_link_before_its_object_and_nobody_is_found_until_that_comes),
	UNIT(a_link_that_comes_after_the_claim_is_not_its_own),
	UNIT(two_pods_of_which_no_link_is_known_hide_each_other),
	UNIT(two_pods_at_one_standing_link_hide_each_other),
	UNIT(of_two_pods_the_one_whose_link_is_gone_is_no_rival),
	UNIT(a_pod_that_is_being_deleted_is_served_while_its_link_stands),
	UNIT(a_pod_that_is_being_deleted_and_was_not_seen_before_is_not_served),
	UNIT(nor_is_another_at_its_ip_until_it_is_gone),
	UNIT(while_a_list_is_read_nobody_new_is_bound),
	UNIT(a_list_that_is_read_again_leaves_the_bound_alone),
	UNIT(it_does_not_stand_in_the_way_of_one_that_is_bound),
	UNIT(it_does_not_stand_in_the_way_of_a_younger_link),
	UNIT(a_link_that_is_another_pods_at_another_ip_is_not_its_own),
	UNIT(of_two_addresses_at_one_link_when_we_start_neither_is_served_until_they_part),
	UNIT(a_pod_that_is_deleted_before_its_link_was_seen_is_not_served),
	UNIT(a_pod_that_rests_and_comes_back_has_its_link_still),
	UNIT(a_link_that_goes_while_the_pod_rests_ends_the_claim_too),
	UNIT(a_removed_pod_that_is_listed_again_has_its_own_link_and_no_other),
	UNIT(a_removed_pod_that_never_had_a_link_gets_no_younger_one_when_it_is_listed_again),
	UNIT(a_change_of_the_link_is_looked_into),
	UNIT_LOOP(a_prefix_means_the_ips_in_it, prefixes), UNIT(each_ip_of_a_pod_stands_for_itself),
	UNIT(behind_another_port_nobody_is_found_until_it_is_back),
	UNIT(only_the_last_few_claims_of_a_pod_are_remembered),
	UNIT(only_so_many_removed_pods_are_remembered_and_the_last_ones),
	UNIT(what_has_happened_is_taken_in_before_a_pod_is))
