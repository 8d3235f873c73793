/* SPDX-License-Identifier: MIT */

/* The agent's own question whether the metadata address leads to it: see nmi/selftest.h. */

#include "lib/base/mem.h"
#include "nmi/front/internal.h"

#include <string.h>

#define TEXT "text/plain; charset=utf-8"

/* No pod is looked for, nothing is counted or logged: whoever asks learns what he knew. */
void h_self_test(struct front *f, struct exchange *x, const struct target *t)
{
	const struct str nonce = { t->path.p + strlen(FRONT_SELF_TEST),
				   t->path.n - strlen(FRONT_SELF_TEST) };
	bool ours = f->spec.self_test && f->spec.self_test(f->spec.self_test_ctx, nonce);
	const char *text = ours ? "nmi: this agent\n" : FRONT_SELF_TEST_OTHER ".\n";

	front_page(f, x, ours ? 200 : 404, TEXT, xstrdup(text), strlen(text));
}
