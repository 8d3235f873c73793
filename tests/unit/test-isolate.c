/* SPDX-License-Identifier: MIT */

#include "nmi/isolate.h"
#include "nmi/limits.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

	ck_assert_msg(isolate_late("", NULL, &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		ck_assert_msg(status_of(sets[i]) == 0, "%s %llx", sets[i], status_of(sets[i]));
	ck_assert_uint_eq(status_of("NoNewPrivs:"), 1);
	ck_assert_uint_eq(status_of("Seccomp:"), 2);
}
END_TEST

START_TEST(late_no_other_program_and_no_other_namespace)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };

	ck_assert_int_eq(isolate_late("", NULL, NULL), 0);
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

	ck_assert_int_eq(isolate_late("", NULL, NULL), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, say, &said), 0);
	ck_assert_int_eq(pthread_join(t, NULL), 0);
	ck_assert_int_eq(said, 1);
}
END_TEST

struct socket_row {
	int family, type, protocol;
};

/* A number whose lower half is one that is allowed must not pass for another, and none may slip by so. */
static long raw_socket(long family, long type, long protocol)
{
	return syscall(SYS_socket, family, type, protocol);
}

static const struct socket_row refused_sockets[] = {
	{ AF_INET, SOCK_RAW, IPPROTO_TCP },
	{ AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW },
	{ AF_INET6, SOCK_RAW, IPPROTO_ICMPV6 },
	{ AF_INET, SOCK_PACKET, 0 },
	{ AF_INET, SOCK_SEQPACKET, 0 },
	{ AF_INET, SOCK_DCCP, 0 },
	{ AF_INET, SOCK_RDM, 0 },
	{ AF_INET, SOCK_DGRAM, IPPROTO_ICMP },
	{ AF_INET, SOCK_STREAM, IPPROTO_SCTP },
	{ AF_INET6, SOCK_STREAM, 262 /* IPPROTO_MPTCP */ },
	{ AF_PACKET, SOCK_RAW, 0x0300 /* ETH_P_ALL */ },
	{ AF_PACKET, SOCK_DGRAM, 0x0300 },
	{ AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER },
	{ AF_NETLINK, SOCK_RAW, NETLINK_XFRM },
	{ AF_NETLINK, SOCK_RAW, NETLINK_AUDIT },
	{ AF_NETLINK, SOCK_RAW, NETLINK_GENERIC },
	{ AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT },
	{ AF_VSOCK, SOCK_STREAM, 0 },
	{ AF_UNIX, SOCK_STREAM, 0 },
	{ AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0 },
	{ AF_UNIX, SOCK_RAW, 0 },
	{ AF_ALG, SOCK_SEQPACKET, 0 },
	{ AF_KEY, SOCK_RAW, 2 },
	{ AF_XDP, SOCK_RAW, 0 },
	{ AF_CAN, SOCK_RAW, 1 },
	{ AF_BLUETOOTH, SOCK_RAW, 1 },
	{ AF_TIPC, SOCK_SEQPACKET, 0 },
};

START_TEST(late_sockets_that_are_refused)
{
	const struct socket_row *s = &refused_sockets[_i];

	ck_assert_int_eq(isolate_late("", NULL, NULL), 0);
	for (int high = 0; high < 2; high++) {
		errno = 0;
		ck_assert_int_eq(raw_socket(s->family + ((long)high << 32),
					    s->type + ((long)high << 33),
					    s->protocol + ((long)high << 34)),
				 -1);
		ck_assert_msg(errno == EPERM, "row %d: errno %d", _i, errno);
	}
}
END_TEST

static const struct socket_row needed_sockets[] = {
	{ AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP },
	{ AF_INET, SOCK_STREAM, 0 },
	{ AF_INET, SOCK_DGRAM, IPPROTO_UDP },
	{ AF_INET, SOCK_DGRAM, 0 },
	{ AF_UNIX, SOCK_SEQPACKET, 0 },
	{ AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE },
	{ AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG },
};

START_TEST(late_sockets_that_are_needed)
{
	const struct socket_row *s = &needed_sockets[_i];

	ck_assert_int_eq(isolate_late("", NULL, NULL), 0);
	ck_assert_msg(socket(s->family, s->type, s->protocol) >= 0, "row %d: errno %d", _i, errno);
	if (s->family == AF_INET)
		/* EAFNOSUPPORT: the kernel has none */
		ck_assert(socket(AF_INET6, s->type, s->protocol) >= 0 || errno == EAFNOSUPPORT);
}
END_TEST

#define REFUSED(call)                                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		ck_assert_msg((call) == -1 && errno == EPERM, "%s: errno %d", #call, errno);       \
	} while (0)

START_TEST(late_no_signal_to_anybody_else)
{
	pid_t other = getppid();
	struct f_owner_ex owner = { .type = F_OWNER_PID, .pid = other };
	struct rlimit limit = { 1, 1 };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(isolate_late("", NULL, NULL), 0);
	REFUSED(kill(other, 0));
	REFUSED(kill(-1, 0));
	REFUSED(syscall(SYS_tkill, other, 0));
	REFUSED(syscall(SYS_tgkill, other, other, 0));
	REFUSED(syscall(SYS_rt_sigqueueinfo, other, 0, NULL));
	REFUSED(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0));
	/* a signal of one's choice, when the other end writes */
	REFUSED(fcntl(pair[0], F_SETOWN, other));
	REFUSED(fcntl(pair[0], F_SETOWN_EX, &owner));
	REFUSED(fcntl(pair[0], F_SETSIG, SIGKILL));
	REFUSED(ioctl(pair[0], FIOSETOWN, &other));
	REFUSED(ioctl(pair[0], SIOCSPGRP, &other));
	REFUSED(prlimit(other, RLIMIT_NOFILE, &limit, NULL));
	REFUSED(setpriority(PRIO_PROCESS, (id_t)other, 1));
}
END_TEST

START_TEST(late_abort_still_is)
{
	ck_assert_int_eq(isolate_late("", NULL, NULL), 0);
	abort();
}
END_TEST

START_TEST(late_no_file_is_written)
{
	ck_assert_int_eq(isolate_late("", NULL, NULL), 0);
	REFUSED(open("/dev/null", O_WRONLY | O_CLOEXEC));
	REFUSED(open("/dev/null", O_RDWR | O_CLOEXEC));
	REFUSED(open("/dev/null", O_RDONLY | O_TRUNC | O_CLOEXEC));
	REFUSED(open("/tmp/nmi-none", O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
	REFUSED(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	REFUSED(syscall(SYS_openat2, AT_FDCWD, "/dev/null", NULL, 0));
	REFUSED(truncate("/nonexistent", 0));
	REFUSED(chown("/nonexistent", 0, 0));
	REFUSED(mknod("/tmp/nmi-none", 0600, 0));
	REFUSED(chmod("/nonexistent", 04700));
	REFUSED(chmod("/nonexistent", 0604));
	REFUSED(fchmod(STDERR_FILENO, 0620));
	REFUSED(fchmodat(AT_FDCWD, "/nonexistent", 02700, 0));
	REFUSED(syscall(452 /* fchmodat2 */, AT_FDCWD, "/nonexistent", 0600, 0));
	ck_assert_int_eq(chmod("/nonexistent", 0600), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_ge(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
}
END_TEST

START_TEST(late_nobody_else_and_nothing_of_the_kernel)
{
	ck_assert_int_eq(isolate_late("", NULL, NULL), 0);
	REFUSED(setuid(getuid()));
	REFUSED(setresuid(getuid(), getuid(), getuid()));
	REFUSED(setgroups(0, NULL));
	REFUSED(syscall(SYS_capset, NULL, NULL));
	REFUSED(syscall(SYS_personality, 0));
	REFUSED(syscall(SYS_bpf, 0, NULL, 0));
	REFUSED(syscall(SYS_userfaultfd, 0));
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
	REFUSED(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
	REFUSED(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	REFUSED(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
	REFUSED(syscall(SYS_setns, 0, 0));
	REFUSED(syscall(SYS_ptrace, 0, 0, 0, 0));
	REFUSED(ioctl(STDIN_FILENO, TIOCSTI, "x"));
	/* not into another namespace by way of a thread either */
	REFUSED(syscall(SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET, NULL,
			NULL, NULL, NULL));
}
END_TEST

START_TEST(late_the_user_is_changed)
{
	struct err err = { 0 };

	ck_assert_msg(isolate_late("nobody", NULL, &err) == 0, "%s", err.msg);
	ck_assert_uint_ne(getuid(), 0);
	ck_assert_int_eq(setuid(0), -1);
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 0);
}
END_TEST

START_TEST(an_unknown_user_is_named)
{
	struct err err = { 0 };

	ck_assert_int_eq(isolate_late("no-such-user", NULL, &err), -ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, "no-such-user"));
}
END_TEST

UNIT_MAIN("isolate", UNIT(early_no_core_and_no_debugger),
	  UNIT(early_files_are_enough_for_all_connections), UNIT(late_no_capability_is_left),
	  UNIT(late_no_other_program_and_no_other_namespace), UNIT(late_a_thread_is_still_possible),
	  UNIT_LOOP(late_sockets_that_are_refused, refused_sockets),
	  UNIT_LOOP(late_sockets_that_are_needed, needed_sockets),
	  UNIT(late_no_signal_to_anybody_else), UNIT_ABORT(late_abort_still_is),
	  UNIT(late_no_file_is_written), UNIT(late_nobody_else_and_nothing_of_the_kernel),
	  UNIT(late_the_user_is_changed), UNIT(an_unknown_user_is_named))
