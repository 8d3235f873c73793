/* SPDX-License-Identifier: MIT */

/* Bearer tokens: see auth.h. */

#include "tests/sandbox/apiserver/auth.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/files.h"
#include "tests/sandbox/apiserver/request.h"
#include "tests/sandbox/ledger.h"

#include <string.h>
#include <strings.h>

#define TOKENS_FILE_MAX (1024UL * 1024)

static const struct user anonymous = { .name = (char *)(uintptr_t) "system:anonymous" };

struct entry {
	struct entry *next;
	char *token;
	struct user user;
};

struct auth {
	struct entry *first;
};

static char *next_word(char **p)
{
	char *word;

	*p += strspn(*p, " \t,");
	word = *p;
	*p += strcspn(*p, " \t,");
	if (**p)
		*(*p)++ = '\0';
	return *word ? word : NULL;
}

static int parse_line(struct auth *a, char *line, unsigned n, struct err *err)
{
	char *token = next_word(&line), *name = next_word(&line), *group;
	struct entry *e;

	if (!token || *token == '#')
		return 0;
	if (!name)
		return err_set(err, ERR_INPUT, "line %u: a token without a user", n);
	e = xnew(struct entry);
	e->token = xstrdup(token);
	e->user.name = xstrdup(name);
	while ((group = next_word(&line))) {
		e->user.groups = xrealloc(e->user.groups, (e->user.n_groups + 1) * sizeof(char *));
		e->user.groups[e->user.n_groups++] = xstrdup(group);
	}
	e->next = a->first;
	a->first = e;
	return 0;
}

struct auth *auth_parse(const char *text, struct err *err)
{
	_cleanup_(auth_freep) struct auth *a = xnew(struct auth);
	_cleanup_free_ char *copy = xstrdup(text);
	char *rest = copy, *line;
	unsigned n = 0;

	while ((line = strsep(&rest, "\n"))) {
		if (parse_line(a, line, ++n, err) < 0)
			return NULL;
	}
	return steal_ptr(a);
}

struct auth *auth_load(const char *path, struct err *err)
{
	_cleanup_free_ char *text = file_read(path, TOKENS_FILE_MAX, NULL, err);
	struct auth *a;

	if (!text)
		return NULL;
	a = auth_parse(text, err);
	if (!a)
		(void)err_wrap(err, "%s", path);
	return a;
}

struct auth *auth_free(struct auth *a)
{
	if (!a)
		return NULL;
	while (a->first) {
		struct entry *e = a->first;

		a->first = e->next;
		for (size_t i = 0; i < e->user.n_groups; i++)
			free(e->user.groups[i]);
		free(e->user.groups);
		free(e->user.name);
		free(e->token);
		free(e);
	}
	free(a);
	return NULL;
}

void auth_note(const struct auth *a, struct ledger *l)
{
	for (const struct entry *e = a->first; e; e = e->next)
		ledger_write_take(l, json_pack("{s:s, s:s, s:s}", "kind", "bearer-token", "user",
					       e->user.name, "value", e->token));
}

const struct user *auth_find(const struct auth *a, const struct req *req)
{
	const char *h = req->authorization;

	if (!h || !*h)
		return &anonymous;
	if (strncasecmp(h, "Bearer ", 7) != 0)
		return &anonymous; /* not a scheme that the server knows: as if it were not there */
	h += 7;
	h += strspn(h, " ");
	for (const struct entry *e = a->first; e; e = e->next) {
		if (strcmp(e->token, h) == 0)
			return &e->user;
	}
	return NULL;
}

bool user_is_in(const struct user *u, const char *group)
{
	for (size_t i = 0; i < u->n_groups; i++) {
		if (strcmp(u->groups[i], group) == 0)
			return true;
	}
	return false;
}

bool user_is_anonymous(const struct user *u)
{
	return u == &anonymous;
}
