/* SPDX-License-Identifier: MIT */

/*
 * A kernel that goes bad: for LD_PRELOAD before the agent as it is shipped. While NMI_GROUND is the state
 * of the redirector's ground, its netlink is
 *
 *	absent		no socket for netfilter (EPROTONOSUPPORT), as without nfnetlink
 *	memory		no message goes out (ENOMEM)
 *	buffers		no message goes out (ENOBUFS)
 *	garbage		what comes in is noise
 *	short		what comes in ends in the middle
 *	lost		news are lost, as often as is read (ENOBUFS), but every tenth time
 *
 * Signal 41 makes it bad, 42 good; with NMI_GROUND_BAD it is bad from the start.
 */

#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static const char *state = "";
static volatile sig_atomic_t bad;
static unsigned reads, noise = 1;

static void *real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (!fn)
		abort();
	return fn;
}

static bool is(const char *what)
{
	return bad && strcmp(state, what) == 0;
}

/* nmi has others, for routes and sockets: they are well. */
static bool is_netlink(int fd)
{
	int domain = 0, protocol = 0;
	socklen_t n = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_NETLINK &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) == 0 &&
	       protocol == NETLINK_NETFILTER;
}

static int why_not_sent(int fd)
{
	return !is_netlink(fd) ? 0 : is("memory") ? ENOMEM : is("buffers") ? ENOBUFS : 0;
}

static ssize_t spoil(int fd, void *p, ssize_t n)
{
	unsigned char *b = p;

	if (n <= 0 || !is_netlink(fd))
		return n;
	if (is("short"))
		return n / 2 + 1;
	if (is("garbage"))
		for (ssize_t i = 0; i < n; i++)
			b[i] = (unsigned char)((noise = noise * 1103515245U + 12345U) >> 16);
	return n;
}

/* the linker is to find these, in place of the C library's */
#pragma GCC visibility push(default)
int socket(int family, int type, int protocol)
{
	int (*fn)(int, int, int);

	*(void **)&fn = real("socket");
	if (family == AF_NETLINK && protocol == NETLINK_NETFILTER && is("absent")) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	return fn(family, type, protocol);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t (*fn)(int, const struct msghdr *, int);
	int e = why_not_sent(fd);

	*(void **)&fn = real("sendmsg");
	if (e) {
		errno = e;
		return -1;
	}
	return fn(fd, m, flags);
}

ssize_t sendto(int fd, const void *p, size_t n, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_n)
{
	ssize_t (*fn)(int, const void *, size_t, int, __CONST_SOCKADDR_ARG, socklen_t);
	int e = why_not_sent(fd);

	*(void **)&fn = real("sendto");
	if (e) {
		errno = e;
		return -1;
	}
	return fn(fd, p, n, flags, to, to_n);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	ssize_t (*fn)(int, struct msghdr *, int);
	ssize_t n;

	*(void **)&fn = real("recvmsg");
	if (is("lost") && is_netlink(fd) && ++reads % 10) {
		errno = ENOBUFS;
		return -1;
	}
	n = fn(fd, m, flags);
	return m->msg_iovlen ? spoil(fd, m->msg_iov[0].iov_base, n) : n;
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	ssize_t (*fn)(int, void *, size_t, int);

	*(void **)&fn = real("recv");
	return spoil(fd, p, fn(fd, p, n, flags));
}
#pragma GCC visibility pop

static void on_signal(int signo)
{
	bad = signo == 41;
}

static __attribute__((constructor)) void start(void)
{
	if (!getenv("NMI_GROUND"))
		return;
	state = getenv("NMI_GROUND");
	bad = getenv("NMI_GROUND_BAD") != NULL;
	(void)signal(41, on_signal);
	(void)signal(42, on_signal);
}
