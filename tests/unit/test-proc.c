/* SPDX-License-Identifier: MIT */

#include "nmi/proc.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
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

UNIT_MAIN("proc", UNIT(a_process_sees_itself), UNIT(of_one_that_is_not_there_nothing_is_known))
