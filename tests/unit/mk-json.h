/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/jval.h"
#include "tests/unit/unit.h"

#include <string.h>

/* A document that is right by the test's own word. */
static inline struct jval *mk_json(const char *text)
{
	struct err err = { 0 };
	struct jval *doc = jval_parse(text, strlen(text), 1 << 20, &err);

	ck_assert_msg(doc != NULL, "%s: %s", err.msg, text);
	return doc;
}
