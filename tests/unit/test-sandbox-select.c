/* SPDX-License-Identifier: MIT */

#include "tests/sandbox/apiserver/kind.h"
#include "tests/sandbox/apiserver/select.h"
#include "tests/unit/unit.h"

static const char pod_text[] = "{\"metadata\":{\"name\":\"demo\",\"namespace\":\"shop\",\"labels\":"
			       "{\"app\":\"demo\",\"tier\":\"web\",\"n\":\"5\",\"empty\":\"\","
			       "\"example.com/x\":\"y\"}},\"spec\":{\"nodeName\":\"node-1\"},"
			       "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\"}}";

static bool matches(const char *labels, const char *fields)
{
	_cleanup_(selector_deinitp) struct selector s = { 0 };
	json_t *pod = json_loads(pod_text, 0, NULL);
	bool yes;

	ck_assert_int_eq(selector_parse_labels(&s, labels, NULL), 0);
	ck_assert_int_eq(selector_parse_fields(&s, fields, NULL), 0);
	yes = selector_match(&s, pod);
	json_decref(pod);
	return yes;
}

static const struct {
	const char *text;
	bool match;
} labels[] = {
	{ "", true },
	{ " ", true },
	{ "app=demo", true },
	{ "app==demo", true },
	{ "app = demo , tier = web", true },
	{ "app=other", false },
	{ "app=demo,tier=db", false },
	{ "app!=demo", false },
	{ "app!=other", true },
	{ "absent!=x", true },
	{ "app", true },
	{ "absent", false },
	{ "!app", false },
	{ "! absent", true },
	{ "!absent,app", true },
	{ "app in (demo)", true },
	{ "app in (x, demo ,y)", true },
	{ "app in (x)", false },
	{ "absent in (x)", false },
	{ "app notin (x,y)", true },
	{ "app notin (demo)", false },
	{ "absent notin (x)", true },
	{ "app in (demo),tier notin (db),!absent", true },
	{ "empty=", true },
	{ "empty", true },
	{ "app=", false },
	{ "empty in (,x)", true },
	{ "n>4", true },
	{ "n > 5", false },
	{ "n<6", true },
	{ "app>1", false },
	{ "example.com/x=y", true },
	{ "in=x", false },
	{ "App=demo", false },
};

START_TEST(labels_select_as_documented)
{
	ck_assert_msg(matches(labels[_i].text, "") == labels[_i].match, "%s", labels[_i].text);
}
END_TEST

static const struct {
	const char *text;
	bool match;
} fields[] = {
	{ "", true },
	{ "spec.nodeName=node-1", true },
	{ "spec.nodeName==node-1", true },
	{ "spec.nodeName=node-2", false },
	{ "spec.nodeName!=node-2", true },
	{ "spec.nodeName=node-1,status.phase=Running", true },
	{ "spec.nodeName=node-1,status.phase!=Running", false },
	{ "metadata.name=demo", true },
	{ "metadata.namespace=shop", true },
	{ "metadata.namespace=other", false },
	{ "status.podIP=10.0.0.1", true },
	{ "status.nominatedNodeName=", true },
	{ "spec.hostNetwork=false", true },
	{ "metadata.name=de\\,mo", false },
	{ ",metadata.name=demo,", true },
};

START_TEST(fields_select_as_documented)
{
	ck_assert_msg(matches("", fields[_i].text) == fields[_i].match, "%s", fields[_i].text);
}
END_TEST

static const struct {
	bool is_field;
	const char *text;
} broken[] = {
	{ false, "=x" },
	{ false, "a b" },
	{ false, "a,,b" },
	{ false, "a in" },
	{ false, "a in x" },
	{ false, "a in (x" },
	{ false, "a in (x y)" },
	{ false, "a=x=y" },
	{ false, "a=b c" },
	{ false, "-a=x" },
	{ false, "a=-x" },
	{ false, "a/b/c" },
	{ false, "/a" },
	{ false, "a/" },
	{ false, "A.b/c" },
	{ false, "!" },
	{ false, "!a=x" },
	{ false, "a>x" },
	{ false, "a=x,"
		 "bad!" },
	{ false, "a=0123456789012345678901234567890123456789012345678901234567890123" },
	{ true, "x" },
	{ true, "a=b,x" },
	{ true, "a=b=c" },
	{ true, "a=\\x" },
	{ true, "a=\\" },
};

START_TEST(a_broken_selector_is_refused_whole)
{
	_cleanup_(selector_deinitp) struct selector s = { 0 };
	struct err err = { 0 };
	int r = broken[_i].is_field ? selector_parse_fields(&s, broken[_i].text, &err)
				    : selector_parse_labels(&s, broken[_i].text, &err);

	ck_assert_msg(r == -ERR_INPUT, "%s", broken[_i].text);
	ck_assert(err.msg[0] != '\0');
	ck_assert(selector_is_empty(&s));
}
END_TEST

static const struct {
	enum kind_id id;
	const char *field;
	bool ok;
} known[] = {
	{ KIND_POD, "spec.nodeName", true },	      { KIND_POD, "spec.what", false },
	{ KIND_CUSTOM, "metadata.name", true },	      { KIND_CUSTOM, "spec.nodeName", false },
	{ KIND_EVENT, "involvedObject.uid", true },   { KIND_SECRET, "type", true },
	{ KIND_LEASE, "spec.holderIdentity", false }, { KIND_OTHER, "metadata.namespace", true },
};

START_TEST(only_the_fields_of_the_kind_can_be_selected_by)
{
	_cleanup_(selector_deinitp) struct selector s = { 0 };
	struct kind k = { .id = known[_i].id, .namespaced = true };
	char text[64];

	(void)snprintf(text, sizeof(text), "%s=x", known[_i].field);
	ck_assert_int_eq(selector_parse_fields(&s, text, NULL), 0);
	ck_assert_int_eq(selector_check_fields(&s, &k, NULL), known[_i].ok ? 0 : -ERR_INPUT);
}
END_TEST

UNIT_MAIN("sandbox-select", UNIT_LOOP(labels_select_as_documented, labels),
	  UNIT_LOOP(fields_select_as_documented, fields),
	  UNIT_LOOP(a_broken_selector_is_refused_whole, broken),
	  UNIT_LOOP(only_the_fields_of_the_kind_can_be_selected_by, known))
