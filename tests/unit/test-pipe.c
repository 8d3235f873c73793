/* SPDX-License-Identifier: MIT */

#include "lib/base/pipe.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SIZE 4096 /* of a pipe, its least */

START_TEST(a_full_pipe_fails_at_once_and_those_who_share_it_wait_as_ever)
{
	const char page[SIZE] = { 0 };
	int fds[2], shared;

	/* as a shell makes it: writing waits */
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETPIPE_SZ, SIZE), SIZE);
	shared = fcntl(fds[1], F_DUPFD_CLOEXEC, 0);
	ck_assert(pipe_own(fds[1]));
	ck_assert_int_eq(write(fds[1], page, SIZE), SIZE);
	ck_assert_int_eq(write(fds[1], "x", 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(fcntl(shared, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(fds[1], F_GETFD) & FD_CLOEXEC, 0); /* as stderr is */
	close(shared);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(what_is_no_pipe_stays_as_it_was)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ck_assert(!pipe_own(null));
	ck_assert_int_eq(fcntl(null, F_GETFL) & O_NONBLOCK, 0);
	close(null);
	ck_assert(!pipe_own(null));
}
END_TEST

UNIT_MAIN("pipe", UNIT(a_full_pipe_fails_at_once_and_those_who_share_it_wait_as_ever),
	  UNIT(what_is_no_pipe_stays_as_it_was))
