/* SPDX-License-Identifier: MIT */

/*
 * The redirector's confinement.
 *
 * It is forked from nmi, and so starts with all that nmi had. It keeps its end of the socketpair, that to
 * the tester, stderr and CAP_NET_ADMIN, of which filter.c leaves it netfilter, links and routes. One that may
 * run programs, which is for the iptables backend alone, keeps CAP_NET_RAW too. The signals that a terminal
 * or a supervisor sends to the whole process group are ignored: nmi decides when it ends, by closing its end
 * of the pair, so that the rules are held until nmi is done.
 */

#include "iptables/confine.h"

#include "iptables/filter.h"
#include "lib/base/mem.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FIRST_FD 3

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

/* One behind the other; nothing else stays open. */
static int keep_files(struct confine_files *files, struct err *err)
{
	int *const kept[] = { &files->channel, &files->tester, &files->left };
	int next = FIRST_FD, null;

	/* out of the way of those numbers, wherever they are */
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		int fd = *kept[i];

		if (fd >= 0)
			*kept[i] = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD + (int)ARRAY_SIZE(kept));
		if (fd >= 0 && *kept[i] < 0)
			return err_set_errno(err, errno, "moving files");
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (*kept[i] < 0)
			continue;
		if (dup3(*kept[i], next, O_CLOEXEC) < 0)
			return err_set_errno(err, errno, "moving files");
		*kept[i] = next++;
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return err_set_errno(err, errno, "/dev/null");
	closefrom(next);
	return 0;
}

/* What iptables needs; the first is all that nftables does. */
static const unsigned kept[] = { CAP_NET_ADMIN, CAP_NET_RAW };

static int keep_capabilities(bool runs_programs, struct err *err)
{
	size_t n = runs_programs ? ARRAY_SIZE(kept) : 1;
	capng_type_t sets = (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED |
					   (runs_programs ? CAPNG_BOUNDING_SET : 0));
	bool have[ARRAY_SIZE(kept)];

	for (size_t i = 0; i < n; i++)
		have[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]);
	capng_clear(CAPNG_SELECT_ALL);
	/* Without it nothing can be written; that shows in the status, and is no reason to end. */
	for (size_t i = 0; i < n; i++)
		if (have[i] && capng_update(CAPNG_ADD, sets, kept[i]) < 0)
			return err_set(err, ERR_OS, "choosing capabilities");
	/* Needs CAP_SETPCAP, which a container may lack; without exec the bounding set is moot. */
	(void)capng_apply(CAPNG_SELECT_BOUNDS);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return err_set_errno(err, errno, "dropping capabilities");
	return 0;
}

bool confine_has_raw(void)
{
	return capng_have_capability(CAPNG_PERMITTED, CAP_NET_RAW);
}

void confine_hand_on(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (capng_have_capability(CAPNG_PERMITTED, kept[i]))
			(void)capng_update(CAPNG_ADD, CAPNG_INHERITABLE, kept[i]); /* a known one */
	/* Refused, the program says itself that it may not. */
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0);
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

int confine(struct confine_files *files, bool runs_programs, struct err *err)
{
	int r;

	run_at_once();

	if (prctl(PR_SET_NAME, "nmi-redirector") < 0)
		return err_set_errno(err, errno, "naming the process");
	r = ignore_signals(err);
	if (r == 0)
		r = keep_files(files, err);
	if (r == 0)
		r = keep_capabilities(runs_programs, err);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set_errno(err, errno, "no-new-privs");
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_set_errno(err, errno, "dumpable");
	return filter_redirector(runs_programs, err);
}
