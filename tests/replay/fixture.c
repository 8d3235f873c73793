/* SPDX-License-Identifier: MIT */

/* The stage that the replay tests share: see fixture.h. */

#include "tests/replay/fixture.h"

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/kube/config.h"
#include "lib/loop/loop.h"
#include "tests/replay/server.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* recordings */

const char *recording(const char *name, size_t *out_n)
{
	static struct {
		char name[64];
		struct buf bytes;
	} cache[32];
	const char *dir = getenv("REPLAY_RECORDINGS");
	char chunk[4096];
	size_t i, n;
	FILE *f;

	for (i = 0; cache[i].name[0] && strcmp(cache[i].name, name) != 0; i++)
		;
	if (!cache[i].name[0]) {
		_cleanup_free_ char *path = xasprintf("%s/%s.response",
						      dir ? dir : "tests/replay/recordings", name);

		f = fopen(path, "re");
		if (!f)
			ck_abort_msg("%s: no such recording", path);
		while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
			(void)buf_append(&cache[i].bytes, chunk, n, (size_t)1 << 20, NULL);
		(void)fclose(f);
		snprintf(cache[i].name, sizeof(cache[i].name), "%s", name);
	}
	*out_n = cache[i].bytes.n;
	return cache[i].bytes.p;
}

#define LAST_CHUNK "0\r\n\r\n"

void say_step(struct server_conn *conn, const struct step *s)
{
	size_t n = s->text ? strlen(s->text) : 0;
	const char *p = s->recording ? recording(s->recording, &n) : s->text;

	if (s->open) {
		ck_assert(n > 5 && memcmp(p + n - 5, LAST_CHUNK, 5) == 0);
		n -= 5;
	}
	if (s->cut && s->cut < n)
		n = s->cut;
	if (n)
		server_say(conn, p, n, s->step);
	if (s->cut)
		server_hang_up(conn);
}

static void on_request(void *ctx, struct server_conn *conn, const char *text)
{
	struct fixture *f = ctx;

	f->requests++;
	f->last = conn;
	snprintf(f->request, sizeof(f->request), "%s", text);
	if (f->at >= f->n_steps)
		return;
	if (f->steps[f->at].wants && !strstr(text, f->steps[f->at].wants) && !f->mismatch[0])
		snprintf(f->mismatch, sizeof(f->mismatch), "step %zu wanted %s, was asked %.300s",
			 f->at, f->steps[f->at].wants, text);
	if (f->on_asked)
		f->on_asked(f->at);
	say_step(conn, &f->steps[f->at++]);
}

static char *kept[64];
static size_t n_kept;

char *keep(char *text)
{
	ck_assert_uint_lt(n_kept, ARRAY_SIZE(kept));
	kept[n_kept++] = text;
	return text;
}

void drop_texts(void)
{
	while (n_kept)
		free(kept[--n_kept]);
}

/* the consumer */

static void key_of(const struct jval *obj, char key[static 128], const char **out_version)
{
	const char *name = NULL, *ns = "";
	const struct jval_field fields[] = {
		{ "metadata.name", JVAL_STR, JVAL_MUST, &name },
		{ "metadata.namespace", JVAL_STR, JVAL_MAY, &ns },
		{ "metadata.resourceVersion", JVAL_STR, JVAL_MUST, out_version },
	};

	/* nothing malformed may ever get here */
	ck_assert_int_eq(jval_read(obj, fields, 3, JVAL_CASE_EXACT, NULL), 0);
	snprintf(key, 128, "%s/%s", ns, name);
}

static struct model_object *model_find(struct model *m, const char *key)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->objects[i].key, key) == 0)
			return &m->objects[i];
	}
	return NULL;
}

static void on_begin(void *ctx)
{
	struct fixture *f = ctx;

	f->model.begins++;
	f->model.resync++;
	f->model.resyncing = true;
}

static void on_upsert(void *ctx, const struct jval *obj)
{
	struct fixture *f = ctx;
	struct model_object *o;
	const char *version;
	char key[128];

	key_of(obj, key, &version);
	o = model_find(&f->model, key);
	if (!o) {
		ck_assert_uint_lt(f->model.n, MODEL_MAX);
		o = &f->model.objects[f->model.n++];
		snprintf(o->key, sizeof(o->key), "%s", key);
	}
	snprintf(o->version, sizeof(o->version), "%s", version);
	o->seen = f->model.resync;
	f->model.upserts++;
}

static void on_remove(void *ctx, const struct jval *obj)
{
	struct fixture *f = ctx;
	struct model_object *o;
	const char *version;
	char key[128];

	key_of(obj, key, &version);
	o = model_find(&f->model, key);
	if (o)
		*o = f->model.objects[--f->model.n];
	f->model.removes++;
}

static void on_end(void *ctx)
{
	struct fixture *f = ctx;

	ck_assert(f->model.resyncing);
	f->model.ends++;
	f->model.resyncing = false;
	for (size_t i = 0; i < f->model.n;) {
		if (f->model.objects[i].seen != f->model.resync)
			f->model.objects[i] = f->model.objects[--f->model.n];
		else
			i++;
	}
}

static const struct reflector_ops model_ops = { on_begin, on_upsert, on_remove, on_end };

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct model_object *)a)->key, ((const struct model_object *)b)->key);
}

const char *fixture_objects(struct fixture *f)
{
	size_t n = 0;

	qsort(f->model.objects, f->model.n, sizeof(f->model.objects[0]), by_key);
	f->text[0] = '\0';
	for (size_t i = 0; i < f->model.n; i++)
		n += (size_t)snprintf(f->text + n, sizeof(f->text) - n, "%s%s@%s", i ? " " : "",
				      f->model.objects[i].key, f->model.objects[i].version);
	return f->text;
}

/* the stage */

void fixture_init(struct fixture *f, const struct step *steps, size_t n)
{
	struct err err = { 0 };

	*f = (struct fixture){ .steps = steps, .n_steps = n };
	f->loop = loop_new_fake(&err);
	f->server = server_new(f->loop, NULL, on_request, f, &err);
	ck_assert_msg(f->loop && f->server, "%s", err.msg);
	fixture_client(f, NULL);
}

void fixture_client(struct fixture *f, const char *token_file)
{
	struct kube_config config = { 0 };
	struct err err = { 0 };

	f->client = kube_client_free(f->client);
	config.server = xasprintf("http://%s:%u", server_host(f->server), server_port(f->server));
	config.token_file = token_file ? xstrdup(token_file) : NULL;
	f->client = kube_client_new(f->loop, &config, "replay", &err);
	ck_assert_msg(f->client, "%s", err.msg);
	kube_config_deinit(&config);
}

void fixture_start(struct fixture *f, const char *path, bool optional)
{
	const struct reflector_spec spec = { .name = "things",
					     .path = path,
					     .field_selector = "spec.nodeName=node-1",
					     .optional = optional };

	f->reflector = reflector_new(f->loop, f->client, &spec, &model_ops, f);
	reflector_start(f->reflector);
}

void fixture_deinit(struct fixture *f)
{
	f->reflector = reflector_free(f->reflector);
	f->client = kube_client_free(f->client);
	f->server = server_free(f->server);
	f->loop = loop_free(f->loop);
}

void fixture_settle(struct fixture *f)
{
	unsigned long was;
	unsigned quiet = 0;

	/* a clock tick between the rounds, since libcurl's shortest timers are set for one */
	while (quiet < 4) {
		was = server_activity(f->server);
		for (unsigned i = 0; i < 8; i++)
			(void)loop_turn(f->loop, 0, NULL);
		if (was != server_activity(f->server)) {
			quiet = 0;
			continue;
		}
		quiet++;
		loop_fake_advance(f->loop, 1);
	}
}

/* The clock is asked how much has passed, since settling moves it too. */
static struct mono in_msec(const struct fixture *f, unsigned msec)
{
	return mono_add_msec(loop_mono(f->loop), msec);
}

static void step_on(struct fixture *f)
{
	loop_fake_advance(f->loop, 250);
	fixture_settle(f);
}

void fixture_pass(struct fixture *f, unsigned msec)
{
	struct mono end = in_msec(f, msec);

	while (mono_before(loop_mono(f->loop), end))
		step_on(f);
}

void fixture_until_requests(struct fixture *f, unsigned n, unsigned msec)
{
	struct mono end;

	fixture_settle(f);
	end = in_msec(f, msec);
	while (f->requests < n && mono_before(loop_mono(f->loop), end))
		step_on(f);
	ck_assert_str_eq(f->mismatch, "");
	ck_assert_uint_eq(f->requests, n);
}

void fixture_run(struct fixture *f, unsigned msec)
{
	struct mono end;

	fixture_settle(f);
	end = in_msec(f, msec);
	while (f->at < f->n_steps && mono_before(loop_mono(f->loop), end))
		step_on(f);
	ck_assert_str_eq(f->mismatch, "");
}
