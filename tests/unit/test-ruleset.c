/* SPDX-License-Identifier: MIT */

#include "iptables/ruleset.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/unit/golden.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct redirect_spec mk_spec(const char *metadata, const char *agent)
{
	struct redirect_spec s = { .metadata_port = 80, .agent_port = 2579, .sweep_msec = 60000 };

	ck_assert_int_eq(inet_ip_parse(metadata, &s.metadata_ip, NULL), 0);
	ck_assert_int_eq(inet_ip_parse(agent, &s.agent_ip, NULL), 0);
	return s;
}

static const struct {
	enum ruleset_table table;
	const char *file;
} printed[] = {
	{ RULESET_KEPT, "ruleset-kept.nft" },
	{ RULESET_LIVE, "ruleset-live.nft" },
};

START_TEST(the_rules_are_those_of_the_golden_file)
{
	struct redirect_spec s = mk_spec("169.254.169.254", "10.240.0.4");
	_cleanup_free_ char *want = golden(printed[_i].file);
	_cleanup_free_ char *have = ruleset_print(&s, printed[_i].table);

	ck_assert_str_eq(have, want);
}
END_TEST

/* In place. */
static char *without_comments(char *text)
{
	for (char *at = text; (at = strstr(at, "comment \""));) {
		size_t n = strcspn(at + 9, "\"") + 10;

		memmove(at, at + n, strlen(at + n) + 1);
	}
	return text;
}

START_TEST(a_last_guard_is_that_of_the_golden_file)
{
	struct redirect_spec s = mk_spec("169.254.169.254", "10.240.0.4");
	_cleanup_free_ char *want = golden("ruleset-guard.nft");
	_cleanup_free_ char *have = ruleset_print_guard(&s);

	ck_assert_str_eq(have, want);
}
END_TEST

START_TEST(a_guard_alone_asks_nothing_of_the_kernel_but_matching_and_dropping)
{
	struct redirect_spec s = mk_spec("192.0.2.7", "198.51.100.9");
	static const char *const modules[] = { "nat", "fib", "reject", "ct ", "counter" };
	/* in place of table nmi, whatever is in it */
	static const char start[] = "table ip nmi { }\ndelete table ip nmi\ntable ip nmi {\n";
	_cleanup_free_ char *text = NULL;

	s.metadata_port = 8080;
	text = ruleset_print_guard(&s);
	ck_assert_int_eq(strncmp(text, start, strlen(start)), 0);
	ck_assert_ptr_nonnull(strstr(text, "type filter hook forward priority -300;"));
	ck_assert_ptr_nonnull(strstr(text, "ip daddr 192.0.2.7 tcp dport 8080 drop comment "));
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		ck_assert_ptr_null(strstr(without_comments(strstr(text, "chain ")), modules[i]));
	ck_assert_ptr_null(strstr(text, "198.51"));
}
END_TEST

START_TEST(every_address_and_port_of_the_spec_is_used_and_no_other)
{
	struct redirect_spec s = mk_spec("192.0.2.7", "198.51.100.9");
	_cleanup_free_ char *text = NULL;

	s.metadata_port = 8080;
	s.agent_port = 65535;
	text = ruleset_print(&s, RULESET_KEPT);
	ck_assert_ptr_nonnull(strstr(
		text,
		"ip daddr 192.0.2.7 tcp dport 8080 counter dnat to 198.51.100.9:65535 comment"));
	ck_assert_ptr_nonnull(
		strstr(text, "ct original ip daddr 192.0.2.7 ct original proto-dst 8080 accept "));
	ck_assert_ptr_null(strstr(text, "169.254"));
	ck_assert_ptr_null(strstr(text, "dport 80 "));
}
END_TEST

START_TEST(where_a_pod_wanted_to_go_is_asked_of_connection_tracking_in_both_hooks)
{
	struct redirect_spec s = mk_spec("192.0.2.7", "198.51.100.9");
	_cleanup_free_ char *text = NULL;
	static const char original[] =
		"ct original ip daddr 192.0.2.7 ct original proto-dst 8080 c";

	s.metadata_port = 8080;
	text = ruleset_print(&s, RULESET_KEPT);
	ck_assert_ptr_nonnull(strstr(strstr(text, "chain detour_out"), original));
	ck_assert_ptr_nonnull(strstr(strstr(text, "chain detour_in"), original));
	ck_assert_ptr_nonnull(strstr(text, "tcp dport != 2579 ct original"));
	ck_assert_ptr_nonnull(strstr(text, "tcp dport 2579 ct status snat counter reject"));
}
END_TEST

START_TEST(there_is_nothing_in_the_path_of_the_hosts_own_requests)
{
	struct redirect_spec s = mk_spec("169.254.169.254", "10.240.0.4");

	for (int t = 0; t < RULESET_TABLES; t++) {
		_cleanup_free_ char *text = ruleset_print(&s, (enum ruleset_table)t);

		ck_assert_ptr_null(strstr(text, "hook output"));
		ck_assert_ptr_null(strstr(text, "hook postrouting"));
	}
}
END_TEST

/* Of all that is written: each chain and rule says what it is for, in nftables' limit. */
static const char *const files[] = { "ruleset-kept.nft", "ruleset-live.nft", "ruleset-guard.nft",
				     "spoof-routed.nft", "spoof-bridged.nft" };

START_TEST(every_chain_and_rule_says_what_it_is_for)
{
	_cleanup_free_ char *text = golden(files[_i]);
	char *save = NULL;
	bool in_chain = false;
	size_t rules = 0;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *says = strstr(line, "comment \"");

		if (says) {
			says += strlen("comment \"");
			ck_assert_msg(strcspn(says, "\"") <= 128, "%s", line);
			ck_assert_msg(strncmp(says, "nmi: ", 5) == 0 ||
					      !strncmp(line, "\tcomment", 8),
				      "%s", line);
		}
		if (strncmp(line, "\tchain ", 7) == 0) {
			line = strtok_r(NULL, "\n", &save);
			ck_assert_msg(strncmp(line, "\t\tcomment \"nmi: ", 16) == 0, "%s", line);
			in_chain = true;
		} else if (strcmp(line, "\t}") == 0) {
			in_chain = false;
		} else if (in_chain && strncmp(line, "\t\ttype ", 7) != 0) {
			ck_assert_msg(says != NULL, "a rule without comment: %s", line);
			rules++;
		}
	}
	ck_assert_uint_gt(rules, 0);
}
END_TEST

static const struct {
	const char *metadata, *agent;
	uint16_t metadata_port, agent_port;
	const char *why; /* NULL: fine */
} specs[] = {
	{ "169.254.169.254", "10.0.0.1", 80, 2579, NULL },
	{ "169.254.169.254", "::ffff:10.0.0.1", 80, 2579, NULL },
	{ "169.254.169.254", "127.0.0.1", 80, 2579, "127.0.0.1" },
	{ "169.254.169.254", "0.0.0.0", 80, 2579, "0.0.0.0" },
	{ "169.254.169.254", "fd00::1", 80, 2579, "fd00::1" },
	{ "169.254.169.254", "::", 80, 2579, "::" },
	{ "fd00:ec2::254", "10.0.0.1", 80, 2579, "fd00:ec2::254" },
	{ "0.0.0.0", "10.0.0.1", 80, 2579, "0.0.0.0" },
	{ "127.0.0.1", "10.0.0.1", 80, 2579, "127.0.0.1" },
	{ "10.0.0.1", "10.0.0.1", 80, 2579, "itself" },
	{ "169.254.169.254", "10.0.0.1", 0, 2579, "port 0" },
	{ "169.254.169.254", "10.0.0.1", 80, 0, "port 0" },
};

START_TEST(a_spec_that_cannot_work_is_refused_and_named)
{
	struct redirect_spec s = mk_spec(specs[_i].metadata, specs[_i].agent);
	struct err err = { 0 };

	s.metadata_port = specs[_i].metadata_port;
	s.agent_port = specs[_i].agent_port;
	if (!specs[_i].why) {
		ck_assert_int_eq(ruleset_check(&s, &err), 0);
		return;
	}
	ck_assert_int_eq(ruleset_check(&s, &err), -ERR_INPUT);
	ck_assert_msg(strstr(err.msg, specs[_i].why), "%s", err.msg);
	s.backend = REDIRECT_NONE;
	ck_assert_int_eq(ruleset_check(&s, &err), 0);
}
END_TEST

#define LISTED "table ip nmi {\n\tchain a {\n\t\tx accept\n\t}\n}\n"

static const struct {
	const char *actual;
	bool same;
	const char *why;
} compared[] = {
	{ LISTED, true, "" },
	{ NULL, false, "table nmi is missing" },
	{ "", false, "'(end)' in place of 'table ip nmi {'" },
	{ "table ip nmi {\n\tchain a {\n\t\tx drop\n\t}\n}\n", false,
	  "'x drop' in place of 'x accept'" },
	{ "table ip nmi {\n\tchain a {\n\t}\n}\n", false, "'}' in place of 'x accept'" },
	{ LISTED "table ip more {\n}\n", false, "'table ip more {' in place of '(end)'" },
	{ "table ip nmi {\n\tchain a {\n\t\tx accept\n\t\ty accept\n\t}\n}\n", false,
	  "'y accept' in place of '}'" },
	{ "table ip nmi {\n\tflags dormant\n\n\tchain a {\n\t\tx accept\n\t}\n}\n", false,
	  "'flags dormant' in place of 'chain a {'" },
	{ "table ip nmi {\n\tcomment \"\xff\x1b\"\n", false, "'comment \\\"\\u00ff\\u001b\\\"'" },
};

START_TEST(a_difference_is_found_and_named)
{
	char why[RULESET_WHY_MAX] = "";

	ck_assert_int_eq(ruleset_same(RULESET_KEPT, LISTED, compared[_i].actual, why),
			 compared[_i].same);
	ck_assert_msg(strstr(why, compared[_i].why), "%s", why);
}
END_TEST

START_TEST(a_long_foreign_rule_is_cut)
{
	char why[RULESET_WHY_MAX], rule[4096];

	memset(rule, 'r', sizeof(rule) - 1);
	rule[sizeof(rule) - 1] = '\0';
	ck_assert(!ruleset_same(RULESET_LIVE, LISTED, rule, why));
	ck_assert_ptr_nonnull(strstr(why, "in place of 'table ip nmi {'"));
}
END_TEST

static const struct {
	const char *listing, *normal;
} listings[] = {
	{ "table ip nmi-live { # progname nmi-redirector\n\tflags owner\n}\n",
	  "table ip nmi-live {\n}\n" },
	/* held, by nft 1.0.6 and 1.0.9; an orphan, by both */
	{ "table ip nmi {\n\tflags owner\n\tcomment \"c\"\n\n\tchain a {\n\t}\n}\n",
	  "table ip nmi {\n\tcomment \"c\"\n\tchain a {\n\t}\n}\n" },
	{ "table ip nmi {\n\tflags owner,persist\n}\n", "table ip nmi {\n}\n" },
	{ "table ip nmi {\n\tflags \n\n\tchain a {\n\t}\n}\n",
	  "table ip nmi {\n\tchain a {\n\t}\n}\n" },
	{ "table ip nmi {\n\tflags persist\n}\n", "table ip nmi {\n}\n" },
	/* what turns rules off is not lost beside it, nor what is not known */
	{ "table ip nmi {\n\tflags dormant,owner\n}\n", "table ip nmi {\n\tflags dormant\n}\n" },
	{ "table ip nmi {\n\tflags owner, dormant, new\n}\n",
	  "table ip nmi {\n\tflags dormant,new\n}\n" },
	{ "table ip nmi {\n\tflags ownership\n}\n", "table ip nmi {\n\tflags ownership\n}\n" },
	/* a set's flags are rules */
	{ "table ip nmi {\n\tset s {\n\t\tflags owner\n\t}\n}\n",
	  "table ip nmi {\n\tset s {\n\t\tflags owner\n\t}\n}\n" },
	{ "no end of line", "no end of line" },
	{ "a\n\tflags owner", "a\n" },
	{ "", "" },
};

START_TEST(whose_a_table_is_does_not_count)
{
	_cleanup_free_ char *text = xstrdup(listings[_i].listing);

	ruleset_normalise(text);
	ck_assert_str_eq(text, listings[_i].normal);
	ruleset_normalise(text);
	ck_assert_str_eq(text, listings[_i].normal);
}
END_TEST

static const struct {
	const char *listing;
	const char *where; /* NULL: nowhere else */
	bool owned;
} led[] = {
	{ "table ip nmi {\n\tflags owner\n\n\tchain a {\n\t\tcounter packets 0 bytes 0 dnat to "
	  "10.0.0.1:2579\n\t}\n}\n",
	  NULL, true },
	{ "table ip nmi {\n\tflags dormant,owner,persist\n\t\tx dnat to 10.0.0.1:2580 comment "
	  "\"c\"\n}\n",
	  "10.0.0.1:2580", true },
	{ "table ip nmi {\n\tflags \n\t\tx dnat to 10.0.0.2:2579\n\t\tcomment \"owner\"\n}\n",
	  "10.0.0.2:2579", false },
	{ "table ip nmi {\n\tcomment \"flags owner\"\n}\n", NULL, false },
	{ "table ip nmi {\n\t\tx dnat to ", "", false },
	{ "", NULL, false },
};

START_TEST(where_another_nmi_leads_to_is_read_from_its_listing)
{
	struct redirect_spec s = mk_spec("169.254.169.254", "10.0.0.1");
	char where[RULESET_WHERE_MAX] = "(none)";

	ck_assert_int_eq(ruleset_leads_elsewhere(&s, led[_i].listing, where),
			 led[_i].where != NULL);
	ck_assert_str_eq(where, led[_i].where ? led[_i].where : "(none)");
	ck_assert_int_eq(ruleset_is_owned(led[_i].listing), led[_i].owned);
}
END_TEST

static const struct {
	const char *name;
	bool ours;
} names[] = {
	{ "nmi", true },   { "nmi-live", true }, { "nmi-waits", true }, { "", false },
	{ "nmi2", false }, { "nm", false },	 { "NMI", false },
};

START_TEST(our_tables_are_known_by_their_whole_name)
{
	ck_assert_int_eq(ruleset_is_ours(names[_i].name), names[_i].ours);
}
END_TEST

UNIT_MAIN("ruleset", UNIT_LOOP(the_rules_are_those_of_the_golden_file, printed),
	  UNIT(a_guard_alone_asks_nothing_of_the_kernel_but_matching_and_dropping),
	  UNIT(a_last_guard_is_that_of_the_golden_file),
	  UNIT(every_address_and_port_of_the_spec_is_used_and_no_other),
	  UNIT(where_a_pod_wanted_to_go_is_asked_of_connection_tracking_in_both_hooks),
	  UNIT(there_is_nothing_in_the_path_of_the_hosts_own_requests),
	  UNIT_LOOP(every_chain_and_rule_says_what_it_is_for, files),
	  UNIT_LOOP(a_spec_that_cannot_work_is_refused_and_named, specs),
	  UNIT_LOOP(a_difference_is_found_and_named, compared), UNIT(a_long_foreign_rule_is_cut),
	  UNIT_LOOP(whose_a_table_is_does_not_count, listings),
	  UNIT_LOOP(where_another_nmi_leads_to_is_read_from_its_listing, led),
	  UNIT_LOOP(our_tables_are_known_by_their_whole_name, names))
