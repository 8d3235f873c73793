/* SPDX-License-Identifier: MIT */

#include "nmi/handover_msg.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct handover_msg an_offer = {
	.kind = HANDOVER_OFFER,
	.n = 2,
	.listeners = { { .role = 0, .ip = { { [10] = 0xff, 0xff, 10, 240, 0, 4 } }, .port = 2579 },
		       { .role = 3, .port = 8080 } },
};

/* Where the fields are, for ever: magic, version, kind, roles, n. */
#define VERSION_AT 4
#define KIND_AT	   6
#define ROLES_AT   8
#define N_AT	   12
#define FIRST_AT   16

START_TEST(an_offer_comes_back_as_it_was)
{
	uint8_t bytes[HANDOVER_MSG_BYTES];
	struct handover_msg m;

	handover_msg_print(&an_offer, bytes);
	ck_assert_int_eq(handover_msg_parse(bytes, sizeof(bytes), &m, NULL), 0);
	ck_assert_int_eq(m.kind, HANDOVER_OFFER);
	ck_assert_uint_eq(m.n, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(m.listeners[i].role, an_offer.listeners[i].role);
		ck_assert_uint_eq(m.listeners[i].port, an_offer.listeners[i].port);
		ck_assert(inet_ip_eq(&m.listeners[i].ip, &an_offer.listeners[i].ip));
		ck_assert_int_lt(m.listeners[i].fd, 0);
	}
}
END_TEST

START_TEST(a_taking_names_its_roles)
{
	const struct handover_msg take = { .kind = HANDOVER_TAKE, .roles = 0x19 };
	uint8_t bytes[HANDOVER_MSG_BYTES];
	struct handover_msg m;

	handover_msg_print(&take, bytes);
	ck_assert_int_eq(handover_msg_parse(bytes, sizeof(bytes), &m, NULL), 0);
	ck_assert_int_eq(m.kind, HANDOVER_TAKE);
	ck_assert_uint_eq(m.roles, 0x19);
}
END_TEST

START_TEST(another_version_is_told_from_eight_bytes)
{
	uint8_t bytes[HANDOVER_MSG_BYTES];
	struct handover_msg m = { .roles = 7 };
	struct err err = { 0 };

	handover_msg_print(&an_offer, bytes);
	bytes[VERSION_AT] = 9;
	ck_assert_int_eq(handover_msg_parse(bytes, 8, &m, &err), -ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.msg, "version 9"));
	ck_assert_int_eq(handover_msg_parse(bytes, 7, &m, &err), -ERR_INPUT);
	ck_assert_uint_eq(m.roles, 7);
}
END_TEST

static const struct {
	size_t at;
	uint8_t value;
} wrong[] = {
	{ 0, 0 },
	{ KIND_AT, 0 },
	{ KIND_AT, HANDOVER_KINDS },
	{ KIND_AT, HANDOVER_TAKE }, /* with listeners */
	{ ROLES_AT, 1 },	    /* of an offer */
	{ N_AT, HANDOVER_LISTENERS_MAX + 1 },
	{ N_AT, 1 },	     /* and one more behind the end */
	{ N_AT, 3 },	     /* the third is all zero: a port too */
	{ FIRST_AT, 32 },    /* a role that is no bit */
	{ FIRST_AT, 3 },     /* the same role twice */
	{ FIRST_AT + 1, 1 }, /* what must be zero */
	{ HANDOVER_MSG_BYTES - 1, 1 },
};

START_TEST(what_cannot_be_is_refused)
{
	uint8_t bytes[HANDOVER_MSG_BYTES];
	struct handover_msg m = { .roles = 7 };

	handover_msg_print(&an_offer, bytes);
	bytes[wrong[_i].at] = wrong[_i].value;
	ck_assert_int_eq(handover_msg_parse(bytes, sizeof(bytes), &m, NULL), -ERR_INPUT);
	ck_assert_uint_eq(m.roles, 7);
}
END_TEST

START_TEST(its_length_is_exact)
{
	uint8_t bytes[HANDOVER_MSG_BYTES + 1] = { 0 };
	struct handover_msg m;

	handover_msg_print(&an_offer, bytes);
	ck_assert_int_eq(handover_msg_parse(bytes, sizeof(bytes), &m, NULL), -ERR_INPUT);
	ck_assert_int_eq(handover_msg_parse(bytes, sizeof(bytes) - 2, &m, NULL), -ERR_INPUT);
	ck_assert_int_eq(handover_msg_parse(bytes, 0, &m, NULL), -ERR_INPUT);
}
END_TEST

UNIT_MAIN("handover_msg", UNIT(an_offer_comes_back_as_it_was), UNIT(a_taking_names_its_roles),
	  UNIT(another_version_is_told_from_eight_bytes),
	  UNIT_LOOP(what_cannot_be_is_refused, wrong), UNIT(its_length_is_exact))
