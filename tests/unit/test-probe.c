/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "nmi/health.h"
#include "nmi/probe.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], text[PROBE_TEXT_MAX];
static struct loop *loop;
static struct health health;
static bool well, ready;
static struct err err;

static bool check(void *ctx, char *why, size_t size)
{
	(void)snprintf(why, size, "because");
	return well;
}

static void begin(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/nmi-probe-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	loop = loop_new(NULL);
	health = (struct health){ 0 };
	health_add(&health, "part", check, NULL);
	err = (struct err){ 0 };
}

static void finish(void)
{
	loop = loop_free(loop);
	ck_assert_int_eq(rmdir(dir), 0); /* every name is gone */
}

/* Its agent is another process, which answers until it is killed. */
static pid_t agent(void)
{
	int pipes[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		loop = loop_new(NULL); /* the parent's would be shared, epoll and all */
		if (!probe_new(loop, dir, &health, NULL) || write(pipes[1], "", 1) != 1)
			_exit(1);
		(void)alarm(20);
		(void)loop_run(loop, NULL);
		_exit(1);
	}
	ck_assert_int_eq(read(pipes[0], &c, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
	return pid;
}

static void end(pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static const bool states[] = { false, true };

START_TEST(the_agent_says_whether_it_is_ready)
{
	pid_t pid;

	well = states[_i];
	begin();
	pid = agent();
	ck_assert_int_eq(probe_ask(dir, 0, &ready, text, &err), 0);
	ck_assert_int_eq(ready, well);
	ck_assert_str_eq(text, well ? "[+]part ok\n" : "[-]part: because\n");
	end(pid);
	probe_free(probe_new(loop, dir, &health, NULL));
	finish();
}
END_TEST

START_TEST(of_two_agents_one_is_named)
{
	pid_t a, b;

	well = true;
	begin();
	a = agent();
	b = agent();
	ck_assert_int_eq(probe_ask(dir, 0, &ready, text, &err), -ERR_INPUT);
	ck_assert_int_eq(probe_ask(dir, a, &ready, text, &err), 0);
	ck_assert_int_eq(probe_ask(dir, b, &ready, text, &err), 0);
	end(a);
	ck_assert_int_eq(probe_ask(dir, a, &ready, text, &err), -ERR_UNAVAILABLE);
	ck_assert_int_eq(probe_ask(dir, 0, &ready, text, &err), 0);
	end(b);
	probe_free(probe_new(loop, dir, &health, NULL)); /* removes what both have left */
	finish();
}
END_TEST

START_TEST(one_of_another_container_is_not_asked)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	begin();
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/probe-1-1.sock", dir);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(s, 1), 0);
	ck_assert_int_eq(probe_ask(dir, 0, &ready, text, &err), -ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.msg, "no agent of this container"));
	/* nor is its name removed, as long as it lives */
	probe_free(probe_new(loop, dir, &health, NULL));
	ck_assert_int_eq(access(sun.sun_path, F_OK), 0);
	close(s);
	probe_free(probe_new(loop, dir, &health, NULL));
	finish();
}
END_TEST

START_TEST(one_that_hangs_is_given_up)
{
	pid_t pid;

	well = true;
	begin();
	pid = agent();
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	ck_assert_int_eq(probe_ask(dir, pid, &ready, text, &err), -ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.msg, "does not answer"));
	end(pid);
	probe_free(probe_new(loop, dir, &health, NULL));
	finish();
}
END_TEST

START_TEST(without_a_directory_there_is_nobody)
{
	ck_assert_int_eq(probe_ask("/nonexistent", 0, &ready, text, &err), -ERR_OS);
}
END_TEST

UNIT_MAIN("probe", UNIT_LOOP(the_agent_says_whether_it_is_ready, states),
	  UNIT(of_two_agents_one_is_named), UNIT(one_of_another_container_is_not_asked),
	  UNIT(one_that_hangs_is_given_up), UNIT(without_a_directory_there_is_nobody))
