/* SPDX-License-Identifier: MIT */

#include "nmi/token/cert.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/*
 * The input is what a Secret's key "certificate" holds. It is a certificate with its key, and then an
 * assertion can be made with it; or it is refused with a text, which has one line and not the password.
 */
static const struct wall now = { INT64_C(1800000000) };

static void require(int holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char password[] = "fuzz-passw0rd";
	const struct secret pw = { (unsigned char *)(uintptr_t)password, sizeof(password) - 1 };
	const struct secret file = { (unsigned char *)(uintptr_t)data, size };
	_cleanup_(cert_freep) struct cert *c = NULL;
	_cleanup_(secret_deinit) struct secret jwt = { 0 };
	struct err err = { 0 };

	c = cert_parse(&file, &pw, now, &err);
	if (!c) {
		require(err.kind == ERR_INPUT && err.msg[0]);
		require(!strstr(err.msg, password) && !strchr(err.msg, '\n'));
		return 0;
	}
	require(err.kind == ERR_NONE);
	require(cert_assert(c, &(struct cert_style){ 0 }, "https://x", "id", now, &jwt, &err) == 0);
	require(jwt.n > 300 && memchr(jwt.p, '.', jwt.n));
	return 0;
}
