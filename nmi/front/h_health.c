/* SPDX-License-Identifier: MIT */

/* Probes. */

#include "lib/base/mem.h"
#include "nmi/front/internal.h"
#include "nmi/health.h"

#include <string.h>

#define TEXT "text/plain; charset=utf-8"

static void page(struct front *f, struct exchange *x, unsigned status, const char *text)
{
	front_page(f, x, status, TEXT, xstrdup(text), strlen(text));
}

/* The old agent's: always 200, and these words, without a newline. */
void h_healthz(struct front *f, struct exchange *x, const struct target *t)
{
	(void)t;
	page(f, x, 200, f->spec.health->active ? "Active" : "Not Active");
}

void h_readyz(struct front *f, struct exchange *x, const struct target *t)
{
	char text[HEALTH_CHECKS_MAX * HEALTH_LINE_MAX];
	bool ready = health_ready(f->spec.health, text, sizeof(text));

	(void)t;
	page(f, x, ready ? 200 : 503, text);
}

void h_livez(struct front *f, struct exchange *x, const struct target *t)
{
	(void)t;
	page(f, x, 200, "ok\n");
}
