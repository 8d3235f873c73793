/* SPDX-License-Identifier: MIT */

/*
 * The redirector's system calls.
 *
 * Theory of operation
 *
 * The redirector has CAP_NET_ADMIN, and reads what nmi says, which reads what pods say. Whoever gets that far
 * can change packet rules, links and routes; that is what the process is for, and what a self-test is laid
 * with. The filter sees to it that he can do little else with the capability: no socket but netlink's for
 * those, so no packet of his own; no ioctl, which configures links on any socket; no file, be it of the node or of another process in
 * /proc; no program, process, namespace; no memory to run code from that he brought.
 *
 * It is an allow list. That is robust here, since nothing but netlink, epoll, memory, time and the log is
 * needed, by us, libnl and libnftables. What they try beside it, they can do without:
 *
 *	/etc/iproute2, connlabel.conf	names that our rules do not have
 *	/proc/net/netlink, /proc/PID/fd	whose process owns a table, for a comment in listings; all files of all
 *					processes are looked at for it
 *	/etc/localtime			the log is in UTC
 *
 * A call that is refused fails with EPERM; it does not end the process, which has to stay.
 *
 * With `may_exec` all that is inherited by iptables-restore, which opens raw sockets, locks a file, loads
 * modules: there only those calls are denied that neither needs.
 */

#include "iptables/filter.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* An int argument: what is in the upper half of the register is not looked at by the kernel. */
#define INT_IS(arg, value) SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, 0xffffffffU, (uint32_t)(value))

static const int allowed[] = {
	/* netlink, the channel to nmi */
	SCMP_SYS(bind),
	SCMP_SYS(close),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),
	/* waiting */
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(nanosleep),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(pselect6),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(select),
	/* the log */
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	/* memory; with mmap() and mprotect() below */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	/* what time it is, who we are */
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(getegid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrlimit),
	SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getuid),
	SCMP_SYS(sysinfo),
	SCMP_SYS(time),
	SCMP_SYS(uname),
	/* the C library, sanitizers */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sigaltstack),
};

static int allow(scmp_filter_ctx ctx)
{
	static const int netlinks[] = { NETLINK_NETFILTER, NETLINK_ROUTE };
	static const int flags[] = { F_GETFD, F_SETFD, F_GETFL, F_SETFL };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(allowed); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	/*
	 * Routes also for names of links: libnftables ends the process where it cannot ask for them, and it
	 * does as soon as a table that it lists has a rule with `iif`, be it put there by somebody else.
	 */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(netlinks); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
				     INT_IS(0, AF_NETLINK), INT_IS(2, netlinks[i]));
	/* no code that is brought along */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* not F_SETOWN and F_SETSIG: they send any signal to any process of the same user */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(flags); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, INT_IS(1, flags[i]));
	/* its own limits, 0 being itself; abort() */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, INT_IS(0, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, INT_IS(0, getpid()));
	return r;
}

/* Modules are loaded by the kernel's own helper, not by iptables: their calls are not needed. */
static int deny(scmp_filter_ctx ctx)
{
	static const int denied[] = {
#define DENIED_PROGRAM(call)
#define DENIED(call)	     SCMP_SYS(call),
#define DENIED_UNSHARE(call) SCMP_SYS(call),
#include "lib/base/denied.def"
#undef DENIED_UNSHARE
#undef DENIED
#undef DENIED_PROGRAM
	};
	static const uint64_t namespaces[] = { CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
					       CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
					       CLONE_NEWNET };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(denied); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	/* its flags are out of sight; glibc falls back on clone() */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(namespaces); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	return r;
}

int filter_redirector(bool may_exec, struct err *err)
{
	scmp_filter_ctx ctx = seccomp_init(may_exec ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
	int r = ctx ? 0 : -ENOMEM;

	if (r == 0)
		r = may_exec ? deny(ctx) : allow(ctx);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* libseccomp 2.5 can */
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r < 0 ? err_set_errno(err, -r, "seccomp filter") : 0;
}
