/* SPDX-License-Identifier: MIT */

#include "lib/base/jval.h"
#include "lib/kube/event.h"
#include "tests/unit/unit.h"

#include <string.h>

#define META(v) "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"" v "\"}}"

static const struct {
	const char *line;
	enum event_type type;
	const char *version;
	int code;
	const char *message;
	bool ends_initial;
} good[] = {
	{ "{\"type\":\"ADDED\",\"object\":" META("1") "}", EVENT_ADDED, "1" },
	{ "{\"type\":\"MODIFIED\",\"object\":" META("2") "}\r", EVENT_MODIFIED, "2" },
	{ "{\"object\":" META("3") ",\"type\":\"DELETED\"}", EVENT_DELETED, "3" },
	{ "{\"type\":\"BOOKMARK\",\"object\":" META("4") "}", EVENT_BOOKMARK, "4" },
	{ "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"5\","
	  "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}",
	  EVENT_BOOKMARK, "5", .ends_initial = true },
	{ "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"5\","
	  "\"annotations\":{\"k8s.io/initial-events-end\":\"false\"}}}}",
	  EVENT_BOOKMARK, "5" },
	{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"6\","
	  "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}",
	  EVENT_ADDED, "6" },
	{ "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"6\","
	  "\"annotations\":null}}}",
	  EVENT_ADDED, "6" },
	{ "{\"type\":\"ERROR\",\"object\":{\"code\":410,\"message\":\"too old\"}}", EVENT_ERROR,
	  NULL, 410, "too old" },
	{ "{\"type\":\"ERROR\",\"object\":{}}", EVENT_ERROR, NULL, 0, "no reason given" },
	{ "{\"type\":\"ERROR\",\"object\":{\"code\":99999999999}}", EVENT_ERROR, NULL, 0,
	  "no reason given" },
	{ "{\"type\":\"ERROR\",\"object\":{\"code\":-1}}", EVENT_ERROR, NULL, 0,
	  "no reason given" },
	{ "{\"type\":\"added\",\"object\":{}}", EVENT_UNKNOWN, NULL },
};

START_TEST(an_event_is_read)
{
	struct event e = { 0 };
	struct err err = { 0 };

	ck_assert_msg(event_parse(&e, good[_i].line, strlen(good[_i].line), &err) == 0, "%s",
		      err.msg);
	ck_assert_int_eq(e.type, good[_i].type);
	ck_assert_pstr_eq(e.version, good[_i].version);
	ck_assert_int_eq(e.code, good[_i].code);
	ck_assert_pstr_eq(e.message, good[_i].message);
	ck_assert_int_eq(e.ends_initial, good[_i].ends_initial);
	ck_assert_ptr_nonnull(e.object);
	event_deinit(&e);
	ck_assert_ptr_null(e.doc);
}
END_TEST

#define NOT_AN_OBJECT                                                                              \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\","              \
	"\"annotations\":[]}}}"

static const char *const bad[] = {
	"",
	"{",
	"[]",
	"null",
	"{}",
	"{\"type\":\"ADDED\"}",
	"{\"type\":1,\"object\":" META("1") "}",
	"{\"object\":" META("1") "}",
	"{\"type\":\"ADDED\",\"object\":null}",
	"{\"type\":\"ADDED\",\"object\":[]}",
	"{\"type\":\"ADDED\",\"object\":{}}",
	"{\"type\":\"ADDED\",\"object\":{\"metadata\":1}}",
	"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":7}}}",
	"{\"type\":\"ADDED\",\"object\":" META("") "}",
	"{\"type\":\"ADDED\",\"object\":" META("1") "} x",
	"{\"type\":\"ADDED\",\"object\":" META("1") "}{}",
	"{\"type\":\"ERROR\",\"object\":{\"code\":\"410\"}}",
	NOT_AN_OBJECT,
};

START_TEST(a_line_that_is_no_event_is_refused_and_the_output_left_alone)
{
	struct event e = { .version = "untouched" };
	struct err err = { 0 };

	ck_assert_int_eq(event_parse(&e, bad[_i], strlen(bad[_i]), &err), -ERR_INPUT);
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_str_eq(e.version, "untouched");
	ck_assert_ptr_null(e.doc);
}
END_TEST

UNIT_MAIN("kube-event", UNIT_LOOP(an_event_is_read, good),
	  UNIT_LOOP(a_line_that_is_no_event_is_refused_and_the_output_left_alone, bad))
