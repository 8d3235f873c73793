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
	_cleanup_free_ char *told = NULL;
	const char *at = strstr(text, nat);

	*(void **)&real = dlsym(RTLD_NEXT, "nft_run_cmd_from_buffer");
	if (!real)
		abort();
	if (!at)
		return real(nft, text);
	told = xasprintf("%.*s%s%s", (int)(at - text), text, route, at + strlen(nat));
	return nft_run_cmd_from_buffer(nft, told); /* there may be another */
}
