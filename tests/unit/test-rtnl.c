/* SPDX-License-Identifier: MIT */

/* In a network namespace of its own; check forks, so it goes after. */

#include "lib/base/inet.h"
#include "lib/base/mem.h"
#include "nmi/pods/rtnl.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <sched.h>
#include <string.h>

struct rig {
	struct nl_sock *sk;
	char buf[RTNL_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlattr *a[RTA_MAX + 1];
};

static void begin(struct rig *r)
{
	struct err err = { 0 };

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_int_eq(system("ip link set lo up && ip route add unreachable 10.9.0.0/16 && "
				"ip route add 10.7.0.0/16 dev lo"),
			 0);
	r->sk = rtnl_open(&err);
	ck_assert_msg(r->sk != NULL, "%s", err.msg);
}

/* Where does 10.`b`.0.1 lead to? */
static struct nl_msg *question(int type, uint8_t b)
{
	const struct rtmsg to = { .rtm_family = AF_INET, .rtm_dst_len = 32 };
	const uint8_t ip[4] = { 10, b, 0, 1 };
	struct nl_msg *msg = rtnl_new(type, 0, &to, sizeof(to));

	rtnl_put(msg, RTA_DST, ip, sizeof(ip));
	return msg;
}

static int ask(struct rig *r, struct nl_msg *msg)
{
	return rtnl_ask_take(r->sk, r->buf, msg, r->a, RTA_MAX, sizeof(struct rtmsg));
}

static const struct {
	int type;
	uint8_t ip;
	int want;
} questions[] = {
	{ RTM_GETROUTE, 7, 1 },
	{ RTM_GETROUTE, 8, 0 }, /* no route */
	{ RTM_GETROUTE, 9, 0 }, /* unreachable */
	{ RTM_MAX + 1, 7, -EOPNOTSUPP },
};

START_TEST(a_question_has_an_answer_or_none_or_could_not_be_asked)
{
	struct rig r;

	begin(&r);
	ck_assert_int_eq(ask(&r, question(questions[_i].type, questions[_i].ip)),
			 questions[_i].want);
	if (questions[_i].want == 1)
		ck_assert_uint_eq(nla_get_u32(r.a[RTA_OIF]), 1);
	nl_socket_free(r.sk);
}
END_TEST

START_TEST(an_answer_that_nobody_took_is_not_the_next_ones)
{
	struct rig r;

	begin(&r);
	ck_assert_int_eq(rtnl_send_take(r.sk, r.buf, question(RTM_GETROUTE, 7)), 0);
	ck_assert_int_eq(ask(&r, question(RTM_GETROUTE, 9)), 0);
	ck_assert_int_eq(rtnl_receive(r.sk, r.buf), 0);
	nl_socket_free(r.sk);
}
END_TEST

START_TEST(a_socket_that_is_broken_is_told_as_such)
{
	struct rig r;

	begin(&r);
	ck_assert_int_eq(close(nl_socket_get_fd(r.sk)), 0);
	ck_assert_int_eq(rtnl_receive(r.sk, r.buf), -EBADF);
	ck_assert_int_eq(ask(&r, question(RTM_GETROUTE, 7)), -EIO);
	nl_socket_free(r.sk);
}
END_TEST

START_TEST(an_address_keeps_its_family_and_what_is_none_is_not_taken)
{
	static const char *const texts[] = { "10.7.0.1", "fd00::1" };
	const struct rtmsg to = { .rtm_family = AF_INET };
	struct nl_msg *msg = rtnl_new(RTM_GETROUTE, 0, &to, sizeof(to));
	struct nlattr *a[RTA_MAX + 1];
	struct inet_ip ip, got = { { 0 } };

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(inet_ip_parse(texts[i], &ip, NULL), 0);
		rtnl_put_ip(msg, RTA_DST + i, &ip);
	}
	rtnl_put(msg, RTA_OIF, "odd", 3);
	ck_assert_int_eq(nlmsg_parse(nlmsg_hdr(msg), sizeof(to), a, RTA_MAX, NULL), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(nla_len(a[RTA_DST + i]), i ? 16 : 4);
		ck_assert_int_eq(inet_ip_parse(texts[i], &ip, NULL), 0);
		ck_assert(rtnl_get_ip(a[RTA_DST + i], &got));
		ck_assert(inet_ip_eq(&ip, &got));
	}
	ck_assert(!rtnl_get_ip(a[RTA_OIF], &got));
	ck_assert(!rtnl_get_ip(NULL, &got));
	nlmsg_free(msg);
}
END_TEST

UNIT_MAIN("rtnl", UNIT_LOOP(a_question_has_an_answer_or_none_or_could_not_be_asked, questions),
	  UNIT(an_answer_that_nobody_took_is_not_the_next_ones),
	  UNIT(a_socket_that_is_broken_is_told_as_such),
	  UNIT(an_address_keeps_its_family_and_what_is_none_is_not_taken))
