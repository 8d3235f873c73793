/* SPDX-License-Identifier: MIT */

/*
 * Rules of an earlier run: see ipt_left.h.
 *
 * The process that waits is confined as the redirector of the iptables backend is. It ends when it has
 * removed what there is, or when the other end of the pipe is closed.
 */

#include "iptables/ipt_left.h"

#include "iptables/backend.h"
#include "iptables/confine.h"
#include "iptables/ipt_flavour.h"
#include "iptables/nftctx.h"
#include "lib/base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

/* Asked without running a program: it is almost always nothing. */
static bool is_possible(void)
{
	_cleanup_(nftctx_freep) struct nft_ctx *ctx = NULL;

	if (ipt_legacy_is_used())
		return true;
	ctx = nft_backend.probe(NULL) == 0 ? nftctx_new(NULL) : NULL;
	return ctx && (nftctx_run(ctx, "list chain ip filter nmi-guard", NULL, NULL) == 0 ||
		       nftctx_run(ctx, "list chain ip nat aad-metadata", NULL, NULL) == 0);
}

_Noreturn static void wait_and_remove(int fd)
{
	struct confine_files files = { .channel = fd, .tester = -1, .left = -1 };
	struct err err = { 0 };
	unsigned removed = 0;
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the pipe tells it too */
	if (confine(&files, true, &err) < 0)
		_exit(EXIT_FAILURE);
	(void)prctl(PR_SET_NAME, "nmi-cleaner");
	(void)signal(SIGCHLD, SIG_DFL); /* it waits for what it runs */
	if (read(files.channel, &byte, 1) != 1)
		_exit(EXIT_SUCCESS);
	if (ipt_backend_remove(&removed, &err) < 0)
		log_warn("rules of an earlier run with iptables may still be there: %s", err.msg);
	else if (removed)
		log_info("removed the rules of an earlier run with iptables");
	_exit(EXIT_SUCCESS);
}

int ipt_left_prepare(void)
{
	int pipe[2];
	pid_t pid;

	if (!is_possible() || pipe2(pipe, O_CLOEXEC) < 0)
		return -1;
	(void)signal(SIGCHLD, SIG_IGN); /* nobody need wait for it */
	pid = fork();
	if (pid == 0) {
		close(pipe[1]);
		wait_and_remove(pipe[0]);
	}
	close(pipe[0]);
	if (pid > 0)
		return pipe[1];
	close(pipe[1]);
	return -1;
}

void ipt_left_remove(int *fd)
{
	if (*fd < 0)
		return;
	if (write(*fd, "", 1) != 1)
		log_warn("rules of an earlier run with iptables may still be there: nobody removes "
			 "them");
	close(steal_fd(fd));
}
