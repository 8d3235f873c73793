/* SPDX-License-Identifier: MIT */

/* Status objects: see status.h. */

#include "tests/sandbox/apiserver/status.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/sandbox/apiserver/kind.h"

#include <stdarg.h>
#include <string.h>

static json_t *make(const char *verdict, json_t *meta_take)
{
	json_t *s = json_object();

	json_object_set_new(s, "kind", json_string("Status"));
	json_object_set_new(s, "apiVersion", json_string("v1"));
	json_object_set_new(s, "metadata", meta_take ? meta_take : json_object());
	json_object_set_new(s, "status", json_string(verdict));
	return s;
}

/* Text from a client may hold anything; jansson takes UTF-8 only. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("?");
}

static json_t *failure(int code, const char *reason, json_t *meta_take, json_t *details_take,
		       const char *message)
{
	json_t *s = make("Failure", meta_take);

	json_object_set_new(s, "message", text(message));
	if (reason)
		json_object_set_new(s, "reason", json_string(reason));
	if (details_take)
		json_object_set_new(s, "details", details_take);
	json_object_set_new(s, "code", json_integer(code));
	return s;
}

#define FORMAT_MESSAGE(message, fmt)                                                               \
	_cleanup_free_ char *message = NULL;                                                       \
	va_list ap;                                                                                \
	va_start(ap, fmt);                                                                         \
	message = xvasprintf(fmt, ap);                                                             \
	va_end(ap)

json_t *status_failure(int code, const char *reason, json_t *details_take, const char *fmt, ...)
{
	FORMAT_MESSAGE(message, fmt);
	return failure(code, reason, NULL, details_take, message);
}

int status_code(const json_t *status)
{
	int code = (int)json_integer_value(json_object_get(status, "code"));

	return code ? code : 200;
}

json_t *status_bad_request(const char *fmt, ...)
{
	FORMAT_MESSAGE(message, fmt);
	return failure(400, "BadRequest", NULL, NULL, message);
}

json_t *status_internal(const char *fmt, ...)
{
	FORMAT_MESSAGE(message, fmt);
	return failure(500, NULL, NULL, NULL, message);
}

static json_t *details(const struct kind *k, const char *name)
{
	json_t *d = json_object();

	if (name && *name)
		json_object_set_new(d, "name", text(name));
	if (*k->group)
		json_object_set_new(d, "group", json_string(k->group));
	json_object_set_new(d, "kind", json_string(k->plural));
	return d;
}

json_t *status_not_found(const struct kind *k, const char *name)
{
	_cleanup_free_ char *res = kind_resource(k);

	return status_failure(404, "NotFound", details(k, name), "%s \"%s\" not found", res, name);
}

json_t *status_exists(const struct kind *k, const char *name)
{
	_cleanup_free_ char *res = kind_resource(k);

	return status_failure(409, "AlreadyExists", details(k, name), "%s \"%s\" already exists",
			      res, name);
}

json_t *status_conflict(const struct kind *k, const char *name, const char *fmt, ...)
{
	_cleanup_free_ char *res = kind_resource(k);
	FORMAT_MESSAGE(message, fmt);

	return status_failure(409, "Conflict", details(k, name),
			      "Operation cannot be fulfilled on %s \"%s\": %s", res, name, message);
}

json_t *status_modified(const struct kind *k, const char *name)
{
	return status_conflict(k, name,
			       "the object has been modified; please apply your changes to the "
			       "latest version and try again");
}

json_t *status_forbidden(const struct kind *k, const char *name, const char *fmt, ...)
{
	_cleanup_free_ char *res = kind_resource(k);
	FORMAT_MESSAGE(message, fmt);

	if (name && *name)
		return status_failure(403, "Forbidden", details(k, name),
				      "%s \"%s\" is forbidden: %s", res, name, message);
	return status_failure(403, "Forbidden", details(k, name), "%s is forbidden: %s", res,
			      message);
}

json_t *status_no_resource(void)
{
	return status_failure(404, "NotFound", json_object(),
			      "the server could not find the requested resource");
}

json_t *status_no_method(void)
{
	return status_failure(405, "MethodNotAllowed", json_object(),
			      "the server does not allow this method on the requested resource");
}

json_t *status_expired(json_t *meta_take, const char *fmt, ...)
{
	FORMAT_MESSAGE(message, fmt);
	return failure(410, "Expired", meta_take, NULL, message);
}

json_t *status_deleted(const struct kind *k, const char *name, const char *uid)
{
	json_t *s = make("Success", NULL);
	json_t *d = details(k, name);

	json_object_set_new(d, "uid", json_string(uid));
	json_object_set_new(s, "details", d);
	return s;
}

void status_cause(json_t *causes, const char *reason, const char *field, const char *fmt, ...)
{
	FORMAT_MESSAGE(message, fmt);
	json_t *c = json_object();

	json_object_set_new(c, "reason", json_string(reason));
	json_object_set_new(c, "message", text(message));
	json_object_set_new(c, "field", text(field));
	json_array_append_new(causes, c);
}

/* "field: message", or "[field: message, field: message]". */
static char *join_causes(const json_t *causes)
{
	char *all = xstrdup("");
	const json_t *c;
	size_t i;

	json_array_foreach (causes, i, c) {
		char *more = xasprintf("%s%s%s: %s", all, i ? ", " : "",
				       json_string_value(json_object_get(c, "field")),
				       json_string_value(json_object_get(c, "message")));

		free(all);
		all = more;
	}
	if (json_array_size(causes) > 1) {
		char *more = xasprintf("[%s]", all);

		free(all);
		all = more;
	}
	return all;
}

json_t *status_invalid_take(const char *group, const char *kind, const char *name, json_t *causes)
{
	_cleanup_free_ char *why = NULL;
	json_t *d;

	if (!json_array_size(causes)) {
		json_decref(causes);
		return NULL;
	}
	why = join_causes(causes);
	d = json_object();
	if (*name)
		json_object_set_new(d, "name", text(name));
	if (*group)
		json_object_set_new(d, "group", json_string(group));
	json_object_set_new(d, "kind", json_string(kind));
	json_object_set_new(d, "causes", causes);
	return status_failure(422, "Invalid", d, "%s%s%s \"%s\" is invalid: %s", kind,
			      *group ? "." : "", group, name, why);
}
