/* SPDX-License-Identifier: MIT */

/*
 * Handing over, each side against a peer that the test plays: real sockets, a fake clock. Where the one
 * under test blocks, the peer is a process.
 */

#include "lib/base/log.h"
#include "lib/loop/loop.h"
#include "nmi/handover.h"
#include "nmi/limits.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[96];
static struct loop *loop;
static struct handover *h;
static bool ready;
static int tcp; /* the one listener that there is to give */
static struct handover_listener pods;
static int n_charge, n_given, n_settled;
static enum handover_cause cause;
static uint32_t given_roles;
static pid_t peer;

static size_t listeners(void *ctx, struct handover_listener out[static HANDOVER_LISTENERS_MAX])
{
	out[0] = pods;
	return 1;
}

static bool is_ready(void *ctx)
{
	return ready;
}

static void in_charge(void *ctx, enum handover_cause why)
{
	n_charge++;
	cause = why;
}

static void given(void *ctx, uint32_t roles)
{
	n_given++;
	given_roles = roles;
}

static void settled(void *ctx)
{
	n_settled++;
}

static void begin(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(in);
	const struct handover_spec spec = { dir,   listeners, is_ready, in_charge,
					    given, settled,   NULL };

	log_set_level(LOG_LEVEL_ERR);
	n_charge = n_given = n_settled = 0;
	ready = false;
	peer = 0;
	(void)snprintf(dir, sizeof(dir), "/tmp/nmi-handover-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/handover.sock", dir);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(tcp, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(tcp, 4), 0);
	ck_assert_int_eq(getsockname(tcp, (struct sockaddr *)&in, &n), 0);
	pods = (struct handover_listener){ .ip = { { [10] = 0xff, 0xff, 127, 0, 0, 1 } },
					   .port = ntohs(in.sin_port),
					   .fd = tcp };
	loop = loop_new_fake(NULL);
	h = handover_new(loop, &spec);
}

static void finish(void)
{
	int status;

	h = handover_free(h);
	loop = loop_free(loop);
	close(tcp);
	(void)unlink(path);
	ck_assert_int_eq(rmdir(dir), 0); /* no name is left behind */
	if (!peer)
		return;
	ck_assert_int_eq(waitpid(peer, &status, 0), peer);
	ck_assert_int_eq(status, 0);
}

static void turn(void)
{
	for (int i = 0; i < 4; i++)
		ck_assert_int_ge(loop_turn(loop, 0, NULL), 0);
}

/* the peer's hand */

static struct sockaddr_un name(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	return sun;
}

static void put(int fd, const struct handover_msg *m, int give)
{
	uint8_t bytes[HANDOVER_MSG_BYTES];
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	handover_msg_print(m, bytes);
	if (give >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &give, sizeof(give));
	}
	(void)sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void put_kind(int fd, enum handover_kind kind)
{
	put(fd, &(struct handover_msg){ .kind = kind }, -1);
}

static void take(int fd)
{
	put(fd, &(struct handover_msg){ .kind = HANDOVER_TAKE, .roles = 1 }, -1);
}

/* 0: nothing; -1: the end. `out_fd`: what came along. */
static int get(int fd, int flags, int *out_fd)
{
	uint8_t bytes[HANDOVER_MSG_BYTES];
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.room,
			      .msg_controllen = sizeof(control.room) };
	ssize_t n = recvmsg(fd, &msg, flags | MSG_CMSG_CLOEXEC);
	struct handover_msg m;

	*out_fd = -1;
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0 || handover_msg_parse(bytes, (size_t)n, &m, NULL) < 0)
		return -1;
	if (CMSG_FIRSTHDR(&msg))
		memcpy(out_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(*out_fd));
	return (int)m.kind;
}

static int heard(int fd)
{
	int with, kind;

	turn();
	kind = get(fd, MSG_DONTWAIT, &with);
	if (with >= 0)
		close(with);
	return kind;
}

static int call(void)
{
	struct sockaddr_un sun = name();
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static int candidate(void)
{
	int fd = call();

	put_kind(fd, HANDOVER_HELLO);
	ck_assert_int_eq(heard(fd), HANDOVER_OFFER);
	return fd;
}

/* the one in charge */

START_TEST(alone_it_is_in_charge_at_once)
{
	struct stat st;

	begin();
	ck_assert_int_eq(handover_ask(h, NULL), HANDOVER_NOBODY);
	handover_start(h);
	ck_assert_int_eq(n_charge, 1);
	ck_assert_int_eq(cause, HANDOVER_ALONE);
	ck_assert(handover_is_in_charge(h));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0660);
	ck_assert(!handover_stop(h));
	ck_assert_int_lt(stat(path, &st), 0);
	finish();
}
END_TEST

START_TEST(it_gives_when_the_other_takes)
{
	struct sockaddr_in in = { 0 };
	socklen_t n = sizeof(in);
	int fd, with;

	begin();
	handover_start(h);
	fd = call();
	put_kind(fd, HANDOVER_HELLO);
	turn();
	ck_assert_int_eq(get(fd, MSG_DONTWAIT, &with), HANDOVER_OFFER);
	ck_assert_int_eq(getsockname(with, (struct sockaddr *)&in, &n), 0);
	ck_assert_uint_eq(ntohs(in.sin_port), pods.port);
	close(with);
	ck_assert_int_eq(heard(fd), 0);
	ck_assert_int_eq(n_given, 0);
	take(fd);
	ck_assert_int_eq(heard(fd), HANDOVER_YOURS);
	ck_assert_int_eq(n_given, 1);
	ck_assert_uint_eq(given_roles, 1);
	ck_assert(!handover_is_in_charge(h));
	ck_assert(handover_stop(h));
	ck_assert_int_eq(n_settled, 1);
	close(fd);
	turn();
	ck_assert_int_eq(n_charge, 1); /* it stops, and so does not come back */
	finish();
}
END_TEST

START_TEST(one_that_goes_before_it_takes_changes_nothing)
{
	int fd;

	begin();
	handover_start(h);
	for (int i = 0; i < 3; i++) {
		fd = candidate();
		close(fd);
		turn();
	}
	ck_assert_int_eq(n_given, 0);
	ck_assert_int_eq(n_charge, 1);
	ck_assert(handover_is_in_charge(h));
	finish();
}
END_TEST

START_TEST(it_comes_back_when_the_other_ends)
{
	int fd;

	begin();
	handover_start(h);
	for (int i = 1; i < 4; i++) {
		fd = candidate();
		take(fd);
		ck_assert_int_eq(heard(fd), HANDOVER_YOURS);
		close(fd);
		turn();
		ck_assert_int_eq(n_charge, 1 + i);
		ck_assert_int_eq(cause, HANDOVER_BACK);
	}
	ck_assert_int_eq(n_given, 3);
	finish();
}
END_TEST

START_TEST(settled_it_does_not_come_back)
{
	int fd;

	begin();
	handover_start(h);
	fd = candidate();
	take(fd);
	ck_assert_int_eq(heard(fd), HANDOVER_YOURS);
	put_kind(fd, HANDOVER_SETTLED);
	turn();
	ck_assert_int_eq(n_settled, 1);
	close(fd);
	turn();
	ck_assert_int_eq(n_charge, 1);
	ck_assert(handover_stop(h));
	finish();
}
END_TEST

START_TEST(a_third_is_told_to_wait)
{
	int second, third;

	begin();
	handover_start(h);
	second = candidate();
	third = call();
	put_kind(third, HANDOVER_HELLO);
	ck_assert_int_eq(heard(third), HANDOVER_BUSY);
	close(second);
	turn();
	close(third);
	third = candidate();
	close(third);
	finish();
}
END_TEST

START_TEST(to_stop_is_to_give_to_who_waits)
{
	int fd;

	begin();
	handover_start(h);
	fd = candidate();
	ck_assert(handover_stop(h));
	ck_assert_int_eq(heard(fd), HANDOVER_YOURS);
	ck_assert_int_eq(heard(fd), -1);
	close(fd);
	finish();
}
END_TEST

START_TEST(one_that_says_nothing_is_dropped)
{
	int fd, next;

	begin();
	handover_start(h);
	fd = call();
	turn();
	loop_fake_advance(loop, LIMIT_HANDOVER_MSEC - 1);
	ck_assert_int_eq(heard(fd), 0);
	loop_fake_advance(loop, 1);
	ck_assert_int_eq(heard(fd), -1);
	next = candidate();
	loop_fake_advance(loop, UINT64_C(3600) * 1000); /* this one may take its time */
	take(next);
	ck_assert_int_eq(heard(next), HANDOVER_YOURS);
	close(next);
	close(fd);
	turn();
	finish();
}
END_TEST

static const struct {
	const char *bytes;
	size_t n;
	enum handover_kind kind;
} nonsense[] = {
	{ "GET / HTTP/1.1\r\n\r\n", 18, 0 },
	{ "himn\x02\x00\x01\x00", 8, 0 }, /* another version */
	{ "", 1, 0 },
	{ NULL, 0, HANDOVER_TAKE }, /* before HELLO */
	{ NULL, 0, HANDOVER_YOURS },
	{ NULL, 0, HANDOVER_SETTLED },
};

START_TEST(nonsense_is_dropped)
{
	int fd, next;

	begin();
	handover_start(h);
	fd = call();
	if (nonsense[_i].bytes)
		ck_assert_int_ge(send(fd, nonsense[_i].bytes, nonsense[_i].n, 0), 0);
	else
		put_kind(fd, nonsense[_i].kind);
	ck_assert_int_eq(heard(fd), -1);
	ck_assert_int_eq(n_given + n_settled, 0);
	next = candidate();
	close(next);
	close(fd);
	finish();
}
END_TEST

START_TEST(somebody_elses_user_is_not_given_anything)
{
	int status;

	if (geteuid() != 0)
		return;
	begin();
	handover_start(h);
	ck_assert_int_eq(chmod(dir, 0755) + chmod(path, 0666), 0);
	peer = fork();
	if (peer == 0) {
		int fd;

		if (setuid(65534) < 0)
			_exit(2);
		fd = call();
		put_kind(fd, HANDOVER_HELLO);
		_exit(get(fd, 0, &status) == -1 ? 0 : 1);
	}
	while (waitpid(peer, &status, WNOHANG) == 0)
		(void)loop_turn(loop, 10, NULL);
	peer = 0;
	ck_assert_int_eq(status, 0);
	finish();
}
END_TEST

/* the newcomer, and the one in charge as a process */

/* Forks; in the child, which must _exit(): the fd of the newcomer who has called. */
static int play(void)
{
	struct sockaddr_un sun = name();
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd = -1;

	ck_assert_int_eq(bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(s, 1), 0);
	peer = fork();
	if (peer == 0) {
		int with;

		(void)alarm(20);
		fd = accept(s, NULL, NULL);
		if (get(fd, 0, &with) != HANDOVER_HELLO)
			_exit(3);
	}
	close(s);
	return fd;
}

static void put_offer(int fd, const struct handover_listener *l, int give)
{
	put(fd, &(struct handover_msg){ .kind = HANDOVER_OFFER, .n = 1, .listeners = { *l } },
	    give);
}

/* A newcomer that was offered our listener, has adopted it, and waits. */
static void arrive(void)
{
	struct err err = { 0 };
	int fd;

	ck_assert_msg(handover_ask(h, &err) == HANDOVER_OFFERED, "%s", err.msg);
	fd = handover_adopt(h, &pods);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_lt(handover_adopt(h, &pods), 0); /* there is one */
	handover_start(h);
	turn();
	ck_assert_int_eq(n_charge, 0);
}

static void until_in_charge(void)
{
	for (int i = 0; i < 500 && !n_charge; i++) {
		(void)loop_turn(loop, 10, NULL);
		loop_fake_advance(loop, 1);
	}
	ck_assert_int_eq(n_charge, 1);
}

START_TEST(a_newcomer_takes_when_it_is_ready)
{
	int fd, with;

	begin();
	fd = play();
	if (peer == 0) {
		put_offer(fd, &pods, tcp);
		if (get(fd, 0, &with) != HANDOVER_TAKE)
			_exit(4);
		put_kind(fd, HANDOVER_YOURS);
		_exit(get(fd, 0, &with) == -1 ? 0 : 5); /* it stays until the end */
	}
	arrive();
	loop_fake_advance(loop, 5000);
	turn();
	ck_assert_int_eq(n_charge, 0);
	ready = true;
	until_in_charge();
	ck_assert_int_eq(cause, HANDOVER_GIVEN);
	finish();
}
END_TEST

START_TEST(one_that_gives_to_a_third_settles_with_the_first)
{
	int fd, with, next;

	begin();
	fd = play();
	if (peer == 0) {
		put_offer(fd, &pods, tcp);
		if (get(fd, 0, &with) != HANDOVER_TAKE)
			_exit(4);
		put_kind(fd, HANDOVER_YOURS);
		_exit(get(fd, 0, &with) == HANDOVER_SETTLED ? 0 : 5);
	}
	arrive();
	ready = true;
	until_in_charge();
	next = candidate();
	take(next);
	ck_assert_int_eq(heard(next), HANDOVER_YOURS);
	finish();
	close(next);
}
END_TEST

static const bool taking[] = { false, true };

START_TEST(a_newcomer_accepts_when_the_other_dies)
{
	int fd, with;

	begin();
	fd = play();
	if (peer == 0) {
		put_offer(fd, &pods, tcp);
		_exit(get(fd, 0, &with) != HANDOVER_TAKE);
	}
	arrive();
	ready = taking[_i]; /* between TAKE and YOURS, or before TAKE */
	if (!ready) {
		ck_assert_int_eq(kill(peer, SIGKILL), 0);
		ck_assert_int_eq(waitpid(peer, NULL, 0), peer);
		peer = 0;
	}
	until_in_charge();
	ck_assert_int_eq(cause, HANDOVER_LEFT);
	finish();
}
END_TEST

START_TEST(a_newcomer_accepts_when_it_is_told_to)
{
	int fd, with;

	begin();
	fd = play();
	if (peer == 0) {
		put_offer(fd, &pods, tcp);
		put_kind(fd, HANDOVER_YOURS);
		_exit(get(fd, 0, &with) == -1 ? 0 : 5);
	}
	ck_assert_int_eq(handover_ask(h, NULL), HANDOVER_OFFERED);
	handover_start(h);
	until_in_charge();
	ck_assert_int_eq(cause, HANDOVER_GIVEN);
	finish();
}
END_TEST

START_TEST(a_newcomer_does_not_wait_for_ever_for_an_answer)
{
	int fd, with;

	begin();
	fd = play();
	if (peer == 0) {
		put_offer(fd, &pods, tcp);
		if (get(fd, 0, &with) != HANDOVER_TAKE)
			_exit(4);
		_exit(get(fd, 0, &with) == -1 ? 0 : 5);
	}
	arrive();
	ready = true;
	loop_fake_advance(loop, 100);
	turn();
	ck_assert_int_eq(n_charge, 0);
	loop_fake_advance(loop, LIMIT_HANDOVER_MSEC);
	ck_assert_int_eq(n_charge, 1);
	ck_assert_int_eq(cause, HANDOVER_LEFT);
	finish();
}
END_TEST

enum trick {
	BUSY,
	GARBAGE,
	VERSION,
	SILENCE,
	NO_FD,
	OTHER_PORT,
	OTHER_IP,
	NOT_LISTENING,
	UNIX,
	TURN
};
static const struct {
	enum trick trick;
	const char *says;
} tricks[] = {
	{ BUSY, "another agent" },	{ GARBAGE, "no message" },
	{ VERSION, "version 2" },	{ SILENCE, "does not answer" },
	{ NO_FD, "0 sockets for 1" },	{ OTHER_PORT, "not a listener" },
	{ OTHER_IP, "not a listener" }, { NOT_LISTENING, "not a listener" },
	{ UNIX, "not a listener" },	{ TURN, "out of turn" },
};

static void trick(int fd, enum trick what)
{
	struct handover_listener l = pods;
	int with;

	switch (what) {
	case BUSY:
		put_kind(fd, HANDOVER_BUSY);
		break;
	case GARBAGE:
		(void)send(fd, "220 ready to serve", 18, 0);
		break;
	case VERSION:
		(void)send(fd, "himn\x02\x00\x02\x00", 8, 0);
		break;
	case SILENCE:
		break;
	case NO_FD:
		put_offer(fd, &l, -1);
		break;
	case OTHER_PORT:
		l.port ^= 1;
		put_offer(fd, &l, tcp);
		break;
	case OTHER_IP:
		l.ip.b[15] = 2;
		put_offer(fd, &l, tcp);
		break;
	case NOT_LISTENING:
		put_offer(fd, &l, socket(AF_INET, SOCK_STREAM, 0));
		break;
	case UNIX:
		put_offer(fd, &l, fd);
		break;
	case TURN:
		put_kind(fd, HANDOVER_YOURS);
		break;
	}
	_exit(get(fd, 0, &with) == -1 ? 0 : 5);
}

START_TEST(what_is_no_offer_is_refused)
{
	struct err err = { 0 };
	int fd;

	begin();
	fd = play();
	if (peer == 0)
		trick(fd, tricks[_i].trick);
	ck_assert_int_eq(handover_ask(h, &err), HANDOVER_REFUSED);
	ck_assert_msg(strstr(err.msg, tricks[_i].says) != NULL, "%s", err.msg);
	ck_assert_int_lt(handover_adopt(h, &pods), 0);
	handover_start(h);
	ck_assert_int_eq(n_charge, 1);
	finish();
}
END_TEST

START_TEST(without_a_directory_it_is_alone)
{
	const struct handover_spec spec = { NULL,  listeners, is_ready, in_charge,
					    given, settled,   NULL };

	begin();
	(void)handover_free(h);
	h = handover_new(loop, &spec);
	ck_assert_int_eq(handover_ask(h, NULL), HANDOVER_NOBODY);
	handover_start(h);
	ck_assert_int_eq(n_charge, 1);
	ck_assert(!handover_stop(h));
	finish();
}
END_TEST

START_TEST(the_name_of_a_dead_one_is_taken)
{
	struct sockaddr_un sun = name();
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd;

	begin();
	sun = name();
	ck_assert_int_eq(bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(s);
	ck_assert_int_eq(handover_ask(h, NULL), HANDOVER_NOBODY);
	handover_start(h);
	fd = candidate();
	close(fd);
	finish();
}
END_TEST

UNIT_MAIN("handover", UNIT(alone_it_is_in_charge_at_once), UNIT(it_gives_when_the_other_takes),
	  UNIT(one_that_goes_before_it_takes_changes_nothing),
	  UNIT(it_comes_back_when_the_other_ends), UNIT(settled_it_does_not_come_back),
	  UNIT(a_third_is_told_to_wait), UNIT(to_stop_is_to_give_to_who_waits),
	  UNIT(one_that_says_nothing_is_dropped), UNIT_LOOP(nonsense_is_dropped, nonsense),
	  UNIT(somebody_elses_user_is_not_given_anything), UNIT(a_newcomer_takes_when_it_is_ready),
	  UNIT(one_that_gives_to_a_third_settles_with_the_first),
	  UNIT_LOOP(a_newcomer_accepts_when_the_other_dies, taking),
	  UNIT(a_newcomer_accepts_when_it_is_told_to),
	  UNIT(a_newcomer_does_not_wait_for_ever_for_an_answer),
	  UNIT_LOOP(what_is_no_offer_is_refused, tricks), UNIT(without_a_directory_it_is_alone),
	  UNIT(the_name_of_a_dead_one_is_taken))
