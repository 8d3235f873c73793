/* SPDX-License-Identifier: MIT */

/*
 * What the agent's process gives up, and when.
 *
 * Theory of operation
 *
 * The process that parses what pods send must be worth little to whoever takes it over. It needs no
 * capability at all: the packet rules belong to the redirector, which is forked before anything here
 * is dropped; its own ports are above 1023; the routing table can be asked by anybody.
 *
 *	early	before the first secret is read: no core file and no ptrace, so that a crash or a
 *		neighbour of the same user does not get at tokens.
 *	late	after the listeners are open: the user is changed if one was named, every capability
 *		is dropped from all five sets, no-new-privileges is set, and a seccomp filter refuses
 *		what this process never does.
 *
 * The filter is a deny list. An allow list would be tighter, but the set of calls that glibc's
 * resolver, OpenSSL and libcurl make is theirs to change with each security update of the
 * distribution, and a call missing from it would take a node's tokens down. What is denied is what
 * an intruder wants next: another program, another namespace, another process's memory, the kernel's
 * own interfaces. Threads stay possible, since libcurl resolves names in one; processes do not.
 */

#include "nmi/isolate.h"

#include "lib/base/log.h"
#include "nmi/limits.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Listeners, API server, IMDS, netlink and the like. */
#define OTHER_FILES 256

static const int denied[] = {
	/* another program */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	/* another process */
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	/* another namespace or root */
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	/* the kernel */
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(acct),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(sethostname),
};

/*
 * A connection of a pod is a file. The soft limit that a container starts with may be 1024, while the
 * hard one is far above; where that is low too, the log says what will be short.
 */
static void allow_files(void)
{
	const rlim_t want = LIMIT_CONNECTIONS + OTHER_FILES;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= want)
		return;
	files.rlim_cur = files.rlim_max < want ? files.rlim_max : want;
	(void)setrlimit(RLIMIT_NOFILE, &files); /* up to the hard limit is always allowed */
	if (files.rlim_cur < want)
		log_warn("at most %llu files may be open, so fewer than %d connections of pods; "
			 "raise "
			 "the hard limit of open files (ulimit -Hn) to %llu",
			 (unsigned long long)files.rlim_cur, LIMIT_CONNECTIONS,
			 (unsigned long long)want);
}

int isolate_early(struct err *err)
{
	const struct rlimit none = { 0, 0 };

	/* libcurl's resolver thread would get an arena of its own, a megabyte for nothing */
	(void)mallopt(M_ARENA_MAX, 1);
	allow_files();
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_set_errno(err, errno, "core file limit");
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set_errno(err, errno, "PR_SET_DUMPABLE");
	return 0;
}

static int change_user(const char *user, struct err *err)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return err_set(err, ERR_INPUT, "--user: there is no user '%s' here", user);
	if (initgroups(user, pw->pw_gid) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return err_set_errno(err, errno, "--user: cannot become '%s'", user);
	return 0;
}

static int deny_calls(struct err *err)
{
	/* A refused call is an error to its caller, not the end: libraries probe and fall back. */
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(denied) / sizeof(denied[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	/* clone() with CLONE_THREAD is a thread; clone3() hides its flags, glibc falls back on ENOSYS */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? err_set_errno(err, -r, "seccomp filter") : 0;
}

int isolate_late(const char *user, struct err *err)
{
	/* dropping the bounding set needs CAP_SETPCAP, so it goes before the user does */
	capng_clear(CAPNG_SELECT_BOUNDS);
	(void)capng_apply(
		CAPNG_SELECT_BOUNDS); /* not allowed when we are no root: nothing to drop */
	if (*user && change_user(user, err) < 0)
		return -(int)err->kind;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0 || capng_apply(CAPNG_SELECT_AMBIENT) != 0)
		return err_set_errno(err, errno, "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set_errno(err, errno, "PR_SET_NO_NEW_PRIVS");
	/* a change of user makes the process dumpable again */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set_errno(err, errno, "PR_SET_DUMPABLE");
	return deny_calls(err);
}
