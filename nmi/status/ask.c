/* SPDX-License-Identifier: MIT */

/*
 * Asking the agent: see ask.h. It may have died, be stopped, be of another version, or be somebody else: so
 * there is a deadline over all, a limit on what is read, and each way to fail has its words.
 */

#include "nmi/status/ask.h"

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "nmi/local_socket.h"
#include "nmi/status/line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define AGAIN_MSEC 10

static struct mono now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (struct mono){ (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec };
}

/* Until the socket can do that, or the time is over. */
static bool wait_for(int fd, short events, struct mono until)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t msec;
	int r;

	do {
		msec = mono_msec_until(now(), until);
		if (!msec)
			return false; /* whoever trickles is not waited for either */
		r = poll(&p, 1, (int)msec);
	} while (r < 0 && errno == EINTR);
	return r > 0;
}

void status_clean(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if ((*p < ' ' && *p != '\n' && *p != '\t') || *p > '~')
			*p = '?';
}

enum status_answer status_reply_parse(const char *p, size_t n, struct jval **out, struct err *err)
{
	struct jval *doc = jval_parse(p, n, STATUS_REPLY_MAX, err);
	const char *said = NULL;
	int64_t schema = 0;
	const struct jval_field refusal[] = { { "error.message", JVAL_STR, JVAL_MUST, &said } };
	const struct jval_field head[] = { { "schema", JVAL_INT, JVAL_MUST, &schema } };

	if (!doc)
		return STATUS_GARBLED;
	if (jval_read(doc, refusal, 1, JVAL_CASE_EXACT, NULL) == 0) {
		(void)err_set(err, ERR_REFUSED, "the agent says: %.200s", said);
		(void)jval_free(doc);
		return STATUS_ERROR;
	}
	if (jval_read(doc, head, 1, JVAL_CASE_EXACT, err) < 0 || schema < 1) {
		(void)err_set(err, ERR_INPUT, "it is not an agent's document");
		(void)jval_free(doc);
		return STATUS_GARBLED;
	}
	*out = doc;
	return STATUS_ANSWERED;
}

static enum status_answer not_connected(const char *path, int error, struct err *err)
{
	if (error == EACCES || error == EPERM) {
		(void)err_set(err, ERR_REFUSED, "%s is for root only: ask as root", path);
		return STATUS_DENIED;
	}
	if (error == ENOENT || error == ENOTDIR) {
		(void)err_set(err, ERR_UNAVAILABLE,
			      "there is no %s: no agent runs here, or with another "
			      "--run-directory",
			      path);
		return STATUS_NOBODY;
	}
	if (error == ECONNREFUSED) {
		(void)err_set(err, ERR_UNAVAILABLE,
			      "%s was left by an agent that has died, and none has come since",
			      path);
		return STATUS_NOBODY;
	}
	if (error == EAGAIN) {
		(void)err_set(err, ERR_TIMEOUT,
			      "an agent has %s, but takes no connection: it is stopped or stuck",
			      path);
		return STATUS_SILENT;
	}
	(void)err_set_errno(err, error, "%s", path);
	return STATUS_NOBODY;
}

/* Who has the socket; the pid of another PID namespace is 0. */
static const char *name_peer(const struct status_reply *r, char *buf, size_t size)
{
	if (!r->pid)
		return "an agent of another container";
	(void)snprintf(buf, size, "process %d", (int)r->pid);
	return buf;
}

static enum status_answer silent(const struct status_reply *r, const char *path, struct err *err)
{
	char name[32];

	(void)err_set(err, ERR_TIMEOUT,
		      "%s has %s and does not answer: it is stopped or stuck; look at its log, "
		      "then restart it",
		      name_peer(r, name, sizeof(name)), path);
	return STATUS_SILENT;
}

static enum status_answer exchange(int fd, const char *path, const char *line, struct mono until,
				   struct status_reply *r)
{
	_cleanup_(buf_deinit) struct buf got = { 0 };
	enum status_answer answer;
	struct err why = { 0 };
	char chunk[4096];
	ssize_t n;

	/* a line fits into any socket's buffer */
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		return silent(r, path, &r->err);
	for (;;) {
		if (!wait_for(fd, POLLIN, until))
			return silent(r, path, &r->err);
		n = recv(fd, chunk, sizeof(chunk), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			break;
		if (buf_append(&got, chunk, (size_t)n, STATUS_REPLY_MAX, NULL) < 0)
			break;
	}
	if (n < 0 || (n == 0 && got.n == 0)) {
		(void)err_set(&r->err, ERR_UNAVAILABLE,
			      "%s was closed without an answer: the agent ended, or takes no "
			      "questions of this user",
			      path);
		return STATUS_GARBLED;
	}
	answer = n > 0 ? STATUS_GARBLED : status_reply_parse(got.p, got.n, &r->doc, &why);
	if (answer == STATUS_GARBLED)
		(void)err_set(&r->err, ERR_INPUT, "what %s answers at %s is no status: %.120s",
			      name_peer(r, chunk, sizeof(chunk)), path,
			      n > 0 ? "it has no end" : why.msg);
	else if (answer == STATUS_ERROR)
		r->err = why;
	return answer;
}

/* A queue that is full says EAGAIN, and there is no waiting for it. */
static int connect_until(int fd, const struct sockaddr_un *sa, struct mono until)
{
	const struct timespec step = { .tv_nsec = AGAIN_MSEC * (long)NSEC_PER_MSEC };

	while (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0) {
		if (errno != EAGAIN || !mono_before(now(), until))
			return -1;
		(void)nanosleep(&step, NULL); /* woken early, it looks early */
	}
	return 0;
}

void status_ask(const char *dir, const char *line, unsigned msec, struct status_reply *out)
{
	struct mono until = mono_add_msec(now(), msec);
	struct sockaddr_un sa;
	struct ucred who;
	socklen_t size = sizeof(who);
	_cleanup_close_ int fd = -1;

	*out = (struct status_reply){ .answer = STATUS_NOBODY };
	if (local_address(&sa, dir, STATUS_SOCKET, &out->err) < 0)
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect_until(fd, &sa, until) < 0) {
		out->answer = not_connected(sa.sun_path, errno, &out->err);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0)
		out->pid = who.pid;
	out->answer = exchange(fd, sa.sun_path, line, until, out);
	if (out->answer != STATUS_ANSWERED)
		status_clean(out->err.msg);
}
