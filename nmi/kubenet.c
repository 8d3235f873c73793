/* SPDX-License-Identifier: MIT */

/* Kubenet, where it is refused: see kubenet.h. */

#include "nmi/kubenet.h"

#include "lib/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KUBELET_FILE_MAX ((size_t)64 * 1024)

int kubenet_check(const char *path, int (*probe)(struct err *err), struct err *err)
{
	static char text[KUBELET_FILE_MAX + 1];
	FILE *f = fopen(path, "re");
	struct err why = { .msg = "that is switched off" };
	size_t n;

	if (!f) {
		if (errno != ENOENT)
			log_warn("--kubelet-config=%s: %s; taken as not kubenet", path,
				 strerror(errno));
		return 0;
	}
	n = fread(text, 1, KUBELET_FILE_MAX, f);
	(void)fclose(f); /* read only */
	text[n] = '\0';
	if (!strstr(text, "--network-plugin=kubenet"))
		return 0;
	if (probe && probe(&why) == 0) {
		log_info("kubenet: pods share a bridge, so their addresses are tied to its ports");
		return 0;
	}
	return err_set(err, ERR_REFUSED,
		       "AAD Pod Identity is not supported for Kubenet (%.60s names it) where pods "
		       "can borrow addresses: they are not tied to ports (%.70s); "
		       "--allow-network-plugin-kubenet=true starts nevertheless",
		       path, why.msg);
}
