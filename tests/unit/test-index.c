/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "mic-client/index.h"
#include "tests/unit/mk-json.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <time.h>

static void put_identity(struct identity_index *x, const char *ns, const char *name,
			 const char *client_id)
{
	_cleanup_free_ char *text =
		xasprintf("{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\"},"
			  "\"spec\":{\"clientID\":\"%s\"}}",
			  ns, name, client_id);
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);

	identity_index_put_identity_take(x, azure_identity_parse(doc, NULL));
}

static void put_binding(struct identity_index *x, const char *ns, const char *name,
			const char *selector, const char *identity)
{
	_cleanup_free_ char *text =
		xasprintf("{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\"},"
			  "\"spec\":{\"selector\":\"%s\",\"azureIdentity\":\"%s\"}}",
			  ns, name, selector, identity);
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);

	identity_index_put_binding_take(x, azure_binding_parse(doc, NULL));
}

static void put_exception(struct identity_index *x, const char *ns, const char *name)
{
	_cleanup_free_ char *text =
		xasprintf("{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\"},"
			  "\"spec\":{\"podLabels\":{\"a\":\"b\"}}}",
			  ns, name);
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);

	identity_index_put_exception_take(x, azure_exception_parse(doc, NULL));
}

static void put_assigned(struct identity_index *x, const char *name, const char *pod_ns,
			 const char *pod, const char *identity)
{
	_cleanup_free_ char *text = xasprintf(
		"{\"metadata\":{\"namespace\":\"default\",\"name\":\"%s\"},\"spec\":{\"pod\":\"%"
		"s\","
		"\"podNamespace\":\"%s\",\"azureIdentityRef\":{\"metadata\":{\"namespace\":\"ids\","
		"\"name\":\"%s\"}}}}",
		name, pod, pod_ns, identity);
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);

	identity_index_put_assigned_take(x, azure_assigned_identity_parse(doc, NULL));
}

/* A walk as text: "name>identity " for each. */
struct seen {
	char text[4096];
};

static void see_binding(void *ctx, const struct azure_binding *b)
{
	struct seen *s = ctx;
	size_t n = strlen(s->text);

	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s>%s ", b->meta.name, b->azure_identity);
}

static bool see_exception(void *ctx, const struct azure_exception *e)
{
	struct seen *s = ctx;
	size_t n = strlen(s->text);

	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s ", e->meta.name);
	return strcmp(e->meta.name, "stop") == 0;
}

static const char *bindings(const struct identity_index *x, const char *ns, const char *selector,
			    struct seen *s)
{
	s->text[0] = '\0';
	identity_index_bindings(x, ns, selector, see_binding, s);
	return s->text;
}

START_TEST(an_identity_is_found_by_namespace_and_name)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();

	put_identity(x, "a", "bc", "one");
	put_identity(x, "ab", "c", "two");
	ck_assert_str_eq(identity_index_identity(x, "a", "bc")->client_id, "one");
	ck_assert_str_eq(identity_index_identity(x, "ab", "c")->client_id, "two");
	ck_assert_ptr_null(identity_index_identity(x, "a", "c"));
	ck_assert_ptr_null(identity_index_identity(x, "", "abc"));
	ck_assert_uint_eq(identity_index_count(x, KIND_IDENTITY), 2);
	ck_assert_uint_eq(identity_index_count(x, KIND_BINDING), 0);
}
END_TEST

START_TEST(a_new_version_replaces_the_old_one)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct azure_identity *kept;

	put_identity(x, "a", "i", "one");
	kept = azure_identity_ref(identity_index_identity(x, "a", "i"));
	put_identity(x, "a", "i", "two");
	ck_assert_str_eq(identity_index_identity(x, "a", "i")->client_id, "two");
	ck_assert_str_eq(kept->client_id,
			 "one"); /* who holds a reference keeps what was decided on */
	ck_assert_uint_eq(identity_index_count(x, KIND_IDENTITY), 1);
	azure_identity_unref(kept);
}
END_TEST

START_TEST(a_binding_moves_with_its_selector)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct seen s;

	put_binding(x, "a", "b", "web", "i");
	put_binding(x, "a", "b", "batch", "i");
	ck_assert_str_eq(bindings(x, "a", "web", &s), "");
	ck_assert_str_eq(bindings(x, "a", "batch", &s), "b>i ");
	ck_assert_str_eq(bindings(x, "other", "batch", &s), "");
	ck_assert_uint_eq(identity_index_count(x, KIND_BINDING), 1);
}
END_TEST

START_TEST(bindings_of_one_identity_come_together)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct seen s;

	put_binding(x, "a", "b3", "web", "i");
	put_binding(x, "a", "b1", "web", "k");
	put_binding(x, "a", "b2", "web", "i");
	put_binding(x, "a", "b4", "web", "j");
	ck_assert_str_eq(bindings(x, "a", "web", &s), "b2>i b3>i b4>j b1>k ");
	identity_index_remove(x, KIND_BINDING, "a", "b3");
	put_binding(x, "a", "b1", "web", "a");
	ck_assert_str_eq(bindings(x, "a", "web", &s), "b1>a b2>i b4>j ");
}
END_TEST

START_TEST(a_walk_of_exceptions_ends_where_it_is_told)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct seen s = { 0 };

	put_exception(x, "a", "unseen");
	put_exception(x, "a", "stop");
	put_exception(x, "a", "one");
	put_exception(x, "b", "zero");
	ck_assert_str_eq(identity_index_exceptions(x, "a", see_exception, &s)->meta.name, "stop");
	ck_assert_str_eq(s.text, "one stop ");
	ck_assert_ptr_null(identity_index_exceptions(x, "b", see_exception, &s));
	ck_assert_ptr_null(identity_index_exceptions(x, "c", see_exception, &s));
}
END_TEST

static void see_assigned(void *ctx, const struct azure_assigned_identity *a)
{
	struct seen *s = ctx;
	size_t n = strlen(s->text);

	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s>%s ", a->meta.name,
		       a->identity->meta.name);
}

static const char *assigned(const struct identity_index *x, const char *ns, const char *pod)
{
	static struct seen s;

	s.text[0] = '\0';
	identity_index_assigned(x, ns, pod, see_assigned, &s);
	return s.text;
}

START_TEST(assigned_identities_are_found_by_their_pod_wherever_they_are)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();

	put_assigned(x, "z", "shop", "web", "b");
	put_assigned(x, "y", "shop", "web", "a");
	put_assigned(x, "x", "shop", "web", "b");
	put_assigned(x, "w", "shop", "api", "a");
	put_assigned(x, "v", "ops", "web", "a");
	ck_assert_str_eq(assigned(x, "shop", "web"), "y>a x>b z>b ");
	ck_assert_str_eq(assigned(x, "ops", "web"), "v>a ");
	ck_assert_str_eq(assigned(x, "default", "web"), ""); /* where the objects are */
	put_assigned(x, "x", "shop", "api", "c");	     /* moves to another pod */
	ck_assert_str_eq(assigned(x, "shop", "web"), "y>a z>b ");
	ck_assert_str_eq(assigned(x, "shop", "api"), "w>a x>c ");
	identity_index_resync_begin(x, KIND_ASSIGNED);
	put_assigned(x, "y", "shop", "web", "a");
	ck_assert_str_eq(assigned(x, "shop", "web"), "y>a z>b ");
	identity_index_resync_end(x, KIND_ASSIGNED);
	ck_assert_str_eq(assigned(x, "shop", "web"), "y>a ");
	ck_assert_uint_eq(identity_index_count(x, KIND_ASSIGNED), 1);
	identity_index_remove(x, KIND_ASSIGNED, "default", "y");
	ck_assert_str_eq(assigned(x, "shop", "web"), "");
}
END_TEST

START_TEST(removing_what_is_not_there_is_nothing)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();

	put_identity(x, "a", "i", "one");
	identity_index_remove(x, KIND_IDENTITY, "a", "j");
	identity_index_remove(x, KIND_BINDING, "a", "i");
	ck_assert_uint_eq(identity_index_count(x, KIND_IDENTITY), 1);
}
END_TEST

START_TEST(a_resync_drops_only_what_it_did_not_bring_and_only_at_its_end)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct seen s;

	put_identity(x, "a", "i", "one");
	put_identity(x, "a", "j", "two");
	put_binding(x, "a", "b", "web", "i");
	identity_index_resync_begin(x, KIND_IDENTITY);
	put_identity(x, "a", "i", "one");
	ck_assert_ptr_nonnull(
		identity_index_identity(x, "a", "j")); /* still: not known to be gone */
	identity_index_resync_end(x, KIND_IDENTITY);
	ck_assert_ptr_nonnull(identity_index_identity(x, "a", "i"));
	ck_assert_ptr_null(identity_index_identity(x, "a", "j"));
	ck_assert_str_eq(bindings(x, "a", "web", &s), "b>i "); /* another kind: not its business */
}
END_TEST

START_TEST(a_resync_that_was_cut_short_drops_nothing)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();

	put_identity(x, "a", "i", "one");
	put_identity(x, "a", "j", "two");
	identity_index_resync_begin(x, KIND_IDENTITY);
	put_identity(x, "a", "i", "one");
	identity_index_resync_begin(x, KIND_IDENTITY); /* the server went away, and again */
	put_identity(x, "a", "j", "two");
	ck_assert_uint_eq(identity_index_count(x, KIND_IDENTITY), 2);
	identity_index_resync_end(x, KIND_IDENTITY);
	ck_assert_ptr_null(identity_index_identity(x, "a", "i"));
	ck_assert_ptr_nonnull(identity_index_identity(x, "a", "j"));
}
END_TEST

START_TEST(names_longer_than_any_are_found)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	char ns[400], name[400];

	memset(ns, 'n', sizeof(ns));
	memset(name, 'i', sizeof(name));
	ns[sizeof(ns) - 1] = name[sizeof(name) - 1] = '\0';
	put_identity(x, ns, name, "one");
	ck_assert_str_eq(identity_index_identity(x, ns, name)->client_id, "one");
	name[398] = '\0';
	ck_assert_ptr_null(identity_index_identity(x, ns, name));
}
END_TEST

/*
 * Random operations against a plain model: an array of bindings, searched from end to end. The seed is
 * printed when they disagree; NMI_TEST_SEED=n plays one again.
 */
#define MODEL_NS    2
#define MODEL_NAMES 5
#define MODEL_SELS  3
#define MODEL_IDS   3

struct model {
	int sel[MODEL_NS][MODEL_NAMES]; /* -1: there is no such binding */
	int id[MODEL_NS][MODEL_NAMES];
	bool brought[MODEL_NS][MODEL_NAMES];
	bool in_resync;
};

static const char *model_bindings(const struct model *m, int ns, int sel, struct seen *s)
{
	size_t n = 0;

	s->text[0] = '\0';
	for (int id = 0; id < MODEL_IDS; id++) {
		for (int k = 0; k < MODEL_NAMES; k++) {
			if (m->sel[ns][k] == sel && m->id[ns][k] == id)
				n += (size_t)snprintf(s->text + n, sizeof(s->text) - n, "b%d>i%d ",
						      k, id);
		}
	}
	return s->text;
}

static void compare(const struct identity_index *x, const struct model *m, unsigned seed)
{
	char ns[8], sel[8];
	size_t count = 0;

	for (int i = 0; i < MODEL_NS; i++) {
		for (int k = 0; k < MODEL_NAMES; k++)
			count += m->sel[i][k] >= 0;
		for (int j = 0; j < MODEL_SELS; j++) {
			struct seen want, got;

			(void)snprintf(ns, sizeof(ns), "n%d", i);
			(void)snprintf(sel, sizeof(sel), "s%d", j);
			model_bindings(m, i, j, &want);
			bindings(x, ns, sel, &got);
			if (strcmp(want.text, got.text) != 0)
				ck_abort_msg("seed %u: want '%s', got '%s'", seed, want.text,
					     got.text);
		}
	}
	ck_assert_msg(identity_index_count(x, KIND_BINDING) == count, "seed %u", seed);
}

static void model_end(struct model *m)
{
	for (int i = 0; i < MODEL_NS; i++) {
		for (int k = 0; k < MODEL_NAMES; k++) {
			if (!m->brought[i][k])
				m->sel[i][k] = -1;
		}
	}
	m->in_resync = false;
}

static void step(struct identity_index *x, struct model *m, unsigned *state)
{
	int i = rand_r(state) % MODEL_NS, k = rand_r(state) % MODEL_NAMES;
	int j = rand_r(state) % MODEL_SELS, id = rand_r(state) % MODEL_IDS;
	char ns[8], name[8], sel[8], identity[8];

	(void)snprintf(ns, sizeof(ns), "n%d", i);
	(void)snprintf(name, sizeof(name), "b%d", k);
	(void)snprintf(sel, sizeof(sel), "s%d", j);
	(void)snprintf(identity, sizeof(identity), "i%d", id);
	switch (rand_r(state) % 10) {
	case 0:
		identity_index_resync_begin(x, KIND_BINDING);
		memset(m->brought, 0, sizeof(m->brought));
		m->in_resync = true;
		break;
	case 1:
		if (!m->in_resync)
			break;
		identity_index_resync_end(x, KIND_BINDING);
		model_end(m);
		break;
	case 2:
	case 3:
	case 4:
		identity_index_remove(x, KIND_BINDING, ns, name);
		m->sel[i][k] = -1;
		break;
	default:
		put_binding(x, ns, name, sel, identity);
		m->sel[i][k] = j;
		m->id[i][k] = id;
		m->brought[i][k] = true;
	}
}

static const unsigned rounds[] = { 0, 1, 2, 3 }; /* added to the seed */

START_TEST(random_operations_agree_with_a_plain_model)
{
	const char *given = getenv("NMI_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10)
			      : (unsigned)time(NULL) + rounds[_i];
	unsigned state = seed;
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();
	struct model m = { 0 };

	memset(m.sel, -1, sizeof(m.sel));
	for (int n = 0; n < 1000; n++) {
		step(x, &m, &state);
		compare(x, &m, seed);
	}
}
END_TEST

START_TEST(an_id_exists_from_when_its_identity_is_put_until_it_goes_or_has_another)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();

	ck_assert(!identity_index_has_client_id(x, "c-a"));
	put_identity(x, "shop", "a", "c-a");
	ck_assert(identity_index_has_client_id(x, "C-A"));
	ck_assert(!identity_index_has_resource_id(x, "c-a"));
	put_identity(x, "other", "a", "c-b");
	put_identity(x, "other", "a", "c-c");
	ck_assert(!identity_index_has_client_id(x, "c-b"));
	ck_assert(identity_index_has_client_id(x, "c-c"));
	identity_index_remove(x, KIND_IDENTITY, "shop", "a");
	ck_assert(!identity_index_has_client_id(x, "c-a"));
	identity_index_resync_begin(x, KIND_IDENTITY);
	identity_index_resync_end(x, KIND_IDENTITY);
	ck_assert(!identity_index_has_client_id(x, "c-c"));
}
END_TEST

static void put_account(struct identity_index *x, const char *ns, const char *name)
{
	_cleanup_free_ char *text = xasprintf("{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\","
					      "\"annotations\":{\"" AZURE_CLIENT_NOTE
					      "\":\"%s\"}}}",
					      ns, name, name);
	_cleanup_(jval_freep) struct jval *doc = mk_json(text);
	struct azure_identity *i = NULL;

	ck_assert_int_eq(azure_identity_parse_account(doc, &i, NULL), 0);
	identity_index_put_account_take(x, i);
}

START_TEST(an_account_is_no_identity_of_its_name)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();

	put_account(x, "shop", "web");
	put_identity(x, "shop", "db", "c-db");
	ck_assert_str_eq(identity_index_account(x, "shop", "web")->client_id, "web");
	ck_assert_ptr_null(identity_index_account(x, "shop", "db"));
	ck_assert_ptr_null(identity_index_account(x, "other", "web"));
	ck_assert_ptr_null(identity_index_identity(x, "shop", "web"));
	/* no AzureIdentity has that id */
	ck_assert(!identity_index_has_client_id(x, "web"));
	identity_index_remove(x, KIND_ACCOUNT, "shop", "web");
	ck_assert_ptr_null(identity_index_account(x, "shop", "web"));
	ck_assert_uint_eq(identity_index_count(x, KIND_IDENTITY), 1);
}
END_TEST

START_TEST(accounts_are_seen_when_they_were_all_seen_once)
{
	_cleanup_(identity_index_freep) struct identity_index *x = identity_index_new();

	identity_index_resync_begin(x, KIND_ACCOUNT);
	identity_index_resync_end(x, KIND_ACCOUNT);
	ck_assert_int_eq(identity_index_accounts(x), ACCOUNTS_UNUSED);
	identity_index_use_accounts(x);
	ck_assert_int_eq(identity_index_accounts(x), ACCOUNTS_UNSEEN);
	identity_index_resync_begin(x, KIND_IDENTITY);
	identity_index_resync_end(x, KIND_IDENTITY);
	put_account(x, "shop", "web");
	ck_assert_int_eq(identity_index_accounts(x), ACCOUNTS_UNSEEN);
	identity_index_resync_begin(x, KIND_ACCOUNT);
	ck_assert_int_eq(identity_index_accounts(x), ACCOUNTS_UNSEEN);
	identity_index_resync_end(x, KIND_ACCOUNT);
	ck_assert_int_eq(identity_index_accounts(x), ACCOUNTS_SEEN);
	ck_assert_ptr_null(identity_index_account(x, "shop", "web"));
	/* for good: the next whole changes nothing of that */
	identity_index_resync_begin(x, KIND_ACCOUNT);
	identity_index_use_accounts(x);
	ck_assert_int_eq(identity_index_accounts(x), ACCOUNTS_SEEN);
}
END_TEST

UNIT_MAIN("index", UNIT(an_identity_is_found_by_namespace_and_name),
	  UNIT(a_new_version_replaces_the_old_one), UNIT(a_binding_moves_with_its_selector),
	  UNIT(bindings_of_one_identity_come_together),
	  UNIT(a_walk_of_exceptions_ends_where_it_is_told),
	  UNIT(assigned_identities_are_found_by_their_pod_wherever_they_are),
	  UNIT(an_id_exists_from_when_its_identity_is_put_until_it_goes_or_has_another),
	  UNIT(an_account_is_no_identity_of_its_name),
	  UNIT(accounts_are_seen_when_they_were_all_seen_once),
	  UNIT(removing_what_is_not_there_is_nothing),
	  UNIT(a_resync_drops_only_what_it_did_not_bring_and_only_at_its_end),
	  UNIT(a_resync_that_was_cut_short_drops_nothing), UNIT(names_longer_than_any_are_found),
	  UNIT_LOOP(random_operations_agree_with_a_plain_model, rounds))
