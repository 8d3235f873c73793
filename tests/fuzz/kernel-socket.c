/* SPDX-License-Identifier: MIT */

/* Stand-ins for sockets to the kernel: see kernel-socket.h. */

#include "tests/fuzz/kernel-socket.h"

#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

uint32_t kernel_socket_port = 7, kernel_socket_asked;

/* the linker is to find these, in place of the C library's */
#pragma GCC visibility push(default)
int socket(int family, int type, int protocol)
{
	return eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
}

int bind(int fd, __CONST_SOCKADDR_ARG a, socklen_t n)
{
	const struct sockaddr_nl *us = (const void *)a.__sockaddr__;

	if (us->nl_pid) /* else the kernel chooses */
		kernel_socket_port = us->nl_pid;
	return 0;
}

int getsockname(int fd, __SOCKADDR_ARG a, socklen_t *n)
{
	const struct sockaddr_nl us = { .nl_family = AF_NETLINK, .nl_pid = kernel_socket_port };

	memcpy(a.__sockaddr__, &us, sizeof(us));
	*n = sizeof(us);
	return 0;
}

int setsockopt(int fd, int level, int name, const void *p, socklen_t n)
{
	return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	const struct nlmsghdr *h = m->msg_iov[0].iov_base;

	assert(h->nlmsg_len == m->msg_iov[0].iov_len);
	kernel_socket_asked = h->nlmsg_seq;
	return (ssize_t)h->nlmsg_len;
}
#pragma GCC visibility pop
