/* SPDX-License-Identifier: MIT */

/* What whoever has the agent's socket may answer: shown clean, and as JSON that can be read again. */

#include "lib/base/cleanup.h"
#include "nmi/status/ask.h"
#include "nmi/status/view.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

static void check_text(const char *text)
{
	for (const char *p = text; *p; p++)
		assert(*p == '\n' || *p == '\t' || (*p >= ' ' && *p <= '~'));
}

static void show(const struct jval *doc)
{
	const struct status_view v = { .agent = doc, .rules = "\x1b" };
	_cleanup_free_ char *text = status_view_text(&v), *json = status_view_json(&v);
	_cleanup_(jval_freep) struct jval *again = NULL;

	check_text(text);
	assert(strstr(text, "\nRules in the kernel\n"));
	again = jval_parse(json, strlen(json), 16 * STATUS_REPLY_MAX, NULL);
	assert(again && jval_get(again, "agent"));
	assert(status_view_exit(&v) != STATUS_EXIT_NO_AGENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct err err = { 0 };
	enum status_answer what = status_reply_parse((const char *)data, size, &doc, &err);

	assert(!doc == (what != STATUS_ANSWERED));
	if (doc) {
		show(doc);
		return 0;
	}
	assert((what == STATUS_GARBLED || what == STATUS_ERROR) && *err.msg);
	status_clean(err.msg);
	check_text(err.msg);
	return 0;
}
