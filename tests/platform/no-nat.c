/* SPDX-License-Identifier: MIT */

/*
 * Linked into a driver, it makes the kernel one without nat: in what libnftables is told to write, a
 * chain of type nat becomes one of type route, which no kernel takes in prerouting. It is the kernel
 * that refuses then, in its own words.
 */

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"

#include <dlfcn.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>

int nft_run_cmd_from_buffer(struct nft_ctx *nft, const char *text)
{
	static const char nat[] = "type nat hook", route[] = "type route hook";
	__typeof__(&nft_run_cmd_from_buffer) real;
	_cleanup_free_ char *told = xstrdup(text);
	const char *at;

	*(void **)&real = dlsym(RTLD_NEXT, "nft_run_cmd_from_buffer");
	if (!real)
		abort();
	while ((at = strstr(told, nat))) {
		char *next = xasprintf("%.*s%s%s", (int)(at - told), told, route, at + strlen(nat));

		free(told);
		told = next;
	}
	return real(nft, told);
}
