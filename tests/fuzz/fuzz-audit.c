/* SPDX-License-Identifier: MIT */

/* Whatever pods put into a record: it is one line of JSON with every key, and a pipe takes it whole. */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/audit.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* stdout is the audit log for a while, and a pipe. */
static size_t written(struct loop *l, const struct audit_record *r, char *out, size_t size)
{
	int ends[2], was = dup(STDOUT_FILENO);
	struct audit *a;
	ssize_t n;

	assert(was >= 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	assert(dup2(ends[1], STDOUT_FILENO) >= 0);
	close(ends[1]);
	a = audit_new(l, "-", NULL);
	assert(a);
	audit_write(a, r);
	assert(audit_dropped(a) == 0);
	(void)audit_free(a);
	n = read(ends[0], out, size);
	assert(dup2(was, STDOUT_FILENO) >= 0);
	close(was);
	close(ends[0]);
	assert(n > 0);
	return (size_t)n;
}

/* The input's texts, each up to a NUL, into the fields in turn. */
static void fill(struct audit_record *r, const char *text, size_t size)
{
	for (size_t i = 0; size && i < n_audit_fields; i++) {
		const struct audit_field *f = &audit_fields[i];
		size_t n = strnlen(text, size);

		if (f->list != AUDIT_DECISION)
			continue;
		if (f->kind == AUDIT_STR)
			memcpy((char *)r + f->offset, &text, sizeof(text));
		else if (f->kind == AUDIT_INT)
			memcpy((char *)r + f->offset, &(int64_t){ (int64_t)n << 40 },
			       sizeof(int64_t));
		else
			((struct wall *)(void *)((char *)r + f->offset))->s = (int64_t)n *
									      INT32_MAX;
		text += n + (n < size);
		size -= n + (n < size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xcalloc(1, size + 1);
	_cleanup_(loop_freep) struct loop *l = loop_new_fake(NULL);
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct audit_record r = { 0 };
	char line[PIPE_BUF * 2];
	size_t n;

	if (size)
		memcpy(text, data, size);
	fill(&r, text, size);
	n = written(l, &r, line, sizeof(line));
	assert(n <= PIPE_BUF && line[n - 1] == '\n' && !memchr(line, '\n', n - 1));
	for (size_t i = 0; i + 1 < n; i++)
		assert((unsigned char)line[i] >= ' ' && (unsigned char)line[i] != 0x7f);
	doc = jval_parse(line, n - 1, sizeof(line), NULL);
	assert(doc);
	line[n - 1] = '\0';
	for (size_t i = 0; i < n_audit_fields; i++)
		assert(audit_fields[i].list == AUDIT_DROPPED || strstr(line, audit_fields[i].key));
	return 0;
}
