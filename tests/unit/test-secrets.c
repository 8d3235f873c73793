/* SPDX-License-Identifier: MIT */

#include "lib/loop/loop.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/token/secrets.h"
#include "tests/unit/fake-kube.h"
#include "tests/unit/unit.h"

/* not an API server's: the fake one looks at it no closer */
static struct kube_client *const kube = (struct kube_client *)(uintptr_t) "kube";
static const struct secret_ref sp = { "shop", "sp" };

#define SECRET(version)                                                                            \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"sp\",\"uid\":\"u1\","                    \
	"\"resourceVersion\":"                                                                     \
	"\"" version "\"},\"data\":{\"clientSecret\":\"YWJj\"}}"

struct bench {
	struct loop *loop;
	struct metrics *metrics;
	struct secrets *secrets;
	struct token_failure fail;
	uint64_t origin;
	unsigned told;
	bool had_data;
};

static void bench_init(struct bench *b)
{
	fake_kube_reset();
	*b = (struct bench){ .loop = loop_new_fake(NULL) };
	b->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, 16);
	b->secrets = secrets_new(b->loop, kube, b->metrics);
}

static void bench_deinit(struct bench *b)
{
	b->secrets = secrets_free(b->secrets);
	b->metrics = metrics_free(b->metrics);
	b->loop = loop_free(b->loop);
	fake_kube_reset();
}

static void on_done(void *ctx, uint64_t origin, const struct jval *data,
		    const struct token_failure *fail)
{
	struct bench *b = ctx;

	b->told++;
	b->origin = origin;
	b->had_data = data != NULL;
	b->fail = fail ? *fail : (struct token_failure){ 0 };
}

static struct secrets_wait *look(struct bench *b)
{
	return secrets_look(b->secrets, &sp, on_done, b, &b->fail);
}

static struct secrets_wait *get(struct bench *b)
{
	return secrets_get(b->secrets, &sp, on_done, b, &b->fail);
}

/* The answer to the newest call. */
static void answer(long status, const char *text)
{
	fake_answer(fake_kube.n_calls - 1, status, text);
}

static enum token_news check(struct bench *b, uint64_t origin)
{
	return secrets_check(b->secrets, &sp, origin);
}

/* With the watch forbidden, as an old role has it. */
static void forbid_watch(struct reflector *r)
{
	r->status.state = REFLECTOR_STARTING;
	r->status.last_err = (struct err){ .kind = ERR_REFUSED, .http_status = 403 };
}

START_TEST(a_secret_is_read_whole_on_a_connection_of_its_own)
{
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(get(&b));
	ck_assert_uint_eq(b.told, 0);
	ck_assert_str_eq(fake_kube.calls[0]->path, "/api/v1/namespaces/shop/secrets/sp");
	ck_assert(fake_kube.calls[0]->is_secret);
	ck_assert_str_eq(fake_kube.calls[0]->accept, "");
	answer(200, SECRET("1"));
	ck_assert_uint_eq(b.told, 1);
	ck_assert(b.had_data && b.origin);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_look_and_a_watch_ask_for_metadata_only)
{
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(look(&b));
	ck_assert_str_eq(fake_kube.calls[0]->accept, KUBE_ACCEPT_METADATA);
	ck_assert_uint_eq(fake_kube.n_reflectors, 1);
	ck_assert(fake_kube.reflectors[0]->spec.metadata_only);
	ck_assert(fake_kube.reflectors[0]->is_started);
	answer(200, SECRET("1"));
	ck_assert(!b.had_data);
	bench_deinit(&b);
}
END_TEST

START_TEST(those_who_ask_at_once_share_a_call)
{
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_ptr_nonnull(get(&b));
	ck_assert_uint_eq(fake_kube.n_calls, 1);
	answer(200, SECRET("1"));
	ck_assert_uint_eq(b.told, 5);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_was_seen_is_believed_for_some_seconds)
{
	struct bench b;

	bench_init(&b);
	ck_assert_int_eq(check(&b, 7), TOKEN_NEWS_UNSURE); /* never heard of */
	(void)get(&b);
	forbid_watch(fake_kube.reflectors[0]);
	answer(200, SECRET("1"));
	ck_assert_int_eq(check(&b, b.origin), TOKEN_NEWS_NONE);
	ck_assert_int_eq(check(&b, b.origin + 1), TOKEN_NEWS_CHANGED);
	loop_fake_advance(b.loop, LIMIT_SECRET_FRESH_MSEC - 1);
	ck_assert_int_eq(check(&b, b.origin), TOKEN_NEWS_NONE);
	loop_fake_advance(b.loop, 1);
	ck_assert_int_eq(check(&b, b.origin), TOKEN_NEWS_UNSURE);
	bench_deinit(&b);
}
END_TEST

START_TEST(another_version_has_another_origin_and_the_same_has_the_same)
{
	uint64_t first;
	struct bench b;

	bench_init(&b);
	(void)look(&b);
	answer(200, SECRET("1"));
	first = b.origin;
	(void)look(&b);
	answer(200, SECRET("1"));
	ck_assert_uint_eq(b.origin, first);
	(void)look(&b);
	answer(200, SECRET("2"));
	ck_assert_uint_ne(b.origin, first);
	ck_assert_int_eq(check(&b, first), TOKEN_NEWS_CHANGED);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_watch_tells_at_once_and_for_as_long_as_it_lasts)
{
	struct reflector *r;
	uint64_t first;
	struct bench b;

	bench_init(&b);
	(void)get(&b);
	answer(200, SECRET("1"));
	first = b.origin;
	r = fake_kube.reflectors[0];
	ck_assert_str_eq(r->spec.path, "/api/v1/namespaces/shop/secrets");
	ck_assert_str_eq(r->spec.field_selector, "metadata.name=sp");
	fake_begin(r);
	fake_upsert(r, SECRET("1"));
	fake_end(r);
	loop_fake_advance(b.loop, 10UL * LIMIT_SECRET_FRESH_MSEC);
	ck_assert_int_eq(check(&b, first), TOKEN_NEWS_NONE);
	fake_upsert(r, SECRET("2"));
	ck_assert_int_eq(check(&b, first), TOKEN_NEWS_CHANGED);
	fake_remove(r, SECRET("2"));
	ck_assert_int_eq(check(&b, 0), TOKEN_NEWS_NONE); /* "there is none" is right */
	/* an API server that is away changes nothing */
	r->status.state = REFLECTOR_DISCONNECTED;
	loop_fake_advance(b.loop, 10UL * LIMIT_SECRET_FRESH_MSEC);
	ck_assert_int_eq(check(&b, 0), TOKEN_NEWS_NONE);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_resync_without_the_secret_is_its_end)
{
	struct reflector *r;
	struct bench b;

	bench_init(&b);
	(void)get(&b);
	answer(200, SECRET("1"));
	r = fake_kube.reflectors[0];
	fake_begin(r);
	fake_end(r);
	ck_assert_int_eq(check(&b, b.origin), TOKEN_NEWS_CHANGED);
	bench_deinit(&b);
}
END_TEST

START_TEST(another_object_in_the_watch_is_nothing_to_us)
{
	struct reflector *r;
	struct bench b;

	bench_init(&b);
	(void)get(&b);
	answer(200, SECRET("1"));
	r = fake_kube.reflectors[0];
	fake_begin(r);
	fake_upsert(r, SECRET("1"));
	fake_end(r);
	fake_upsert(r, "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"sp2\",\"uid\":\"x\","
		       "\"resourceVersion\":\"9\"}}");
	fake_remove(r, "{\"metadata\":{\"namespace\":\"other\",\"name\":\"sp\",\"uid\":\"x\","
		       "\"resourceVersion\":\"9\"}}");
	ck_assert_int_eq(check(&b, b.origin), TOKEN_NEWS_NONE);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_forbidden_watch_is_not_asked_for_again_for_a_while)
{
	struct bench b;

	bench_init(&b);
	(void)look(&b);
	forbid_watch(fake_kube.reflectors[0]);
	answer(200, SECRET("1"));
	(void)check(&b, b.origin);
	for (unsigned i = 0; i < 5; i++) {
		loop_fake_advance(b.loop, LIMIT_SECRET_FRESH_MSEC);
		(void)look(&b);
		answer(200, SECRET("1"));
	}
	ck_assert_uint_eq(fake_kube.n_reflectors, 1);
	for (unsigned i = 0; i < LIMIT_SECRET_UNUSED_MSEC / 60000; i++) {
		loop_fake_advance(b.loop, 60000);
		(void)look(&b);
		answer(200, SECRET("1"));
	}
	ck_assert_uint_eq(fake_kube.n_reflectors, 2);
	bench_deinit(&b);
}
END_TEST

static const struct {
	long status;
	enum token_fault fault;
	const char *text;
	enum token_news news; /* of a token that was made before */
} failures[] = {
	{ 404, TOKEN_FAULT_CREDENTIAL, "there is no Secret shop/sp", TOKEN_NEWS_CHANGED },
	{ 403, TOKEN_FAULT_CREDENTIAL, "nmi may not read Secret shop/sp", TOKEN_NEWS_CHANGED },
	{ 400, TOKEN_FAULT_CREDENTIAL, "Secret shop/sp: the test says no", TOKEN_NEWS_CHANGED },
	{ 401, TOKEN_FAULT_DOWN, "Secret shop/sp cannot be read now", TOKEN_NEWS_NONE },
	{ 429, TOKEN_FAULT_DOWN, "Secret shop/sp cannot be read now", TOKEN_NEWS_NONE },
	{ 500, TOKEN_FAULT_DOWN, "Secret shop/sp cannot be read now", TOKEN_NEWS_NONE },
	{ 0, TOKEN_FAULT_DOWN, "Secret shop/sp cannot be read now", TOKEN_NEWS_NONE },
};

START_TEST(what_cannot_be_read_says_which_and_why)
{
	uint64_t first;
	struct bench b;

	bench_init(&b);
	(void)get(&b);
	forbid_watch(fake_kube.reflectors[0]);
	answer(200, SECRET("1"));
	first = b.origin;
	(void)get(&b);
	answer(failures[_i].status, NULL);
	ck_assert_uint_eq(b.told, 2);
	ck_assert_int_eq(b.fail.fault, failures[_i].fault);
	ck_assert_msg(strstr(b.fail.err.msg, failures[_i].text) != NULL, "%s", b.fail.err.msg);
	ck_assert_int_eq(check(&b, first), failures[_i].news);
	ck_assert_double_eq(metric_get(b.metrics, NMI_METRIC_KUBE_ERRORS,
				       (const char *const[]){ "get_secret" }),
			    1);
	bench_deinit(&b);
}
END_TEST

START_TEST(while_the_api_server_is_away_the_last_version_stands_and_nobody_waits)
{
	uint64_t first;
	struct bench b;

	bench_init(&b);
	(void)get(&b);
	forbid_watch(fake_kube.reflectors[0]);
	answer(200, SECRET("1"));
	first = b.origin;
	loop_fake_advance(b.loop, LIMIT_SECRET_FRESH_MSEC);
	(void)look(&b);
	answer(0, NULL);
	ck_assert_uint_eq(b.origin, first);
	ck_assert_int_eq(b.fail.err.kind, ERR_NONE);
	/* it is looked at in the background, once at a time */
	loop_fake_advance(b.loop, LIMIT_SECRET_FRESH_MSEC);
	ck_assert_uint_eq(fake_kube.n_calls, 2);
	ck_assert_int_eq(check(&b, first), TOKEN_NEWS_NONE);
	ck_assert_int_eq(check(&b, first), TOKEN_NEWS_NONE);
	ck_assert_uint_eq(fake_kube.n_calls, 3);
	answer(200, SECRET("2"));
	ck_assert_int_eq(check(&b, first), TOKEN_NEWS_CHANGED);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_cancelled_wait_is_not_told)
{
	struct secrets_wait *w;
	struct bench b;

	bench_init(&b);
	w = get(&b);
	secrets_cancel(w);
	answer(200, SECRET("1"));
	ck_assert_uint_eq(b.told, 0);
	ck_assert_int_ne(check(&b, 1), TOKEN_NEWS_UNSURE); /* the answer was of use all the same */
	bench_deinit(&b);
}
END_TEST

/* Cancels the other wait from inside its own callback, and asks again. */
struct meddler {
	struct bench *b;
	struct secrets_wait *other;
	unsigned told;
};

static void on_meddle(void *ctx, uint64_t origin, const struct jval *data,
		      const struct token_failure *fail)
{
	struct meddler *m = ctx;

	(void)origin;
	(void)data;
	(void)fail;
	m->told++;
	if (m->told > 1)
		return;
	secrets_cancel(m->other);
	(void)secrets_get(m->b->secrets, &sp, on_meddle, m, &m->b->fail);
}

START_TEST(a_callback_may_cancel_another_and_ask_again)
{
	struct meddler m;
	struct bench b;

	bench_init(&b);
	m = (struct meddler){ .b = &b };
	(void)secrets_get(b.secrets, &sp, on_meddle, &m, &b.fail);
	m.other = get(&b);
	answer(200, SECRET("1"));
	ck_assert_uint_eq(m.told, 1); /* who asked from inside waits for a new answer */
	ck_assert_uint_eq(b.told, 0);
	ck_assert_uint_eq(fake_kube.n_calls, 2);
	answer(200, SECRET("2"));
	ck_assert_uint_eq(m.told, 2);
	bench_deinit(&b);
}
END_TEST

static const struct secret_ref bad_names[] = {
	{ "shop", "" },	   { "", "sp" },   { "shop", ".." }, { "..", "sp" },
	{ "shop", "a/b" }, { "a?b", "x" }, { "shop", "A" },  { "shop", "x%2f" },
};

START_TEST(what_is_no_name_is_not_asked_for)
{
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_null(secrets_get(b.secrets, &bad_names[_i], on_done, &b, &b.fail));
	ck_assert_int_eq(b.fail.fault, TOKEN_FAULT_INVALID);
	ck_assert_uint_eq(fake_kube.n_calls + b.told, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(what_nobody_uses_is_forgotten)
{
	struct bench b;

	bench_init(&b);
	(void)get(&b);
	answer(200, SECRET("1"));
	ck_assert_uint_eq(secrets_count(b.secrets), 1);
	loop_fake_advance(b.loop, LIMIT_SECRET_UNUSED_MSEC - 60000);
	(void)check(&b, b.origin); /* a use */
	loop_fake_advance(b.loop, LIMIT_SECRET_UNUSED_MSEC - 60000);
	ck_assert_uint_eq(secrets_count(b.secrets), 1);
	loop_fake_advance(b.loop, 120000);
	ck_assert_uint_eq(secrets_count(b.secrets), 0);
	ck_assert_int_eq(check(&b, b.origin), TOKEN_NEWS_UNSURE);
	bench_deinit(&b);
}
END_TEST

UNIT_MAIN("secrets", UNIT(a_secret_is_read_whole_on_a_connection_of_its_own),
	  UNIT(a_look_and_a_watch_ask_for_metadata_only), UNIT(those_who_ask_at_once_share_a_call),
	  UNIT(what_was_seen_is_believed_for_some_seconds),
	  UNIT(another_version_has_another_origin_and_the_same_has_the_same),
	  UNIT(a_watch_tells_at_once_and_for_as_long_as_it_lasts),
	  UNIT(a_resync_without_the_secret_is_its_end),
	  UNIT(another_object_in_the_watch_is_nothing_to_us),
	  UNIT(a_forbidden_watch_is_not_asked_for_again_for_a_while),
	  UNIT_LOOP(what_cannot_be_read_says_which_and_why, failures),
	  UNIT(while_the_api_server_is_away_the_last_version_stands_and_nobody_waits),
	  UNIT(a_cancelled_wait_is_not_told), UNIT(a_callback_may_cancel_another_and_ask_again),
	  UNIT_LOOP(what_is_no_name_is_not_asked_for, bad_names),
	  UNIT(what_nobody_uses_is_forgotten))
