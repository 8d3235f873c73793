/* SPDX-License-Identifier: MIT */

/* Connections whose last answer is not yet acknowledged: see linger.h. */

#include "nmi/front/linger.h"

#include "lib/base/mem.h"
#include "nmi/limits.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <utlist.h>

/* How often is looked whether an answer has been acknowledged: a round trip to a pod is microseconds. */
#define LOOK_MSEC 20

struct lingerer {
	struct exchange x; /* its peer and pod only */
	int fd;
	struct mono until;
	struct lingerer *prev, *next;
};

/* connect() to nobody aborts a TCP connection. */
void linger_abort(int fd)
{
	static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	if (connect(fd, &nobody, sizeof(nobody)) < 0)
		(void)shutdown(fd, SHUT_RDWR); /* fails only if it is gone already */
}

static void release(struct lingering *g, struct lingerer *l)
{
	DL_DELETE(g->list, l);
	g->n--;
	close(l->fd);
	free(l->x.pod_uid);
	free(l);
}

/* Of one that is over, SIOCOUTQ tells nothing. */
static bool is_unacknowledged(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);
	int n = 0;

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	       info.tcpi_state != TCP_CLOSE && ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0;
}

static void on_look(struct loop_timer *t)
{
	struct lingering *g = container_of(t, struct lingering, look);
	struct mono now = loop_mono(g->loop);
	struct lingerer *l, *next;

	DL_FOREACH_SAFE (g->list, l, next) {
		bool late = !mono_before(now, l->until);

		if (late)
			linger_abort(l->fd);
		if (late || !is_unacknowledged(l->fd))
			release(g, l);
	}
	if (g->list)
		loop_timer_set_msec(g->loop, t, LOOK_MSEC, on_look);
}

void linger_begin(struct lingering *g, struct exchange *x, int fd)
{
	struct lingerer *l;
	int copy;

	if (!x->pod_uid || !is_unacknowledged(fd))
		return;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0) {
		linger_abort(fd); /* rather no answer than one for somebody else */
		return;
	}
	if (g->n >= LIMIT_LINGERING) {
		linger_abort(g->list->fd);
		release(g, g->list);
	}
	l = xnew(struct lingerer);
	l->fd = copy;
	l->x.peer = x->peer;
	l->x.pod_uid = steal_ptr(x->pod_uid);
	l->until = mono_add_msec(loop_mono(g->loop), LIMIT_REQUEST_MSEC);
	DL_APPEND(g->list, l);
	g->n++;
	loop_timer_set_msec(g->loop, &g->look, LOOK_MSEC, on_look);
}

void linger_close_peer(struct lingering *g, const struct inet_ip *ip, server_meant_fn *meant,
		       const char *pod_uid)
{
	struct lingerer *l, *next;

	DL_FOREACH_SAFE (g->list, l, next) {
		if (!inet_ip_eq(&l->x.peer, ip) || !meant(&l->x, pod_uid))
			continue;
		linger_abort(l->fd);
		release(g, l);
	}
}

void linger_deinit(struct lingering *g)
{
	while (g->list) {
		linger_abort(g->list->fd);
		release(g, g->list);
	}
	loop_timer_del(&g->look);
}
