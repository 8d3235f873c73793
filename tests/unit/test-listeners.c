/* SPDX-License-Identifier: MIT */

#include "nmi/listeners.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADING                                                                                    \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "      \
	"timeout inode\n"
#define REST " 00000000:00000000 00:00000000 00000000     0        0 53941 1 0000 100 0 0 10 0\n"

/* On a little-endian machine. */
static const struct {
	const char *text;
	const char *listeners; /* ip:port, with a space after each */
	bool more;
} texts[] = {
	{ "", "", true },
	{ HEADING, "", true },
	{ HEADING "   0: 0100007F:0C08 00000000:0000 0A" REST, "127.0.0.1:3080 ", true },
	{ HEADING "   0: 0100007F:0A13 00000000:0000 0A" REST
		  "   1: 00000000:0016 00000000:0000 0A" REST,
	  "127.0.0.1:2579 0.0.0.0:22 ", true },
	/* the last ones are connections */
	{ "   0: 0400F00A:0A13 00000000:0000 0A" REST "   1: 0400F00A:0A13 0B00F40A:D431 01" REST
	  "   2: 0100007F:0C08 00000000:0000 0A" REST,
	  "10.240.0.4:2579 ", false },
	{ "10000: 0100007F:0C08 00000000:0000 0A" REST, "127.0.0.1:3080 ", true },
	/* half a line is for later */
	{ "   0: 0100007F:0C08 00000000:0000 0A", "", true },
	{ "   0: 0100007F:0C08 00000000:0000 0A\n", "", true },
	{ "   0: 0100007f:0C08 00000000:0000 0A" REST, "", true },
	{ "   0: 0100007F0C08 00000000:0000 0A" REST, "", true },
	{ "   0:\n:\n\n: \n", "", true },
};

START_TEST(those_that_listen_are_told)
{
	char all[128] = "", one[INET_IP_PORT_TEXT_MAX];
	struct str text = str_of(texts[_i].text);
	struct listener l;
	bool more = false;
	size_t n = 0;

	while (listeners_next(&text, &l, &more))
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s ",
				      inet_ip_print_port(&l.ip, l.port, one));
	ck_assert_str_eq(all, texts[_i].listeners);
	ck_assert_int_eq(more, texts[_i].more);
}
END_TEST

/* More than one read of the file gives. */
#define MANY 100

struct sought {
	uint16_t port[MANY];
	size_t found;
	bool stop;
};

static bool is_sought(void *ctx, const struct listener *l)
{
	struct sought *s = ctx;

	for (size_t i = 0; i < MANY; i++)
		s->found += inet_ip_is_loopback(&l->ip) && l->port == s->port[i];
	return !s->stop || !s->found;
}

START_TEST(ours_are_found)
{
	struct sought s = { 0 };
	int fd[MANY];

	for (size_t i = 0; i < MANY; i++) {
		struct sockaddr_in sa = { .sin_family = AF_INET,
					  .sin_addr = { htonl(INADDR_LOOPBACK) } };
		socklen_t n = sizeof(sa);

		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		ck_assert_int_eq(bind(fd[i], (const struct sockaddr *)&sa, n), 0);
		ck_assert_int_eq(getsockname(fd[i], (struct sockaddr *)&sa, &n), 0);
		s.port[i] = ntohs(sa.sin_port);
	}
	ck_assert(listeners_each(is_sought, &s));
	ck_assert_uint_eq(s.found, 0); /* bound, and not listening yet */
	for (size_t i = 0; i < MANY; i++)
		ck_assert_int_eq(listen(fd[i], 1), 0);
	/* the file is read in parts: a listener of somebody else that comes or goes in between shifts it */
	for (int i = 0; i < 20 && s.found != MANY; i++) {
		s.found = 0;
		ck_assert(listeners_each(is_sought, &s));
	}
	ck_assert_uint_eq(s.found, MANY);
	s = (struct sought){ .port = { s.port[0] }, .stop = true };
	ck_assert(listeners_each(is_sought, &s));
	ck_assert_uint_eq(s.found, 1);
	for (size_t i = 0; i < MANY; i++)
		close(fd[i]);
}
END_TEST

UNIT_MAIN("listeners", UNIT_LOOP(those_that_listen_are_told, texts), UNIT(ours_are_found))
