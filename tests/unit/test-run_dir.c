/* SPDX-License-Identifier: MIT */

#include "nmi/run_dir.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64], dir[96];

static void begin(void)
{
	(void)snprintf(top, sizeof(top), "/tmp/nmi-run-dir-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	(void)snprintf(dir, sizeof(dir), "%s/nmi", top);
}

static void finish(void)
{
	if (rmdir(dir) < 0)
		(void)unlink(dir);
	ck_assert_int_eq(rmdir(top), 0);
}

START_TEST(it_is_made_and_taken_again)
{
	struct err err = { 0 };
	struct stat st;

	begin();
	ck_assert_int_eq(run_dir_prepare(dir, "", &err), 0);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert_int_eq(st.st_mode & 022, 0);
	ck_assert_int_eq(run_dir_prepare(dir, "", &err), 0);
	finish();
}
END_TEST

START_TEST(what_others_may_write_to_is_refused)
{
	struct err err = { 0 };

	begin();
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	ck_assert_int_eq(chmod(dir, 01777), 0);
	ck_assert_int_eq(run_dir_prepare(dir, "", &err), -ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, dir));
	ck_assert_ptr_nonnull(strstr(err.msg, "chmod go-w"));
	finish();
}
END_TEST

START_TEST(a_file_and_a_link_are_no_directory)
{
	struct err err = { 0 };

	begin();
	ck_assert_int_eq(symlink("/run", dir), 0);
	ck_assert_int_eq(run_dir_prepare(dir, "", &err), -ERR_INPUT);
	ck_assert_int_eq(unlink(dir), 0);
	ck_assert_int_eq(mknod(dir, S_IFREG | 0600, 0), 0);
	ck_assert_int_eq(run_dir_prepare(dir, "", &err), -ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, "not a directory"));
	finish();
}
END_TEST

START_TEST(where_it_cannot_be_is_no_fault_of_the_setting)
{
	struct err err = { 0 };
	char deep[128];

	begin();
	(void)snprintf(deep, sizeof(deep), "%s/no/nmi", top);
	ck_assert_int_eq(run_dir_prepare(deep, "", &err), -ERR_OS);
	ck_assert_ptr_nonnull(strstr(err.msg, deep));
	finish();
}
END_TEST

START_TEST(root_takes_what_an_earlier_user_has_left)
{
	struct err err = { 0 };
	struct stat st;

	ck_assert_uint_eq(geteuid(), 0); /* only root can give a directory away */
	begin();
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	ck_assert_int_eq(chown(dir, 4711, 0), 0);
	ck_assert_int_eq(run_dir_prepare(dir, "", &err), 0);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_int_eq(run_dir_prepare(dir, "nobody", &err), 0);
	ck_assert_int_eq(stat(dir, &st), 0);
	ck_assert_uint_eq(st.st_uid, 65534);
	ck_assert_int_eq(run_dir_prepare(dir, "nobody", &err), 0);
	finish();
}
END_TEST

UNIT_MAIN("run_dir", UNIT(it_is_made_and_taken_again), UNIT(what_others_may_write_to_is_refused),
	  UNIT(a_file_and_a_link_are_no_directory),
	  UNIT(where_it_cannot_be_is_no_fault_of_the_setting),
	  UNIT(root_takes_what_an_earlier_user_has_left))
