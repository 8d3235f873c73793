/* SPDX-License-Identifier: MIT */

/* What must stand nowhere else: see ledger.h. */

#include "tests/sandbox/ledger.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct ledger {
	FILE *f;
};

struct ledger *ledger_open(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
	struct ledger *l;

	if (fd < 0) {
		(void)err_set_errno(err, errno, "%s", path);
		return NULL;
	}
	l = xnew(struct ledger);
	l->f = fdopen(fd, "a");
	if (l->f)
		return l;
	(void)err_set_errno(err, errno, "%s", path);
	(void)close(fd); /* nothing was written */
	free(l);
	return NULL;
}

struct ledger *ledger_close(struct ledger *l)
{
	if (!l)
		return NULL;
	(void)fclose(l->f); /* each line was flushed */
	free(l);
	return NULL;
}

void ledger_write_take(struct ledger *l, json_t *entry)
{
	int r = 0;

	if (l && entry)
		r = json_dumpf(entry, l->f, JSON_COMPACT) < 0 || putc('\n', l->f) == EOF ||
		    fflush(l->f) != 0;
	json_decref(entry);
	/* a search for less than there was would find nothing, and be believed */
	if (r || (l && !entry)) {
		log_err("the ledger cannot be written");
		exit(EXIT_FAILURE);
	}
}
