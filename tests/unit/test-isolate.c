/* SPDX-License-Identifier: MIT */

#include "nmi/isolate.h"
#include "nmi/limits.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* LeakSanitizer looks for leaks from a traced clone, which is what the filter is there to refuse. */
int __lsan_is_turned_off(void);
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
	return 1;
}

/* The value of a line of /proc/self/status, as a hexadecimal number. */
static unsigned long long status_of(const char *name)
{
	unsigned long long v = ~0ULL;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, strlen(name)) == 0)
			v = strtoull(line + strlen(name) + 1, NULL, 16);
	}
	(void)fclose(f);
	return v;
}

START_TEST(early_no_core_and_no_debugger)
{
	struct rlimit core;

	ck_assert_int_eq(isolate_early(NULL), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_CORE, &core), 0);
	ck_assert_uint_eq(core.rlim_max, 0);
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
}
END_TEST

START_TEST(early_files_are_enough_for_all_connections)
{
	struct rlimit files;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = 64;
	ck_assert_uint_gt(files.rlim_max, LIMIT_CONNECTIONS);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	ck_assert_int_eq(isolate_early(NULL), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	ck_assert_uint_gt(files.rlim_cur, LIMIT_CONNECTIONS);
}
END_TEST

START_TEST(late_no_capability_is_left)
{
	static const char *const sets[] = { "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:" };
	struct err err = { 0 };

	ck_assert_msg(isolate_late("", &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		ck_assert_msg(status_of(sets[i]) == 0, "%s %llx", sets[i], status_of(sets[i]));
	ck_assert_uint_eq(status_of("NoNewPrivs:"), 1);
	ck_assert_uint_eq(status_of("Seccomp:"), 2);
}
END_TEST

START_TEST(late_no_other_program_and_no_other_namespace)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };

	ck_assert_int_eq(isolate_late("", NULL), 0);
	ck_assert_int_eq(execv("/bin/true", argv), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(unshare(CLONE_NEWUSER), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(fork(), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

static void *say(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

START_TEST(late_a_thread_is_still_possible)
{
	pthread_t t;
	int said = 0;

	ck_assert_int_eq(isolate_late("", NULL), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, say, &said), 0);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert_int_eq(said, 1);
}
END_TEST

START_TEST(late_the_user_is_changed)
{
	struct err err = { 0 };

	ck_assert_msg(isolate_late("nobody", &err) == 0, "%s", err.msg);
	ck_assert_uint_ne(getuid(), 0);
	ck_assert_int_eq(setuid(0), -1);
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
}
END_TEST

START_TEST(an_unknown_user_is_named)
{
	struct err err = { 0 };

	ck_assert_int_eq(isolate_late("no-such-user", &err), -ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, "no-such-user"));
}
END_TEST

UNIT_MAIN("isolate", UNIT(early_no_core_and_no_debugger),
	  UNIT(early_files_are_enough_for_all_connections), UNIT(late_no_capability_is_left),
	  UNIT(late_no_other_program_and_no_other_namespace), UNIT(late_a_thread_is_still_possible),
	  UNIT(late_the_user_is_changed), UNIT(an_unknown_user_is_named))
