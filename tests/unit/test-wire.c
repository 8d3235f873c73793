/* SPDX-License-Identifier: MIT */

#include "iptables/wire.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct redirect_spec mk_spec(void)
{
	struct redirect_spec s = { .backend = REDIRECT_NFT,
				   .metadata_port = 80,
				   .agent_port = 2579,
				   .sweep_msec = 60000,
				   .log_verbose = true,
				   .delete_conntrack = true };

	(void)inet_ip_parse("169.254.169.254", &s.metadata_ip, NULL);
	(void)inet_ip_parse("10.240.0.4", &s.agent_ip, NULL);
	return s;
}

static struct redirect_status mk_status(void)
{
	return (struct redirect_status){ .state = REDIRECT_FAILING,
					 .protection = REDIRECT_HELD,
					 .backend = REDIRECT_NFT,
					 .repairs = 7,
					 .last_repair_usec = 812,
					 .spoofed = 0x123456789,
					 .ports = 110,
					 .why = "CAP_NET_ADMIN is missing" };
}

START_TEST(a_spec_arrives_as_it_was_sent)
{
	struct redirect_spec a = mk_spec(), b = { 0 };
	uint8_t msg[WIRE_START_BYTES];

	wire_put_start(&a, msg);
	ck_assert_int_eq(wire_get_start(msg, sizeof(msg), &b, NULL), 0);
	ck_assert_int_eq(b.backend, a.backend);
	ck_assert(inet_ip_eq(&b.metadata_ip, &a.metadata_ip));
	ck_assert(inet_ip_eq(&b.agent_ip, &a.agent_ip));
	ck_assert_uint_eq(b.metadata_port, a.metadata_port);
	ck_assert_uint_eq(b.agent_port, a.agent_port);
	ck_assert_uint_eq(b.sweep_msec, a.sweep_msec);
	ck_assert(b.delete_conntrack);
	ck_assert(!b.log_json && b.log_verbose);
}
END_TEST

START_TEST(a_status_arrives_as_it_was_sent)
{
	struct redirect_status a = mk_status(), b = { 0 };
	uint8_t msg[WIRE_STATUS_BYTES];

	wire_put_status(&a, msg);
	ck_assert_int_eq(wire_get_status(msg, sizeof(msg), &b, NULL), 0);
	ck_assert_int_eq(b.state, a.state);
	ck_assert_int_eq(b.protection, REDIRECT_HELD);
	ck_assert_int_eq(b.backend, REDIRECT_NFT);
	ck_assert_uint_eq(b.repairs, a.repairs);
	ck_assert_uint_eq(b.last_repair_usec, a.last_repair_usec);
	ck_assert_uint_eq(b.spoofed, a.spoofed);
	ck_assert_uint_eq(b.ports, a.ports);
	ck_assert_str_eq(b.why, a.why);
}
END_TEST

START_TEST(the_longest_reason_fits)
{
	struct redirect_status a = mk_status(), b = { 0 };
	uint8_t msg[WIRE_STATUS_BYTES];

	memset(a.why, 'w', sizeof(a.why) - 1);
	wire_put_status(&a, msg);
	ck_assert_int_eq(wire_get_status(msg, sizeof(msg), &b, NULL), 0);
	ck_assert_str_eq(b.why, a.why);
}
END_TEST

START_TEST(what_is_not_used_of_a_message_is_zero)
{
	struct redirect_status a = mk_status();
	uint8_t msg[WIRE_STATUS_BYTES];

	/* Left over from a longer text before it: must not cross to the other process. */
	memcpy(a.why, "short\0secret", 13);
	wire_put_status(&a, msg);
	ck_assert_ptr_null(memmem(msg, sizeof(msg), "secret", 6));
}
END_TEST

/* One byte of a good message is changed. */
static const struct {
	size_t at;
	uint8_t to;
} bad_starts[] = {
	{ 0, 0 }, /* the kind */
	{ 0, 2 }, /* that of a status */
	{ 4, REDIRECT_BACKENDS },
	{ 4, 255 },
	{ 5, 2 },  /* a bool that is neither */
	{ 10, 2 }, /* likewise */
	{ 11, 255 },
};

START_TEST(a_start_message_out_of_range_is_refused_and_leaves_the_spec_alone)
{
	struct redirect_spec s = mk_spec(), out = { .agent_port = 1 };
	uint8_t msg[WIRE_START_BYTES];
	struct err err = { 0 };

	wire_put_start(&s, msg);
	ck_assert_uint_ne(msg[bad_starts[_i].at], bad_starts[_i].to);
	msg[bad_starts[_i].at] = bad_starts[_i].to;
	ck_assert_int_eq(wire_get_start(msg, sizeof(msg), &out, &err), -ERR_INPUT);
	ck_assert_uint_eq(out.agent_port, 1);
	ck_assert_str_ne(err.msg, "");
}
END_TEST

static const struct {
	size_t at;
	uint8_t to;
} bad_statuses[] = {
	{ 0, 1 },   { 4, REDIRECT_GONE + 1 },
	{ 4, 255 }, { 5, REDIRECT_PROTECTIONS },
	{ 5, 255 }, { 6, REDIRECT_BACKENDS },
	{ 7, 1 },   { 25, 255 }, /* more ports than there can be */
	{ 28, 1 },
};

START_TEST(a_status_out_of_range_is_refused_and_leaves_the_old_one_alone)
{
	struct redirect_status s = mk_status(), out = { .repairs = 1 };
	uint8_t msg[WIRE_STATUS_BYTES];

	wire_put_status(&s, msg);
	ck_assert_uint_ne(msg[bad_statuses[_i].at], bad_statuses[_i].to);
	msg[bad_statuses[_i].at] = bad_statuses[_i].to;
	ck_assert_int_eq(wire_get_status(msg, sizeof(msg), &out, NULL), -ERR_INPUT);
	ck_assert_uint_eq(out.repairs, 1);
}
END_TEST

START_TEST(a_reason_without_an_end_is_refused)
{
	struct redirect_status s = mk_status(), out = { 0 };
	uint8_t msg[WIRE_STATUS_BYTES];

	wire_put_status(&s, msg);
	memset(msg + WIRE_STATUS_BYTES - sizeof(s.why), 'w', sizeof(s.why));
	ck_assert_int_eq(wire_get_status(msg, sizeof(msg), &out, NULL), -ERR_INPUT);
}
END_TEST

static const size_t sizes[] = { 0, 1, WIRE_START_BYTES - 1, WIRE_START_BYTES + 1, 4096 };

START_TEST(a_message_of_another_size_is_refused)
{
	static uint8_t msg[4096];
	struct redirect_spec s = mk_spec(), out;
	struct redirect_status status;

	wire_put_start(&s, msg);
	ck_assert_int_eq(wire_get_start(msg, sizes[_i], &out, NULL), -ERR_INPUT);
	ck_assert_int_eq(wire_get_status(msg, sizes[_i], &status, NULL), -ERR_INPUT);
}
END_TEST

static struct redirect_port mk_port(const char *link, const char *ip)
{
	struct redirect_port p = { 0 };

	memcpy(p.link, link, strnlen(link, sizeof(p.link)));
	ck_assert_int_eq(inet_ip_parse(ip, &p.ip, NULL), 0);
	return p;
}

static const size_t numbers[] = { 0, 1, 2, REDIRECT_PORTS_MAX };

START_TEST(ports_arrive_as_they_were_sent)
{
	static struct redirect_port a[REDIRECT_PORTS_MAX], b[REDIRECT_PORTS_MAX];
	static uint8_t msg[WIRE_DOWN_MAX];
	size_t n = numbers[_i], got = 7;

	for (size_t i = 0; i < n; i++) {
		a[i] = mk_port("fifteen-letters", "10.244.0.1");
		a[i].ip.b[14] = (uint8_t)(i >> 8);
		a[i].ip.b[15] = (uint8_t)i;
	}
	wire_put_ports(a, n, msg);
	ck_assert(wire_is_ports(msg, WIRE_PORTS_BYTES(n)));
	ck_assert_int_eq(wire_get_ports(msg, WIRE_PORTS_BYTES(n), b, &got, NULL), 0);
	ck_assert_uint_eq(got, n);
	ck_assert_mem_eq(b, a, n * sizeof(*a));
}
END_TEST

START_TEST(a_spec_is_not_ports)
{
	struct redirect_spec s = mk_spec();
	static uint8_t msg[WIRE_DOWN_MAX];
	static struct redirect_port out[REDIRECT_PORTS_MAX];
	size_t n;

	wire_put_start(&s, msg);
	ck_assert(!wire_is_ports(msg, WIRE_START_BYTES));
	ck_assert(!wire_is_ports(msg, 3));
	ck_assert_int_eq(wire_get_ports(msg, WIRE_START_BYTES, out, &n, NULL), -ERR_INPUT);
}
END_TEST

/* Two ports; then one byte is changed, and so many are sent. */
static const struct {
	size_t at;
	uint8_t to;
	size_t bytes;
} bad_ports[] = {
	{ 0, 0, WIRE_PORTS_BYTES(2) }, /* the kind */
	{ 4, 1, WIRE_PORTS_BYTES(2) }, /* their number */
	{ 4, 3, WIRE_PORTS_BYTES(2) },
	{ 5, 255, WIRE_PORTS_BYTES(2) },  /* more than there can be */
	{ 40, 0, WIRE_PORTS_BYTES(2) },	  /* the second has no name */
	{ 55, 'x', WIRE_PORTS_BYTES(2) }, /* or something behind its end */
	{ 0, 3, WIRE_PORTS_BYTES(2) - 1 },
	{ 0, 3, WIRE_PORTS_BYTES(2) + 1 },
	{ 0, 3, WIRE_PORTS_BYTES(0) },
	{ 0, 3, WIRE_PORTS_BYTES(0) - 1 },
	{ 0, 3, 0 },
};

START_TEST(ports_that_are_none_are_refused_and_leave_the_old_ones_alone)
{
	static struct redirect_port out[REDIRECT_PORTS_MAX];
	const struct redirect_port two[] = { mk_port("veth1", "10.0.0.1"),
					     mk_port("veth2", "10.0.0.2") };
	uint8_t msg[WIRE_PORTS_BYTES(2) + 1] = { 0 };
	struct err err = { 0 };
	size_t n = 7;

	out[0] = mk_port("old", "10.0.0.9");
	wire_put_ports(two, 2, msg);
	ck_assert(msg[bad_ports[_i].at] != bad_ports[_i].to ||
		  bad_ports[_i].bytes != WIRE_PORTS_BYTES(2));
	msg[bad_ports[_i].at] = bad_ports[_i].to;
	ck_assert_int_eq(wire_get_ports(msg, bad_ports[_i].bytes, out, &n, &err), -ERR_INPUT);
	ck_assert_uint_eq(n, 7);
	ck_assert_str_eq(out[0].link, "old");
	ck_assert_str_ne(err.msg, "");
}
END_TEST

START_TEST(a_test_is_asked_for_as_it_was_meant)
{
	uint8_t nonce[REDIRECT_NONCE_BYTES] = "0123456789abcdef", got[REDIRECT_NONCE_BYTES];
	uint8_t msg[WIRE_TRY_BYTES + 1] = { 0 };
	uint32_t seq = 7;

	wire_put_try(99, nonce, msg);
	ck_assert(wire_is_try(msg, WIRE_TRY_BYTES) && !wire_is_ports(msg, WIRE_TRY_BYTES));
	ck_assert_int_eq(wire_get_try(msg, WIRE_TRY_BYTES - 1, &seq, got, NULL), -ERR_INPUT);
	ck_assert_int_eq(wire_get_try(msg, WIRE_TRY_BYTES + 1, &seq, got, NULL), -ERR_INPUT);
	ck_assert_uint_eq(seq, 7);
	ck_assert_int_eq(wire_get_try(msg, WIRE_TRY_BYTES, &seq, got, NULL), 0);
	ck_assert_uint_eq(seq, 99);
	ck_assert_mem_eq(got, nonce, sizeof(nonce));
}
END_TEST

static const struct redirect_test outcomes[] = {
	{ .outcome = REDIRECT_TEST_ANSWERED,
	  .status = 404,
	  .text = "HTTP/1.1 404 Not Found",
	  .server = "IMDS/150",
	  .body = "nmi" },
	{ .outcome = REDIRECT_TEST_IMPOSSIBLE,
	  .text = "making a namespace: Operation not permitted" },
	{ .outcome = REDIRECT_TEST_SILENT },
};

START_TEST(an_outcome_arrives_as_it_was_sent)
{
	struct redirect_test got = { 0 };
	uint8_t msg[WIRE_TESTED_BYTES];
	uint32_t seq = 0;

	wire_put_tested(3, &outcomes[_i], msg);
	ck_assert(wire_is_tested(msg, sizeof(msg)));
	ck_assert_int_eq(wire_get_tested(msg, sizeof(msg), &seq, &got, NULL), 0);
	ck_assert_uint_eq(seq, 3);
	ck_assert_mem_eq(&got, &outcomes[_i], sizeof(got));
}
END_TEST

/* One byte of the first of them is changed. */
static const struct {
	size_t at;
	uint8_t to;
} bad_outcomes[] = {
	{ 0, 1 },		    /* the kind */
	{ 9, 4 },		    /* a status above 999 */
	{ 10, REDIRECT_TESTED },    /* no such outcome */
	{ 10, REDIRECT_TEST_MUTE }, /* with a status, and no answer */
	{ 11, 1 },		    /* reserved */
	{ 12, '\n' },		    /* a line of its own */
	{ 13, 0 },		    /* more behind the end */
	{ 112, 0x80 },
	{ 199, 'x' },
};

START_TEST(an_outcome_out_of_range_is_refused)
{
	struct redirect_test got = { .status = 7 };
	uint8_t msg[WIRE_TESTED_BYTES];
	uint32_t seq = 7;

	wire_put_tested(3, &outcomes[0], msg);
	ck_assert_uint_ne(msg[bad_outcomes[_i].at], bad_outcomes[_i].to);
	msg[bad_outcomes[_i].at] = bad_outcomes[_i].to;
	ck_assert_int_eq(wire_get_tested(msg, sizeof(msg), &seq, &got, NULL), -ERR_INPUT);
	ck_assert_int_eq(wire_get_tested(msg, sizeof(msg) - 1, &seq, &got, NULL), -ERR_INPUT);
	ck_assert(seq == 7 && got.status == 7);
}
END_TEST

UNIT_MAIN("wire", UNIT(a_spec_arrives_as_it_was_sent), UNIT(a_status_arrives_as_it_was_sent),
	  UNIT(the_longest_reason_fits), UNIT(what_is_not_used_of_a_message_is_zero),
	  UNIT_LOOP(a_start_message_out_of_range_is_refused_and_leaves_the_spec_alone, bad_starts),
	  UNIT_LOOP(a_status_out_of_range_is_refused_and_leaves_the_old_one_alone, bad_statuses),
	  UNIT(a_reason_without_an_end_is_refused),
	  UNIT_LOOP(a_message_of_another_size_is_refused, sizes),
	  UNIT_LOOP(ports_arrive_as_they_were_sent, numbers), UNIT(a_spec_is_not_ports),
	  UNIT_LOOP(ports_that_are_none_are_refused_and_leave_the_old_ones_alone, bad_ports),
	  UNIT(a_test_is_asked_for_as_it_was_meant),
	  UNIT_LOOP(an_outcome_arrives_as_it_was_sent, outcomes),
	  UNIT_LOOP(an_outcome_out_of_range_is_refused, bad_outcomes))
