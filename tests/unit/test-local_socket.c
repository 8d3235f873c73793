/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "nmi/local_socket.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[96];
static struct loop *loop;
static struct sockaddr_un sun;
static int n_accepted;
static struct err err;

static void count(void *ctx, int fd)
{
	++*(int *)ctx;
	close(fd);
}

static void begin(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/nmi-local-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/x.sock", dir);
	ck_assert_int_eq(local_address(&sun, dir, "x.sock", NULL), 0);
	loop = loop_new(NULL);
	n_accepted = 0;
	err = (struct err){ 0 };
}

static void finish(void)
{
	loop = loop_free(loop);
	ck_assert_int_eq(rmdir(dir), 0); /* every name is gone */
}

static struct local_listener *serve(int *n)
{
	struct local_listener *x = local_listener_new(loop, dir, "x.sock", SOCK_SEQPACKET, count, n,
						      &err);

	ck_assert_msg(x != NULL, "%s", err.msg);
	return x;
}

static void connect_once(void)
{
	int fd = local_connect(&sun, SOCK_SEQPACKET, 1000);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(loop_turn(loop, 100, NULL), 0);
	close(fd);
}

START_TEST(who_connects_is_taken)
{
	struct local_listener *x;
	struct stat st;

	begin();
	x = serve(&n_accepted);
	connect_once();
	connect_once();
	ck_assert_int_eq(n_accepted, 2);
	(void)local_listener_free(x);
	ck_assert_int_lt(lstat(path, &st), 0);
	ck_assert_int_eq(local_connect(&sun, SOCK_SEQPACKET, 1000), -ENOENT);
	finish();
}
END_TEST

START_TEST(the_last_one_has_the_name)
{
	int n_first = 0;
	struct local_listener *first, *last;

	begin();
	first = serve(&n_first);
	last = serve(&n_accepted);
	connect_once();
	ck_assert_int_eq(n_first, 0);
	(void)local_listener_free(first); /* the name is another's */
	connect_once();
	ck_assert_int_eq(n_accepted, 2);
	(void)local_listener_free(last);
	finish();
}
END_TEST

START_TEST(a_name_that_is_left_says_that_nobody_is_there)
{
	struct local_listener *x;

	begin();
	(void)local_listener_leave(serve(&n_accepted));
	ck_assert_int_eq(local_connect(&sun, SOCK_SEQPACKET, 1000), -ECONNREFUSED);
	x = serve(&n_accepted); /* and is in nobody's way */
	connect_once();
	ck_assert_int_eq(n_accepted, 1);
	(void)local_listener_free(x);
	finish();
}
END_TEST

START_TEST(without_a_descriptor_it_rests_and_comes_back)
{
	struct local_listener *x;
	struct rlimit was, none;
	int fd, top;

	begin();
	x = serve(&n_accepted);
	fd = local_connect(&sun, SOCK_SEQPACKET, 1000);
	ck_assert_int_ge(fd, 0);
	top = dup(fd); /* the lowest that is free: no room from there on */
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)top, .rlim_max = was.rlim_max };
	close(top);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(loop_turn(loop, 100, NULL), 0);
	ck_assert_int_eq(n_accepted, 0);
	/* it does not spin: nothing is told while it rests */
	ck_assert_int_eq(loop_turn(loop, 50, NULL), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
	/* one more: under valgrind, which keeps the limit itself, the first one is lost by now */
	top = local_connect(&sun, SOCK_SEQPACKET, 1000);
	ck_assert_int_ge(top, 0);
	for (int i = 0; i < 40 && !n_accepted; i++)
		ck_assert_int_eq(loop_turn(loop, 100, NULL), 0);
	ck_assert_int_ge(n_accepted, 1);
	close(top);
	close(fd);
	(void)local_listener_free(x);
	finish();
}
END_TEST

START_TEST(a_socket_that_cannot_be_made_leaves_nothing)
{
	char long_name[120];

	begin();
	ck_assert_ptr_null(local_listener_new(loop, "", "x.sock", SOCK_STREAM, count, NULL, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	ck_assert_ptr_null(
		local_listener_new(loop, dir, long_name, SOCK_STREAM, count, NULL, &err));
	ck_assert_int_eq(err.kind, ERR_LIMIT);
	/* a directory has the name */
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_ptr_null(local_listener_new(loop, dir, "x.sock", SOCK_STREAM, count, NULL, &err));
	ck_assert_int_eq(err.kind, ERR_OS);
	ck_assert_int_eq(rmdir(path), 0);
	finish();
}
END_TEST

START_TEST(a_peer_is_known_by_its_user)
{
	int pair[2];
	uid_t uid = 7;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert(local_peer_is_ours(pair[0], 65534, &uid));
	ck_assert_uint_eq(uid, geteuid());
	close(pair[0]);
	close(pair[1]);
	ck_assert(!local_peer_is_ours(pair[0], 65534, &uid));
	ck_assert_uint_eq(uid, (uid_t)-1);
}
END_TEST

UNIT_MAIN("local_socket", UNIT(who_connects_is_taken), UNIT(the_last_one_has_the_name),
	  UNIT(a_name_that_is_left_says_that_nobody_is_there),
	  UNIT(without_a_descriptor_it_rests_and_comes_back),
	  UNIT(a_socket_that_cannot_be_made_leaves_nothing), UNIT(a_peer_is_known_by_its_user))
