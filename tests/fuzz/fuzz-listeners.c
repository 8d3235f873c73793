/* SPDX-License-Identifier: MIT */

/* /proc/net/tcp: read in two parts, it tells what it tells as a whole; nothing is told of what is not there. */

#include "nmi/listeners.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

#define FOUND_MAX 1024

struct found {
	struct listener l[FOUND_MAX];
	size_t n;
	bool more;
};

static void add(struct found *f, struct str *text)
{
	const char *end = text->p + text->n;
	struct listener l = { .port = 7 };

	while (f->more && listeners_next(text, &l, &f->more)) {
		assert(inet_ip_is_v4(&l.ip) && text->p + text->n == end && f->more);
		if (f->n < FOUND_MAX)
			f->l[f->n++] = l;
	}
	assert(text->p + text->n == end);
	assert(!f->more || text->n == 0 || !memchr(text->p, '\n', text->n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct found whole, parts;
	const char *p = (const char *)data;
	struct str all = { p, size }, first = { p, size / 2 };

	whole.n = parts.n = 0;
	whole.more = parts.more = true;
	add(&whole, &all);
	add(&parts, &first);
	first.n = (size_t)(p + size - first.p);
	add(&parts, &first);
	assert(whole.n == parts.n && whole.more == parts.more);
	assert(memcmp(whole.l, parts.l, whole.n * sizeof(whole.l[0])) == 0);
	return 0;
}
