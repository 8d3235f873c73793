/* SPDX-License-Identifier: MIT */

/* A socket that listens, or why there is none: see listen.h. */

#include "nmi/front/listen.h"

#include "lib/base/cleanup.h"
#include "nmi/front/server.h"
#include "nmi/limits.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int bind_to(const struct server_spec *spec, const struct inet_ip *ip, struct err *err)
{
	struct sockaddr_storage ss;
	socklen_t n = inet_ip_to_sockaddr(ip, spec->port, &ss);
	_cleanup_close_ int fd = -EBADF;
	const unsigned unacknowledged_msec = LIMIT_UNACKNOWLEDGED_MSEC;
	const int yes = 1, no = 0;

	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set_errno(err, errno, "socket");
	/* a restart must not wait for the old connections' TIME_WAIT */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_msec,
		       sizeof(unacknowledged_msec)) < 0 ||
	    (ss.ss_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) < 0))
		return err_set_errno(err, errno, "setsockopt");
	if (bind(fd, (struct sockaddr *)&ss, n) < 0 || listen(fd, SOMAXCONN) < 0)
		return err_set_errno(err, errno, "bind");
	return steal_fd(&fd);
}

static int explain(const struct server_spec *spec, int os_errno, struct err *err)
{
	char ip[INET_IP_TEXT_MAX];

	inet_ip_print(&spec->address, ip);
	if (os_errno == EADDRINUSE)
		return err_set_errno(err, os_errno,
				     "port %u (--%s) is taken by another process: find it with "
				     "ss -ltnp sport = :%u and end it, or set another --%s",
				     spec->port, spec->port_setting, spec->port,
				     spec->port_setting);
	if (os_errno == EADDRNOTAVAIL)
		return err_set_errno(
			err, os_errno,
			"cannot listen on %s port %u (--%s): no interface of this node "
			"has that address",
			ip, spec->port, spec->port_setting);
	if (os_errno == EACCES)
		return err_set_errno(
			err, os_errno,
			"may not listen on port %u (--%s): set one from 1024 on, or run "
			"with CAP_NET_BIND_SERVICE",
			spec->port, spec->port_setting);
	return err_set_errno(err, os_errno, "cannot listen on %s port %u (--%s)", ip, spec->port,
			     spec->port_setting);
}

int listen_on(const struct server_spec *spec, struct err *err)
{
	static const struct inet_ip any4 = { { [10] = 0xff, 0xff } };
	struct err why = { 0 };
	int fd = bind_to(spec, &spec->address, &why);

	/* "all addresses" on a node without IPv6 */
	if (fd < 0 && why.os_errno == EAFNOSUPPORT && inet_ip_is_unspecified(&spec->address))
		fd = bind_to(spec, &any4, &why);
	return fd < 0 ? explain(spec, why.os_errno, err) : fd;
}
