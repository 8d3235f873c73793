/* SPDX-License-Identifier: MIT */

/*
 * What the kernel answers about rules: the sockets are those of kernel-socket.h, so that libnl reads the input in
 * place of netlink. The first byte says what is asked. Whatever comes, what is made of it is in range, or nothing.
 *
 * An input is a series of messages as the kernel sends them; each has two bytes before it, its length.
 */

#include "iptables/conntrack.h"
#include "iptables/generation.h"
#include "iptables/monitor.h"
#include "iptables/snapshot.h"
#include "iptables/spoof_tally.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/kernel-socket.h"

#include <assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t *input;
static size_t left;

/* the kernel */

/* The next message; the sequence numbers and ports of its parts are made right, or nothing would be read. */
static ssize_t receive(uint8_t *to, size_t size)
{
	size_t n = left < 2 ? 0 : (size_t)(input[0] | (input[1] & 0x3f) << 8);

	if (left < 2) {
		errno = EAGAIN;
		return -1;
	}
	input += 2;
	left -= 2;
	n = n > left ? left : n;
	n = n > size ? size : n;
	memcpy(to, input, n);
	input += n;
	left -= n;
	for (size_t at = 0, len; n - at >= sizeof(struct nlmsghdr); at += len) {
		struct nlmsghdr *h = (void *)(to + at);

		len = NLMSG_ALIGN((size_t)h->nlmsg_len);
		h->nlmsg_seq = kernel_socket_asked;
		h->nlmsg_pid = kernel_socket_port;
		if (len < sizeof(*h) || len > n - at)
			break;
	}
	if (n == 0) {
		errno = ENOBUFS;
		return -1;
	}
	return (ssize_t)n;
}

/* the linker is to find these, in place of the C library's */
#pragma GCC visibility push(default)
ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (m->msg_name) {
		memcpy(m->msg_name, &kernel, sizeof(kernel));
		m->msg_namelen = sizeof(kernel);
	}
	m->msg_controllen = 0;
	m->msg_flags = 0;
	if (flags & MSG_PEEK) { /* how long it is */
		m->msg_flags = MSG_TRUNC;
		return left < 2 ? 1 : (ssize_t)(input[0] | (input[1] & 0x3f) << 8) + 1;
	}
	return receive(m->msg_iov[0].iov_base, m->msg_iov[0].iov_len);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	return receive(p, n);
}

ssize_t sendto(int fd, const void *p, size_t n, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_n)
{
	/* what a snapshot sends is well-formed: messages on end, the first and last of them the batch's */
	const uint8_t *at = p;
	unsigned messages = 0;

	for (size_t rest = n; rest; messages++) {
		const struct nlmsghdr *h = (const void *)at;

		assert(rest >= sizeof(*h) && h->nlmsg_len >= sizeof(*h) && h->nlmsg_len <= rest &&
		       h->nlmsg_len % NLMSG_ALIGNTO == 0);
		at += h->nlmsg_len;
		rest -= h->nlmsg_len;
	}
	assert(messages >= 3);
	return (ssize_t)n;
}
#pragma GCC visibility pop

/* what is asked */

static void ask_tally(void)
{
	struct spoof_tally t = { .packets = { 7, 7 } };

	if (spoof_tally_read(&t, NULL) < 0)
		assert(t.packets[0] == 7 && t.packets[1] == 7);
}

static void ask_sources(enum spoof_family family)
{
	static struct spoof_source found[SPOOF_SEEN_MAX];
	size_t n = SPOOF_SEEN_MAX + 1;

	if (spoof_tally_read_sources(family, found, &n, NULL) < 0) {
		assert(n == SPOOF_SEEN_MAX + 1);
		return;
	}
	assert(n <= SPOOF_SEEN_MAX);
	for (size_t i = 0; i < n; i++)
		assert(strnlen(found[i].from.link, REDIRECT_LINK_MAX) < REDIRECT_LINK_MAX);
}

static void ask_snapshot(void)
{
	struct snapshot *s = snapshot_take("nmi", NULL);

	if (s) {
		(void)snapshot_restore(s, SNAPSHOT_PLAIN, NULL);
		(void)snapshot_restore(s, SNAPSHOT_HELD, NULL);
	}
	(void)snapshot_free(s);
}

static void on_news(void *ctx, struct mono since, bool deleted)
{
	++*(unsigned *)ctx;
}

struct end {
	struct loop_timer timer;
	struct loop *loop;
};

static void stop(struct loop_timer *t)
{
	loop_quit(container_of(t, struct end, timer)->loop, 0);
}

static void ask_news(void)
{
	unsigned news = 0;
	struct loop *l = loop_new(NULL);
	struct monitor *m = monitor_new(l, on_news, &news, NULL);
	struct end end = { .loop = l };

	assert(m);
	loop_timer_set_msec(l, &end.timer, 0, stop);
	(void)loop_run(l, NULL);
	(void)monitor_free(m);
	(void)loop_free(l);
}

static void ask_flows(void)
{
	struct redirect_spec spec = { .metadata_port = 80, .agent_port = 2579 };
	unsigned deleted = 77;
	struct err err = { 0 };

	assert(inet_ip_parse("169.254.169.254", &spec.metadata_ip, NULL) == 0);
	assert(inet_ip_parse("10.0.0.254", &spec.agent_ip, NULL) == 0);
	if (conntrack_delete_stale(&spec, &deleted, &err) < 0)
		assert(err.kind && deleted == 77);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t generation = 7;

	if (size == 0)
		return 0;
	input = data + 1;
	left = size - 1;
	switch (data[0] % 7) {
	case 0:
		ask_tally();
		break;
	case 1:
		ask_sources(SPOOF_ROUTED);
		break;
	case 2:
		ask_sources(SPOOF_BRIDGED);
		break;
	case 3:
		ask_snapshot();
		break;
	case 4:
		ask_news();
		break;
	case 5:
		if (generation_read(&generation, NULL) < 0)
			assert(generation == 7);
		break;
	default:
		ask_flows();
	}
	return 0;
}
