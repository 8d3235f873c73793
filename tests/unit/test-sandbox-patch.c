/* SPDX-License-Identifier: MIT */

#include "tests/sandbox/apiserver/patch.h"
#include "tests/sandbox/apiserver/status.h"
#include "tests/unit/unit.h"

static json_t *parse(const char *text)
{
	json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

	ck_assert_msg(j != NULL, "%s", text);
	return j;
}

struct example {
	const char *doc, *patch, *result; /* NULL: refused */
};

typedef json_t *patch_fn(const json_t *doc, const json_t *patch, json_t **out_problem);

static void check(const struct example *x, patch_fn *fn)
{
	json_t *doc = parse(x->doc), *before = parse(x->doc), *patch = parse(x->patch);
	json_t *problem = NULL, *got = fn(doc, patch, &problem), *want;

	ck_assert_msg(json_equal(doc, before), "%s changes %s", x->patch, x->doc);
	ck_assert_msg(!got == !!problem, "%s", x->patch);
	if (x->result) {
		char *text = json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT);

		want = parse(x->result);
		ck_assert_msg(got && json_equal(got, want), "%s + %s = %s", x->doc, x->patch, text);
		json_decref(want);
		free(text);
	} else {
		ck_assert_msg(!got && status_code(problem) >= 400, "%s + %s", x->doc, x->patch);
	}
	json_decref(got);
	json_decref(problem);
	json_decref(doc);
	json_decref(before);
	json_decref(patch);
}

static json_t *merge(const json_t *doc, const json_t *patch, json_t **out_problem)
{
	return patch_merge(doc, patch);
}

/* The test cases of RFC 7386, appendix A. */
static const struct example merges[] = {
	{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
	{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
	{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
	{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
	{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
	{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
	{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
	{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
	{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
	{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
	{ "{\"a\":\"foo\"}", "null", "null" },
	{ "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
	{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
	{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
	{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
};

START_TEST(merge_patch_does_what_rfc_7386_says)
{
	check(&merges[_i], merge);
}
END_TEST

/* From RFC 6902, appendix A, and what it says of mistakes. */
static const struct example json_patches[] = {
	{ "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
	  "{\"baz\":\"qux\",\"foo\":\"bar\"}" },
	{ "{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
	  "{\"foo\":[\"bar\",\"qux\",\"baz\"]}" },
	{ "{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\"]}]",
	  "{\"foo\":[\"bar\",[\"abc\"]]}" },
	{ "{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]",
	  "{\"foo\":\"bar\"}" },
	{ "{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
	  "{\"foo\":[\"bar\",\"baz\"]}" },
	{ "{\"baz\":\"qux\"}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",
	  "{\"baz\":\"boo\"}" },
	{ "{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
	  "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
	  "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}" },
	{ "{\"a\":[1]}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]",
	  "{\"a\":[1],\"b\":[1]}" },
	{ "{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"}]",
	  "{\"baz\":\"qux\"}" },
	{ "{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]",
	  "{\"/\":9,\"~1\":10}" },
	{ "{\"m\":{\"a/b\":1}}", "[{\"op\":\"remove\",\"path\":\"/m/a~1b\"}]", "{\"m\":{}}" },
	{ "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"g\":{}}}]",
	  "{\"foo\":\"bar\",\"child\":{\"g\":{}}}" },
	{ "{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL },
	{ "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL },
	{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/3\",\"value\":2}]", NULL },
	{ "{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/-\"}]", NULL },
	{ "{\"a\":[1]}", "[{\"op\":\"remove\",\"path\":\"/a/01\"}]", NULL },
	{ "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL },
	{ "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"a\"}]", NULL },
	{ "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":1}]", NULL },
	{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\"}]", NULL },
	{ "{\"a\":1}", "[{\"op\":\"frob\",\"path\":\"/a\"}]", NULL },
	{ "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a~2\"}]", NULL },
	{ "{\"a\":1}", "[{\"op\":\"move\",\"path\":\"/b\"}]", NULL },
	{ "{\"a\":1}", "[{\"op\":\"copy\",\"path\":\"/b\"}]", NULL },
	{ "{\"a\":1}", "[1]", NULL },
	{ "{\"a\":1}", "{\"a\":2}", NULL },
	{ "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a\"},{\"op\":\"remove\",\"path\":\"/a\"}]",
	  NULL },
};

START_TEST(json_patch_does_what_rfc_6902_says)
{
	check(&json_patches[_i], patch_json);
}
END_TEST

static const struct example strategics[] = {
	/* maps merge */
	{ "{\"metadata\":{\"labels\":{\"a\":\"1\"}}}",
	  "{\"metadata\":{\"labels\":{\"b\":\"2\",\"a\":null}}}",
	  "{\"metadata\":{\"labels\":{\"b\":\"2\"}}}" },
	/* lists by key: one changed, one added, the others stay */
	{ "{\"containers\":[{\"name\":\"a\",\"image\":\"1\",\"tty\":true},{\"name\":\"b\"}]}",
	  "{\"containers\":[{\"name\":\"a\",\"image\":\"2\"},{\"name\":\"c\"}]}",
	  "{\"containers\":[{\"name\":\"a\",\"image\":\"2\",\"tty\":true},{\"name\":\"b\"},"
	  "{\"name\":\"c\"}]}" },
	{ "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"},{\"type\":\"X\"}]}",
	  "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}",
	  "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"},{\"type\":\"X\"}]}" },
	{ "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
	  "{\"containers\":[{\"$patch\":\"delete\",\"name\":\"a\"}]}",
	  "{\"containers\":[{\"name\":\"b\"}]}" },
	{ "{\"containers\":[{\"name\":\"a\"}]}",
	  "{\"containers\":[{\"$patch\":\"replace\"},{\"name\":\"b\"}]}",
	  "{\"containers\":[{\"name\":\"b\"}]}" },
	{ "{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":\"1\"}]}]}",
	  "{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"Y\",\"value\":\"2\"}]}]}",
	  "{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":\"1\"},"
	  "{\"name\":\"Y\",\"value\":\"2\"}]}]}" },
	/* other lists are replaced */
	{ "{\"args\":[\"a\",\"b\"]}", "{\"args\":[\"c\"]}", "{\"args\":[\"c\"]}" },
	{ "{\"tolerations\":[{\"key\":\"a\"}]}", "{\"tolerations\":[{\"key\":\"b\"}]}",
	  "{\"tolerations\":[{\"key\":\"b\"}]}" },
	/* a node's taints too: their list is atomic */
	{ "{\"spec\":{\"taints\":[{\"key\":\"a\"},{\"key\":\"b\"}]}}",
	  "{\"spec\":{\"taints\":[{\"key\":\"b\"}]}}",
	  "{\"spec\":{\"taints\":[{\"key\":\"b\"}]}}" },
	/* sets of plain values */
	{ "{\"finalizers\":[\"a\"]}", "{\"finalizers\":[\"b\",\"a\"]}",
	  "{\"finalizers\":[\"a\",\"b\"]}" },
	{ "{\"finalizers\":[\"a\",\"b\"]}", "{\"$deleteFromPrimitiveList/finalizers\":[\"a\"]}",
	  "{\"finalizers\":[\"b\"]}" },
	{ "{\"finalizers\":[\"a\"]}", "{\"$deleteFromPrimitiveList/finalizers\":[\"a\"]}", "{}" },
	/* directives */
	{ "{\"s\":{\"a\":1,\"b\":2}}", "{\"s\":{\"$patch\":\"replace\",\"c\":3}}",
	  "{\"s\":{\"c\":3}}" },
	{ "{\"s\":{\"a\":1,\"b\":2}}", "{\"s\":{\"$retainKeys\":[\"b\",\"c\"],\"c\":3}}",
	  "{\"s\":{\"b\":2,\"c\":3}}" },
	{ "{\"containers\":[{\"name\":\"a\"}]}",
	  "{\"$setElementOrder/containers\":[{\"name\":\"a\"}],\"containers\":[{\"name\":\"a\","
	  "\"image\":\"x\"}]}",
	  "{\"containers\":[{\"name\":\"a\",\"image\":\"x\"}]}" },
	{ "{\"containers\":[{\"name\":\"a\"}]}", "{\"containers\":[{\"image\":\"x\"}]}", NULL },
	{ "{\"containers\":[{\"name\":\"a\"}]}", "{\"containers\":[1]}", NULL },
	{ "{\"a\":1}", "[1]", NULL },
};

START_TEST(strategic_patch_merges_lists_by_key)
{
	check(&strategics[_i], patch_strategic);
}
END_TEST

UNIT_MAIN("sandbox-patch", UNIT_LOOP(merge_patch_does_what_rfc_7386_says, merges),
	  UNIT_LOOP(json_patch_does_what_rfc_6902_says, json_patches),
	  UNIT_LOOP(strategic_patch_merges_lists_by_key, strategics))
