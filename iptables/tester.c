/* SPDX-License-Identifier: MIT */

/*
 * nmi-selftest: the process that connects to the metadata address as a pod would.
 *
 * Theory of operation
 *
 * The redirector forks it before it drops anything, and it drops everything: it has no capability, no file
 * but its channel, and a filter that refuses other programs, other processes' memory, mounts and keys. It
 * sleeps in recv(). For each job it forks a child (test_child.c), which may do one thing that its parents
 * may not: make a user and a network namespace, which needs no privilege. Whoever made a user namespace
 * owns it, and the redirector, with the same user id in the parent namespace, has CAP_NET_ADMIN over what
 * belongs to it (user_namespaces(7)), so that it can put a link there. The child reads what a stranger may
 * have answered, so it is the child that reads it, and its word is checked by the redirector.
 *
 *	redirector ── job ──▶ tester ── fork ──▶ child: unshare()
 *	redirector ◀───────── TESTER_READY ───── child      (the kernel says who it is: SCM_CREDENTIALS)
 *	redirector: veth ─────── test_net ─────▶ child: raises its end; address, route
 *	redirector ◀───────── TESTER_JOINED ──── child
 *	redirector: route ────── TESTER_GO ────▶ child: GET
 *	redirector ◀───────── outcome ────────── child ends, and its namespace with it
 *
 * While a child lives, the tester waits for it and does not read the channel. Should a child hang, its
 * alarm ends it. When the redirector ends, the channel does, and with it all of this.
 */

#include "iptables/tester.h"

#include "lib/base/log.h"
#include "lib/base/resident.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHANNEL_FD 3

/* As nmi/isolate.c has it, which says why it is a list of what is denied. The child makes its namespaces. */
static const int denied[] = {
#define DENIED(call) SCMP_SYS(call),
#define DENIED_UNSHARE(call)
#define DENIED_PROGRAM(call)
#include "lib/base/denied.def"
#undef DENIED_PROGRAM
#undef DENIED_UNSHARE
#undef DENIED
	/* another program */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	/* another process, which may be root's as this one is */
	SCMP_SYS(kill),
	SCMP_SYS(tgkill),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(setpriority),
	SCMP_SYS(sched_setscheduler),
	SCMP_SYS(sched_setaffinity),
	/* files: there is none to open any more, nor to change */
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(creat),
	SCMP_SYS(truncate),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(rmdir),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(link),
	SCMP_SYS(linkat),
	SCMP_SYS(symlink),
	SCMP_SYS(symlinkat),
	SCMP_SYS(chmod),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(chown),
	SCMP_SYS(lchown),
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(setxattr),
	SCMP_SYS(lsetxattr),
	SCMP_SYS(fsetxattr),
};

/* Sockets of other families than the two that the child uses. A filter compares an argument once a rule. */
static int deny_sockets(scmp_filter_ctx ctx)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
				 SCMP_A0(SCMP_CMP_LT, AF_INET));

	for (uint64_t family = AF_INET + 1; r == 0 && family < AF_NETLINK; family++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, family));
	return r ? r
		 : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
				    SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
}

static int deny(scmp_filter_ctx ctx)
{
	static const uint64_t spaces[] = { CLONE_NEWNS,	 CLONE_NEWCGROUP, CLONE_NEWUTS,
					   CLONE_NEWIPC, CLONE_NEWPID,	  CLONE_NEWUSER,
					   CLONE_NEWNET };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(denied) / sizeof(denied[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	/* its flags are out of a filter's sight; glibc falls back on clone() */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	for (size_t i = 0; r == 0 && i < sizeof(spaces) / sizeof(spaces[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, spaces[i], spaces[i]));
	/* these two namespaces, and no other */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
				     SCMP_A0(SCMP_CMP_NE, CLONE_NEWUSER | CLONE_NEWNET));
	return r;
}

static int filter(struct err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r = ctx ? deny(ctx) : -ENOMEM;

	if (r == 0)
		r = deny_sockets(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	resident_release(); /* what it took for that; this process lives as long as the node */
	return r < 0 ? err_set_errno(err, -r, "seccomp filter") : 0;
}

static int keep_channel_only(int fd, struct err *err)
{
	int null;

	if (fd != CHANNEL_FD && dup3(fd, CHANNEL_FD, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "moving the channel");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* stderr goes last, when nothing is left to say */
	for (int i = 0; i < STDERR_FILENO; i++)
		if (null < 0 || dup2(null, i) < 0)
			return err_set_errno(err, errno, "/dev/null");
	closefrom(CHANNEL_FD + 1);
	return 0;
}

static int confine_tester(int fd, struct err *err)
{
	static const int ignored[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2
	};
	const struct rlimit none = { 0, 0 };
	sigset_t all;

	if (prctl(PR_SET_NAME, "nmi-selftest") < 0)
		return err_set_errno(err, errno, "naming the process");
	/* a signal to the process group is for nmi, which decides when this ends */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (signal(ignored[i], SIG_IGN) == SIG_ERR)
			return err_set_errno(err, errno, "ignoring signal %d", ignored[i]);
	sigemptyset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return err_set_errno(err, errno, "signals and core files");
	if (keep_channel_only(fd, err) < 0)
		return -(int)err->kind;
	capng_clear(CAPNG_SELECT_ALL);
	(void)capng_apply(CAPNG_SELECT_BOUNDS); /* needs CAP_SETPCAP; without exec it is moot */
	if (capng_apply(CAPNG_SELECT_CAPS) < 0 || capng_apply(CAPNG_SELECT_AMBIENT) < 0)
		return err_set_errno(err, errno, "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set_errno(err, errno, "no-new-privs, dumpable");
	return filter(err);
}

_Noreturn static void tester_main(int fd)
{
	struct tester_job job;
	struct err err;
	pid_t pid;

	if (confine_tester(fd, &err) < 0) {
		log_err("no self-tests: %s", err.msg);
		_exit(EXIT_FAILURE);
	}
	(void)dup2(STDIN_FILENO, STDERR_FILENO);
	for (;;) {
		ssize_t n = recv(CHANNEL_FD, &job, sizeof(job), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(EXIT_SUCCESS);
		if (n != (ssize_t)sizeof(job))
			continue; /* for a child that is gone */
		pid = fork();
		if (pid == 0)
			test_child(CHANNEL_FD, &job);
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

int tester_spawn(int *fd, struct err *err)
{
	const int on = 1;
	int pair[2];
	pid_t pid;

	*fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set_errno(err, errno, "socketpair of the tester");
	if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		(void)err_set_errno(err, errno, "SO_PASSCRED");
		pid = -1;
	} else {
		pid = fork();
		if (pid < 0)
			(void)err_set_errno(err, errno, "starting the tester");
	}
	if (pid == 0) {
		close(pair[0]);
		tester_main(pair[1]);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -(int)ERR_OS;
	}
	*fd = pair[0];
	return 0;
}
