/* SPDX-License-Identifier: MIT */

/* Records of decisions, as they stand in a file, a FIFO or a pipe, and what becomes of those that do not fit. */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/audit.h"
#include "tests/unit/log-lines.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[96];
static struct loop *loop;

static void begin(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test-audit.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	loop = loop_new_fake(NULL);
	log_lines_start();
}

static void end(void)
{
	(void)log_lines_end();
	loop = loop_free(loop);
	(void)unlink(path);
	(void)rmdir(dir);
}

static struct audit *open_it(void)
{
	struct err err = { 0 };
	struct audit *a = audit_new(loop, path, &err);

	ck_assert_msg(a, "%s", err.msg);
	return a;
}

static const char *content(void)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	close(fd);
	return text;
}

/* The line of this number, parsed. */
static struct jval *line(const char *text, size_t at)
{
	struct err err = { 0 };
	struct jval *v;
	size_t n;

	while (at--) {
		text = strchr(text, '\n');
		ck_assert_ptr_nonnull(text);
		text++;
	}
	n = strcspn(text, "\n");
	ck_assert_int_eq(text[n], '\n');
	v = jval_parse(text, n, 65536, &err);
	ck_assert_msg(v, "%s: %.*s", err.msg, (int)n, text);
	return v;
}

static const char *str(const struct jval *v, const char *key)
{
	return jval_as_str(jval_get(v, key));
}

static int64_t num(const struct jval *v, const char *key)
{
	int64_t n = INT64_MIN;

	(void)jval_as_int(jval_get(v, key), &n);
	return n;
}

static const struct audit_record refused = {
	.request = "id-1",
	.outcome = "refused",
	.reason = "no_label",
	.status = 400,
	.route = "token",
	.caller = "pod",
	.peer = "10.244.0.13",
	.namespace = "shop",
	.pod = "plain",
	.pod_uid = "u1",
	.text = "no label",
	.total_usec = 7,
};

static int count_key(void *ctx, const char *key, const struct jval *v)
{
	size_t *n = ctx;

	(void)v;
	for (size_t i = 0; i < n_audit_fields; i++)
		*n += audit_fields[i].list != AUDIT_DROPPED &&
		      strcmp(audit_fields[i].key, key) == 0;
	return 0;
}

START_TEST(a_record_has_every_field_and_null_for_what_is_not_known)
{
	struct audit *a;
	struct jval *v;
	size_t n = 0, want = 0;

	begin();
	a = open_it();
	audit_write(a, &refused);
	v = line(content(), 0);
	ck_assert_int_eq(jval_each(v, count_key, &n), 0);
	for (size_t i = 0; i < n_audit_fields; i++)
		want += audit_fields[i].list != AUDIT_DROPPED;
	ck_assert_uint_eq(n, want);
	ck_assert_int_eq(num(v, "version"), AUDIT_VERSION);
	ck_assert_str_eq(str(v, "event"), "decision");
	ck_assert_str_eq(str(v, "request"), "id-1");
	ck_assert_str_eq(str(v, "reason"), "no_label");
	ck_assert_int_eq(num(v, "status"), 400);
	ck_assert_int_eq(num(v, "total_usec"), 7);
	ck_assert_str_eq(str(v, "pod"), "plain");
	ck_assert_ptr_null(str(v, "identity"));
	ck_assert_ptr_nonnull(strstr(content(), "\"identity\":null,"));
	ck_assert_ptr_nonnull(strstr(content(), "\"expires_on\":null,"));
	jval_free(v);
	ck_assert_ptr_null(audit_free(a));
	end();
}
END_TEST

START_TEST(times_are_rfc_3339_and_the_record_has_its_own_with_microseconds)
{
	struct audit_record r = refused;
	struct audit *a;
	struct jval *v;

	begin();
	a = open_it();
	r.expires_on = (struct wall){ 1767323045 };
	audit_write(a, &r);
	v = line(content(), 0);
	ck_assert_str_eq(str(v, "expires_on"), "2026-01-02T03:04:05Z");
	ck_assert_int_eq(
		fnmatch("20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]."
			"[0-9][0-9][0-9][0-9][0-9][0-9]Z",
			str(v, "time"), 0),
		0);
	jval_free(v);
	audit_free(a);
	end();
}
END_TEST

/* Each text that a pod may have made, at its worst: far too long, of escapes or of none. */
static const char worst_of[] = { '\x01', 'x' };

START_TEST(the_worst_record_fits_into_a_pipe_buffer_and_loses_no_field)
{
	char worst[4096];
	struct audit_record r = refused;
	struct audit *a;
	struct jval *v;

	begin();
	memset(worst, worst_of[_i], sizeof(worst) - 1);
	worst[sizeof(worst) - 1] = '\0';
	for (size_t i = 0; i < n_audit_fields; i++) {
		const struct audit_field *f = &audit_fields[i];

		if (f->list == AUDIT_DECISION && f->kind == AUDIT_STR)
			*(const char **)(void *)((char *)&r + f->offset) = worst;
		if (f->list == AUDIT_DECISION && f->kind == AUDIT_INT)
			*(int64_t *)(void *)((char *)&r + f->offset) = INT64_MIN;
	}
	a = open_it();
	audit_write(a, &r);
	audit_write(a, &refused);
	ck_assert_uint_lt(strcspn(content(), "\n"), PIPE_BUF);
	v = line(content(), 0);
	for (size_t i = 0; i < n_audit_fields; i++) {
		const struct audit_field *f = &audit_fields[i];
		const char *s = str(v, f->key);

		if (f->list != AUDIT_DECISION)
			continue;
		if (f->kind == AUDIT_INT)
			ck_assert_int_eq(num(v, f->key), INT64_MIN);
		if (f->kind == AUDIT_STR)
			ck_assert_str_eq(s + strlen(s) - 3, "...");
	}
	jval_free(v);
	jval_free(line(content(), 1));
	audit_free(a);
	end();
}
END_TEST

START_TEST(a_text_from_a_pod_stays_one_value_of_one_line)
{
	struct audit_record r = refused;
	struct audit *a;
	struct jval *v;

	begin();
	a = open_it();
	r.resource = "https://x\",\"outcome\":\"granted\"}\n{\\\x80\x7f";
	audit_write(a, &r);
	v = line(content(), 0);
	ck_assert_str_eq(str(v, "outcome"), "refused");
	ck_assert_str_eq(str(v, "resource"),
			 "https://x\",\"outcome\":\"granted\"}\n{\\\xc2\x80\x7f");
	ck_assert_uint_eq(log_lines_count(content(), "\n"), 1);
	jval_free(v);
	audit_free(a);
	end();
}
END_TEST

/* what it may be */

START_TEST(a_new_file_is_for_its_owner_and_group_and_an_old_one_is_added_to)
{
	mode_t was;
	struct stat st;

	begin();
	was = umask(0);
	audit_free(open_it());
	umask(was);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
	for (int i = 0; i < 2; i++) {
		struct audit *a = open_it();

		audit_write(a, &refused);
		audit_free(a);
	}
	ck_assert_uint_eq(log_lines_count(content(), "\n"), 2);
	end();
}
END_TEST

static void expect_refusal(const char *what)
{
	struct err err = { 0 };

	ck_assert_ptr_null(audit_new(loop, path, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, "--audit-log: "));
	ck_assert_ptr_nonnull(strstr(err.msg, path));
	ck_assert_ptr_nonnull(strstr(err.msg, what));
}

START_TEST(anything_else_is_refused_by_name)
{
	char other[160];
	struct err err = { 0 };

	begin();
	(void)snprintf(other, sizeof(other), "%s/other", dir);
	ck_assert_int_eq(symlink(other, path), 0);
	expect_refusal("a symbolic link");
	ck_assert_int_lt(access(other, F_OK), 0);
	(void)unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	expect_refusal("a directory");
	(void)rmdir(path);
	ck_assert_ptr_null(audit_new(loop, "/dev/null", &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "/dev/null is neither"));
	ck_assert_ptr_null(audit_new(loop, "/nowhere/at/all", &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "/nowhere/at/all"));
	end();
}
END_TEST

static const struct {
	mode_t mode; /* of the directory */
	uid_t owner; /* 0: the test's user */
	bool is_fifo, is_refused;
} links[] = {
	{ 0755, 0, false, false }, { 0770, 0, false, true },	 { 01777, 0, false, true },
	{ 0777, 0, true, true },   { 0755, 65534, false, true },
};

/* Or one who may write there, but not to the file that it is the other name of, has us write to that. */
START_TEST(a_hard_link_is_refused_where_others_may_have_made_it)
{
	char other[160];
	struct err err = { 0 };
	struct audit *a;

	if (links[_i].owner && geteuid() != 0)
		return;
	begin();
	(void)snprintf(other, sizeof(other), "%s/other", dir);
	ck_assert_int_eq(mknod(other, links[_i].is_fifo ? S_IFIFO | 0600 : S_IFREG | 0600, 0), 0);
	ck_assert_int_eq(link(other, path), 0);
	ck_assert_int_eq(chmod(dir, links[_i].mode), 0);
	if (links[_i].owner)
		ck_assert_int_eq(chown(dir, links[_i].owner, (gid_t)-1), 0);
	if (links[_i].is_refused)
		expect_refusal("is a hard link");
	else
		audit_free(open_it());
	/* the only name of its file is as good there as anywhere */
	(void)unlink(other);
	a = audit_new(loop, path, &err);
	ck_assert_msg(a, "%s", err.msg);
	audit_free(a);
	end();
}
END_TEST

/* what is not taken */

/* Reads what is there, counts its lines, and adds up what they say is missing. */
static size_t drain(int fd, unsigned long *missing)
{
	static char text[1 << 20];
	ssize_t n = read(fd, text, sizeof(text) - 1);
	size_t lines;

	text[n < 0 ? 0 : n] = '\0';
	lines = log_lines_count(text, "\n");
	for (size_t i = 0; i < lines; i++) {
		struct jval *v = line(text, i);

		if (strcmp(str(v, "event"), "dropped") == 0) {
			*missing += (unsigned long)num(v, "dropped");
			ck_assert_ptr_nonnull(str(v, "since"));
			ck_assert_ptr_null(jval_get(v, "outcome"));
		}
		jval_free(v);
	}
	return lines;
}

START_TEST(a_fifo_needs_no_reader_and_one_that_is_stuck_costs_records_and_not_time)
{
	unsigned long missing = 0;
	struct audit *a;
	int fd;

	begin();
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	a = open_it();
	for (int i = 0; i < 1000; i++)
		audit_write(a, &refused);
	ck_assert_uint_gt(audit_dropped(a), 0);
	ck_assert_ptr_nonnull(
		strstr(log_lines(), "records are dropped: its reader does not keep up"));
	ck_assert_uint_le(log_lines_count(log_lines(), "\n"), 3);
	/* the reader wakes: every line that it gets is whole, and then it is told what is missing */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_uint_gt(drain(fd, &missing), 100);
	ck_assert_uint_lt(missing, audit_dropped(a));
	loop_fake_advance(loop, 1000); /* nobody asks for anything meanwhile */
	ck_assert_uint_eq(drain(fd, &missing), 1);
	ck_assert_uint_eq(missing, audit_dropped(a));
	ck_assert_ptr_nonnull(strstr(log_lines(), "records are written again"));
	loop_fake_advance(loop, 5000);
	ck_assert_uint_eq(drain(fd, &missing), 0);
	close(fd);
	audit_free(a);
	end();
}
END_TEST

/* A disk that ends in the middle of a record: RLIMIT_FSIZE is one, for this process. */
START_TEST(a_full_disk_leaves_no_half_record_and_the_next_one_says_what_is_missing)
{
	struct rlimit was, small;
	struct audit *a;
	size_t whole;
	struct jval *v;

	begin();
	(void)signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	a = open_it();
	audit_write(a, &refused);
	whole = strlen(content());
	small = (struct rlimit){ whole + 50, was.rlim_max }; /* too small for any record */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	audit_write(a, &refused);
	audit_write(a, &refused);
	ck_assert_uint_eq(audit_dropped(a), 2);
	ck_assert_uint_eq(strlen(content()), whole);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
	audit_write(a, &refused);
	ck_assert_uint_eq(audit_dropped(a), 2);
	v = line(content(), 1);
	ck_assert_str_eq(str(v, "event"), "dropped");
	ck_assert_int_eq(num(v, "dropped"), 2);
	jval_free(v);
	v = line(content(), 2);
	ck_assert_str_eq(str(v, "event"), "decision");
	jval_free(v);
	audit_free(a);
	end();
}
END_TEST

/* stdout may be somebody else's too, so it is not cut back. */
START_TEST(half_a_record_on_stdout_is_left_and_the_next_one_stands_by_itself)
{
	int was_stdout = dup(STDOUT_FILENO), fd;
	struct rlimit was, small;
	struct audit *a;
	size_t whole;

	begin();
	(void)signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	dup2(fd, STDOUT_FILENO);
	a = audit_new(loop, "-", NULL);
	ck_assert_ptr_nonnull(a);
	audit_write(a, &refused);
	whole = strlen(content());
	small = (struct rlimit){ whole + 50, was.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	audit_write(a, &refused);
	ck_assert_uint_eq(strlen(content()), whole + 50);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
	audit_write(a, &refused);
	audit_free(a);
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFD), 0); /* it was not ours to close */
	dup2(was_stdout, STDOUT_FILENO);
	close(was_stdout);
	close(fd);
	ck_assert_uint_eq(log_lines_count(content(), "\n"), 4);
	jval_free(line(content(), 0));
	jval_free(line(content(), 2));
	jval_free(line(content(), 3));
	end();
}
END_TEST

START_TEST(what_a_crash_left_of_a_line_is_not_joined_to_the_next_one)
{
	struct audit *a;
	FILE *f;

	begin();
	f = fopen(path, "we");
	ck_assert_int_ge(fputs("{\"version\":1,\"ti", f), 0);
	ck_assert_int_eq(fclose(f), 0);
	a = open_it();
	audit_write(a, &refused);
	audit_write(a, &refused);
	ck_assert_uint_eq(log_lines_count(content(), "\n"), 3);
	jval_free(line(content(), 1));
	jval_free(line(content(), 2));
	audit_free(a);
	end();
}
END_TEST

/* What logrotate's copytruncate does. */
START_TEST(a_file_that_was_truncated_goes_on_at_its_beginning)
{
	struct audit *a;

	begin();
	a = open_it();
	audit_write(a, &refused);
	ck_assert_int_eq(truncate(path, 0), 0);
	audit_write(a, &refused);
	ck_assert_uint_eq(log_lines_count(content(), "\n"), 1);
	jval_free(line(content(), 0));
	audit_free(a);
	end();
}
END_TEST

START_TEST(none_drops_none)
{
	ck_assert_uint_eq(audit_dropped(NULL), 0);
	ck_assert_ptr_null(audit_free(NULL));
}
END_TEST

UNIT_MAIN("audit", UNIT(a_record_has_every_field_and_null_for_what_is_not_known),
	  UNIT(times_are_rfc_3339_and_the_record_has_its_own_with_microseconds),
	  UNIT_LOOP(the_worst_record_fits_into_a_pipe_buffer_and_loses_no_field, worst_of),
	  UNIT(a_text_from_a_pod_stays_one_value_of_one_line),
	  UNIT(a_new_file_is_for_its_owner_and_group_and_an_old_one_is_added_to),
	  UNIT(anything_else_is_refused_by_name),
	  UNIT_LOOP(a_hard_link_is_refused_where_others_may_have_made_it, links),
	  UNIT(a_fifo_needs_no_reader_and_one_that_is_stuck_costs_records_and_not_time),
	  UNIT(a_full_disk_leaves_no_half_record_and_the_next_one_says_what_is_missing),
	  UNIT(half_a_record_on_stdout_is_left_and_the_next_one_stands_by_itself),
	  UNIT(what_a_crash_left_of_a_line_is_not_joined_to_the_next_one),
	  UNIT(a_file_that_was_truncated_goes_on_at_its_beginning), UNIT(none_drops_none))
