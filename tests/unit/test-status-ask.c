/* SPDX-License-Identifier: MIT */

#include "nmi/status/ask.h"
#include "nmi/status/line.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char dir[64], path[96];

static void begin(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/nmi-ask-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/" STATUS_SOCKET, dir);
}

static void finish(void)
{
	(void)unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static int listener(int backlog)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sa.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

enum behaviour { SAYS, SAYS_AND_STAYS, SAYS_FOR_EVER, TRICKLES, SAYS_NOTHING, SLAMS };

static void behave(int fd, enum behaviour how, const char *text)
{
	const struct timespec step = { .tv_nsec = 20000000 };
	static char much[65536];
	char line[64];

	if (how == SLAMS)
		_exit(0); /* what was sent is not read: a reset */
	if (recv(fd, line, sizeof(line), 0) <= 0)
		_exit(1);
	switch (how) {
	case SAYS:
		_exit(send(fd, text, strlen(text), MSG_NOSIGNAL) < 0);
	case SAYS_AND_STAYS:
		(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
		(void)pause();
		break;
	case SAYS_FOR_EVER:
		memset(much, '1', sizeof(much));
		while (send(fd, much, sizeof(much), MSG_NOSIGNAL) > 0)
			;
		break;
	case TRICKLES:
		while (send(fd, " ", 1, MSG_NOSIGNAL) > 0)
			(void)nanosleep(&step, NULL);
		break;
	case SLAMS:
	case SAYS_NOTHING:
		(void)pause();
		break;
	}
	_exit(0);
}

/* One question to a server of that kind. */
static uint64_t ask(enum behaviour how, const char *text, struct status_reply *r)
{
	struct timespec a, b;
	int fd;
	pid_t pid;

	begin();
	fd = listener(4);
	pid = fork();
	if (pid == 0)
		behave(accept(fd, NULL, NULL), how, text);
	close(fd);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	status_ask(dir, "status\n", 300, r);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	finish();
	return (uint64_t)(b.tv_sec - a.tv_sec) * 1000 + (uint64_t)(b.tv_nsec / 1000000) -
	       (uint64_t)(a.tv_nsec / 1000000);
}

static const struct {
	enum behaviour how;
	const char *text;
	enum status_answer answer;
	const char *says;
} servers[] = {
	{ SAYS, "{\"schema\":1}", STATUS_ANSWERED, "" },
	{ SAYS, "{\"schema\":7,\"new\":{}}", STATUS_ANSWERED, "" },
	{ SAYS, "", STATUS_GARBLED, "without an answer" },
	{ SLAMS, NULL, STATUS_GARBLED, "without an answer" },
	{ SAYS, "hello\n", STATUS_GARBLED, "is no status" },
	{ SAYS, "{\"schema\":1", STATUS_GARBLED, "is no status" },
	{ SAYS, "[]", STATUS_GARBLED, "not an agent's" },
	{ SAYS, "{}", STATUS_GARBLED, "not an agent's" },
	{ SAYS, "{\"schema\":0}", STATUS_GARBLED, "not an agent's" },
	{ SAYS, "{\"schema\":\"1\"}", STATUS_GARBLED, "not an agent's" },
	{ SAYS, "\x1b[2J\xff", STATUS_GARBLED, "is no status" },
	{ SAYS, "HTTP/1.0 400 Bad Request\r\n\r\n", STATUS_GARBLED, "is no status" },
	{ SAYS, "{\"error\":{\"code\":\"x\",\"message\":\"no \\u001b such\"}}", STATUS_ERROR,
	  "the agent says: no ? such" },
	{ SAYS_AND_STAYS, "{\"schema\":1}", STATUS_SILENT, "does not answer" },
	{ SAYS_FOR_EVER, NULL, STATUS_GARBLED, "it has no end" },
	{ TRICKLES, NULL, STATUS_SILENT, "does not answer" },
	{ SAYS_NOTHING, NULL, STATUS_SILENT, "does not answer" },
};

START_TEST(whatever_has_the_socket_there_is_a_clear_word_in_time)
{
	struct status_reply r;

	ck_assert_uint_lt(ask(servers[_i].how, servers[_i].text, &r), 3000);
	ck_assert_msg(r.answer == servers[_i].answer, "%u: %s", r.answer, r.err.msg);
	ck_assert_msg(strstr(r.err.msg, servers[_i].says), "%s", r.err.msg);
	ck_assert_int_eq(!r.doc, r.answer != STATUS_ANSWERED);
	ck_assert_int_eq(r.pid, getpid()); /* who listened */
	for (const char *p = r.err.msg; *p; p++)
		ck_assert(*p >= ' ' && *p <= '~');
	(void)jval_free(r.doc);
}
END_TEST

START_TEST(nobody_is_told_apart)
{
	struct status_reply r;

	begin();
	status_ask(dir, "status\n", 300, &r);
	ck_assert_int_eq(r.answer, STATUS_NOBODY);
	ck_assert_ptr_nonnull(strstr(r.err.msg, "there is no /"));
	close(listener(1));
	status_ask(dir, "status\n", 300, &r);
	ck_assert_int_eq(r.answer, STATUS_NOBODY);
	ck_assert_ptr_nonnull(strstr(r.err.msg, "an agent that has died"));
	finish();
	status_ask("", "status\n", 300, &r);
	ck_assert_int_eq(r.answer, STATUS_NOBODY);
	ck_assert_ptr_nonnull(strstr(r.err.msg, "--run-directory"));
}
END_TEST

START_TEST(one_that_takes_no_connection_is_not_waited_for)
{
	struct status_reply r = { 0 };
	int fd;

	begin();
	fd = listener(0);
	for (int i = 0; i < 8 && r.answer != STATUS_SILENT; i++) {
		/* each leaves a connection in the queue */
		status_ask(dir, "status\n", 20, &r);
		ck_assert_int_eq(r.answer, STATUS_SILENT);
		if (strstr(r.err.msg, "takes no connection"))
			break;
		r.answer = STATUS_NOBODY;
	}
	close(fd);
	finish();
}
END_TEST

START_TEST(who_may_not_is_told_who_may)
{
	int status, fd;
	pid_t pid;

	ck_assert_uint_eq(geteuid(), 0);
	begin();
	ck_assert_int_eq(chmod(dir, 0755), 0);
	fd = listener(1);
	ck_assert_int_eq(chmod(path, 0600), 0);
	pid = fork();
	if (pid == 0) {
		struct status_reply r;

		if (setuid(65534) < 0)
			_exit(2);
		status_ask(dir, "status\n", 300, &r);
		_exit(r.answer != STATUS_DENIED || !strstr(r.err.msg, "as root"));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	close(fd);
	finish();
}
END_TEST

UNIT_MAIN("status-ask", UNIT_LOOP(whatever_has_the_socket_there_is_a_clear_word_in_time, servers),
	  UNIT(nobody_is_told_apart), UNIT(one_that_takes_no_connection_is_not_waited_for),
	  UNIT(who_may_not_is_told_who_may))
