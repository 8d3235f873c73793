/* SPDX-License-Identifier: MIT */

/* Request targets: one path for all spellings, and a refusal leaves the result alone. */

#include "nmi/front/target.h"
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <stdio.h>

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_canonical(struct str path)
{
	check(path.n > 0 && path.p[0] == '/' && path.p[path.n] == '\0');
	check(strlen(path.p) == path.n);
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];

		check(c > ' ' && c < 0x7f && !strchr("%\\;?#\"<>[]^`{|}", c));
	}
	check(!strstr(path.p, "//") && !strstr(path.p, "/./") && !strstr(path.p, "/../"));
	check(path.n == 1 || path.p[path.n - 1] != '/');
}

/* Every letter and digit escaped is the same path. */
static void check_escaped(struct str path)
{
	static char escaped[3 * LIMIT_TARGET_BYTES + 1];
	static struct target t;
	size_t n = 0;

	for (size_t i = 0; i < path.n; i++)
		n += (size_t)snprintf(escaped + n, sizeof(escaped) - n,
				      isalnum((unsigned char)path.p[i]) ? "%%%02x" : "%c",
				      (unsigned char)path.p[i]);
	if (n > LIMIT_TARGET_BYTES)
		return;
	check(target_parse((struct str){ escaped, n }, &t, NULL) == 0);
	check(str_eq(t.path, path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct target t, again;
	struct str raw = { (const char *)data, size };
	struct err err = { 0 };
	int r;

	t.path = t.query = STR("before");
	r = target_parse(raw, &t, &err);
	if (r < 0) {
		check(err.kind == ERR_INPUT || err.kind == ERR_LIMIT);
		check(err.msg[0] && str_eq(t.path, STR("before")) &&
		      str_eq(t.query, STR("before")));
		return 0;
	}
	check_canonical(t.path);
	check(target_parse(t.path, &again, NULL) == 0);
	check(str_eq(again.path, t.path) && !again.query.p);
	check(target_is_identity(again.path) == target_is_identity(t.path));
	check_escaped(t.path);
	check(!t.query.p || (t.query.p > raw.p && t.query.p + t.query.n == raw.p + raw.n));
	return 0;
}
