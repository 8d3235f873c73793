/* SPDX-License-Identifier: MIT */

#include "lib/kube/config.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* A refused text leaves nothing behind. */
static bool is_empty(const struct kube_config *c)
{
	return !c->server && !c->ca_file && !c->ca_data && !c->cert_file && !c->cert_data &&
	       !c->key_file && !c->key_data.p && !c->token_file && !c->token.p && !c->server_name &&
	       !c->namespace && !c->insecure;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kube_config c = { 0 };
	struct err err = { 0 };

	if (kube_config_parse(&c, (const char *)data, size, "/d", &err) < 0) {
		if (!err.kind || !err.msg[0] || !is_empty(&c))
			abort();
		return 0;
	}
	/* what everything else relies on */
	if (!c.server || strncmp(c.server, "http", 4) != 0 || strpbrk(c.server, " \r\n?#@"))
		abort();
	if (c.token.p && (!c.token.n || memchr(c.token.p, '\n', c.token.n)))
		abort();
	if (c.insecure && (c.ca_file || c.ca_data))
		abort();
	kube_config_deinit(&c);
	return 0;
}
