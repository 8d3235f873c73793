/* SPDX-License-Identifier: MIT */

#include "nmi/readonly.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static char ours[] = "/tmp/nmi-ours-XXXXXX", theirs[] = "/tmp/nmi-theirs-XXXXXX";
static char path[128], other[128];

static const char *in(const char *dir, char out[static 128], const char *name)
{
	(void)snprintf(out, 128, "%s/%s", dir, name);
	return out;
}

static void make(const char *dir, const char *name)
{
	int fd = open(in(dir, path, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	close(fd);
}

static void confine(int but)
{
	struct err err = { 0 };

	make(theirs, "file");
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	/* the tests run on a kernel that has it */
	ck_assert_msg(readonly_but(but, &err) == 1, "%s", err.msg);
}

#define REFUSED(call)                                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		ck_assert_msg((call) == -1 && errno == EACCES, "%s: %d", #call, errno);            \
	} while (0)

START_TEST(nothing_elsewhere_can_be_changed)
{
	int fd;

	confine(-1);
	in(theirs, path, "file");
	in(theirs, other, "other");
	REFUSED(open(path, O_WRONLY | O_CLOEXEC));
	REFUSED(open(path, O_RDWR | O_CLOEXEC));
	REFUSED(open(path, O_RDONLY | O_TRUNC | O_CLOEXEC));
	REFUSED(truncate(path, 0));
	REFUSED(open(other, O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
	REFUSED(unlink(path));
	REFUSED(rename(path, other));
	REFUSED(mkdir(other, 0700));
	REFUSED(symlink(path, other));
	REFUSED(mknod(other, S_IFIFO | 0600, 0));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

START_TEST(files_of_the_one_directory_come_and_go)
{
	int dir = open(ours, O_PATH | O_DIRECTORY | O_CLOEXEC);

	confine(dir);
	make(ours, "file");
	ck_assert_int_eq(rename(in(ours, path, "file"), in(ours, other, "other")), 0);
	ck_assert_int_eq(unlink(other), 0);
}
END_TEST

START_TEST(what_is_no_file_is_an_error)
{
	struct err err = { 0 };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(readonly_but(1000, &err), -ERR_OS);
	ck_assert_int_eq(err.os_errno, EBADF);
}
END_TEST

/* The directories are made and removed out here, by the process that is not confined. */
int main(void)
{
	const struct unit_case cases[] = {
		UNIT(nothing_elsewhere_can_be_changed),
		UNIT(files_of_the_one_directory_come_and_go),
		UNIT(what_is_no_file_is_an_error),
	};
	int r;

	if (!mkdtemp(ours) || !mkdtemp(theirs))
		return 1;
	r = unit_run("readonly", cases, sizeof(cases) / sizeof(cases[0]));
	(void)unlink(in(theirs, path, "file"));
	(void)rmdir(ours);
	(void)rmdir(theirs);
	return r;
}
