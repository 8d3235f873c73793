/* SPDX-License-Identifier: MIT */

/*
 * Listening sockets: see listeners.h.
 *
 * A line is "   0: 0100007F:0C08 00000000:0000 0A ...": local address and port, remote ones, state. An
 * address is the four bytes as this machine reads a number, in hexadecimal (net/ipv4/tcp_ipv4.c). A node may
 * have a hundred thousand connections, so reading ends where the listeners do.
 */

#include "nmi/listeners.h"

#include "lib/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LISTENERS_FILE "/proc/self/net/tcp"
#define READ_MAX       ((size_t)256 * 1024)
#define LINE_BYTES     150  /* TMPSZ of tcp_ipv4.c */
#define STATE_LISTEN   0x0A /* TCP_LISTEN */

static bool take_hex(const char **p, const char *end, unsigned digits, char after, uint32_t *out)
{
	uint32_t v = 0;

	if ((size_t)(end - *p) <= digits)
		return false;
	for (unsigned i = 0; i < digits; i++, (*p)++) {
		const char c = **p;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false;
	}
	if (*(*p)++ != after)
		return false;
	*out = v;
	return true;
}

/* The heading is no socket. */
static bool parse_line(const char *p, const char *end, struct listener *out, uint32_t *state)
{
	uint32_t ip, port, skip;
	const char *colon = memchr(p, ':', (size_t)(end - p));

	if (!colon || end - colon < 2)
		return false;
	p = colon + 2;
	if (!take_hex(&p, end, 8, ':', &ip) || !take_hex(&p, end, 4, ' ', &port) ||
	    !take_hex(&p, end, 8, ':', &skip) || !take_hex(&p, end, 4, ' ', &skip) ||
	    !take_hex(&p, end, 2, ' ', state))
		return false;
	out->port = (uint16_t)port;
	return inet_ip_from_bytes(&ip, sizeof(ip), &out->ip);
}

bool listeners_next(struct str *text, struct listener *out, bool *out_more)
{
	const char *end;

	*out_more = true;
	while ((end = text->n ? memchr(text->p, '\n', text->n) : NULL)) {
		struct listener l;
		uint32_t state = 0;
		bool ok = parse_line(text->p, end, &l, &state);

		text->n -= (size_t)(end + 1 - text->p);
		text->p = end + 1;
		if (ok && state == STATE_LISTEN) {
			*out = l;
			return true;
		}
		if (ok) {
			*out_more = false;
			return false;
		}
	}
	return false;
}

bool listeners_each(listener_fn *fn, void *ctx)
{
	_cleanup_close_ int fd = open(LISTENERS_FILE, O_RDONLY | O_CLOEXEC);
	char buf[4096];
	size_t have = 0, all = 0;
	bool more = true;

	if (fd < 0)
		return false;
	while (more && all < READ_MAX) {
		size_t room = sizeof(buf) - have;
		ssize_t n = read(fd, buf + have, room);
		struct str text;
		struct listener l;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		all += (size_t)n;
		text = (struct str){ buf, have + (size_t)n };
		while (listeners_next(&text, &l, &more)) {
			if (!fn(ctx, &l))
				return true;
		}
		/*
		 * Where another line would have fitted there is none; to be told so by one more read would
		 * take the kernel through its whole table of connections again, some milliseconds.
		 */
		more = more && (size_t)n + LINE_BYTES >= room;
		/* a line that fills the buffer is none of the kernel's */
		have = text.n < sizeof(buf) ? text.n : 0;
		memmove(buf, text.p, have);
	}
	return true;
}
