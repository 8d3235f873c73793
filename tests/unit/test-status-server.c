/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/status/line.h"
#include "nmi/status/server.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static struct loop *loop;
static char dir[64], path[96];

static char *echo(void *ctx, struct str args, size_t *out_n)
{
	char *text = xasprintf("{\"args\":\"%.*s\",\"ctx\":\"%s\"}", (int)args.n, args.p,
			       (const char *)ctx);

	*out_n = strlen(text);
	return text;
}

/* More than a socket takes at once. */
#define LARGE ((size_t)4 * 1024 * 1024)

static char *large(void *ctx, struct str args, size_t *out_n)
{
	char *text = xrealloc(NULL, LARGE);

	memset(text, ' ', LARGE);
	*out_n = LARGE;
	return text;
}

static const struct status_command commands[] = { { "echo", echo }, { "large", large } };

static struct status_server *serve(const char *name)
{
	struct err err = { 0 };
	struct status_server *s = status_server_new(loop, dir, commands, ARRAY_SIZE(commands),
						    (void *)(uintptr_t)name, &err);

	ck_assert_msg(s != NULL, "%s", err.msg);
	return s;
}

static void begin(bool fake)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/nmi-status-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/" STATUS_SOCKET, dir);
	loop = fake ? loop_new_fake(NULL) : loop_new(NULL);
	ck_assert_ptr_nonnull(loop);
}

static void finish(void)
{
	loop = loop_free(loop);
	(void)unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static int try_connect(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int dial(const char *line)
{
	int fd = try_connect();

	ck_assert_int_ge(fd, 0);
	if (line)
		ck_assert_int_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
	return fd;
}

static void turn(int times)
{
	while (times-- > 0)
		ck_assert_int_eq(loop_turn(loop, 0, NULL), 0);
}

/* What comes, to the end; closes. NULL: no end within a while. */
static const char *answer_of(int fd)
{
	static char text[8192];
	size_t n = 0;
	ssize_t r = -1;

	for (int i = 0; i < 100 && r != 0; i++) {
		turn(1);
		r = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT);
		ck_assert_msg(r >= 0 || errno == EAGAIN || errno == ECONNRESET, "%d", errno);
		if (r < 0 && errno == ECONNRESET)
			r = 0;
		n += r > 0 ? (size_t)r : 0;
	}
	text[n] = '\0';
	if (r == 0)
		close(fd);
	return r == 0 ? text : NULL;
}

static const struct {
	const char *line, *answer;
} questions[] = {
	{ "echo\n", "{\"args\":\"\",\"ctx\":\"one\"}" },
	{ "echo shop/web\n", "{\"args\":\"shop/web\",\"ctx\":\"one\"}" },
	{ "echo a\necho b\n", "{\"args\":\"a\",\"ctx\":\"one\"}" },
	{ "what\n",
	  "{\"error\":{\"code\":\"unknown_command\",\"message\":\"this agent does not know "
	  "the command 'what'; it knows: echo, large\"}}" },
	{ "\n", "{\"error\":{\"code\":\"unknown_command\",\"message\":\"this agent does not know "
		"the command ''; it knows: echo, large\"}}" },
	{ "e\x01\n", "{\"error\":{\"code\":\"bad_line\",\"message\":\"a line of printable ASCII is "
		     "expected, such as 'status'\"}}" },
};

START_TEST(a_line_has_one_answer_and_the_end)
{
	struct status_server *s;

	begin(false);
	s = serve("one");
	ck_assert_str_eq(answer_of(dial(questions[_i].line)), questions[_i].answer);
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(a_line_may_come_in_pieces_or_end_with_the_stream)
{
	struct status_server *s;
	int fd;

	begin(false);
	s = serve("one");
	fd = dial("ec");
	turn(5);
	ck_assert_int_eq(send(fd, "ho x\n", 5, 0), 5);
	ck_assert_str_eq(answer_of(fd), "{\"args\":\"x\",\"ctx\":\"one\"}");
	fd = dial("echo y");
	turn(5);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	ck_assert_str_eq(answer_of(fd), "{\"args\":\"y\",\"ctx\":\"one\"}");
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(a_line_without_end_is_refused)
{
	struct status_server *s;
	char text[STATUS_LINE_MAX + 2];
	int fd;

	begin(false);
	s = serve("one");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	fd = dial(text);
	ck_assert_ptr_nonnull(strstr(answer_of(fd), "bad_line"));
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(a_large_answer_comes_whole)
{
	struct status_server *s;
	static char chunk[65536];
	size_t n = 0;
	ssize_t r = -1;
	int fd;

	begin(false);
	s = serve("one");
	fd = dial("large\n");
	while (r != 0) {
		turn(1);
		r = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		n += r > 0 ? (size_t)r : 0;
		ck_assert(r >= 0 || errno == EAGAIN);
	}
	close(fd);
	ck_assert_uint_eq(n, LARGE);
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(who_says_nothing_is_cut_after_a_while)
{
	struct status_server *s;
	int fd;

	begin(true);
	s = serve("one");
	fd = dial(NULL);
	turn(5);
	loop_fake_advance(loop, 1900);
	turn(5);
	ck_assert_int_eq(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
	loop_fake_advance(loop, 200);
	ck_assert_str_eq(answer_of(fd), "");
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(who_does_not_read_is_cut_too)
{
	struct status_server *s;
	int fd;

	begin(true);
	s = serve("one");
	fd = dial("large\n");
	turn(20);
	loop_fake_advance(loop, 2100);
	turn(5);
	for (int i = 0; i < 1000; i++) {
		static char chunk[65536];
		ssize_t r = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);

		ck_assert_int_ge(r, 0); /* no waiting for more: its end was closed */
		if (r == 0)
			break;
	}
	close(fd);
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(a_crowd_that_says_nothing_keeps_nobody_out)
{
	struct status_server *s;
	int fds[100], n = 0;

	begin(false);
	s = serve("one");
	for (; n < 100; n++) {
		fds[n] = try_connect();
		ck_assert_int_ge(fds[n], 0);
		turn(2);
	}
	ck_assert_ptr_nonnull(strstr(answer_of(dial("echo in\n")), "\"in\""));
	/* the oldest made room; a few are left until their time is over */
	for (int i = 0; i < n - 4; i++)
		ck_assert_int_eq(recv(fds[i], &(char){ 0 }, 1, MSG_DONTWAIT), 0);
	while (n > 0)
		close(fds[--n]);
	turn(20);
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(the_last_one_has_the_name_and_the_first_leaves_it_alone)
{
	struct status_server *one, *two;
	struct stat st;

	begin(false);
	one = serve("one");
	ck_assert_ptr_nonnull(strstr(answer_of(dial("echo\n")), "\"one\""));
	two = serve("two");
	ck_assert_ptr_nonnull(strstr(answer_of(dial("echo\n")), "\"two\""));
	(void)status_server_free(one);
	ck_assert_ptr_nonnull(strstr(answer_of(dial("echo\n")), "\"two\""));
	(void)status_server_free(two);
	ck_assert_int_eq(lstat(path, &st), -1);
	finish();
}
END_TEST

START_TEST(what_a_dead_agent_left_is_replaced)
{
	struct status_server *s;

	begin(false);
	ck_assert_int_eq(mknod(path, S_IFSOCK | 0600, 0), 0);
	s = serve("new");
	ck_assert_ptr_nonnull(strstr(answer_of(dial("echo\n")), "\"new\""));
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(only_its_owner_and_root_may_ask)
{
	static struct status_server *s; /* reachable in the child too, which does not free it */
	struct stat st;
	int status;
	pid_t pid;

	ck_assert_uint_eq(geteuid(), 0);
	begin(false);
	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(chown(dir, 65534, 65534), 0); /* --user */
	s = serve("one");
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	ck_assert_uint_eq(st.st_gid, 0); /* root without CAP_DAC_OVERRIDE, as in a container */
	ck_assert_uint_eq(st.st_uid, 65534);
	/* one whom the mode would let in, but who is neither: we are root, it is nobody */
	pid = fork();
	if (pid == 0) {
		char c;

		if (setuid(65534) < 0)
			_exit(2);
		int fd = try_connect();

		if (fd < 0 || send(fd, "echo\n", 5, 0) != 5)
			_exit(3);
		for (int i = 0; i < 200; i++) {
			ssize_t r = recv(fd, &c, 1, MSG_DONTWAIT);

			if (r == 0 || (r < 0 && errno == ECONNRESET))
				_exit(0);
			if (r > 0)
				_exit(1);
			usleep(10000);
		}
		_exit(4);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		ck_assert_int_eq(loop_turn(loop, 20, NULL), 0);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	(void)status_server_free(s);
	finish();
}
END_TEST

START_TEST(where_it_cannot_be_is_told)
{
	struct err err = { 0 };
	char deep[200];

	begin(false);
	ck_assert_ptr_null(status_server_new(loop, "/tmp/nmi-not-there", commands, 1, NULL, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "/tmp/nmi-not-there"));
	memset(deep, 'd', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	ck_assert_ptr_null(status_server_new(loop, deep, commands, 1, NULL, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "too long"));
	finish();
}
END_TEST

UNIT_MAIN("status-server", UNIT_LOOP(a_line_has_one_answer_and_the_end, questions),
	  UNIT(a_line_may_come_in_pieces_or_end_with_the_stream),
	  UNIT(a_line_without_end_is_refused), UNIT(a_large_answer_comes_whole),
	  UNIT(who_says_nothing_is_cut_after_a_while), UNIT(who_does_not_read_is_cut_too),
	  UNIT(a_crowd_that_says_nothing_keeps_nobody_out),
	  UNIT(the_last_one_has_the_name_and_the_first_leaves_it_alone),
	  UNIT(what_a_dead_agent_left_is_replaced), UNIT(only_its_owner_and_root_may_ask),
	  UNIT(where_it_cannot_be_is_told))
