/* SPDX-License-Identifier: MIT */

/* The fields of the status as a table: see fields.h. */

#include "nmi/status/fields.h"

#include <assert.h>
#include <string.h>

#define X(list, path, kind, member, label, meaning)                                                \
	{ STATUS_LIST_##list,                                                                      \
	  path,                                                                                    \
	  STATUS_##kind,                                                                           \
	  offsetof(struct status_##list, member),                                                  \
	  label,                                                                                   \
	  meaning },
/* clang-format off */
const struct status_field status_fields[] = {
#include "nmi/status/fields.def"
};
/* clang-format on */
#undef X
const size_t n_status_fields = sizeof(status_fields) / sizeof(status_fields[0]);

/* Each type is what the table says it is: a wrong one does not compile. */
#define SHAPE_STR     const char *
#define SHAPE_BOOL    bool
#define SHAPE_INT     int64_t
#define SHAPE_TIME    int64_t
#define SHAPE_SECONDS int64_t
#define SHAPE_MSEC    int64_t
#define SHAPE_USEC    int64_t
#define SHAPE_KIB     int64_t
#define X(list, path, kind, member, label, meaning)                                                \
	static_assert(_Generic(((struct status_##list *)0)->member, SHAPE_##kind : 1,              \
			       default : 0),                                                       \
		      path);
#include "nmi/status/fields.def"
#undef X

#define ROWS(member) offsetof(struct status_agent, member)
#define LIST(row, member)                                                                          \
	STATUS_LIST_##row, ROWS(member), ROWS(n_##member), sizeof(struct status_##row)

const struct status_part status_parts[] = {
	{ STATUS_PART_GROUP, "", "Agent", NULL },
	{ STATUS_PART_ROWS, "checks", "Checks", "What must be true to be ready.",
	  LIST(check, checks) },
	{ STATUS_PART_GROUP, "rules", "Rules", NULL },
	{ STATUS_PART_SENTENCES, "surroundings", "Surroundings",
	  "What else on this node concerns nmi, in sentences.", 0, ROWS(surroundings),
	  ROWS(n_surroundings) },
	{ STATUS_PART_ROWS, "watches", "Watches of the API server", "A row for each resource.",
	  LIST(watch, watches) },
	{ STATUS_PART_GROUP, "known", "Known", NULL },
	{ STATUS_PART_GROUP, "requests", "Requests", NULL },
	{ STATUS_PART_GROUP, "cache", "Token cache", NULL },
	{ STATUS_PART_ROWS, "sources", "Sources of tokens", "What each still bears.",
	  LIST(source, sources) },
	{ STATUS_PART_ROWS, "processes", "Processes", "The agent and its redirector.",
	  LIST(process, processes) },
};
const size_t n_status_parts = sizeof(status_parts) / sizeof(status_parts[0]);

bool status_is_in(const struct status_part *part, const struct status_field *f,
		  const char **out_key)
{
	const char *dot = strchr(f->path, '.');
	size_t n = dot ? (size_t)(dot - f->path) : 0;

	if (part->kind == STATUS_PART_ROWS) {
		*out_key = f->path;
		return part->list == f->list;
	}
	*out_key = dot ? dot + 1 : f->path;
	return part->kind == STATUS_PART_GROUP && f->list == STATUS_LIST_agent &&
	       strlen(part->key) == n && strncmp(part->key, f->path, n) == 0;
}
