/* SPDX-License-Identifier: MIT */

/*
 * Handing the listeners over: see handover.h.
 *
 * Theory of operation. Two agents that know each other speak over a Unix socket of whole messages, which
 * the one in charge listens on (handover_msg.h has the order of them). An agent is in one state:
 *
 *	WAITING		it has copies of the listening fds, accepts nothing, and is not ready
 *	TAKING		it said TAKE and waits for YOURS
 *	IN_CHARGE	it accepts, and listens for the agent that will replace it
 *	GAVE		it said YOURS: it accepts nothing, finishes what it has, and keeps copies of the fds
 *
 * A listening socket and what waits in it to be accepted live as long as anybody has a copy. So there is
 * no moment at which a connection is refused, and whoever dies, at whatever moment, the other goes on:
 *
 *	the old one, in WAITING or TAKING	the channel breaks: the new one accepts at once
 *	the new one, before YOURS		the channel breaks: the old one goes on as if nothing had been
 *	the new one, in charge, the old in GAVE	the channel breaks: the old one accepts again
 *
 * That last one ends with the old one's life, or when the new one has given to a third (SETTLED): else the
 * first would come back although the third is in charge. For a moment both may accept, when YOURS is late;
 * that does no harm, since both serve.
 *
 * Whoever has the listeners is given what pods ask, so only root and our own user are talked to, as the
 * kernel names them (SO_PEERCRED, unix(7)), in a directory where nobody else may write (run_dir.h). What
 * comes is checked to be what it is said to be, lest we serve pods on somebody else's socket: a TCP
 * listener, at that address, in our own network namespace.
 */

#include "nmi/handover.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/local_socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* How often is looked whether we are ready: what is not is told by many parts, and this is cheap. */
#define READY_LOOK_MSEC	  20
#define STRANGER_LOG_MSEC 10000

enum state { WAITING, TAKING, IN_CHARGE, GAVE };

/* The channel to another agent. */
struct channel {
	struct loop_fd source;
	int fd; /* -EBADF: none */
};

struct handover {
	struct loop *loop;
	struct handover_spec spec;
	enum state state;
	bool stopping;

	struct channel before; /* to the one that we replace */
	struct handover_msg offer;
	uint32_t taken; /* roles of it that were adopted */
	struct loop_timer look;

	struct local_listener *listener; /* where the next one comes; NULL: none is awaited */
	struct channel next;		 /* to the one that replaces us */
	bool offered;			 /* it has our listeners */
	struct loop_timer hello;
	struct log_limit strangers;
};

/* messages */

/* The fds of an offer go along. A message is small and the first in its queue: never a short write. */
static int say(int fd, const struct handover_msg *m)
{
	uint8_t bytes[HANDOVER_MSG_BYTES];
	union {
		char room[CMSG_SPACE(HANDOVER_LISTENERS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	int fds[HANDOVER_LISTENERS_MAX];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	handover_msg_print(m, bytes);
	if (m->n) {
		struct cmsghdr *c;

		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(m->n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		assert(c); /* there is room for it */
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(m->n * sizeof(int));
		for (size_t i = 0; i < m->n; i++)
			fds[i] = m->listeners[i].fd;
		memcpy(CMSG_DATA(c), fds, m->n * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void say_kind(int fd, enum handover_kind kind)
{
	/* if it cannot be said the channel is broken, which both are told */
	(void)say(fd, &(struct handover_msg){ .kind = kind });
}

static void drop_offer(struct handover_msg *m)
{
	for (size_t i = 0; i < m->n; i++)
		closep(&m->listeners[i].fd);
	*m = (struct handover_msg){ 0 };
}

/* Fds that came with a message, whatever it is. */
static size_t collect(struct msghdr *msg, int fds[static HANDOVER_LISTENERS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		assert(bytes <=
		       (HANDOVER_LISTENERS_MAX - n) * sizeof(int)); /* the room that there was */
		memcpy(fds + n, CMSG_DATA(c), bytes);
		n += bytes / sizeof(int);
	}
	return n;
}

/* 1: a message, whose fds are the caller's; 0: none now; ERR_UNAVAILABLE: the end; ERR_INPUT: nonsense. */
static int hear(int fd, struct handover_msg *out, struct err *err)
{
	uint8_t bytes[HANDOVER_MSG_BYTES + 1];
	union {
		char room[CMSG_SPACE(HANDOVER_LISTENERS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	int fds[HANDOVER_LISTENERS_MAX];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.room,
			      .msg_controllen = sizeof(control.room) };
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	size_t n_fds;
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return err_set(err, ERR_UNAVAILABLE, "it hung up");
	/* an empty message may bring some too */
	n_fds = collect(&msg, fds);
	r = n == 0 ? err_set(err, ERR_UNAVAILABLE, "it hung up")
		   : handover_msg_parse(bytes, (size_t)n, out, err);
	if (r == 0 && (n_fds != out->n || msg.msg_flags & MSG_CTRUNC))
		r = err_set(err, ERR_INPUT, "it gave %zu sockets for %zu listeners", n_fds, out->n);
	for (size_t i = 0; i < n_fds; i++) {
		if (r < 0)
			close(fds[i]);
		else
			out->listeners[i].fd = fds[i];
	}
	return r < 0 ? r : 1;
}

static void hang_up(struct channel *c)
{
	loop_fd_del(&c->source);
	closep(&c->fd);
	c->fd = -EBADF;
}

/* asking the one in charge */

static uint64_t network_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	/* before Linux 5.14 it is not told; the same for all then */
	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &n) == 0 ? cookie : 0;
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &n) == 0 ? value : -1;
}

static bool is_as_told(const struct handover_listener *l, uint64_t network)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t n = sizeof(ss);
	struct inet_ip ip;
	struct sockaddr_in in;

	if (option(l->fd, SO_ACCEPTCONN) != 1 || option(l->fd, SO_TYPE) != SOCK_STREAM ||
	    option(l->fd, SO_PROTOCOL) != IPPROTO_TCP || network_of(l->fd) != network)
		return false;
	if (getsockname(l->fd, (struct sockaddr *)&ss, &n) < 0 ||
	    !inet_ip_from_sockaddr((struct sockaddr *)&ss, &ip))
		return false;
	memcpy(&in, &ss, sizeof(in)); /* the port is at the same place in both families */
	return ntohs(in.sin_port) == l->port &&
	       (inet_ip_eq(&ip, &l->ip) ||
		(inet_ip_is_unspecified(&ip) && inet_ip_is_unspecified(&l->ip)));
}

static int check_offer(const struct handover_msg *m, struct err *err)
{
	_cleanup_close_ int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t network = network_of(probe);

	for (size_t i = 0; i < m->n; i++) {
		char text[INET_IP_PORT_TEXT_MAX];

		if (!is_as_told(&m->listeners[i], network))
			return err_set(err, ERR_INPUT,
				       "what it gave is not a listener on %s in this network",
				       inet_ip_print_port(&m->listeners[i].ip, m->listeners[i].port,
							  text));
	}
	return 0;
}

static int dial(const struct handover *h, int *out_fd, struct err *err)
{
	_cleanup_close_ int fd = -EBADF;
	struct sockaddr_un sun;
	struct stat st = { .st_uid = 0 };
	uid_t uid = 0;
	int r;

	r = local_address(&sun, h->spec.dir, HANDOVER_SOCKET, err);
	if (r < 0)
		return r;
	fd = local_connect(&sun, SOCK_SEQPACKET, LIMIT_HANDOVER_MSEC);
	if (fd < 0)
		return err_set_errno(err, -fd, "%s", sun.sun_path);
	(void)stat(h->spec.dir,
		   &st); /* of root, if it cannot be told; whom we may be about to become */
	if (!local_peer_is_ours(fd, st.st_uid, &uid))
		return err_set(err, ERR_REFUSED, "%s belongs to user %u, who is not trusted",
			       sun.sun_path, (unsigned)uid);
	*out_fd = steal_fd(&fd);
	return 0;
}

static int converse(int fd, struct handover_msg *out, struct err *err)
{
	int r;

	say_kind(fd, HANDOVER_HELLO); /* one that has hung up may have said why */
	r = hear(fd, out, err);
	if (r == 0)
		return err_set(err, ERR_TIMEOUT, "it does not answer within %d ms",
			       LIMIT_HANDOVER_MSEC);
	if (r < 0)
		return r;
	if (out->kind == HANDOVER_BUSY)
		return err_set(err, ERR_REFUSED, "it is handing over to another agent already");
	r = out->kind == HANDOVER_OFFER ? check_offer(out, err)
					: err_set(err, ERR_INPUT, "it answers out of turn");
	if (r < 0)
		drop_offer(out);
	return r;
}

enum handover_answer handover_ask(struct handover *h, struct err *err)
{
	_cleanup_close_ int fd = -EBADF;
	struct err why = { 0 };

	hang_up(&h->before);
	drop_offer(&h->offer);
	h->taken = 0;
	if (!h->spec.dir)
		return HANDOVER_NOBODY;
	if (dial(h, &fd, &why) < 0 || converse(fd, &h->offer, &why) < 0) {
		if (why.os_errno == ENOENT || why.os_errno == ECONNREFUSED)
			return HANDOVER_NOBODY;
		if (err)
			*err = why;
		return HANDOVER_REFUSED;
	}
	h->before.fd = steal_fd(&fd);
	return HANDOVER_OFFERED;
}

int handover_adopt(struct handover *h, const struct handover_listener *want)
{
	for (size_t i = 0; i < h->offer.n; i++) {
		struct handover_listener *l = &h->offer.listeners[i];

		if (l->fd < 0 || l->role != want->role || l->port != want->port ||
		    !inet_ip_eq(&l->ip, &want->ip))
			continue;
		h->taken |= UINT32_C(1) << l->role;
		return steal_fd(&l->fd);
	}
	return -EBADF;
}

/* being replaced */

static local_accept_fn on_connect;

/* In place of whoever had that name before, in one step. */
static void listen_for_next(struct handover *h)
{
	struct err err = { 0 };

	if (!h->spec.dir || h->stopping)
		return;
	h->listener = local_listener_new(h->loop, h->spec.dir, HANDOVER_SOCKET, SOCK_SEQPACKET,
					 on_connect, h, &err);
	if (!h->listener)
		log_warn("the next agent cannot take over from this one, so that its start will "
			 "refuse "
			 "connections for a moment: %s",
			 err.msg);
}

static void listen_no_more(struct handover *h)
{
	h->listener = local_listener_free(h->listener);
}

static void be_in_charge(struct handover *h, enum handover_cause cause)
{
	static const char *const told[] = {
		[HANDOVER_GIVEN] = "took over from the agent that was in charge",
		[HANDOVER_LEFT] = "the agent that was in charge ended: accepting in its place",
		[HANDOVER_BACK] = "the agent that had taken over ended: accepting again",
	};

	loop_timer_del(&h->look);
	h->state = IN_CHARGE;
	if (told[cause])
		log_info("%s", told[cause]);
	h->spec.in_charge(h->spec.ctx, cause);
	listen_for_next(h);
}

static void give(struct handover *h, uint32_t roles)
{
	h->state = GAVE;
	h->spec.given(h->spec.ctx, roles);
	say_kind(h->next.fd, HANDOVER_YOURS);
	/* what came before us will not have to come back */
	if (h->before.fd >= 0)
		say_kind(h->before.fd, HANDOVER_SETTLED);
	hang_up(&h->before);
	h->listener = local_listener_leave(h->listener); /* its name is the next one's */
	log_info("another agent has taken over; connections that there are end behind their next "
		 "answer");
}

static void forget_next(struct handover *h)
{
	loop_timer_del(&h->hello);
	hang_up(&h->next);
	h->offered = false;
}

static void next_is_gone(struct handover *h, const char *why)
{
	bool was_offered = h->offered;

	forget_next(h);
	if (h->state == GAVE) {
		be_in_charge(h, HANDOVER_BACK);
		return;
	}
	if (was_offered)
		log_warn("the agent that was to take over did not: %s; this one stays", why);
	else
		log_warn("somebody asked to take over and was not served: %s", why);
}

static void offer(struct handover *h)
{
	struct handover_msg m = { .kind = HANDOVER_OFFER };

	loop_timer_del(&h->hello);
	m.n = h->spec.listeners(h->spec.ctx, m.listeners);
	if (say(h->next.fd, &m) < 0) {
		next_is_gone(h, "it hung up");
		return;
	}
	h->offered = true;
	log_info("another agent is starting and will take over when it is ready");
}

static void on_next(struct loop_fd *f, uint32_t events)
{
	struct handover *h = container_of(f, struct handover, next.source);
	struct handover_msg m = { 0 };
	struct err err = { 0 };
	int r = hear(h->next.fd, &m, &err);

	(void)events;
	if (r == 0)
		return;
	if (r == 1 && m.kind == HANDOVER_HELLO && !h->offered)
		offer(h);
	else if (r == 1 && m.kind == HANDOVER_TAKE && h->offered && h->state == IN_CHARGE)
		give(h, m.roles);
	else if (r == 1 && m.kind == HANDOVER_SETTLED && h->state == GAVE) {
		forget_next(h);
		h->spec.settled(h->spec.ctx);
	} else {
		next_is_gone(h, r == 1 ? "a message out of turn" : err.msg);
	}
	drop_offer(&m);
}

static void on_no_hello(struct loop_timer *t)
{
	next_is_gone(container_of(t, struct handover, hello), "it said nothing");
}

static void on_connect(void *ctx, int connection)
{
	struct handover *h = ctx;
	_cleanup_close_ int fd = connection;
	struct err err = { 0 };
	unsigned long held;
	uid_t uid = 0;

	if (!local_peer_is_ours(fd, 0, &uid)) {
		if (log_limit_pass(&h->strangers, loop_mono(h->loop), STRANGER_LOG_MSEC, &held))
			log_warn("user %u asked to take over and was not served: only root and "
				 "this agent's own user may",
				 (unsigned)uid);
		return;
	}
	if (h->next.fd >= 0) {
		uint8_t hello[HANDOVER_MSG_BYTES];

		/* what is unread when a Unix socket is closed hides what was said on it */
		(void)recv(fd, hello, sizeof(hello), MSG_DONTWAIT);
		say_kind(fd, HANDOVER_BUSY);
		return;
	}
	if (loop_fd_add(h->loop, &h->next.source, fd, EPOLLIN, on_next, &err) < 0)
		return;
	h->next.fd = steal_fd(&fd);
	loop_timer_set_msec(h->loop, &h->hello, LIMIT_HANDOVER_MSEC, on_no_hello);
}

/* replacing */

static void on_late(struct loop_timer *t)
{
	log_warn("the agent that is in charge does not answer: accepting beside it");
	be_in_charge(container_of(t, struct handover, look), HANDOVER_LEFT);
}

static void on_look(struct loop_timer *t)
{
	struct handover *h = container_of(t, struct handover, look);

	if (!h->spec.is_ready(h->spec.ctx)) {
		loop_timer_set_msec(h->loop, t, READY_LOOK_MSEC, on_look);
		return;
	}
	h->state = TAKING;
	(void)say(h->before.fd, &(struct handover_msg){ .kind = HANDOVER_TAKE, .roles = h->taken });
	loop_timer_set_msec(h->loop, t, LIMIT_HANDOVER_MSEC, on_late);
}

static void on_before(struct loop_fd *f, uint32_t events)
{
	struct handover *h = container_of(f, struct handover, before.source);
	bool waits = h->state == WAITING || h->state == TAKING;
	struct handover_msg m = { 0 };
	struct err err = { 0 };
	int r = hear(h->before.fd, &m, &err);

	(void)events;
	if (r == 0)
		return;
	if (r == 1 && m.kind != HANDOVER_YOURS)
		r = err_set(&err, ERR_INPUT, "a message out of turn");
	drop_offer(&m);
	if (r < 0) {
		log_debug("the agent that was in charge: %s", err.msg);
		hang_up(&h->before);
	}
	if (waits)
		be_in_charge(h, r < 0 ? HANDOVER_LEFT : HANDOVER_GIVEN);
}

/* What nobody here listens on is left to whoever has it. */
static void tell_differences(struct handover *h)
{
	for (size_t i = 0; i < h->offer.n; i++) {
		const struct handover_listener *l = &h->offer.listeners[i];
		char text[INET_IP_PORT_TEXT_MAX];

		if (l->fd >= 0)
			log_warn("the agent in charge listens on %s, this one does not: it is not "
				 "taken over, and whoever uses it is refused when that agent ends",
				 inet_ip_print_port(&l->ip, l->port, text));
	}
	drop_offer(&h->offer);
}

void handover_start(struct handover *h)
{
	struct err err = { 0 };

	if (h->before.fd < 0) {
		be_in_charge(h, HANDOVER_ALONE);
		return;
	}
	tell_differences(h);
	(void)fcntl(h->before.fd, F_SETFL, O_NONBLOCK); /* of an open socket: cannot fail */
	if (loop_fd_add(h->loop, &h->before.source, h->before.fd, EPOLLIN, on_before, &err) < 0) {
		log_warn("not waiting for the agent in charge: %s", err.msg);
		hang_up(&h->before);
		be_in_charge(h, HANDOVER_LEFT);
		return;
	}
	log_info("another agent is in charge: taking over from it when this one is ready");
	loop_timer_set_msec(h->loop, &h->look, 0, on_look);
}

bool handover_is_in_charge(const struct handover *h)
{
	return h->state == IN_CHARGE;
}

bool handover_stop(struct handover *h)
{
	bool given = h->state == GAVE;

	h->stopping = true;
	loop_timer_del(&h->look);
	listen_no_more(h);
	if (h->state == IN_CHARGE && h->offered) {
		say_kind(h->next.fd, HANDOVER_YOURS);
		given = true;
	}
	if (given) /* should the other one be started again now, the ports are to be free */
		h->spec.settled(h->spec.ctx);
	forget_next(h);
	hang_up(&h->before);
	return given;
}

struct handover *handover_new(struct loop *l, const struct handover_spec *spec)
{
	struct handover *h = xnew(struct handover);

	h->loop = l;
	h->spec = *spec;
	h->before.fd = h->next.fd = -EBADF;
	return h;
}

struct handover *handover_free(struct handover *h)
{
	if (!h)
		return NULL;
	loop_timer_del(&h->look);
	listen_no_more(h);
	forget_next(h);
	hang_up(&h->before);
	drop_offer(&h->offer);
	free(h);
	return NULL;
}
