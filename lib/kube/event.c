/* SPDX-License-Identifier: MIT */

/* One line of a watch: see event.h. */

#include "lib/kube/event.h"

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"

#include <string.h>

static enum event_type type_of(const char *name)
{
	static const char *const names[] = {
		[EVENT_ADDED] = "ADDED",     [EVENT_MODIFIED] = "MODIFIED",
		[EVENT_DELETED] = "DELETED", [EVENT_BOOKMARK] = "BOOKMARK",
		[EVENT_ERROR] = "ERROR",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return (enum event_type)i;
	}
	return EVENT_UNKNOWN;
}

static int read_status(struct event *e, struct err *err)
{
	int64_t code = 0;
	const struct jval_field fields[] = {
		{ "code", JVAL_INT, JVAL_MAY, &code },
		{ "message", JVAL_STR, JVAL_MAY, &e->message },
	};
	int r = jval_read(e->object, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);

	if (r < 0)
		return r;
	e->code = code > 0 && code < 1000 ? (int)code : 0;
	if (!e->message)
		e->message = "no reason given";
	return 0;
}

static int read_object(struct event *e, struct err *err)
{
	const struct jval *annotations = NULL;
	const struct jval_field fields[] = {
		{ "metadata.resourceVersion", JVAL_STR, JVAL_MUST, &e->version },
		{ "metadata.annotations", JVAL_OBJ, JVAL_MAY, &annotations },
	};
	int r = jval_read(e->object, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);

	if (r < 0)
		return r;
	if (!*e->version)
		return err_set(err, ERR_INPUT, "metadata.resourceVersion is empty");
	if (e->type == EVENT_BOOKMARK && annotations) {
		const char *end = jval_as_str(jval_get(annotations, "k8s.io/initial-events-end"));

		e->ends_initial = end && strcmp(end, "true") == 0;
	}
	return 0;
}

int event_parse(struct event *out, const char *p, size_t n, struct err *err)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse(p, n, EVENT_LINE_MAX, err);
	struct event e = { .doc = doc };
	const char *type = NULL;
	const struct jval_field fields[] = {
		{ "type", JVAL_STR, JVAL_MUST, &type },
		{ "object", JVAL_OBJ, JVAL_MUST, &e.object },
	};
	int r;

	if (!doc)
		return n > EVENT_LINE_MAX ? -ERR_LIMIT : -ERR_INPUT;
	r = jval_read(doc, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);
	if (r < 0)
		return r;
	e.type = type_of(type);
	if (e.type == EVENT_ERROR)
		r = read_status(&e, err);
	else if (e.type != EVENT_UNKNOWN)
		r = read_object(&e, err);
	if (r < 0)
		return r;
	*out = e;
	doc = NULL;
	return 0;
}

void event_deinit(struct event *e)
{
	e->doc = jval_free(e->doc);
	*e = (struct event){ 0 };
}
