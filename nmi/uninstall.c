/* SPDX-License-Identifier: MIT */

/*
 * Taking everything away: see uninstall.h.
 *
 * An agent that runs would put all of it back, and an orderly one has its rules held by its redirector. So it
 * is asked first, by name; the kernel refuses where that is not enough (an agent with another run directory).
 */

#include "nmi/uninstall.h"

#include "iptables/redirect.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "nmi/config.h"
#include "nmi/status/ask.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define EXIT_USAGE 2
#define ASK_MSEC   3000
#define TRY_MSEC   50 /* between two tries: pods are refused for as long after the agent's end */

struct settings {
	const char *run_directory;
	unsigned wait_msec;
};

/*
 * Names of ours: each also with more behind it, as one for each process. While they are made they are called "."
 * and eight hexadecimal digits (local_socket.c); an agent that is killed then leaves one.
 */
static const char *const sockets[] = { "nmi.sock", "handover.sock", "probe" };

static bool is_half_made(const char *name)
{
	return name[0] == '.' && strlen(name) == 9 && strspn(name + 1, "0123456789abcdef") == 8;
}

static bool is_ours(int dir, const char *name)
{
	bool is_name = is_half_made(name);
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		size_t n = strlen(sockets[i]);

		is_name = is_name || (strncmp(name, sockets[i], n) == 0 &&
				      (!name[n] || name[n] == '.' || name[n] == '-'));
	}
	return is_name && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode);
}

static void dirp_close(DIR **d)
{
	if (*d)
		(void)closedir(*d); /* it was only read */
}

int uninstall_sockets(const char *path, struct err *err)
{
	_cleanup_(dirp_close) DIR *dir = opendir(path);
	int left = 0, why = 0;

	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_set_errno(err, errno, "the sockets in %s", path);
	for (const struct dirent *e; (e = readdir(dir));) {
		if (!is_ours(dirfd(dir), e->d_name) || unlinkat(dirfd(dir), e->d_name, 0) == 0)
			continue;
		left++;
		why = errno;
	}
	if (left)
		return err_set_errno(err, why, "%d sockets are left in %s", left, path);
	if (rmdir(path) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY &&
	    errno != ENOENT)
		return err_set_errno(err, errno, "%s is left", path);
	return 0;
}

/* Is there one? Then `err` names it. */
static bool agent_runs(const char *dir, struct err *err)
{
	struct status_reply reply;
	const char *node = "?", *version = "?";
	const struct jval_field fields[] = {
		{ "node", JVAL_STR, JVAL_MAY, &node },
		{ "version", JVAL_STR, JVAL_MAY, &version },
	};
	bool runs = false;

	status_ask(dir, "status\n", ASK_MSEC, &reply);
	switch (reply.answer) {
	case STATUS_ANSWERED:
		(void)jval_read(reply.doc, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, NULL);
		(void)err_set(err, ERR_REFUSED,
			      "nmi %.32s runs for node %.64s (process %d): stop it first; nothing "
			      "was removed",
			      version, node, (int)reply.pid);
		status_clean(err->msg);
		runs = true;
		break;
	case STATUS_ERROR:
	case STATUS_SILENT:
		(void)err_set(err, ERR_REFUSED, "an agent runs: %.160s; nothing was removed",
			      reply.err.msg);
		runs = true;
		break;
	case STATUS_NOBODY:
	case STATUS_DENIED:
	case STATUS_GARBLED:
		break;
	}
	(void)jval_free(reply.doc);
	return runs;
}

static int remove_all(const char *dir, struct err *err)
{
	int r = redirect_uninstall(err);

	/* what holds the rules may be an agent, which needs its socket */
	if (r < 0 || !*dir)
		return r;
	return uninstall_sockets(dir, err) < 0
		       ? err_wrap(err, "the packet rules are removed, but not all else")
		       : 0;
}

static int64_t now_msec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int uninstall(const char *dir, unsigned wait_msec)
{
	const struct timespec pause = { .tv_nsec = TRY_MSEC * 1000000L };
	const int64_t end = now_msec() + wait_msec;
	struct err err = { 0 };

	while ((*dir && agent_runs(dir, &err)) || remove_all(dir, &err) < 0) {
		if (now_msec() >= end) {
			fprintf(stderr, "nmi: uninstall: %s\n", err.msg);
			return EXIT_FAILURE;
		}
		(void)nanosleep(&pause, NULL); /* a signal ends it, or only shortens it */
		err = (struct err){ 0 };
	}
	puts("nmi: every packet rule of ours is removed; pods reach the metadata service again,\n"
	     "unless a boot guard made with iptables stands (chain nmi-boot: docs/boot-guard.md)");
	return EXIT_SUCCESS;
}

int uninstall_command(int argc, char **argv)
{
	struct opt rows[] = {
		{ 0 },
		{ .name = "wait",
		  .type = OPT_MSEC,
		  .offset = offsetof(struct settings, wait_msec),
		  .metavar = "TIME",
		  .dflt = "0s",
		  .group = "Settings",
		  .help = "How long to try again, for an agent that is about to end, say" },
	};
	const struct opt_table table = {
		.opts = rows,
		.n = ARRAY_SIZE(rows),
		.prog = "nmi",
		.usage = "nmi uninstall [--run-directory=DIR] [--wait=TIME]",
		.intro = "Removes every packet rule of ours from this node, the guard and the boot "
			 "guard\n"
			 "too, and our sockets: pods reach the instance metadata service again, "
			 "and with\n"
			 "it the node's own identity. While an agent runs this is refused: stop it "
			 "first.\n"
			 "Needs CAP_NET_ADMIN in the network namespace of the node, and "
			 "CAP_NET_RAW\n"
			 "where it uses iptables-legacy.\n\n"
			 "Exit status: 0 nothing of ours is left, 1 something is, which is named, "
			 "2 usage.",
	};
	struct settings settings = { 0 };
	struct err err = { 0 };
	enum opt_result what;

	for (size_t i = 0; i < nmi_options.n; i++)
		if (strcmp(nmi_options.opts[i].name, "run-directory") == 0)
			rows[0] = nmi_options.opts[i];
	rows[0].offset = offsetof(struct settings, run_directory);
	rows[0].group = "Settings";
	if (opt_parse(&table, &settings, argc - 1, argv + 1, &what, &err) < 0) {
		fprintf(stderr, "nmi: uninstall: %s\n", err.msg);
		return EXIT_USAGE;
	}
	if (what == OPT_RUN)
		return uninstall(settings.run_directory, settings.wait_msec);
	if (what == OPT_PRINT_CONFIG)
		opt_print_config(&table, &settings, NULL, stdout);
	else
		opt_print_help(&table, stdout);
	return EXIT_SUCCESS;
}
