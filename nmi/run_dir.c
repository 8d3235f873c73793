/* SPDX-License-Identifier: MIT */

/* The directory of the agent's sockets: see run_dir.h. */

#include "nmi/run_dir.h"

#include "lib/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

/* `uid`: whose it may be beside root and us. */
static int check(const char *path, const struct stat *st, uid_t uid, struct err *err)
{
	/* root takes it, below: what an agent with another --user has left */
	if (geteuid() != 0 && st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != uid)
		return err_set(err, ERR_INPUT,
			       "--run-directory: %s belongs to user %u, who could stand in for the "
			       "agent: give a directory of root's",
			       path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(
			err, ERR_INPUT,
			"--run-directory: others may write to %s (mode %03o): chmod go-w, or "
			"give another",
			path, (unsigned)(st->st_mode & 0777));
	return 0;
}

int run_dir_prepare(const char *path, const char *user, struct err *err)
{
	_cleanup_close_ int fd = -1;
	const struct passwd *pw = *user ? getpwnam(user) : NULL;
	uid_t uid = pw ? pw->pw_uid : geteuid();
	struct stat st;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set_errno(err, errno, "--run-directory: making %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return err_set(err, ERR_INPUT, "--run-directory: %s is not a directory", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "--run-directory: opening %s", path);
	if (check(path, &st, uid, err) < 0)
		return -(int)err->kind;
	if (st.st_uid != uid && fchown(fd, uid, (gid_t)-1) < 0)
		return err_set_errno(err, errno, "--run-directory: giving %s to user %u", path,
				     (unsigned)uid);
	return 0;
}
