/* SPDX-License-Identifier: MIT */

/*
 * What the kernel says of links, routes, neighbours and ports of bridges: the sockets are those of kernel-socket.h,
 * so that the input is read in place of rtnetlink. Whatever comes: a number is one life of one link, told gone once at
 * most, and a place is a link that came.
 *
 * An input is ops, a byte each, and datagrams: two bytes before each are its length; of the second one the highest
 * bit says that there is nothing more to be read for now, the next one that it is not from the kernel.
 */

#include "lib/base/inet.h"
#include "lib/loop/loop.h"
#include "nmi/pods/link.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/kernel-socket.h"

#include <assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#define LINKS_MAX 4096
#define OPS_MAX	  100

static const uint8_t *input;
static size_t left;

/* The linker is to find this in place of the C library's. */
#pragma GCC visibility push(default)
ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK };
	size_t size = m->msg_iov[0].iov_len, n;
	uint8_t high;

	errno = EAGAIN;
	if (left < 2)
		return -1;
	high = input[1];
	n = input[0] | (size_t)(high & 0x1f) << 8;
	input += 2;
	left -= 2;
	if (high & 0x80)
		return -1;
	errno = ENOBUFS;
	if (high & 0x20)
		return -1;
	from.nl_pid = high & 0x40 ? 99 : 0;
	memcpy(m->msg_name, &from, sizeof(from));
	m->msg_flags = n > size ? MSG_TRUNC : 0;
	n = n > left ? left : n;
	n = n > size ? size : n;
	memcpy(m->msg_iov[0].iov_base, input, n);
	input += n;
	left -= n;
	return (ssize_t)n;
}
#pragma GCC visibility pop

/* what is told */

struct told {
	struct link_watch *w;
	bool gone[LINKS_MAX];
};

static void on_gone(void *ctx, uint32_t link)
{
	struct told *t = ctx;
	char name[PLACE_NAME_MAX] = "";

	assert(link > 0);
	if (link < LINKS_MAX) {
		assert(!t->gone[link]);
		t->gone[link] = true;
	}
	if (!t->w)
		return; /* it is being made */
	link_watch_print(t->w, &(struct place){ PLACE_LINK, link, 0 }, name);
	assert(memchr(name, '\0', sizeof(name)));
}

static void on_moved(void *ctx, const struct inet_ip *prefix, unsigned bits)
{
	assert(bits <= 128);
}

static void on_changed(void *ctx, uint32_t link)
{
	assert(link > 0);
}

static void find(struct told *t, const char *text)
{
	struct inet_ip ip;
	struct place p = { 0 };
	char name[PLACE_NAME_MAX];

	if (inet_ip_parse(text, &ip, NULL) < 0)
		abort();
	link_watch_find(t->w, &ip, &p);
	assert(p.kind <= PLACE_UNASKED && (p.kind != PLACE_LINK || p.link > 0));
	assert(p.link <= link_watch_newest(t->w) && p.port <= link_watch_newest(t->w));
	link_watch_print(t->w, &p, name);
	assert(memchr(name, '\0', sizeof(name)));
}

static void step(struct loop *l, struct told *t)
{
	static const char *const ips[] = { "10.0.0.1", "10.0.0.2", "fd00::1" };
	uint8_t op = *input++;

	left--;
	switch (op % 4) {
	case 0:
		(void)link_watch_catch_up(t->w);
		break;
	case 1:
		find(t, ips[op / 4 % 3]);
		break;
	case 2:
		(void)loop_turn(l, 0, NULL);
		break;
	default:
		loop_fake_advance(l, (uint64_t)(op / 4) * 100);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct link_ops ops = { on_gone, on_moved, on_changed };
	struct loop *l = loop_new_fake(NULL);
	static struct told t;
	struct err err = { 0 };

	input = data;
	left = size;
	memset(&t, 0, sizeof(t));
	t.w = link_watch_new(l, &ops, &t, &err);
	assert(t.w || err.kind);
	for (unsigned i = 0; t.w && left && i < OPS_MAX; i++)
		step(l, &t);
	(void)link_watch_free(t.w);
	(void)loop_free(l);
	return 0;
}
