/* SPDX-License-Identifier: MIT */

/*
 * The rules of the iptables backend as text: see ipt_rules.h.
 *
 * Theory of operation
 *
 * The same four ways are closed as in ruleset.c, where the reasons are:
 *
 *   filter  nmi-guard        first in FORWARD. What is not redirected is reset.
 *   filter  nmi-agent-port   first in INPUT. The port is for what our DNAT sent. What was goes on to
 *                            the rules of others (RETURN): accepting it would pass by the network
 *                            policies that the node's other tenants have there.
 *   raw     nmi-spoof-check  first in PREROUTING. The address must be routed to the link.
 *   nat     aad-metadata     first in PREROUTING: the redirect, in the chain that users of
 *                            aad-pod-identity know. What that agent wrote into it is replaced. The jump
 *                            has no comment, since scripts look for it by
 *                            `iptables -t nat --check PREROUTING -j aad-metadata`.
 *
 * iptables-restore commits a table at a time, so they are written guard first and redirect last, and are
 * removed the other way round. Within a table all is one commit: the old jump goes as the new one comes.
 * With --noflush a chain that is declared is made or emptied, others are left alone.
 *
 * Rules are written in the order of words in which iptables-save lists them, so that a listing can be
 * compared with them, word by word: quotes do not matter, nor does the /32 of a single address.
 */

#include "iptables/ipt_rules.h"

#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of rules in a chain of ours, and of jumps to it. Ours are a thousand bytes at most. */
#define KEPT_MAX ((size_t)32 * 1024)
#define MARK	 "nmi: "

/* clang-format off */
static const char *const table_names[IPT_TABLES] = {
	[IPT_FILTER] = "filter", [IPT_RAW] = "raw", [IPT_NAT] = "nat",
};

static const struct {
	enum ipt_table table;
	const char *name;
	const char *hook;
	const char *jump; /* its words before -j */
} chains[IPT_CHAINS] = {
	{ IPT_FILTER, "nmi-guard", "FORWARD",
	  "-m comment --comment \"nmi: keeps pods from the metadata service; ends with: nmi uninstall\" " },
	{ IPT_FILTER, "nmi-agent-port", "INPUT",
	  "-m comment --comment \"nmi: keeps strangers from the port of the agent; ends with: nmi uninstall\" " },
	{ IPT_RAW, "nmi-spoof-check", "PREROUTING",
	  "-m comment --comment \"nmi: an address must be that of its link; ends with: nmi uninstall\" " },
	{ IPT_NAT, "aad-metadata", "PREROUTING", "" },
};
/* clang-format on */

/* The rules of a chain as they should be listed, a line each; on the heap. */
static char *print_rules(const struct redirect_spec *spec, size_t chain)
{
	char metadata[INET_IP_TEXT_MAX], agent[INET_IP_TEXT_MAX];
	const char *name = chains[chain].name;
	unsigned port = spec->metadata_port, to = spec->agent_port;

	(void)inet_ip_print(&spec->metadata_ip, metadata);
	(void)inet_ip_print(&spec->agent_ip, agent);
	switch (chain) {
	case 0:
		return xasprintf("-A %s -d %s/32 -p tcp -m tcp --dport %u -m comment --comment "
				 "\"nmi: not redirected to the agent, so it must not pass\" "
				 "-j REJECT --reject-with tcp-reset\n",
				 name, metadata, port);
	case 1:
		return xasprintf(
			"-A %1$s ! -i lo -p tcp -m tcp --dport %2$u -m conntrack --ctstate DNAT "
			"--ctorigdst %3$s --ctorigdstport %4$u -m comment --comment "
			"\"nmi: sent here by its redirect\" -j RETURN\n"
			"-A %1$s ! -i lo -p tcp -m tcp --dport %2$u -m comment --comment "
			"\"nmi: nobody speaks to the agent directly\" -j DROP\n",
			name, to, metadata, port);
	case 2:
		return xasprintf(
			"-A %s -d %s/32 ! -i lo -p tcp -m tcp --dport %u -m rpfilter --invert -m "
			"comment --comment \"nmi: a borrowed address\" -j DROP\n",
			name, metadata, port);
	default:
		return xasprintf(
			"-A %s -d %s/32 ! -i lo -p tcp -m tcp --dport %u -m comment --comment "
			"\"nmi: requests of pods go to the agent\" -j DNAT --to-destination "
			"%s:%u\n",
			name, metadata, port, agent, to);
	}
}

static char *print_jump(size_t chain)
{
	return xasprintf("-A %s %s-j %s", chains[chain].hook, chains[chain].jump,
			 chains[chain].name);
}

/* words */

static struct str cut_line(struct str *text)
{
	const char *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
	struct str line = { text->p, end ? (size_t)(end - text->p) : text->n };
	size_t used = line.n + (end != NULL);

	*text = (struct str){ text->p + used, text->n - used };
	return line;
}

/*
 * Takes the next word off a rule and writes it to `out` (`rest` bytes are enough) without its quotes; its
 * length, or -1 at the end of the line.
 */
static ssize_t cut_word(struct str *rest, char *out)
{
	const char *p = rest->p, *end = p + rest->n;
	bool quoted = false;
	size_t n = 0;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p == end)
		return -1;
	for (; p < end && (quoted || (*p != ' ' && *p != '\t')); p++) {
		if (*p == '"') {
			quoted = !quoted;
			continue;
		}
		if (*p == '\\' && quoted && p + 1 < end)
			p++;
		out[n++] = *p;
	}
	*rest = (struct str){ p, (size_t)(end - p) };
	return (ssize_t)n;
}

/* Words, each ended by a unit separator, since a word may have blanks in it; on the heap. */
static char *canonical(struct str line)
{
	/* a word takes no more than it took, and had a blank or the end behind it */
	char *out = xcalloc(1, line.n + 2);
	struct str rest = line;
	size_t at = 0;
	ssize_t n;

	while ((n = cut_word(&rest, out + at)) >= 0) {
		if (n > 3 && memcmp(out + at + n - 3, "/32", 3) == 0)
			n -= 3;
		at += (size_t)n;
		out[at++] = '\x1f';
	}
	out[at] = '\0';
	return out;
}

static bool same_rule(struct str a, struct str b)
{
	_cleanup_free_ char *x = canonical(a);
	_cleanup_free_ char *y = canonical(b);

	return strcmp(x, y) == 0;
}

/* looking */

static void note_strange(struct ipt_look *l, struct str line)
{
	if (!*l->strange)
		str_escape(l->strange, sizeof(l->strange), line);
}

static void keep(struct ipt_seen *s, struct buf *b, struct str line)
{
	if (b->n + line.n + 1 > KEPT_MAX) {
		s->too_much = true;
		return;
	}
	buf_put(b, line.p, line.n);
	buf_put(b, "\n", 1);
}

static void look_at_table(struct ipt_look *l, struct str name)
{
	l->in_table = true;
	l->table = -1;
	l->mangle = str_eq(name, STR("mangle"));
	for (int t = 0; t < IPT_TABLES; t++)
		if (str_eq(name, str_of(table_names[t])))
			l->table = t;
}

/* ":NAME POLICY [0:0]" without the colon */
static void look_at_chain(struct ipt_look *l, struct str line)
{
	const char *blank = memchr(line.p, ' ', line.n);
	struct str name = { line.p, blank ? (size_t)(blank - line.p) : line.n };

	if (l->mangle &&
	    (str_eq(name, STR("KUBE-IPTABLES-HINT")) || str_eq(name, STR("KUBE-KUBELET-CANARY"))))
		l->kubelet = true;
	for (size_t c = 0; c < IPT_CHAINS; c++)
		if (l->table == (int)chains[c].table && str_eq(name, str_of(chains[c].name)))
			l->chains[c].exists = true;
}

/* What a rule is about, found in its words. */
struct rule {
	char *words; /* canonical() */
	const char *chain, *target, *comment;
};

static struct rule read_rule(struct str line)
{
	struct rule r = { .words = canonical(line), .chain = "", .target = "", .comment = "" };
	const char *option = "";

	for (char *at = r.words, *end; (end = strchr(at, '\x1f')); at = end + 1) {
		*end = '\0';
		if (strcmp(option, "-A") == 0 && !*r.chain)
			r.chain = at;
		else if (strcmp(option, "-j") == 0 || strcmp(option, "-g") == 0)
			r.target = at;
		else if (strcmp(option, "--comment") == 0)
			r.comment = at;
		option = at;
	}
	return r;
}

static void look_at_rule(struct ipt_look *l, struct str line)
{
	struct rule r;
	bool ours = false;

	if (l->table < 0) {
		l->foreign++;
		return;
	}
	r = read_rule(line);
	for (size_t c = 0; c < IPT_CHAINS; c++) {
		struct ipt_seen *s = &l->chains[c];
		bool jumps = strcmp(r.target, chains[c].name) == 0;

		if (l->table != (int)chains[c].table)
			continue;
		if (strcmp(r.chain, chains[c].name) == 0) {
			ours = true;
			s->marked = s->marked || strncmp(r.comment, MARK, strlen(MARK)) == 0;
			keep(s, &s->rules, line);
		}
		if (strcmp(r.chain, chains[c].hook) == 0) {
			s->hook_rules++;
			s->hook_jumps += jumps;
			if (jumps && !s->first_jump)
				s->first_jump = s->hook_rules;
		}
		if (jumps) {
			ours = true;
			keep(s, &s->jumps, line);
		}
	}
	free(r.words);
	l->foreign += !ours;
}

/* "[12:3456] " in front of a rule, where counters were asked for */
static struct str without_counters(struct str line)
{
	const char *end = line.n && *line.p == '[' ? memchr(line.p, ']', line.n) : NULL;
	size_t n = end ? (size_t)(end - line.p) + 1 : 0;

	if (n && n < line.n && line.p[n] == ' ')
		n++;
	return (struct str){ line.p + n, line.n - n };
}

void ipt_look_line(struct ipt_look *l, struct str line)
{
	struct str rest = { line.p + 1, line.n - 1 };

	if (!line.n || *line.p == '#')
		return;
	if (memchr(line.p, '\0', line.n) || memchr(line.p, '\x1f', line.n)) {
		note_strange(l, line);
		return;
	}
	if (*line.p == '*' && !l->in_table)
		look_at_table(l, rest);
	else if (*line.p == ':' && l->in_table)
		look_at_chain(l, rest);
	else if (str_eq(line, STR("COMMIT")) && l->in_table)
		l->in_table = l->mangle = false;
	else if (str_starts(without_counters(line), STR("-A ")) && l->in_table)
		look_at_rule(l, line);
	else
		note_strange(l, line);
}

int ipt_look_end(const struct ipt_look *l, struct err *err)
{
	if (*l->strange)
		return err_set(err, ERR_INPUT, "what iptables-save said is no listing: '%s'",
			       l->strange);
	if (l->in_table)
		return err_set(err, ERR_INPUT, "the listing of iptables-save has no end");
	return 0;
}

void ipt_look_deinit(struct ipt_look *l)
{
	for (size_t c = 0; c < IPT_CHAINS; c++) {
		buf_deinit(&l->chains[c].rules);
		buf_deinit(&l->chains[c].jumps);
	}
	*l = (struct ipt_look){ 0 };
}

/* judging */

static struct str text_of(const struct buf *b)
{
	return (struct str){ b->p ? b->p : "", b->n };
}

static void quote(char *out, size_t size, struct str line)
{
	str_escape(out, size, line.n ? line : STR("(none)"));
}

/* Rules in the chain against those that should be there. */
static bool rules_differ(const struct ipt_seen *s, size_t c, const struct redirect_spec *spec,
			 char why[static IPT_WHY_MAX])
{
	_cleanup_free_ char *expected = print_rules(spec, c);
	struct str want = str_of(expected), have = text_of(&s->rules);
	char a[40], b[40];

	for (unsigned i = 1; want.n || have.n; i++) {
		struct str w = cut_line(&want), h = without_counters(cut_line(&have));

		if (same_rule(w, h))
			continue;
		quote(a, sizeof(a), h);
		quote(b, sizeof(b), w);
		(void)snprintf(why, IPT_WHY_MAX,
			       "chain %s is altered, rule %u: '%s' in place of '%s'",
			       chains[c].name, i, a, b);
		return true;
	}
	return false;
}

static bool jump_differs(const struct ipt_seen *s, size_t c, char why[static IPT_WHY_MAX])
{
	_cleanup_free_ char *expected = print_jump(c);
	struct str jumps = text_of(&s->jumps);
	const char *what = NULL;

	if (!s->first_jump)
		what = "has no jump to";
	else if (s->first_jump != 1)
		what = "does not begin with the jump to";
	else if (s->hook_jumps > 1)
		what = "has more than one jump to";
	/* the one in the hook is among those from elsewhere */
	for (bool found = false; !what && !found;) {
		if (!jumps.n)
			what = "has another condition at its jump to";
		else
			found = same_rule(without_counters(cut_line(&jumps)), str_of(expected));
	}
	if (what)
		(void)snprintf(why, IPT_WHY_MAX, "%s of table %s %s %s", chains[c].hook,
			       table_names[chains[c].table], what, chains[c].name);
	return what;
}

unsigned ipt_look_judge(const struct ipt_look *l, const struct redirect_spec *spec,
			char why[static IPT_WHY_MAX])
{
	char more[IPT_WHY_MAX];
	unsigned altered = 0;

	for (size_t c = 0; c < IPT_CHAINS; c++) {
		const struct ipt_seen *s = &l->chains[c];
		char *to = altered ? more : why;
		bool bad = true;

		if (!s->exists)
			(void)snprintf(to, IPT_WHY_MAX, "chain %s is missing", chains[c].name);
		else if (s->too_much)
			(void)snprintf(to, IPT_WHY_MAX, "chain %s is full of foreign rules",
				       chains[c].name);
		else
			bad = rules_differ(s, c, spec, to) || jump_differs(s, c, to);
		if (bad)
			altered |= 1U << chains[c].table;
	}
	return altered;
}

static bool is_ours(const struct ipt_look *l, size_t c)
{
	/* what the other chains are called nobody else calls his */
	if (!l->chains[c].exists || chains[c].table != IPT_NAT)
		return l->chains[c].exists;
	for (size_t i = 0; i < IPT_CHAINS; i++)
		if (i != c && l->chains[i].exists)
			return true;
	return l->chains[c].marked;
}

bool ipt_look_has_ours(const struct ipt_look *l)
{
	for (size_t c = 0; c < IPT_CHAINS; c++)
		if (is_ours(l, c))
			return true;
	return false;
}

bool ipt_look_has_old(const struct ipt_look *l)
{
	for (size_t c = 0; c < IPT_CHAINS; c++)
		if (chains[c].table == IPT_NAT)
			return l->chains[c].exists && !is_ours(l, c);
	return false;
}

/* printing */

static void put(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct buf *b, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	buf_put(b, text, strlen(text));
}

/* Each jump that was seen, in its own words; `hook`: of those from there alone, NULL: of all. */
static void put_deletions(struct buf *b, const struct ipt_seen *s, const char *hook)
{
	struct str jumps = text_of(&s->jumps);

	while (jumps.n) {
		struct str line = without_counters(cut_line(&jumps));
		struct rule r = read_rule(line);

		if (!hook || strcmp(r.chain, hook) == 0)
			put(b, "-D %.*s\n", (int)(line.n - 3), line.p + 3);
		free(r.words);
	}
}

char *ipt_rules_print(const struct redirect_spec *spec, const struct ipt_look *l, unsigned tables)
{
	struct buf b = { 0 };

	for (unsigned t = 0; t < IPT_TABLES; t++) {
		if (!(tables & 1U << t))
			continue;
		put(&b, "*%s\n", table_names[t]);
		for (size_t c = 0; c < IPT_CHAINS; c++)
			if (chains[c].table == t)
				put(&b, ":%s - [0:0]\n", chains[c].name);
		for (size_t c = 0; c < IPT_CHAINS; c++) {
			_cleanup_free_ char *rules = NULL;

			if (chains[c].table != t)
				continue;
			rules = print_rules(spec, c);
			put_deletions(&b, &l->chains[c], chains[c].hook);
			put(&b, "-I %s 1 %s-j %s\n%s", chains[c].hook, chains[c].jump,
			    chains[c].name, rules);
		}
		put(&b, "COMMIT\n");
	}
	return buf_steal(&b, NULL);
}

char *ipt_rules_print_removal(const struct ipt_look *l)
{
	struct buf b = { 0 };

	for (int t = IPT_TABLES - 1; t >= 0; t--) {
		bool begun = false;

		for (size_t c = 0; c < IPT_CHAINS; c++) {
			if ((int)chains[c].table != t || !is_ours(l, c))
				continue;
			if (!begun)
				put(&b, "*%s\n", table_names[t]);
			begun = true;
			put(&b, ":%s - [0:0]\n", chains[c].name);
			put_deletions(&b, &l->chains[c], NULL);
			put(&b, "-X %s\n", chains[c].name);
		}
		if (begun)
			put(&b, "COMMIT\n");
	}
	return b.n ? buf_steal(&b, NULL) : NULL;
}

static void put_lines(struct buf *out, const char *table, const struct buf *lines)
{
	struct str text = text_of(lines);

	while (text.n) {
		struct str line = cut_line(&text);

		put(out, "%s %.*s\n", table, (int)line.n, line.p);
	}
}

void ipt_look_print(const struct ipt_look *l, struct buf *out)
{
	for (size_t c = 0; c < IPT_CHAINS; c++) {
		if (!is_ours(l, c))
			continue;
		put_lines(out, table_names[chains[c].table], &l->chains[c].jumps);
		put_lines(out, table_names[chains[c].table], &l->chains[c].rules);
	}
}

bool ipt_rules_concern(const char *table, const char *chain)
{
	for (size_t c = 0; c < IPT_CHAINS; c++)
		if (strcmp(table, table_names[chains[c].table]) == 0 &&
		    (!chain || strcmp(chain, chains[c].name) == 0 ||
		     strcmp(chain, chains[c].hook) == 0))
			return true;
	return false;
}
