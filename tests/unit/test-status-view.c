/* SPDX-License-Identifier: MIT */

#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "nmi/status/document.h"
#include "nmi/status/view.h"
#include "tests/unit/golden.h"
#include "tests/unit/mk-status.h"
#include "tests/unit/unit.h"

#define RULES "table ip nmi {\n\tchain guard {\n\t\tx reject\n\t}\n}\n"

static struct jval *parsed(const struct status_agent *a)
{
	size_t n;
	_cleanup_free_ char *text = status_document_print(a, &n);

	return jval_parse(text, n, 65536, NULL);
}

static void fits_80_columns(const char *text)
{
	const char *end = strstr(text, "Rules in the kernel");

	ck_assert_ptr_nonnull(end);
	for (const char *line = text; line < end; line += strcspn(line, "\n") + 1)
		ck_assert_msg(strcspn(line, "\n") < 80, "%.*s", (int)strcspn(line, "\n"), line);
}

START_TEST(the_page_is_that_of_the_golden_file)
{
	const struct status_agent a = mk_status();
	_cleanup_(jval_freep) struct jval *doc = parsed(&a);
	const struct status_view v = { .agent = doc, .rules = RULES, .guards = true };
	_cleanup_free_ char *have = status_view_text(&v), *want = golden("status.txt");

	if (getenv("UPDATE_GOLDEN"))
		fputs(have, stdout);
	fits_80_columns(have);
	ck_assert_str_eq(have, want);
	ck_assert_int_eq(status_view_exit(&v), STATUS_EXIT_READY);
}
END_TEST

START_TEST(what_is_wrong_stands_on_top_with_what_to_do)
{
	static const char top[] =
		"NOT PROTECTED: no rule of nmi stands in the kernel: pods may reach the metadata\n"
		"  service, and with it the node's own identity\n"
		"NOT READY: pods wait, or are refused\n"
		"  redirect          the kernel refuses the packet rules";
	struct status_agent a = mk_status();
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct status_view v = { .rules = "", .rules_error = "" };
	_cleanup_free_ char *text = NULL;

	a.ready = false;
	a.rules_state = "failing";
	a.checks[0] = (struct status_check){ "redirect",
					     "the kernel refuses the packet rules (No such file or "
					     "directory): no pod gets a token, a guard keeps all "
					     "from IMDS; load nft_chain_nat",
					     false };
	doc = parsed(&a);
	v.agent = doc;
	text = status_view_text(&v);
	fits_80_columns(text);
	ck_assert_msg(strncmp(text, top, strlen(top)) == 0, "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "    what to do"));
	ck_assert_int_eq(status_view_exit(&v), STATUS_EXIT_NOT_READY);
}
END_TEST

static const struct {
	const char *state, *backend, *rules;
	bool guards, no_agent;
	enum status_protected want;
	const char *says;
} verdicts[] = {
	{ "active", "nft", RULES, true, false, STATUS_PROTECTED, "the agent answers for" },
	{ "active", "nft", NULL, false, false, STATUS_PROTECTED, "the agent says" },
	{ "active", "nft", "", false, false, STATUS_OPEN, "network namespace of the node?" },
	{ "failing", "nft", RULES, true, false, STATUS_PROTECTED, "refused until" },
	{ "failing", "nft", "", false, false, STATUS_OPEN, "no rule of nmi" },
	{ "failing", NULL, NULL, false, false, STATUS_UNKNOWN, "cannot be read" },
	{ "active", "none", "", false, false, STATUS_UNKNOWN, "--redirect-backend=none" },
	{ "active", "none", NULL, false, false, STATUS_UNKNOWN, "--redirect-backend=none" },
	/* the boot guard's, for one */
	{ "active", "none", RULES, true, false, STATUS_PROTECTED, "the agent answers for" },
	{ NULL, NULL, RULES, true, true, STATUS_PROTECTED, "refused until" },
	{ NULL, NULL, "table ip nmi {\n}\n", false, true, STATUS_OPEN, "no guard stands" },
	{ NULL, NULL, "", false, true, STATUS_OPEN, "no rule of nmi" },
	{ NULL, NULL, NULL, false, true, STATUS_UNKNOWN, "cannot be read" },
};

START_TEST(the_kernel_counts_more_than_the_agents_word)
{
	struct status_agent a = mk_status();
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct status_view v = { .rules = verdicts[_i].rules, .guards = verdicts[_i].guards };
	const char *words;

	a.rules_state = verdicts[_i].state;
	a.backend = verdicts[_i].backend;
	doc = parsed(&a);
	v.agent = verdicts[_i].no_agent ? NULL : doc;
	ck_assert_int_eq(status_view_protected(&v, &words), verdicts[_i].want);
	ck_assert_msg(strstr(words, verdicts[_i].says), "%s", words);
}
END_TEST

START_TEST(without_an_agent_the_rest_is_shown)
{
	const struct status_view v = { .agent_error = "there is no /run/nmi/nmi.sock",
				       .rules_error = "needs CAP_NET_ADMIN" };
	_cleanup_free_ char *text = status_view_text(&v), *json = status_view_json(&v);
	_cleanup_(jval_freep) struct jval *doc = jval_parse(json, strlen(json), 65536, NULL);

	ck_assert_str_eq(text, "Protection not known: the packet rules cannot be read here\n"
			       "NO AGENT: there is no /run/nmi/nmi.sock\n\n"
			       "Rules in the kernel\n  needs CAP_NET_ADMIN\n");
	ck_assert_ptr_nonnull(doc);
	ck_assert_ptr_null(jval_get(doc, "agent"));
	ck_assert_ptr_null(jval_get(doc, "protected"));
	ck_assert_str_eq(jval_as_str(jval_get(doc, "agent_error")), v.agent_error);
	ck_assert_str_eq(jval_as_str(jval_get(doc, "rules_error")), v.rules_error);
	ck_assert_int_eq(status_view_exit(&v), STATUS_EXIT_NO_AGENT);
}
END_TEST

/* Of a newer version, or of somebody who lies. */
static const char *const strange[] = {
	"{\"schema\":2}",
	"{\"schema\":1,\"ready\":\"yes\",\"checks\":7,\"rules\":[],\"watches\":{},\"node\":5}",
	"{\"schema\":1,\"checks\":[1,null,\"x\",{}],\"watches\":[[]],\"surroundings\":[1,{}]}",
	"{\"schema\":1,\"rules\":{\"state\":7,\"repairs\":\"many\"},\"cache\":null}",
};

START_TEST(a_document_of_another_shape_is_shown_as_far_as_it_goes)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse(strange[_i], strlen(strange[_i]), 65536,
							    NULL);
	const struct status_view v = { .agent = doc, .rules = RULES, .guards = true };
	_cleanup_free_ char *text = status_view_text(&v), *json = status_view_json(&v);

	ck_assert_ptr_nonnull(doc);
	ck_assert_ptr_nonnull(strstr(text, "NOT READY"));
	ck_assert_ptr_nonnull(strstr(json, "\"ready\": false"));
	ck_assert_int_eq(status_view_exit(&v), STATUS_EXIT_NOT_READY);
}
END_TEST

START_TEST(nothing_from_outside_reaches_the_terminal_as_it_is)
{
	struct status_agent a = mk_status();
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct status_view v = { .rules = "table \x1b[2J\n", .agent_error = NULL };
	_cleanup_free_ char *text = NULL;

	a.node = "no\x1b[31mde";
	a.watches[0].name = "po\x07 ds";
	doc = parsed(&a);
	v.agent = doc;
	text = status_view_text(&v);
	for (const char *p = text; *p; p++)
		ck_assert_msg(*p == '\n' || *p == '\t' || (*p >= ' ' && *p <= '~'), "byte %d", *p);
}
END_TEST

UNIT_MAIN("status-view", UNIT(the_page_is_that_of_the_golden_file),
	  UNIT(what_is_wrong_stands_on_top_with_what_to_do),
	  UNIT_LOOP(the_kernel_counts_more_than_the_agents_word, verdicts),
	  UNIT(without_an_agent_the_rest_is_shown),
	  UNIT_LOOP(a_document_of_another_shape_is_shown_as_far_as_it_goes, strange),
	  UNIT(nothing_from_outside_reaches_the_terminal_as_it_is))
