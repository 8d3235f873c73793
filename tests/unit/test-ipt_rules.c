/* SPDX-License-Identifier: MIT */

#include "iptables/ipt_rules.h"
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "tests/unit/golden.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct redirect_spec mk_spec(void)
{
	struct redirect_spec s = { .metadata_port = 80, .agent_port = 2579 };

	ck_assert_int_eq(inet_ip_parse("169.254.169.254", &s.metadata_ip, NULL), 0);
	ck_assert_int_eq(inet_ip_parse("10.240.0.4", &s.agent_ip, NULL), 0);
	return s;
}

static int look_at(const char *text, struct ipt_look *l, struct err *err)
{
	for (const char *at = text; *at;) {
		size_t n = strcspn(at, "\n");

		ipt_look_line(l, (struct str){ at, n });
		at += n + (at[n] == '\n');
	}
	return ipt_look_end(l, err);
}

/* A listing of what `from` becomes by replacing `what`, once; NULL: all of it is as it should be. */
static void look_altered(const char *what, const char *by, struct ipt_look *l)
{
	_cleanup_free_ char *listing = golden("iptables.save");
	const char *at = what ? strstr(listing, what) : listing;
	_cleanup_free_ char *altered = NULL;
	struct err err = { 0 };

	ck_assert_ptr_nonnull(at);
	altered = what ? xasprintf("%.*s%s%s", (int)(at - listing), listing, by, at + strlen(what))
		       : xstrdup(listing);
	ck_assert_msg(look_at(altered, l, &err) == 0, "%s", err.msg);
}

START_TEST(the_text_for_an_empty_node_is_that_of_the_golden_file)
{
	struct redirect_spec s = mk_spec();
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	_cleanup_free_ char *want = golden("iptables.restore");
	_cleanup_free_ char *have = ipt_rules_print(&s, &l, IPT_ALL_TABLES);

	ck_assert_str_eq(have, want);
	ck_assert_ptr_null(ipt_rules_print_removal(&l));
}
END_TEST

START_TEST(what_iptables_save_lists_of_them_is_as_it_should_be)
{
	struct redirect_spec s = mk_spec();
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	char why[IPT_WHY_MAX] = "";

	look_altered(NULL, NULL, &l);
	ck_assert_msg(ipt_look_judge(&l, &s, why) == 0, "%s", why);
	ck_assert(ipt_look_has_ours(&l));
	ck_assert(!ipt_look_has_old(&l));
	ck_assert_uint_eq(l.foreign, 3);
}
END_TEST

#define F (1U << IPT_FILTER)
#define R (1U << IPT_RAW)
#define N (1U << IPT_NAT)
#define JUMP_GUARD                                                                                 \
	"-A FORWARD -m comment --comment \"nmi: keeps pods from the metadata service; ends with: " \
	"nmi uninstall\" -j nmi-guard\n"

/* clang-format off */
static const struct {
	const char *what, *by;
	unsigned altered;
	const char *why;
} alterations[] = {
	/* listed otherwise, but the same */
	{ "-d 169.254.169.254/32 ! -i", "-d 169.254.169.254 ! -i", 0, "" },
	{ "\"nmi: a borrowed address\"", "nmi:\" a borrowed\"\" address\"", 0, "" },
	{ "[4:240] -A PREROUTING -j aad", "-A PREROUTING -j aad", 0, "" },
	{ "-A KUBE-FORWARD -m comment --comment \"-j nmi-guard\" -j ACCEPT", "-A OUTPUT -j nmi-guard", 0, "" },
	/* missing */
	{ ":aad-metadata - [0:0]\n", "", N, "chain aad-metadata is missing" },
	{ "[4:240] -A PREROUTING -j aad-metadata\n", "", N, "PREROUTING of table nat has no jump to aad-metadata" },
	{ JUMP_GUARD, "", F, "FORWARD of table filter has no jump to nmi-guard" },
	{ "-j RETURN\n", "-j RETURN\nCOMMIT\n*security\n", F, "rule 2: '(none)' in place of" },
	/* reordered */
	{ JUMP_GUARD, "-A FORWARD -j ACCEPT\n" JUMP_GUARD, F, "FORWARD of table filter does not begin with the jump to nmi-guard" },
	{ "[4:240] -A PREROUTING -j aad", "-A PREROUTING -d 169.254.0.0/16 -j ACCEPT\n-A PREROUTING -j aad", N, "does not begin with" },
	/* too many */
	{ "-A KUBE-FORWARD", JUMP_GUARD "-A KUBE-FORWARD", F, "FORWARD of table filter has more than one jump to nmi-guard" },
	{ "--to-destination 10.240.0.4:2579\n", "--to-destination 10.240.0.4:2579\n-A aad-metadata -j RETURN\n", N, "rule 2: '-A aad-metadata -j RETURN' in place of '(none)'" },
	/* altered */
	{ "--invert", "--invert --loose", R, "chain nmi-spoof-check is altered, rule 1" },
	{ "10.240.0.4:2579", "127.0.0.1:2579", N, "chain aad-metadata is altered, rule 1" },
	{ "-j DROP\nCOMMIT\n*nat", "-j ACCEPT\nCOMMIT\n*nat", R, "nmi-spoof-check is altered" },
	{ "[4:240] -A PREROUTING -j aad", "-A PREROUTING -s 192.0.2.1/32 -j aad", N, "has another condition at its jump to aad-metadata" },
	{ "[4:240] -A PREROUTING -j aad", "-A PREROUTING -g aad", N, "has another condition at its jump to aad-metadata" },
	{ "nmi: a borrowed", "nmi:  a borrowed", R, "nmi-spoof-check is altered" },
};
/* clang-format on */

START_TEST(each_alteration_is_found_and_named)
{
	struct redirect_spec s = mk_spec();
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	char why[IPT_WHY_MAX] = "";

	look_altered(alterations[_i].what, alterations[_i].by, &l);
	ck_assert_uint_eq(ipt_look_judge(&l, &s, why), alterations[_i].altered);
	ck_assert_msg(strstr(why, alterations[_i].why), "'%s'", why);
}
END_TEST

START_TEST(a_chain_that_is_filled_up_is_altered_and_not_kept)
{
	struct redirect_spec s = mk_spec();
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	char why[IPT_WHY_MAX] = "";

	ipt_look_line(&l, STR("*nat"));
	ipt_look_line(&l, STR(":aad-metadata - [0:0]"));
	for (int i = 0; i < 10000; i++)
		ipt_look_line(&l, STR("-A aad-metadata -s 192.0.2.1/32 -j ACCEPT"));
	ck_assert_uint_lt(l.chains[3].rules.n, 40000);
	ck_assert_uint_eq(ipt_look_judge(&l, &s, why) & N, N);
}
END_TEST

START_TEST(only_the_tables_that_are_altered_are_written_and_old_jumps_go_in_the_same_commit)
{
	struct redirect_spec s = mk_spec();
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	char why[IPT_WHY_MAX];
	_cleanup_free_ char *text = NULL;

	look_altered("[4:240] -A PREROUTING -j aad-metadata",
		     "-A PREROUTING -m comment --comment \"a \\\"b\\\"\" -j ACCEPT\n"
		     "-A PREROUTING -m comment --comment \"x y\" -j aad-metadata\n"
		     "-A PREROUTING -j aad-metadata",
		     &l);
	text = ipt_rules_print(&s, &l, ipt_look_judge(&l, &s, why));
	ck_assert_int_eq(strncmp(text,
				 "*nat\n:aad-metadata - [0:0]\n"
				 "-D PREROUTING -m comment --comment \"x y\" -j aad-metadata\n"
				 "-D PREROUTING -j aad-metadata\n"
				 "-I PREROUTING 1 -j aad-metadata\n-A aad-metadata -d ",
				 160),
			 0);
	ck_assert_ptr_null(strstr(text, "filter"));
}
END_TEST

START_TEST(removal_takes_the_redirect_first_and_the_guard_last)
{
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	_cleanup_free_ char *want = golden("iptables.removal");
	_cleanup_free_ char *text = NULL;

	look_altered(NULL, NULL, &l);
	text = ipt_rules_print_removal(&l);
	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, want);
}
END_TEST

START_TEST(the_chain_of_aad_pod_identity_is_not_removed)
{
	static const char old[] =
		"*nat\n:aad-metadata - [0:0]\n-A PREROUTING -j aad-metadata\n"
		"-A aad-metadata ! -s 127.0.0.1/32 -d 169.254.169.254/32 -p tcp -m "
		"tcp --dport 80 -j DNAT --to-destination 127.0.0.1:2579\n"
		"-A aad-metadata -j RETURN\nCOMMIT\n";
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };

	ck_assert_int_eq(look_at(old, &l, NULL), 0);
	ck_assert(ipt_look_has_old(&l));
	ck_assert(!ipt_look_has_ours(&l));
	ck_assert_ptr_null(ipt_rules_print_removal(&l));
}
END_TEST

static const char *const no_listings[] = {
	"hello\n",
	"*nat\n",
	"-A PREROUTING -j ACCEPT\n",
	"*nat\n*nat\n",
	"COMMIT\n",
	":x - [0:0]\n",
	"*nat\nfoo\nCOMMIT\n",
	"*nat\n-I x\nCOMMIT\n",
	"*nat\n[1:2]\nCOMMIT\n",
};

START_TEST(what_is_no_listing_is_an_error)
{
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	struct err err = { 0 };

	ck_assert_int_eq(look_at(no_listings[_i], &l, &err), -(int)ERR_INPUT);
	ck_assert_str_ne(err.msg, "");
}
END_TEST

START_TEST(nothing_and_comments_are_a_listing)
{
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };

	ck_assert_int_eq(look_at("# Table `nat' is incompatible, use 'nft' tool.\n\n", &l, NULL),
			 0);
	ck_assert(!ipt_look_has_ours(&l));
}
END_TEST

static const struct {
	const char *table, *chain;
	bool want;
} concerns[] = {
	{ "nat", NULL, true },
	{ "nat", "PREROUTING", true },
	{ "nat", "aad-metadata", true },
	{ "filter", "nmi-guard", true },
	{ "filter", "INPUT", true },
	{ "raw", "PREROUTING", true },
	{ "nat", "KUBE-SERVICES", false },
	{ "nat", "POSTROUTING", false },
	{ "filter", "PREROUTING", false },
	{ "mangle", NULL, false },
	{ "filter", "aad-metadata", false },
	{ "nmi", NULL, false },
};

START_TEST(news_concern_us_of_these_chains)
{
	ck_assert_int_eq(ipt_rules_concern(concerns[_i].table, concerns[_i].chain),
			 concerns[_i].want);
}
END_TEST

UNIT_MAIN("ipt_rules", UNIT(the_text_for_an_empty_node_is_that_of_the_golden_file),
	  UNIT(what_iptables_save_lists_of_them_is_as_it_should_be),
	  UNIT_LOOP(each_alteration_is_found_and_named, alterations),
	  UNIT(a_chain_that_is_filled_up_is_altered_and_not_kept),
	  UNIT(only_the_tables_that_are_altered_are_written_and_old_jumps_go_in_the_same_commit),
	  UNIT(removal_takes_the_redirect_first_and_the_guard_last),
	  UNIT(the_chain_of_aad_pod_identity_is_not_removed),
	  UNIT_LOOP(what_is_no_listing_is_an_error, no_listings),
	  UNIT(nothing_and_comments_are_a_listing),
	  UNIT_LOOP(news_concern_us_of_these_chains, concerns))
