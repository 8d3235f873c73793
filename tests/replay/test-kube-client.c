/* SPDX-License-Identifier: MIT */

/* Credentials and answers of the API server's client. */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/kube/client.h"
#include "lib/loop/loop.h"
#include "tests/replay/fixture.h"
#include "tests/replay/server.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define OK_JSON	 "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"a\":\"one\"}"
#define REFUSED_ "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"

static struct fixture f;
static char token_path[32];

static struct seen {
	unsigned times;
	long status;
	char a[32];
	struct err err;
} seen;

static void on_done(void *ctx, long status, const struct jval *doc, const struct err *err)
{
	const char *a = doc ? jval_as_str(jval_get(doc, "a")) : NULL;

	seen.times++;
	seen.status = status;
	seen.err = err ? *err : (struct err){ 0 };
	snprintf(seen.a, sizeof(seen.a), "%s", a ? a : "");
}

static void write_token(const char *text)
{
	FILE *file = fopen(token_path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void start(const struct step *steps, size_t n, const char *token)
{
	int fd;

	snprintf(token_path, sizeof(token_path), "/tmp/nmi-token-XXXXXX");
	fd = mkstemp(token_path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	write_token(token);
	seen = (struct seen){ 0 };
	fixture_init(&f, steps, n);
	fixture_client(&f, token_path);
}

static void stop(void)
{
	fixture_deinit(&f);
	unlink(token_path);
}

static void get(void)
{
	seen = (struct seen){ 0 };
	ck_assert_ptr_nonnull(kube_get(f.client, "/x?secret=1", 1000, on_done, NULL));
	ck_assert_uint_eq(seen.times, 0);
	fixture_settle(&f);
	ck_assert_str_eq(f.mismatch, "");
	ck_assert_uint_eq(seen.times, 1);
}

START_TEST(a_token_is_read_again_after_a_minute_and_not_before)
{
	const struct step steps[] = { { "Bearer one\r\n", .text = OK_JSON },
				      { "Bearer one\r\n", .text = OK_JSON },
				      { "Bearer two\r\n", .text = OK_JSON } };

	start(steps, ARRAY_SIZE(steps), " one\n");
	get();
	ck_assert_str_eq(seen.a, "one");
	write_token("two\n");
	loop_fake_advance(f.loop, 59000);
	get();
	loop_fake_advance(f.loop, 1000);
	get();
	stop();
}
END_TEST

static void send_and_settle(const struct kube_request *req)
{
	seen = (struct seen){ 0 };
	ck_assert_ptr_nonnull(kube_send(f.client, req, on_done, NULL));
	fixture_settle(&f);
	ck_assert_str_eq(f.mismatch, "");
	ck_assert_int_eq(seen.status, 200);
}

START_TEST(a_request_with_a_secret_has_a_connection_to_itself)
{
	const struct step steps[] = { { "GET /a ", .text = OK_JSON },
				      { "GET /b ", .text = OK_JSON },
				      { "GET /s ", .text = OK_JSON },
				      { "GET /a ", .text = OK_JSON } };
	const struct kube_request plain = { .path = "/a", .timeout_msec = 1000 };
	const struct kube_request other = { .path = "/b", .timeout_msec = 1000 };
	const struct kube_request secret = { .path = "/s",
					     .timeout_msec = 1000,
					     .is_secret = true };

	start(steps, ARRAY_SIZE(steps), "one");
	send_and_settle(&plain);
	send_and_settle(&other);
	ck_assert_uint_eq(server_accepted(f.server), 1);
	send_and_settle(&secret);
	ck_assert_uint_eq(server_accepted(f.server), 2);
	send_and_settle(&plain); /* on the first: the secret's has ended */
	ck_assert_uint_eq(server_accepted(f.server), 2);
	stop();
}
END_TEST

START_TEST(metadata_alone_is_asked_for_by_its_type)
{
	const struct step steps[] = { { "Accept: " KUBE_ACCEPT_METADATA "\r\n", .text = OK_JSON },
				      { "Accept: application/json\r\n", .text = OK_JSON },
				      { "POST /x ", .text = OK_JSON } };

	start(steps, ARRAY_SIZE(steps), "one");
	send_and_settle(&(struct kube_request){
		.path = "/x", .accept = KUBE_ACCEPT_METADATA, .timeout_msec = 1000 });
	send_and_settle(&(struct kube_request){ .path = "/x", .timeout_msec = 1000 });
	send_and_settle(&(struct kube_request){ .method = "POST",
						.path = "/x",
						.body = "{}",
						.body_len = 2,
						.timeout_msec = 1000 });
	stop();
}
END_TEST

START_TEST(a_401_is_tried_again_at_once_with_a_newer_token)
{
	const struct step steps[] = { { "Bearer one\r\n", .text = OK_JSON },
				      { "Bearer one\r\n", .text = REFUSED_ },
				      { "Bearer two\r\n", .text = OK_JSON } };

	start(steps, ARRAY_SIZE(steps), "one");
	get();
	write_token("two");
	get();
	ck_assert_int_eq(seen.status, 200);
	ck_assert_str_eq(seen.a, "one");
	stop();
}
END_TEST

START_TEST(a_401_is_reported_when_there_is_no_newer_token)
{
	const struct step steps[] = { { "Bearer one\r\n", .text = REFUSED_ } };

	start(steps, ARRAY_SIZE(steps), "one");
	get();
	ck_assert_int_eq(seen.status, 401);
	ck_assert_int_eq(seen.err.kind, ERR_REFUSED);
	ck_assert_int_eq(seen.err.http_status, 401);
	ck_assert_uint_eq(f.requests, 1);
	stop();
}
END_TEST

START_TEST(a_second_401_is_reported)
{
	const struct step steps[] = { { "Bearer one\r\n", .text = OK_JSON },
				      { "Bearer one\r\n", .text = REFUSED_ },
				      { "Bearer two\r\n", .text = REFUSED_ } };

	start(steps, ARRAY_SIZE(steps), "one");
	get();
	write_token("two");
	get();
	ck_assert_int_eq(seen.status, 401);
	ck_assert_uint_eq(f.requests, 3);
	stop();
}
END_TEST

static void rotate_during_the_second(size_t at)
{
	if (at == 1)
		write_token("two");
}

START_TEST(a_reflector_goes_on_with_a_rotated_token)
{
	const struct step steps[] = { { "Bearer one\r\n", "unauthorized" },
				      { "Bearer one\r\n", "unauthorized" },
				      { "Bearer two\r\n", "pods-watch-initial-events",
					.open = true } };

	start(steps, ARRAY_SIZE(steps), "one");
	f.on_asked = rotate_during_the_second;
	fixture_start(&f, "/api/v1/pods", false);
	fixture_run(&f, 60000);
	fixture_settle(&f);
	ck_assert_str_eq(fixture_objects(&f), "my-app/demo@247 my-app/multi@244");
	stop();
}
END_TEST

START_TEST(a_token_that_is_gone_is_replaced_by_the_last_one)
{
	const struct step steps[] = { { "Bearer one\r\n", .text = OK_JSON },
				      { "Bearer one\r\n", .text = OK_JSON } };

	start(steps, ARRAY_SIZE(steps), "one");
	get();
	unlink(token_path);
	loop_fake_advance(f.loop, 61000);
	get();
	ck_assert_int_eq(seen.status, 200);
	stop();
}
END_TEST

static const char *const bad_tokens[] = { "", " \n", "one\r\nX-Evil: 1", "on\001e" };

START_TEST(without_a_token_nothing_is_sent_and_the_file_is_named)
{
	start(NULL, 0, bad_tokens[_i]);
	get();
	ck_assert_int_eq(seen.status, 0);
	ck_assert_int_eq(seen.err.kind, ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(seen.err.msg, token_path));
	ck_assert_ptr_null(strstr(seen.err.msg, "one"));
	ck_assert_uint_eq(f.requests, 0);
	stop();
}
END_TEST

static const struct {
	const char *recording, *text;
	int status;
	enum err_kind kind;
	const char *says;
} answers[] = {
	{ "anonymous-forbidden", NULL, 403, ERR_REFUSED, "GET /x: HTTP 403: pods is forbidden" },
	{ "secret-missing", NULL, 404, ERR_REFUSED, "\"nope\" not found" },
	{ "unknown-crd", NULL, 404, ERR_REFUSED, "404 page not found" },
	{ "list-continue-expired", NULL, 410, ERR_REFUSED, "too old" },
	{ "watch-future-rv", NULL, 500, ERR_UNAVAILABLE, "future revision" },
	{ NULL, "HTTP/1.1 429 T\r\nContent-Length: 0\r\n\r\n", 429, ERR_UNAVAILABLE, "HTTP 429" },
	{ NULL, "HTTP/1.1 302 T\r\nContent-Length: 0\r\n\r\n", 302, ERR_UNAVAILABLE, "HTTP 302" },
	{ NULL, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", 200, ERR_INPUT, "not JSON" },
	{ NULL, "", 0, ERR_TIMEOUT, "no answer in time" },
};

START_TEST(an_answer_that_is_no_success_has_a_kind_and_a_reason)
{
	const struct step steps[] = { { NULL, answers[_i].recording, answers[_i].text } };

	start(steps, 1, "t0ken");
	seen = (struct seen){ 0 };
	(void)kube_get(f.client, "/x?secret=1", 1000, on_done, NULL);
	fixture_settle(&f);
	loop_fake_advance(f.loop, 1000);
	ck_assert_uint_eq(seen.times, 1);
	ck_assert_int_eq(seen.status, answers[_i].status);
	ck_assert_int_eq(seen.err.kind, answers[_i].kind);
	ck_assert_int_eq(seen.err.http_status, answers[_i].status);
	ck_assert_msg(strstr(seen.err.msg, answers[_i].says), "%s", seen.err.msg);
	ck_assert_ptr_null(strstr(seen.err.msg, "secret=1"));
	ck_assert_ptr_null(strstr(seen.err.msg, "t0ken"));
	stop();
}
END_TEST

START_TEST(a_post_carries_json)
{
	const struct step steps[] = { { "POST /y HTTP/1.1\r\n", .text = OK_JSON } };

	start(steps, 1, "one");
	(void)kube_post(f.client, "/y", "{\"b\":1}", 7, 1000, on_done, NULL);
	fixture_settle(&f);
	ck_assert_str_eq(f.mismatch, "");
	ck_assert_str_eq(seen.a, "one");
	ck_assert_ptr_nonnull(strstr(f.request, "\r\nContent-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(strstr(f.request, "\r\n\r\n{\"b\":1}"));
	stop();
}
END_TEST

START_TEST(after_cancelling_nothing_is_called)
{
	const struct step steps[] = { { NULL, .text = OK_JSON }, { NULL, .text = OK_JSON } };

	start(steps, 2, "one");
	kube_cancel(kube_get(f.client, "/x", 1000, on_done, NULL));
	(void)kube_get(f.client, "/x", 1000, on_done, NULL);
	f.client = kube_client_free(f.client);
	fixture_settle(&f);
	ck_assert_uint_eq(seen.times, 0);
	stop();
}
END_TEST

static const struct {
	const char *text, *escaped;
} escapes[] = {
	{ "plain-._~09AZ", "plain-._~09AZ" },
	{ "spec.nodeName=a b", "spec.nodeName%3Da%20b" },
	{ "/&?#%+", "%2F%26%3F%23%25%2B" },
	{ "\xc3\xa9", "%C3%A9" },
	{ "", "" },
};

START_TEST(a_value_is_escaped)
{
	_cleanup_free_ char *s = kube_escape(escapes[_i].text);

	ck_assert_str_eq(s, escapes[_i].escaped);
}
END_TEST

UNIT_MAIN("kube-client", UNIT(a_token_is_read_again_after_a_minute_and_not_before),
	  UNIT(a_request_with_a_secret_has_a_connection_to_itself),
	  UNIT(metadata_alone_is_asked_for_by_its_type),
	  UNIT(a_401_is_tried_again_at_once_with_a_newer_token),
	  UNIT(a_401_is_reported_when_there_is_no_newer_token), UNIT(a_second_401_is_reported),
	  UNIT(a_reflector_goes_on_with_a_rotated_token),
	  UNIT(a_token_that_is_gone_is_replaced_by_the_last_one),
	  UNIT_LOOP(without_a_token_nothing_is_sent_and_the_file_is_named, bad_tokens),
	  UNIT_LOOP(an_answer_that_is_no_success_has_a_kind_and_a_reason, answers),
	  UNIT(a_post_carries_json), UNIT(after_cancelling_nothing_is_called),
	  UNIT_LOOP(a_value_is_escaped, escapes))
