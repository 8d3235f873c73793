/* SPDX-License-Identifier: MIT */

/*
 * Accepting: see acceptor.h.
 *
 * Without a file accept4() fails before it looks whether anybody waits (Linux: a number is reserved first). So who waits is
 * asked of poll(), or a connection would be ended for nobody.
 */

#include "nmi/front/acceptor.h"

#include "lib/base/mem.h"
#include "nmi/limits.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

enum outcome {
	OUTCOME_TAKEN,
	OUTCOME_SKIPPED, /* that one was gone again: the next one */
	OUTCOME_NOBODY,
	OUTCOME_SHORT,	/* of files or memory; who waits waits on */
	OUTCOME_BROKEN, /* what cannot be: it has been told */
};

static void on_again(struct loop_timer *t);
static void on_somebody(struct loop_fd *f, uint32_t events);

static void rest(struct acceptor *a)
{
	loop_fd_del(&a->source);
	loop_timer_del(&a->again);
	a->rests = true;
}

static void rest_a_while(struct acceptor *a)
{
	rest(a);
	loop_timer_set_msec(a->loop, &a->again, LIMIT_ACCEPT_REST_MSEC, on_again);
}

static void listen_again(struct acceptor *a)
{
	if (!a->rests)
		return;
	loop_timer_del(&a->again);
	if (loop_fd_add(a->loop, &a->source, a->fd, EPOLLIN, on_somebody, NULL) < 0)
		rest_a_while(a); /* no memory for that either */
	else
		a->rests = false;
}

static bool is_anybody_waiting(const struct acceptor *a)
{
	struct pollfd p = { .fd = a->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* What is short, and what to do about it. */
static void tell(struct acceptor *a, int why)
{
	unsigned long held;

	if (!log_limit_pass(&a->said, loop_mono(a->loop), LIMIT_REFUSAL_LOG_MSEC, &held))
		return;
	if (why == EMFILE)
		log_warn("no more files may be open, so that a new connection has to wait, or an "
			 "idle one ends for it: where the hard limit of open files (ulimit -Hn of "
			 "the container runtime) is below %d, raise it, else see nmi_connections",
			 LIMIT_FILES);
	else if (why == ENFILE)
		log_warn("the node has no more files, so that a new connection has to wait, or an "
			 "idle one ends for it: "
			 "look for who has them (/proc/sys/fs/file-nr), or raise fs.file-max");
	else if (why == ENOBUFS || why == ENOMEM)
		log_warn("the node has no memory for a new connection, which has to wait, or an "
			 "idle one ends for it: look at the memory of the node, the limit of the "
			 "container, and net.ipv4.tcp_mem");
	else
		log_err("a listener accepts nothing: %s; restart the agent, and tell us",
			strerror(why));
}

/* accept(2): what Linux passes on of a network's errors is about that one connection, which is gone. */
static enum outcome outcome_of(struct acceptor *a, int why)
{
	switch (why) {
	case EAGAIN:
		return OUTCOME_NOBODY;
	case EINTR:
	case ECONNABORTED:
	case EPERM: /* "firewall rules forbid connection" */
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case ETIMEDOUT:
		return OUTCOME_SKIPPED;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		if (!is_anybody_waiting(a))
			return OUTCOME_NOBODY;
		tell(a, why);
		return OUTCOME_SHORT;
	default:
		tell(a, why);
		return OUTCOME_BROKEN;
	}
}

static enum outcome accept_one(struct acceptor *a)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t n = sizeof(peer);
	int fd = accept4(a->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return outcome_of(a, errno);
	a->use->take(a->ctx, fd, (struct sockaddr *)&peer, n);
	return OUTCOME_TAKEN;
}

static void accept_some(struct acceptor *a, unsigned most)
{
	bool was_spared = false;
	unsigned skipped = 0;

	for (unsigned i = 0; i < most; i++) {
		enum outcome o;

		if (!a->use->has_room(a->ctx)) {
			rest(a); /* acceptor_wake() is certain */
			return;
		}
		o = accept_one(a);
		if (o == OUTCOME_NOBODY)
			break;
		/* if one that was spared did not help, somebody else has it, and would have the next one */
		if (o == OUTCOME_BROKEN ||
		    (o == OUTCOME_SHORT && (was_spared || !a->use->spare(a->ctx)))) {
			rest_a_while(a);
			return;
		}
		was_spared = o == OUTCOME_SHORT;
		skipped += o == OUTCOME_SKIPPED;
	}
	/* an error that does not take the connection out of the queue would keep us busy */
	if (skipped == most)
		rest_a_while(a);
	else
		listen_again(a);
}

static void on_again(struct loop_timer *t)
{
	accept_some(container_of(t, struct acceptor, again), LIMIT_ACCEPTS);
}

static void on_somebody(struct loop_fd *f, uint32_t events)
{
	(void)events; /* whatever it is, accept4() tells */
	accept_some(container_of(f, struct acceptor, source), LIMIT_ACCEPTS);
}

int acceptor_start(struct acceptor *a, struct loop *l, int fd, const struct acceptor_use *use,
		   void *ctx, struct err *err)
{
	int r;

	*a = (struct acceptor){ .use = use, .ctx = ctx, .fd = fd };
	r = loop_fd_add(l, &a->source, fd, EPOLLIN, on_somebody, err);
	a->loop = r < 0 ? NULL : l;
	return r;
}

void acceptor_stop(struct acceptor *a)
{
	loop_fd_del(&a->source);
	loop_timer_del(&a->again);
	a->loop = NULL;
	a->rests = false;
}

void acceptor_wake(struct acceptor *a)
{
	if (a->rests)
		loop_timer_set_msec(a->loop, &a->again, 0, on_again);
}

void acceptor_all(struct acceptor *a)
{
	/* as many as the queue holds (SOMAXCONN of listen_on()): those who come meanwhile have no claim to be among them */
	if (a->loop)
		accept_some(a, LIMIT_CONNECTIONS);
}
