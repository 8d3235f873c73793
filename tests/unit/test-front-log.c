/* SPDX-License-Identifier: MIT */

/* What the HTTP surface logs, and how often. */

#include "nmi/limits.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/rig-front.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

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
	(void)ask(&rig, TOKEN_REQUEST);
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

UNIT_MAIN("front-log", UNIT(a_refusal_is_one_line_a_while_for_each_reason),
	  UNIT(a_refusal_whose_id_was_told_elsewhere_is_logged_whatever_was_logged_lately),
	  UNIT(the_log_has_the_whole_sentence_also_what_to_do_at_its_end),
	  UNIT(what_sdks_do_by_design_is_not_logged), UNIT(no_token_reaches_the_log))
