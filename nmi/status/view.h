/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct jval;

/*
 * What `nmi status` has found out, and how it is shown. Pure; strings and documents are borrowed. Whatever
 * comes from outside is cleaned before it is shown to a person.
 */
struct status_view {
	const struct jval *agent; /* its document, of STATUS_SCHEMA or another; NULL: no answer */
	const char *agent_error;  /* why not */
	const char *rules; /* of the kernel, as redirect_list() has them; NULL: not to be read */
	const char *rules_error; /* why not */
	bool guards;		 /* of `rules`: they keep pods from the metadata service */
};

/* What `nmi status` exits with. */
enum status_exit { STATUS_EXIT_READY = 0, STATUS_EXIT_NOT_READY = 1, STATUS_EXIT_NO_AGENT = 3 };

enum status_exit status_view_exit(const struct status_view *v);
/* For people, 80 columns, what matters first. On the heap. */
char *status_view_text(const struct status_view *v);
/* For machines; docs/status.rst. */
char *status_view_json(const struct status_view *v);

/* Of a protected node or not, in words. */
enum status_protected { STATUS_PROTECTED, STATUS_OPEN, STATUS_UNKNOWN };
enum status_protected status_view_protected(const struct status_view *v, const char **out_words);
