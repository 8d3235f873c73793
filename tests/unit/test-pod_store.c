/* SPDX-License-Identifier: MIT */

#include "nmi/pods/store.h"
#include "tests/unit/mk-pod.h"
#include "tests/unit/unit.h"

#include <time.h>

/* "a" for the pod of that UID, "-" for nobody, "?" for several, "!" for one without its link. Asserts are slow: not one a call. */
static const char *who(const struct pod_store *s, const char *ip)
{
	const struct inet_ip key = ip_from(ip);
	const struct pod *p = NULL;

	switch (pod_store_find_ip(s, &key, &p)) {
	case POD_FOUND:
		return p->uid;
	case POD_AMBIGUOUS:
		return p ? "a pod was told" : "?";
	case POD_UNPLACED:
		return p ? "!" : "nobody was told";
	case POD_UNSEEN:
		return p ? "~" : "nobody was told";
	case POD_NONE:
		break;
	}
	return p ? "a pod was told" : "-";
}

/* The IPs that were told, each with who held it at that moment: "10.0.0.1=a " */
struct told {
	const struct pod_store *store;
	char text[256];
};

static void listen(void *ctx, const struct inet_ip *ip)
{
	struct told *t = ctx;
	char text[INET_IP_TEXT_MAX];
	size_t n = strlen(t->text);

	inet_ip_print(ip, text);
	(void)snprintf(t->text + n, sizeof(t->text) - n, "%s=%s ", text, who(t->store, text));
}

#define ck_told(t, want)                                                                           \
	do {                                                                                       \
		ck_assert_str_eq((t).text, want);                                                  \
		(t).text[0] = '\0';                                                                \
	} while (0)

START_TEST(an_active_pod_is_found_by_its_ips_and_by_uid)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();

	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1", .ip2 = "fd00::1"));
	ck_assert_str_eq(who(s, "10.0.0.1"), "a");
	ck_assert_str_eq(who(s, "::ffff:10.0.0.1"), "a");
	ck_assert_str_eq(who(s, "fd00::1"), "a");
	ck_assert_str_eq(who(s, "10.0.0.2"), "-");
	ck_assert_str_eq(pod_store_find_uid(s, "a")->name, "pod-a");
	ck_assert_ptr_null(pod_store_find_uid(s, "b"));
	ck_assert_uint_eq(pod_store_count(s), 1);
}
END_TEST

START_TEST(a_pod_that_is_not_active_claims_nothing)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();

	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1", .phase = "Succeeded"));
	pod_store_put_take(s, pod(.uid = "b", .ip = "10.0.0.2", .host_network = true));
	pod_store_put_take(s, pod(.uid = "c", .phase = "Pending"));
	ck_assert_str_eq(who(s, "10.0.0.1"), "-");
	ck_assert_str_eq(who(s, "10.0.0.2"), "-");
	ck_assert_uint_eq(pod_store_count(s), 3);
	ck_assert_ptr_nonnull(pod_store_find_uid(s, "a"));
}
END_TEST

static const struct {
	struct pod_args one, two;
	bool second4, second6;
} families[] = {
	{ { .uid = "a" }, { .uid = "b" }, false, false },
	{ { .uid = "a", .ip = "10.0.0.1" }, { .uid = "b" }, false, false },
	{ { .uid = "a", .ip = "fd00::1" }, { .uid = "b" }, false, false },
	{ { .uid = "a", .ip = "fd00::1", .ip2 = "10.0.0.1" }, { .uid = "b" }, true, false },
	{ { .uid = "a", .ip = "10.0.0.1", .ip2 = "fd00::1" }, { .uid = "b" }, false, true },
	/* what has one address now may have had two, or be given them */
	{ { .uid = "a", .ip = "fd00::1" },
	  { .uid = "b", .ip = "fd00::2", .ip2 = "10.0.0.2" },
	  true,
	  false },
	/* the agent's own pod, for one */
	{ { .uid = "a", .ip = "fd00::1", .ip2 = "10.0.0.1", .host_network = true },
	  { .uid = "b" },
	  true,
	  false },
	{ { .uid = "a", .ip = "fd00::1", .ip2 = "10.0.0.1" },
	  { .uid = "b", .ip = "10.0.0.2", .ip2 = "fd00::2" },
	  true,
	  true },
};

START_TEST(a_family_that_comes_second_is_known_by_any_pod_that_has_it_so)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	struct inet_ip v4 = ip_from("10.0.0.9"), v6 = ip_from("fd00::9");

	pod_store_put_take(s, pod_from(&families[_i].one));
	pod_store_put_take(s, pod_from(&families[_i].two));
	ck_assert_int_eq(pod_store_has_second(s, &v4), families[_i].second4);
	ck_assert_int_eq(pod_store_has_second(s, &v6), families[_i].second6);
}
END_TEST

START_TEST(two_active_pods_with_one_ip_hide_each_other)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	struct told t = { .store = s };

	pod_store_on_change(s, listen, &t);
	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1"));
	ck_told(t, "10.0.0.1=a ");
	pod_store_put_take(s, pod(.uid = "b", .ip = "10.0.0.1"));
	ck_told(t, "10.0.0.1=? ");
	pod_store_put_take(s, pod(.uid = "c", .ip = "10.0.0.1"));
	pod_store_put_take(s, pod(.uid = "b", .ip = "10.0.0.1", .phase = "Failed"));
	ck_assert_str_eq(who(s, "10.0.0.1"), "?");
	t.text[0] = '\0';
	pod_store_remove(s, "a"); /* the first of them: the other takes its place */
	ck_told(t, "10.0.0.1=c ");
	pod_store_remove(s, "c");
	ck_told(t, "10.0.0.1=- ");
}
END_TEST

START_TEST(a_pod_that_ends_frees_its_ip_for_the_next)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	struct told t = { .store = s };

	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1"));
	pod_store_on_change(s, listen, &t);
	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1", .phase = "Succeeded"));
	ck_told(t, "10.0.0.1=- ");
	pod_store_put_take(s, pod(.uid = "b", .ip = "10.0.0.1"));
	ck_told(t, "10.0.0.1=b ");
	pod_store_remove(s, "a"); /* had no claim any more */
	ck_told(t, "");
	ck_assert_str_eq(who(s, "10.0.0.1"), "b");
}
END_TEST

START_TEST(a_pod_that_changes_its_ip_releases_the_old_one)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	struct told t = { .store = s };

	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1", .ip2 = "fd00::1"));
	pod_store_on_change(s, listen, &t);
	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.2", .ip2 = "fd00::1"));
	ck_told(t, "10.0.0.1=- 10.0.0.2=a ");
	ck_assert_str_eq(who(s, "fd00::1"), "a");
}
END_TEST

START_TEST(a_new_version_with_the_same_ip_is_no_change_of_who_holds_it)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	struct told t = { .store = s };

	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1", .phase = "Pending"));
	pod_store_on_change(s, listen, &t);
	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1"));
	ck_told(t, "");
	ck_assert_int_eq(pod_store_find_uid(s, "a")->phase, POD_RUNNING);
	ck_assert_uint_eq(pod_store_count(s), 1);
}
END_TEST

struct names {
	char text[64];
};

static void note(void *ctx, const struct pod *p)
{
	struct names *n = ctx;
	size_t at = strlen(n->text);

	(void)snprintf(n->text + at, sizeof(n->text) - at, "%s ", p->uid);
}

static void ck_claimants(const struct pod_store *s, const char *ip, const char *want)
{
	const struct inet_ip key = ip_from(ip);
	struct names got = { "" };

	pod_store_claimants(s, &key, note, &got);
	ck_assert_str_eq(got.text, want);
}

START_TEST(all_who_claim_an_ip_are_named_and_nobody_else)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();

	ck_claimants(s, "10.0.0.1", "");
	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.2", .ip2 = "10.0.0.1"));
	pod_store_put_take(s, pod(.uid = "b", .ip = "10.0.0.3"));
	ck_claimants(s, "10.0.0.1", "a ");
	pod_store_put_take(s, pod(.uid = "c", .ip = "10.0.0.1"));
	pod_store_put_take(s, pod(.uid = "d", .ip = "10.0.0.1", .phase = "Failed"));
	ck_claimants(s, "10.0.0.1", "a c ");
	pod_store_remove(s, "a");
	ck_claimants(s, "10.0.0.1", "c ");
}
END_TEST

START_TEST(a_reference_outlives_the_store)
{
	struct pod_store *s = pod_store_new();
	struct pod *kept;

	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1"));
	kept = pod_ref(pod_store_find_uid(s, "a"));
	ck_assert_ptr_null(pod_store_free(s));
	ck_assert_str_eq(kept->uid, "a");
	pod_unref(kept);
}
END_TEST

START_TEST(a_resync_drops_what_it_did_not_bring_and_tells)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	struct told t = { .store = s };

	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1"));
	pod_store_put_take(s, pod(.uid = "b", .ip = "10.0.0.2"));
	pod_store_on_change(s, listen, &t);
	pod_store_resync_begin(s);
	pod_store_put_take(s, pod(.uid = "b", .ip = "10.0.0.2"));
	ck_assert_str_eq(who(s, "10.0.0.1"), "a");
	pod_store_resync_begin(s); /* cut short, and again */
	pod_store_put_take(s, pod(.uid = "b", .ip = "10.0.0.2"));
	ck_told(t, "");
	pod_store_resync_end(s);
	ck_told(t, "10.0.0.1=- ");
	ck_assert_str_eq(who(s, "10.0.0.2"), "b");
}
END_TEST

/*
 * Random operations against a plain model: what each pod claims, searched from end to end. The seed is
 * printed when they disagree; NMI_TEST_SEED=n plays one again.
 */
#define PODS 6
#define IPS  4

struct model {
	bool exists[PODS], brought[PODS], in_resync;
	bool claims[PODS][IPS];
	int told[IPS];
};

static void model_listen(void *ctx, const struct inet_ip *ip)
{
	struct model *m = ctx;

	m->told[ip->b[15] % IPS]++;
}

static const char *model_who(const struct model *m, int ip)
{
	static const char *const uids[] = { "p0", "p1", "p2", "p3", "p4", "p5" };
	const char *found = "-";

	for (int i = 0; i < PODS; i++) {
		if (m->exists[i] && m->claims[i][ip])
			found = strcmp(found, "-") == 0 ? uids[i] : "?";
	}
	return found;
}

static void model_put(struct model *m, struct pod_store *s, unsigned *state)
{
	static const char *const phases[] = { "Running", "Pending", "Running", "Succeeded" };
	int i = rand_r(state) % PODS, a = rand_r(state) % (IPS + 1), b = rand_r(state) % IPS;
	const char *phase = phases[rand_r(state) % 4];
	char uid[8], ip[16], ip2[16];
	bool active = strcmp(phase, "Succeeded") != 0;

	(void)snprintf(uid, sizeof(uid), "p%d", i);
	(void)snprintf(ip, sizeof(ip), "10.0.0.%d", a);
	(void)snprintf(ip2, sizeof(ip2), "10.0.0.%d", b);
	m->exists[i] = m->brought[i] = true;
	memset(m->claims[i], 0, sizeof(m->claims[i]));
	if (a < IPS && active)
		m->claims[i][a] = m->claims[i][b] = true;
	/* a == IPS: it has none yet */
	pod_store_put_take(s,
			   pod(.uid = uid, .ip = a < IPS ? ip : NULL, .ip2 = ip2, .phase = phase));
}

static void model_step(struct model *m, struct pod_store *s, unsigned *state)
{
	int i = rand_r(state) % PODS;
	char uid[8];

	switch (rand_r(state) % 10) {
	case 0:
		pod_store_resync_begin(s);
		memset(m->brought, 0, sizeof(m->brought));
		m->in_resync = true;
		break;
	case 1:
		if (!m->in_resync)
			break;
		for (i = 0; i < PODS; i++)
			m->exists[i] &= m->brought[i];
		m->in_resync = false;
		pod_store_resync_end(s);
		break;
	case 2:
	case 3:
		(void)snprintf(uid, sizeof(uid), "p%d", i);
		m->exists[i] = false;
		pod_store_remove(s, uid);
		break;
	default:
		model_put(m, s, state);
	}
}

static const unsigned rounds[] = { 0, 1, 2, 3 }; /* added to the seed */

START_TEST(random_operations_agree_with_a_plain_model)
{
	const char *given = getenv("NMI_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10)
			      : (unsigned)time(NULL) + rounds[_i];
	unsigned state = seed;
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	struct model m = { 0 };

	pod_store_on_change(s, model_listen, &m);
	for (int n = 0; n < 1000; n++) {
		const char *was[IPS];
		size_t count = 0;

		for (int ip = 0; ip < IPS; ip++)
			was[ip] = model_who(&m, ip);
		memset(m.told, 0, sizeof(m.told));
		model_step(&m, s, &state);
		for (int ip = 0; ip < IPS; ip++) {
			const char *now = model_who(&m, ip);
			char text[16];

			(void)snprintf(text, sizeof(text), "10.0.0.%d", ip);
			if (strcmp(who(s, text), now) != 0)
				ck_abort_msg("seed %u step %d: %s is %s, want %s", seed, n, text,
					     who(s, text), now);
			if (strcmp(was[ip], now) != 0 && !m.told[ip])
				ck_abort_msg("seed %u step %d: %s from %s to %s was not told", seed,
					     n, text, was[ip], now);
		}
		for (int i = 0; i < PODS; i++)
			count += m.exists[i];
		ck_assert_msg(pod_store_count(s) == count, "seed %u step %d", seed, n);
	}
}
END_TEST

START_TEST(a_pod_is_found_by_name_until_it_ends_unless_there_are_two)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();

	ck_assert_ptr_null(pod_store_find_name(s, "my-app", "pod-a"));
	pod_store_put_take(s, pod(.uid = "a", .phase = "Pending"));
	ck_assert_str_eq(pod_store_find_name(s, "my-app", "pod-a")->uid, "a");
	ck_assert_ptr_null(pod_store_find_name(s, "my-ap", "pod-a"));
	ck_assert_ptr_null(pod_store_find_name(s, "my-app", "pod"));
	pod_store_put_take(s, pod(.uid = "b", .name = "pod-a", .host_network = true));
	ck_assert_ptr_null(pod_store_find_name(s, "my-app", "pod-a"));
	pod_store_put_take(s, pod(.uid = "a", .phase = "Failed"));
	ck_assert_str_eq(pod_store_find_name(s, "my-app", "pod-a")->uid, "b");
	pod_store_remove(s, "b");
	ck_assert_ptr_null(pod_store_find_name(s, "my-app", "pod-a"));
}
END_TEST

static void note_pod(void *ctx, const struct pod *p)
{
	struct told *t = ctx;
	size_t n = strlen(t->text);

	(void)snprintf(t->text + n, sizeof(t->text) - n, "%s%s ", p->uid,
		       pod_store_find_uid(t->store, p->uid) ? "" : " went");
}

START_TEST(every_pod_that_comes_changes_or_goes_is_told_with_or_without_an_ip)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	struct told t = { .store = s };

	pod_store_on_pod(s, note_pod, &t);
	pod_store_put_take(s, pod(.uid = "a"));
	ck_told(t, "a ");
	pod_store_put_take(s, pod(.uid = "a", .ip = "10.0.0.1"));
	ck_told(t, "a ");
	pod_store_remove(s, "b");
	ck_told(t, "");
	pod_store_remove(s, "a");
	ck_told(t, "a went ");
	pod_store_put_take(s, pod(.uid = "c"));
	pod_store_resync_begin(s);
	pod_store_resync_end(s);
	ck_told(t, "c c went ");
	pod_store_on_pod(s, NULL, NULL);
	pod_store_put_take(s, pod(.uid = "a"));
	ck_told(t, "");
}
END_TEST

UNIT_MAIN("pod_store", UNIT(an_active_pod_is_found_by_its_ips_and_by_uid),
	  UNIT(a_pod_that_is_not_active_claims_nothing),
	  UNIT_LOOP(a_family_that_comes_second_is_known_by_any_pod_that_has_it_so, families),
	  UNIT(two_active_pods_with_one_ip_hide_each_other),
	  UNIT(a_pod_that_ends_frees_its_ip_for_the_next),
	  UNIT(a_pod_that_changes_its_ip_releases_the_old_one),
	  UNIT(a_new_version_with_the_same_ip_is_no_change_of_who_holds_it),
	  UNIT(all_who_claim_an_ip_are_named_and_nobody_else), UNIT(a_reference_outlives_the_store),
	  UNIT(a_reference_outlives_the_store),
	  UNIT(a_pod_is_found_by_name_until_it_ends_unless_there_are_two),
	  UNIT(every_pod_that_comes_changes_or_goes_is_told_with_or_without_an_ip),
	  UNIT(a_resync_drops_what_it_did_not_bring_and_tells),
	  UNIT_LOOP(random_operations_agree_with_a_plain_model, rounds))
