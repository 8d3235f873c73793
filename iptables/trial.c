/* SPDX-License-Identifier: MIT */

/*
 * The redirector's part in a self-test: see trial.h, and tester.c for the whole. Making a veth pair and a
 * route is four calls that wait for the kernel's lock of links, as long as another program holds it; nothing
 * else here waits.
 */

#include "iptables/trial.h"

#include "iptables/test_link.h"
#include "iptables/tester.h"
#include "iptables/wire.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Two agents test at once for a moment of each upgrade: 16 million names, 254 addresses. */
#define CHOICES 4

enum state {
	STATE_IDLE,
	STATE_ASKED, /* the job is sent; the child is to say that it is ready */
	STATE_MADE,  /* it has its end of a veth pair; it is to raise that */
	STATE_LAID,  /* it has its network; what comes of it is to be told */
};

struct trial {
	struct loop *loop;
	int fd;
	struct loop_fd channel;
	struct loop_timer deadline;
	enum state state;
	pid_t child; /* of the job under way, from STATE_MADE on */
	struct test_net net;
	redirect_tested_fn *fn;
	void *ctx;
};

static void finish(struct trial *s, const struct redirect_test *t)
{
	s->state = STATE_IDLE;
	loop_timer_del(&s->deadline);
	s->fn(s->ctx, t);
}

static void finish_impossible(struct trial *s, const char *why)
{
	struct redirect_test t = { .outcome = REDIRECT_TEST_IMPOSSIBLE };

	(void)snprintf(t.text, sizeof(t.text), "%.*s", (int)sizeof(t.text) - 1, why);
	finish(s, &t);
}

static void on_deadline(struct loop_timer *t)
{
	finish_impossible(container_of(t, struct trial, deadline),
			  "the process that tests did not end in time");
}

/* A message of this size has a child that waits for another one end. */
static void dismiss(struct trial *s, const char *why)
{
	(void)send(s->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL); /* or its alarm does */
	finish_impossible(s, why);
}

static void on_ready(struct trial *s, pid_t pid)
{
	struct err err = { 0 };
	int r = -(int)ERR_LIMIT;

	for (int i = 0; i < CHOICES && r == -(int)ERR_LIMIT; i++) {
		r = test_net_choose(&s->net, &err);
		if (r == 0)
			r = test_net_make(&s->net, pid, &err);
	}
	if (r < 0) {
		dismiss(s, err.msg);
		return;
	}
	s->state = STATE_MADE;
	s->child = pid;
	if (send(s->fd, &s->net, sizeof(s->net), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("the self-test is gone"); /* the deadline tells */
}

static void on_joined(struct trial *s)
{
	const char go = TESTER_GO;
	struct err err = { 0 };

	if (test_net_open(&s->net, &err) < 0) {
		dismiss(s, err.msg);
		return;
	}
	s->state = STATE_LAID;
	if (send(s->fd, &go, sizeof(go), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("the self-test is gone");
}

static void on_outcome(struct trial *s, const void *msg, size_t n)
{
	struct redirect_test t;
	struct err err;
	uint32_t seq;

	if (wire_get_tested(msg, n, &seq, &t, &err) < 0)
		finish_impossible(s, err.msg);
	else
		finish(s, &t);
}

/* No more tests in this process's life: it has given up what it would take to start another tester. */
static void set_gone(struct trial *s)
{
	loop_fd_del(&s->channel);
	close(s->fd);
	s->fd = -1;
	if (s->state != STATE_IDLE)
		finish_impossible(s, "the process that tests has ended");
}

/* Who has sent it, as the kernel has it; 0: nobody says. */
static pid_t sender(struct msghdr *m)
{
	struct ucred from;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
		    c->cmsg_len < CMSG_LEN(sizeof(from)))
			continue;
		memcpy(&from, CMSG_DATA(c), sizeof(from));
		return from.pid;
	}
	return 0;
}

static void on_channel(struct loop_fd *f, uint32_t events)
{
	struct trial *s = container_of(f, struct trial, channel);
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	uint8_t msg[WIRE_TESTED_BYTES + 1];
	struct iovec iov = { msg, sizeof(msg) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(s->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t pid;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		set_gone(s);
		return;
	}
	pid = sender(&m);
	if (s->state == STATE_ASKED && n == 1 && msg[0] == TESTER_READY && pid > 0)
		on_ready(s, pid);
	else if (s->state == STATE_MADE && n == 1 && msg[0] == TESTER_JOINED && pid == s->child)
		on_joined(s);
	else if (s->state == STATE_ASKED || (s->state != STATE_IDLE && pid == s->child))
		on_outcome(s, msg, (size_t)n);
	else
		log_debug("a self-test that is over has spoken");
}

struct trial *trial_new(struct loop *l, int fd, redirect_tested_fn *fn, void *ctx)
{
	struct trial *s = xnew(struct trial);

	s->loop = l;
	s->fd = fd;
	s->fn = fn;
	s->ctx = ctx;
	if (fd >= 0 && loop_fd_add(l, &s->channel, fd, EPOLLIN, on_channel, NULL) < 0)
		set_gone(s);
	return s;
}

bool trial_is_under_way(const struct trial *s)
{
	return s->state != STATE_IDLE;
}

void trial_try(struct trial *s, const struct redirect_spec *spec,
	       const uint8_t nonce[static REDIRECT_NONCE_BYTES])
{
	struct tester_job job = { .metadata_port = spec->metadata_port };

	s->state = STATE_ASKED;
	if (!inet_ip_is_v4(&spec->metadata_ip)) {
		finish_impossible(s, "the metadata address is not an IPv4 address");
		return;
	}
	if (s->fd < 0) {
		finish_impossible(s, "the process that tests has ended");
		return;
	}
	memcpy(job.metadata_ip, spec->metadata_ip.b + 12, sizeof(job.metadata_ip));
	memcpy(job.nonce, nonce, sizeof(job.nonce));
	if (send(s->fd, &job, sizeof(job), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		finish_impossible(s, "the process that tests does not listen");
		return;
	}
	loop_timer_set_msec(s->loop, &s->deadline, TESTER_WAIT_MSEC, on_deadline);
}

struct trial *trial_free(struct trial *s)
{
	if (!s)
		return NULL;
	loop_timer_del(&s->deadline);
	loop_fd_del(&s->channel);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return NULL;
}
