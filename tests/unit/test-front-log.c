/* SPDX-License-Identifier: MIT */

/* What the HTTP surface logs, and how often. */

#include "nmi/audit.h"
#include "nmi/limits.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROBE "GET " TOKEN_PATH " HTTP/1.1\r\nHost: x\r\n\r\n" /* without the header */

static struct rig rig;

static void start(void)
{
	rig = (struct rig){ .spec.metadata_header_required = true };
	rig_start(&rig);
}

static void stop(void)
{
	rig_stop(&rig);
}

START_TEST(a_refusal_is_one_line_a_while_for_each_reason)
{
	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	rig.issuer.answer.reason = REASON_NO_BINDING;
	snprintf(rig.issuer.answer.text, sizeof(rig.issuer.answer.text), "no binding\nforged=line");
	for (int i = 0; i < 5; i++)
		(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 1);
	ck_assert_ptr_nonnull(strstr(log_lines(), "warn"));
	ck_assert_ptr_nonnull(strstr(log_lines(), "reason=no_binding"));
	ck_assert_ptr_nonnull(strstr(log_lines(), "peer=127.0.0.1"));
	ck_assert_ptr_nonnull(strstr(log_lines(), "no binding\\nforged=line"));
	rig.issuer.answer.reason = REASON_NO_LABEL;
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 2);
	rig.issuer.answer.reason = REASON_NO_BINDING;
	loop_fake_advance(rig.loop, LIMIT_REFUSAL_LOG_MSEC);
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 3);
	ck_assert_ptr_nonnull(strstr(log_lines(), "more=4"));
	(void)log_lines_end();
	stop();
}
END_TEST

START_TEST(a_refusal_whose_id_was_told_elsewhere_is_logged_whatever_was_logged_lately)
{
	char line[64];
	struct answer a;

	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	rig.issuer.answer.reason = REASON_NO_LABEL;
	snprintf(rig.issuer.answer.text, sizeof(rig.issuer.answer.text), "no label");
	for (int i = 0; i < 3; i++)
		(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 1);
	rig.issuer.answer.is_reported = true;
	a = ask(&rig, TOKEN_REQUEST);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 2);
	(void)snprintf(line, sizeof(line), "request=%s", rig.issuer.id);
	ck_assert_ptr_nonnull(strstr(log_lines(), line));
	ck_assert_ptr_nonnull(strstr(a.body, rig.issuer.id));
	rig.issuer.answer.is_reported = false;
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 2);
	loop_fake_advance(rig.loop, LIMIT_REFUSAL_LOG_MSEC);
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_ptr_nonnull(strstr(log_lines(), "more=3")); /* one of five was logged */
	(void)log_lines_end();
	stop();
}
END_TEST

START_TEST(the_log_has_the_whole_sentence_also_what_to_do_at_its_end)
{
	char *text = rig.issuer.answer.text;

	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	rig.issuer.answer.reason = REASON_NO_LABEL;
	memset(text, 'x', ISSUE_TEXT_MAX - 1);
	(void)snprintf(text + ISSUE_TEXT_MAX - 12, 12, ": label it!");
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_ptr_nonnull(strstr(log_lines(), "xxx: label it!\""));
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 1);
	(void)log_lines_end();
	stop();
}
END_TEST

START_TEST(what_sdks_do_by_design_is_not_logged)
{
	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	(void)ask(&rig, PROBE);
	(void)ask_target(&rig, "/metadata/identity/getplatformmetadata");
	client_free(client_open(&rig, rig.spec.port)); /* Java's probe: not a byte */
	rig_settle(&rig);
	ck_assert_str_eq(log_lines(), "");
	(void)log_lines_end();
	stop();
}
END_TEST

START_TEST(no_token_reaches_the_log)
{
	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG);
	log_lines_start();
	(void)ask(&rig, TOKEN_REQUEST);
	ck_assert_ptr_nonnull(strstr(log_lines(), "token granted"));
	ck_assert_ptr_null(strstr(log_lines(), "not-a-token"));
	(void)log_lines_end();
	stop();
}
END_TEST

/* One request on a connection of its own, by pod `uid`, given token `id`. */
static void grant(const char *uid, uint64_t id)
{
	rig.issuer.answer.pod_uid = uid;
	rig.issuer.answer.body_id = id;
	(void)ask(&rig, TOKEN_REQUEST);
}

START_TEST(a_grant_is_told_once_and_each_renewal_of_it)
{
	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	for (int i = 0; i < 3; i++)
		grant("u1", 1);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 1);
	ck_assert_ptr_nonnull(strstr(log_lines(), "info token granted peer=127.0.0.1"));
	ck_assert_ptr_nonnull(strstr(log_lines(), "news=first"));
	grant("u2", 1);
	ck_assert_uint_eq(log_lines_count(log_lines(), "news=first"), 2);
	grant("u1", 2);
	ck_assert_uint_eq(log_lines_count(log_lines(), "news=renewed"), 1);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 3);
	log_set_level(LOG_LEVEL_DEBUG);
	grant("u1", 2);
	ck_assert_ptr_nonnull(strstr(log_lines(), "debug token granted"));
	ck_assert_ptr_nonnull(strstr(log_lines(), "news=again"));
	(void)log_lines_end();
	stop();
}
END_TEST

START_TEST(on_one_connection_too_each_new_token_is_told)
{
	struct client *c;
	struct answer a;

	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	rig.issuer.answer.pod_uid = "u1";
	c = client_open(&rig, rig.spec.port);
	for (uint64_t i = 0; i < 6; i++) {
		rig.issuer.answer.body_id = 1 + i / 2;
		client_send(c, TOKEN_REQUEST);
		ck_assert(client_next(c, &a));
	}
	client_free(c);
	ck_assert_uint_eq(log_lines_count(log_lines(), "news=first"), 1);
	ck_assert_uint_eq(log_lines_count(log_lines(), "news=renewed"), 2);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 3);
	(void)log_lines_end();
	stop();
}
END_TEST

START_TEST(new_grants_without_end_are_held_back_and_counted)
{
	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	for (uint64_t i = 0; i < LIMIT_GRANT_LOG_BURST + 5; i++)
		grant("u1", 1 + i);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), LIMIT_GRANT_LOG_BURST);
	loop_fake_advance(rig.loop, LIMIT_GRANT_LOG_MSEC);
	grant("u1", 1000);
	ck_assert_ptr_nonnull(strstr(log_lines(), "more=5"));
	(void)log_lines_end();
	stop();
}
END_TEST

/* What both a grant and a refusal say of the decision. */
static void know_all(void)
{
	static char ns[] = "ids", name[] = "web", client[] = "c1";
	static struct azure_identity identity;
	struct issue_answer *a = &rig.issuer.answer;

	identity = (struct azure_identity){ .meta = { .namespace = ns, .name = name },
					    .client_id = client };
	a->pod_uid = "u1";
	a->pod_name = "web-0";
	a->identity = &identity;
	a->source = "imds";
	a->expires_on = (struct wall){ 1767323045 };
	a->renew_at = (struct wall){ 1767319445 };
	a->waits = (struct issue_waits){ 100000, 2000000, 3000000000 };
}

static const char *const said[] = {
	"namespace=shop",
	"pod=web-0",
	"identity_kind=AzureIdentity",
	"identity=web",
	"identity_namespace=ids",
	"client_id=c1",
	"source=imds",
	"expires_on=2026-01-02T03:04:05Z",
	"renew_at=2026-01-02T02:04:05Z",
	"pod_wait_usec=100 ",
	"identity_wait_usec=2000 ",
	"token_wait_usec=3000000",
	"resource=https://",
	"request=",
};

static void check_said(void)
{
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		ck_assert_msg(strstr(log_lines(), said[i]), "%s in %s", said[i], log_lines());
}

START_TEST(one_line_says_who_was_given_what_by_whom_until_when)
{
	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	know_all();
	(void)ask(&rig, TOKEN_REQUEST);
	check_said();
	(void)log_lines_end();
	stop();
}
END_TEST

START_TEST(one_line_says_who_was_refused_what_and_why)
{
	start();
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	know_all();
	rig.issuer.answer.reason = REASON_UPSTREAM_DOWN;
	(void)ask(&rig, TOKEN_REQUEST);
	check_said();
	ck_assert_ptr_nonnull(strstr(log_lines(), "reason=upstream_unavailable status=503"));
	(void)log_lines_end();
	stop();
}
END_TEST

START_TEST(the_audit_log_has_each_of_them_whatever_the_log_leaves_out)
{
	char text[16384], path[] = "/tmp/test-front-audit.XXXXXX";
	int fd = mkstemp(path);
	ssize_t n;

	rig = (struct rig){ .spec.metadata_header_required = true };
	rig.spec.audit = audit_new(NULL, path, NULL);
	ck_assert_ptr_nonnull(rig.spec.audit);
	rig_start(&rig);
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
	log_lines_start();
	know_all();
	for (int i = 0; i < 3; i++)
		(void)ask(&rig, TOKEN_REQUEST);
	rig.issuer.answer.reason = REASON_NO_LABEL;
	for (int i = 0; i < 3; i++)
		(void)ask(&rig, TOKEN_REQUEST);
	(void)ask(&rig, PROBE);
	ck_assert_uint_eq(log_lines_count(log_lines(), "\n"), 2);
	n = pread(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_uint_eq(log_lines_count(text, "\"outcome\":\"granted\",\"reason\":null,"
						"\"status\":200,\"route\":\"" TOKEN_PATH "\""),
			  3);
	ck_assert_uint_eq(log_lines_count(text, "\"reason\":\"no_label\",\"status\":400"), 3);
	ck_assert_uint_eq(log_lines_count(text, "\"reason\":\"metadata_header\""), 1);
	ck_assert_uint_eq(
		log_lines_count(text, "\"identity_wait_usec\":2000,\"token_wait_usec\":3000000"),
		6);
	ck_assert_uint_eq(log_lines_count(text, "\n"), 7);
	(void)log_lines_end();
	stop();
	audit_free(rig.spec.audit);
	close(fd);
	(void)unlink(path);
}
END_TEST

UNIT_MAIN("front-log", UNIT(a_refusal_is_one_line_a_while_for_each_reason),
	  UNIT(a_refusal_whose_id_was_told_elsewhere_is_logged_whatever_was_logged_lately),
	  UNIT(the_log_has_the_whole_sentence_also_what_to_do_at_its_end),
	  UNIT(what_sdks_do_by_design_is_not_logged), UNIT(no_token_reaches_the_log),
	  UNIT(a_grant_is_told_once_and_each_renewal_of_it),
	  UNIT(on_one_connection_too_each_new_token_is_told),
	  UNIT(new_grants_without_end_are_held_back_and_counted),
	  UNIT(one_line_says_who_was_given_what_by_whom_until_when),
	  UNIT(one_line_says_who_was_refused_what_and_why),
	  UNIT(the_audit_log_has_each_of_them_whatever_the_log_leaves_out))
