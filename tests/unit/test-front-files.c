/* SPDX-License-Identifier: MIT */

/* The HTTP surface when there are no more files to be had. */

#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <sys/resource.h>
#include <unistd.h>

static struct rig rig;

/* As many files as there are and `more`. */
static void allow_files(unsigned more)
{
	struct rlimit files;
	int next = dup(STDOUT_FILENO);

	ck_assert_int_ge(next, 0);
	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = (rlim_t)next + more;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
}

START_TEST(who_could_not_be_accepted_is_once_there_are_files_again)
{
	enum { N = 8 };
	struct client *clients[N];

	rig = (struct rig){ .spec.metadata_header_required = true };
	rig_start(&rig);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++)
			clients[i] = client_open(&rig, rig.spec.port);
		allow_files((unsigned)round + 1);
		rig_settle(&rig);
		ck_assert_uint_eq(front_connections(rig.front), round + 1);
		/* those that were accepted end, and nothing else happens */
		for (int i = 0; i < N; i++)
			client_free(clients[i]);
		rig_settle(&rig);
		allow_files(64);
		ck_assert_int_eq(ask(&rig, TOKEN_REQUEST).status, 200);
	}
	rig_stop(&rig);
}
END_TEST

UNIT_MAIN("front-files", UNIT(who_could_not_be_accepted_is_once_there_are_files_again))
