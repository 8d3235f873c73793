/* SPDX-License-Identifier: MIT */

/*
 * The redirector's confinement.
 *
 * It is forked from nmi, and so starts with all that nmi had. It keeps its end of the socketpair, that to
 * the tester, stderr and CAP_NET_ADMIN. The signals that a terminal or a supervisor sends to the whole process
 * group are ignored: nmi decides when it ends, by closing its end of the pair, so that the rules
 * are held until nmi is done.
 */

#include "iptables/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CHANNEL_FD 3
#define TESTER_FD  4

static int ignore_signals(struct err *err)
{
	static const int ignored[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2
	};
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (signal(ignored[i], SIG_IGN) == SIG_ERR)
			return err_set_errno(err, errno, "ignoring signal %d", ignored[i]);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_set_errno(err, errno, "unblocking signals");
	return 0;
}

static int close_files(int *fd, int *tester, struct err *err)
{
	int null;

	/* out of the way of the two numbers */
	if (*tester >= 0 && (*tester = fcntl(*tester, F_DUPFD_CLOEXEC, TESTER_FD + 1)) < 0)
		return err_set_errno(err, errno, "moving the channel to the tester");
	if (*fd != CHANNEL_FD && dup3(*fd, CHANNEL_FD, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "moving the socketpair");
	*fd = CHANNEL_FD;
	if (*tester >= 0 && dup3(*tester, TESTER_FD, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "moving the channel to the tester");
	if (*tester >= 0)
		*tester = TESTER_FD;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return err_set_errno(err, errno, "/dev/null");
	closefrom(*tester >= 0 ? TESTER_FD + 1 : CHANNEL_FD + 1);
	return 0;
}

static int drop_capabilities(struct err *err)
{
	bool have = capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN);

	capng_clear(CAPNG_SELECT_ALL);
	/* Without it nothing can be written; that shows in the status, and is no reason to end. */
	if (have && capng_update(CAPNG_ADD, (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
				 CAP_NET_ADMIN) < 0)
		return err_set(err, ERR_OS, "choosing CAP_NET_ADMIN");
	/* Needs CAP_SETPCAP, which a container may lack; without exec the bounding set is moot. */
	(void)capng_apply(CAPNG_SELECT_BOUNDS);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return err_set_errno(err, errno, "dropping capabilities");
	return 0;
}

/*
 * A repair races with the end of whoever removed the rules: when that process closes its netlink socket,
 * the kernel holds the commit lock for an RCU grace period (nft_rcv_nl_event()), 15 to 20 ms in which
 * nothing can be written. Being run at once wins that race even on a busy node. A handful of system
 * calls now and then is all that is ever done at this priority. Needs CAP_SYS_NICE; without it the
 * redirector is a process like any other.
 */
static void run_at_once(void)
{
	const struct sched_param p = { .sched_priority = 1 };

	(void)sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &p); /* as said */
}

int confine(int *fd, int *tester, struct err *err)
{
	int r;

	run_at_once();

	if (prctl(PR_SET_NAME, "nmi-redirector") < 0)
		return err_set_errno(err, errno, "naming the process");
	r = ignore_signals(err);
	if (r == 0)
		r = close_files(fd, tester, err);
	if (r == 0)
		r = drop_capabilities(err);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set_errno(err, errno, "no-new-privs");
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set_errno(err, errno, "dumpable");
	return 0;
}
