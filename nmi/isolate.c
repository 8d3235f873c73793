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
 *		is dropped from all five sets, no-new-privileges is set, files become read-only but for
 *		those of our sockets, and a seccomp filter refuses what this process never does.
 *
 * The filter is a deny list. An allow list would be tighter, but the set of calls that glibc's
 * resolver, OpenSSL and libcurl make is theirs to change with each security update of the
 * distribution, and a call missing from it would take a node's tokens down. What is denied is what
 * an intruder wants next: another program, another namespace, another process's memory or life, the
 * kernel's own interfaces, sockets that see or make other people's packets, files of root. Threads stay
 * possible, since libcurl resolves names in one; processes do not.
 */

#include "nmi/isolate.h"

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "nmi/limits.h"
#include "nmi/readonly.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* SOCK_TYPE_MASK of the kernel: what is above are flags. */
#define SOCKET_TYPES 0xfU

/* An int argument: what is in the upper half of the register is not looked at by the kernel. */
#define INT_IS(arg, value)   SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, 0xffffffffU, (uint32_t)(value))
#define HAS(arg, mask, bits) SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, mask, bits)
#define IS_ABOVE(arg, value) SCMP_CMP64(arg, SCMP_CMP_GT, value)
#define IS_NOT(arg, value)   SCMP_CMP64(arg, SCMP_CMP_NE, value)

static const int denied[] = {
#define DENIED_PROGRAM(call) SCMP_SYS(call),
#define DENIED(call)	     SCMP_SYS(call),
#define DENIED_UNSHARE(call) SCMP_SYS(call),
#include "lib/base/denied.def"
#undef DENIED_UNSHARE
#undef DENIED
#undef DENIED_PROGRAM
	/* another process; the redirector ends when our end of the socketpair is closed */
	SCMP_SYS(kill), SCMP_SYS(setpriority), SCMP_SYS(ioprio_set), SCMP_SYS(sched_setscheduler),
	SCMP_SYS(sched_setparam), SCMP_SYS(sched_setattr), SCMP_SYS(sched_setaffinity),
	/* what a program could be started from that is no file */
	SCMP_SYS(memfd_create),
	/* files of root, which uid 0 may change without any capability: see also readonly.c */
	SCMP_SYS(creat), SCMP_SYS(openat2), /* its flags are out of sight */
	SCMP_SYS(truncate), SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(link), SCMP_SYS(linkat),
	SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(chown), SCMP_SYS(lchown), SCMP_SYS(fchown),
	SCMP_SYS(fchownat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr),
	SCMP_SYS(removexattr), SCMP_SYS(lremovexattr), SCMP_SYS(fremovexattr),
	/* the same of newer kernels, by their numbers, alike everywhere: libseccomp 2.5 has no names */
	452, /* fchmodat2 */
	463, /* setxattrat */
	466, /* removexattrat */
	467, /* open_tree_attr */
	469, /* file_setattr */
};

/*
 * A connection of a pod is a file. The soft limit that a container starts with may be 1024, while the
 * hard one is far above; where that is low too, the log says what will be short.
 */
static void allow_files(void)
{
	const rlim_t want = LIMIT_FILES;
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

/* Adds a rule to deny, unless an earlier one failed. */
#define DENY(ctx, r, call, ...)                                                                    \
	((r) = (r) ? (r)                                                                           \
		   : seccomp_rule_add_array(                                                       \
			     ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(call),                           \
			     ARRAY_SIZE(((const struct scmp_arg_cmp[]){ __VA_ARGS__ })),           \
			     (const struct scmp_arg_cmp[]){ __VA_ARGS__ }))

/*
 * Left are streams and datagrams of IPv4 and IPv6, and the two netlinks that answer anybody: routes and sockets.
 * No raw or packet socket, no netfilter, no crypto, no virtual machine's host. Of AF_UNIX there is
 * SOCK_SEQPACKET, for one nmi to speak to another: container runtimes, systemd and D-Bus have streams, and do
 * for uid 0 whatever it says. glibc goes without nscd and systemd-resolved, and asks DNS.
 */
static int deny_sockets(scmp_filter_ctx ctx)
{
	static const uint32_t inet[] = { AF_INET, AF_INET6 };
	int r = 0;

	for (uint32_t family = AF_UNSPEC; family < AF_NETLINK; family++)
		if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
			DENY(ctx, r, socket, INT_IS(0, family));
	DENY(ctx, r, socket, IS_ABOVE(0, AF_NETLINK));
	for (uint32_t type = 0; type <= SOCKET_TYPES; type++)
		if (type != SOCK_SEQPACKET)
			DENY(ctx, r, socket, INT_IS(0, AF_UNIX), HAS(1, SOCKET_TYPES, type));
	for (size_t i = 0; i < ARRAY_SIZE(inet); i++) {
		/* of the types 0 to 15 all but SOCK_STREAM, 1, and SOCK_DGRAM, 2 */
		DENY(ctx, r, socket, INT_IS(0, inet[i]), HAS(1, 0xf, 0));
		DENY(ctx, r, socket, INT_IS(0, inet[i]), HAS(1, 0x3, 0x3));
		DENY(ctx, r, socket, INT_IS(0, inet[i]), HAS(1, 0x4, 0x4));
		DENY(ctx, r, socket, INT_IS(0, inet[i]), HAS(1, 0x8, 0x8));
		/* of protocols the default, TCP and UDP */
		for (uint32_t p = 1; p < IPPROTO_UDP; p++)
			if (p != IPPROTO_TCP)
				DENY(ctx, r, socket, INT_IS(0, inet[i]), INT_IS(2, p));
		DENY(ctx, r, socket, INT_IS(0, inet[i]), IS_ABOVE(2, IPPROTO_UDP));
	}
	for (uint32_t p = NETLINK_ROUTE + 1; p < NETLINK_SOCK_DIAG; p++)
		DENY(ctx, r, socket, INT_IS(0, AF_NETLINK), INT_IS(2, p));
	DENY(ctx, r, socket, INT_IS(0, AF_NETLINK), IS_ABOVE(2, NETLINK_SOCK_DIAG));
	return r;
}

/* Calls that are needed, but not with each of their arguments. */
static int deny_arguments(scmp_filter_ctx ctx)
{
	static const uint64_t writing[] = { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC };
	static const uint64_t namespaces[] = { CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
					       CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
					       CLONE_NEWNET };
	/* who gets a signal when a file is ready, and which: of any process of the same user */
	static const uint32_t owners[] = { F_SETOWN, F_SETOWN_EX, F_SETSIG };
	static const uint32_t ioctls[] = { FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX, TIOCSCTTY };
	/* a mode for the owner alone is what a socket of ours needs; Landlock knows no modes */
	static const uint64_t modes[] = { S_ISUID, S_ISGID, S_IRGRP, S_IWGRP,
					  S_IXGRP, S_IROTH, S_IWOTH, S_IXOTH };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		DENY(ctx, r, chmod, HAS(1, modes[i], modes[i]));
		DENY(ctx, r, fchmod, HAS(1, modes[i], modes[i]));
		DENY(ctx, r, fchmodat, HAS(2, modes[i], modes[i]));
	}
	/* clone() with CLONE_THREAD is a thread; clone3() hides its flags, glibc falls back on ENOSYS */
	DENY(ctx, r, clone, HAS(0, CLONE_THREAD, 0));
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		DENY(ctx, r, clone, HAS(0, namespaces[i], namespaces[i]));
	for (size_t i = 0; i < ARRAY_SIZE(writing); i++) {
		DENY(ctx, r, open, HAS(1, writing[i], writing[i]));
		DENY(ctx, r, openat, HAS(2, writing[i], writing[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
		DENY(ctx, r, fcntl, INT_IS(1, owners[i]));
	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++)
		DENY(ctx, r, ioctl, INT_IS(1, ioctls[i]));
	DENY(ctx, r, prlimit64, IS_NOT(0, 0));
	DENY(ctx, r, tgkill, IS_NOT(0, (uint64_t)getpid())); /* abort() is one to itself */
	return r;
}

static int deny_calls(struct err *err)
{
	/* A refused call is an error to its caller, not the end: libraries probe and fall back. */
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(denied); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r == 0)
		r = deny_sockets(ctx);
	if (r == 0)
		r = deny_arguments(ctx);
	/* a search instead of a walk, where libseccomp can (2.5): every call passes here */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? err_set_errno(err, -r, "seccomp filter") : 0;
}

int isolate_late(const char *user, const char *run_dir, struct err *err)
{
	/* while it can be reached for sure */
	_cleanup_close_ int dir = run_dir ? open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	if (run_dir && dir < 0)
		return err_set_errno(err, errno, "opening %s", run_dir);
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
	if (readonly_but(dir, err) < 0)
		return -(int)err->kind;
	return deny_calls(err);
}
