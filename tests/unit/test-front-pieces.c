/* SPDX-License-Identifier: MIT */

/* Requests of which a part could be overlooked: NUL bytes, and what comes in pieces. */

#include "lib/base/mem.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

static struct rig rig;

static void start(void)
{
	rig = (struct rig){ .spec.metadata_header_required = true };
	rig_start(&rig);
}

static void stop(void)
{
	rig_stop(&rig);
}

START_TEST(nul_bytes_never_hide_a_part_of_a_request)
{
	static const char line[] = "GET " TOKEN_PATH "\0/x?" QUERY " HTTP/1.1\r\n" HEADERS "\r\n";
	static const char end[] = "GET " TOKEN_PATH "?" QUERY "\0 HTTP/1.1\r\n" HEADERS "\r\n";
	static const char path[] = "GET /metadata\0/identity HTTP/1.1\r\n" HEADERS "\r\n";
	static const char name[] = "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\n" HEADERS
				   "X-Forw\0arded-For: 1\r\n\r\n";
	static const char value[] = "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\n"
				    "Metadata: tr\0ue\r\n\r\n";
	static const char rest[] = "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\n"
				   "Metadata: true\0x\r\n\r\n";
	static const char between[] = "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\n"
				      "Metadata: true\0: x\r\nHost: x\r\n\r\n";
	static const char version[] = "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\0x\r\n" HEADERS "\r\n";
	static const char last[] = "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\n"
				   "Metadata: true\0\r\n\r\n";
	static const char length[] = "POST / HTTP/1.1\r\n" HEADERS "Content-Length: 5\0\r\n"
				     "A: b\r\n\r\nhello";
	static const struct {
		const char *p;
		size_t n;
	} all[] = { { line, sizeof(line) - 1 },	      { end, sizeof(end) - 1 },
		    { path, sizeof(path) - 1 },	      { name, sizeof(name) - 1 },
		    { value, sizeof(value) - 1 },     { rest, sizeof(rest) - 1 },
		    { between, sizeof(between) - 1 }, { version, sizeof(version) - 1 },
		    { last, sizeof(last) - 1 },	      { length, sizeof(length) - 1 } };
	struct answer a;

	start();
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct client *c = client_open(&rig, rig.spec.port);

		client_send_bytes(c, all[i].p, all[i].n);
		if (client_next(c, &a))
			ck_assert_int_eq(a.status, 400);
		ck_assert_uint_eq(rig.issuer.started, 0);
		ck_assert_uint_eq(rig.http.sent, 0);
		client_free(c);
	}
	stop();
}
END_TEST

/* However it is cut into pieces, it is read as one; and what clients may write is not taken for hidden. */
START_TEST(a_request_in_two_pieces_is_the_same_request)
{
	static const char fine[] = "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\n"
				   "Metadata: true\r\nEmpty:\r\nX-A:  b c  \r\n\r\n";
	static const char worse[] = "GET " TOKEN_PATH "?" QUERY " HTTP/1.1\r\nHost: x\r\n"
				    "Metadata: true\0x\r\nA: b\r\n\r\n";
	struct answer a;

	start();
	for (size_t i = 1; i < sizeof(worse) - 1; i += 3) {
		struct client *c = client_open(&rig, rig.spec.port);

		client_send_bytes(c, worse, i);
		rig_settle(&rig);
		client_send_bytes(c, worse + i, sizeof(worse) - 1 - i);
		if (client_next(c, &a))
			ck_assert_int_eq(a.status, 400);
		ck_assert_uint_eq(rig.issuer.started, 0);
		client_free(c);
	}
	for (size_t i = 1; i < sizeof(fine) - 1; i += 3) {
		struct client *c = client_open(&rig, rig.spec.port);

		client_send_bytes(c, fine, i);
		rig_settle(&rig);
		client_send_bytes(c, fine + i, sizeof(fine) - 1 - i);
		ck_assert(client_next(c, &a));
		ck_assert_msg(a.status == 200, "%zu: %d %s", i, a.status, a.body);
		client_free(c);
	}
	stop();
}
END_TEST

UNIT_MAIN("front-pieces", UNIT(nul_bytes_never_hide_a_part_of_a_request),
	  UNIT(a_request_in_two_pieces_is_the_same_request))
