/* SPDX-License-Identifier: MIT */

#include "nmi/proc.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <math.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

START_TEST(a_process_sees_itself)
{
	struct proc_usage before, after;
	int fd;

	proc_usage(getpid(), &before);
	ck_assert_int_gt(before.resident_kib, 100);
	ck_assert_int_gt(before.shared_kib, 0);
	ck_assert_int_le(before.shared_kib, before.resident_kib);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	proc_usage(getpid(), &after);
	ck_assert_int_eq(after.files, before.files + 1);
	close(fd);
}
END_TEST

START_TEST(of_one_that_is_not_there_nothing_is_known)
{
	struct proc_usage u = { 1, 2, 3 };

	proc_usage(0x7ffffff0, &u);
	ck_assert_int_eq(u.resident_kib, -1);
	ck_assert_int_eq(u.shared_kib, -1);
	ck_assert_int_eq(u.files, -1);
}
END_TEST

START_TEST(what_we_tell_of_ourselves_is_so)
{
	struct rlimit limit;
	struct proc_usage u;
	struct proc_self p;

	while (clock() < CLOCKS_PER_SEC / 20)
		; /* uses CPU */
	proc_usage(getpid(), &u);
	proc_self(&p);
	/* this process is seconds old: a whole of the clock's ticks and a step of it are within the bound */
	ck_assert_double_le(fabs(p.started - (double)time(NULL)), 30);
	ck_assert_double_gt(p.cpu, 0.01);
	ck_assert_double_le(fabs(p.resident - (double)u.resident_kib * 1024), 1 << 20);
	ck_assert_double_gt(p.virtual, p.resident);
	ck_assert_double_eq(p.files, (double)u.files);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_double_eq(p.files_max, (double)limit.rlim_cur);
}
END_TEST

UNIT_MAIN("proc", UNIT(a_process_sees_itself), UNIT(of_one_that_is_not_there_nothing_is_known),
	  UNIT(what_we_tell_of_ourselves_is_so))
