/* SPDX-License-Identifier: MIT */

/*
 * Landlock: see readonly.h. In uid 0 and without any capability a process can still write what belongs to
 * root, which on a node is nearly all.
 *
 * Reading is left as it is: files are found by libraries (resolver, certificates, providers of OpenSSL),
 * wherever the distribution has put them, while the service account's token has to be read anyway.
 */

#include "nmi/readonly.h"

#include "lib/base/cleanup.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of newer headers than Debian 12's; landlock(7). */
#define ACCESS_TRUNCATE (1ULL << 14)

/* Versions of the interface that brought a right of their own. */
enum { ABI_REFER = 2, ABI_TRUNCATE = 3 };

static uint64_t writing(long abi)
{
	return LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
	       LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
	       LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
	       LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
	       LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM |
	       (abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0) |
	       (abi >= ABI_TRUNCATE ? ACCESS_TRUNCATE : 0);
}

int readonly_but(int but, struct err *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = { .handled_access_fs = writing(abi) };
	struct landlock_path_beneath_attr beneath = { .parent_fd = but };
	_cleanup_close_ int rules = -1;

	if (abi < 1)
		return 0;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0)
		return err_set_errno(err, errno, "Landlock");
	beneath.allowed_access = attr.handled_access_fs;
	if (but >= 0 &&
	    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
		return err_set_errno(err, errno, "Landlock: the directory of our sockets");
	if (syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return err_set_errno(err, errno, "Landlock");
	return 1;
}
