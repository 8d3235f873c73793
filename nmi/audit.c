/* SPDX-License-Identifier: MIT */

/*
 * The audit log: see audit.h.
 *
 * Theory of operation
 *
 * A record is formatted into one buffer and given to one write(). There is no queue of our own: the page cache,
 * or the pipe, is one already, and what is in it survives us. What is not taken at once is dropped, since the
 * other choices are to wait, and with us every pod of the node, or to grow.
 *
 * `dropped` counts what is missing, `told` how much of that a record of the log has said. While they differ
 * each record is preceded by one that says so, and a timer tries to write that one alone. A record that is not
 * preceded is not written: the log never goes on after a gap without naming it.
 *
 * A file that takes half a record, as one does at the end of a disk, is cut back by that half: but only if
 * nobody has added to it since, the agent that is about to take over for one. Where it cannot be cut the rest
 * of that line is lost, and the next record begins with an end of line, so that it stands by itself.
 *
 * Why the file is never opened again. After isolate_late() this process can neither create a file nor open one
 * for writing, by Landlock where the kernel has it and by its seccomp filter everywhere. Both would have to
 * make an exception for the directory of the log, and the filter, which sees descriptors and not files,
 * cannot make one that an intruder could not put to another use. So whoever rotates it copies and truncates
 * (O_APPEND makes that work), or reads a FIFO, or has the container runtime keep stdout.
 */

#include "nmi/audit.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* pipe(7): up to here a write to a pipe is whole or fails; one byte is for the end of a line that was torn. */
#define LINE_BYTES (PIPE_BUF - 1)
#define CUT	   "..." /* the end of a text that was longer than its share */
/* A number, or a time, with what stands between fields. */
#define PLAIN_BYTES 26
/* How often it is tried to say that records are missing, while nothing else is to be written. */
#define AGAIN_MSEC 1000
/* Of lines in the log about it. */
#define TELL_MSEC 60000

const struct audit_field audit_fields[] = {
#define X(list, key, kind, member, share, meaning)                                                 \
	{ AUDIT_##list, key, AUDIT_##kind, offsetof(struct audit_record, member), share, meaning },
#include "nmi/audit.def"
#undef X
};
const size_t n_audit_fields = ARRAY_SIZE(audit_fields);

enum {
	MOST = 2
#define X(list, key, kind, member, share, meaning)                                                 \
	+sizeof(",\"" key "\":\"\"") + ((share) ? (share) : PLAIN_BYTES)
#include "nmi/audit.def"
#undef X
};
static_assert(MOST <= LINE_BYTES, "a record with the longest of each text must fit");

enum sink { SINK_FILE, SINK_PIPE, SINK_STDOUT, SINK_STDOUT_SOCKET };

struct audit {
	char *path;
	enum sink sink;
	int fd;
	bool torn; /* what was written last does not end in an end of line */
	unsigned long dropped, told;
	struct timespec missing_since; /* while they differ */
	struct loop *loop;
	struct loop_timer again;
	struct log_limit limit;
	bool said; /* that it is being dropped: the end of it is said too */
};

/* opening */

static int refuse_kind(const char *path, mode_t mode, struct err *err)
{
	return err_set(err, ERR_INPUT,
		       "--audit-log: %s is %s: give a file, a FIFO, or - for stdout", path,
		       S_ISLNK(mode)   ? "a symbolic link"
		       : S_ISDIR(mode) ? "a directory"
				       : "neither a regular file nor a FIFO");
}

/* Of a file that is there already: how its last line ends. */
static bool is_torn(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char last = '\n';

	if (fd >= 0 && lseek(fd, -1, SEEK_END) >= 0)
		(void)!read(fd, &last, 1);
	return last != '\n';
}

/* Others than root and we. Where it cannot be told, they may. */
static bool may_others_name_files_beside(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1)
					 : xstrdup(".");
	struct stat st;

	return stat(dir, &st) < 0 || (st.st_uid != 0 && st.st_uid != geteuid()) ||
	       st.st_mode & (S_IWGRP | S_IWOTH);
}

/*
 * A hard link is a file as any other: whoever may make one there could have us write into a file of root's that they
 * may not write themselves. Asked of the name, of a file that is open: one that was removed since, so that the
 * other name alone is left, is not it any more.
 */
static int refuse_link(const struct audit *a, const struct stat *opened, struct err *err)
{
	struct stat st;

	if (lstat(a->path, &st) == 0 && st.st_dev == opened->st_dev &&
	    st.st_ino == opened->st_ino && st.st_nlink == 1)
		return 0;
	if (!may_others_name_files_beside(a->path))
		return 0;
	return err_set(err, ERR_INPUT,
		       "--audit-log: %s is a hard link, in a directory where others than root may "
		       "write, so it may be a file of somebody else's: remove it, or give one in a "
		       "directory where only root may write",
		       a->path);
}

static int open_file(struct audit *a, struct err *err)
{
	/* with its reading end open too a FIFO needs no reader, and keeps what a reader that went left */
	const int flags = O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	struct stat before = { .st_mode = S_IFREG }, st;

	if (lstat(a->path, &before) < 0 && errno != ENOENT)
		return err_set_errno(err, errno, "--audit-log: %s", a->path);
	if (!S_ISREG(before.st_mode) && !S_ISFIFO(before.st_mode))
		return refuse_kind(a->path, before.st_mode, err);
	a->fd = S_ISFIFO(before.st_mode)
			? open(a->path, flags | O_RDWR)
			: open(a->path, flags | O_WRONLY | O_APPEND | O_CREAT, 0640);
	if (a->fd < 0 || fstat(a->fd, &st) < 0)
		return err_set_errno(err, errno, "--audit-log: opening %s", a->path);
	if ((st.st_mode & S_IFMT) != (before.st_mode & S_IFMT))
		return refuse_kind(a->path, st.st_mode, err);
	if (refuse_link(a, &st, err) < 0)
		return -(int)ERR_INPUT;
	a->sink = S_ISFIFO(st.st_mode) ? SINK_PIPE : SINK_FILE;
	a->torn = a->sink == SINK_FILE && is_torn(a->path);
	return 0;
}

static int open_stdout(struct audit *a, struct err *err)
{
	struct stat st;

	a->fd = STDOUT_FILENO;
	if (fstat(a->fd, &st) < 0)
		return err_set_errno(err, errno, "--audit-log: stdout");
	a->sink = S_ISSOCK(st.st_mode) ? SINK_STDOUT_SOCKET : SINK_STDOUT;
	return 0;
}

struct audit *audit_new(struct loop *l, const char *path, struct err *err)
{
	_cleanup_(audit_freep) struct audit *a = xnew(struct audit);

	a->loop = l;
	a->path = xstrdup(path);
	a->fd = -1;
	if ((strcmp(path, "-") == 0 ? open_stdout(a, err) : open_file(a, err)) < 0)
		return NULL;
	return steal_ptr(a);
}

/* lines */

struct line {
	char p[LINE_BYTES + 1];
	size_t n;
};

static void add(struct line *l, const char *s, size_t n)
{
	assert(n < sizeof(l->p) - l->n); /* by the shares */
	memcpy(l->p + l->n, s, n);
	l->n += n;
}

/* Nothing to escape: nearly every text is so, and this is on the way of every request. */
static bool is_plain(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] < ' ' || s[i] >= 0x7f || s[i] == '"' || s[i] == '\\')
			return false;
	}
	return true;
}

static void add_escaped(struct line *l, const char *s, size_t share)
{
	char text[2048];
	/* with room for one escape more than its share, a text that is too long shows */
	size_t n = str_escape(text, share + STR_ESCAPE_MAX + 1, str_of(s));

	if (n <= share) {
		add(l, text, n);
		return;
	}
	add(l, text, str_escape(text, share - strlen(CUT) + 1, str_of(s)));
	add(l, CUT, strlen(CUT));
}

static void add_text(struct line *l, const char *s, size_t share)
{
	size_t n = strlen(s);

	add(l, "\"", 1);
	if (n <= share && is_plain(s, n))
		add(l, s, n);
	else
		add_escaped(l, s, share);
	add(l, "\"", 1);
}

static void add_int(struct line *l, int64_t n)
{
	char text[24];
	int printed = snprintf(text, sizeof(text), "%" PRId64, n);

	add(l, text, (size_t)printed);
}

static void add_field(struct line *l, const struct audit_field *f, const struct audit_record *r)
{
	const void *at = (const char *)r + f->offset;
	const char *s = NULL;
	char text[WALL_TEXT_MAX];

	add(l, l->n ? ",\"" : "{\"", 2);
	add(l, f->key, strlen(f->key));
	add(l, "\":", 2);
	switch (f->kind) {
	case AUDIT_INT:
		add_int(l, *(const int64_t *)at);
		return;
	case AUDIT_TIME:
		if (((const struct wall *)at)->s)
			s = wall_print(*(const struct wall *)at, text);
		break;
	case AUDIT_STR:
		s = *(const char *const *)at;
		break;
	}
	if (s)
		add_text(l, s, f->share ? f->share : sizeof(text));
	else
		add(l, "null", 4);
}

static void make_line(struct line *l, enum audit_list list, const struct audit_record *r)
{
	l->n = 0;
	for (size_t i = 0; i < n_audit_fields; i++) {
		if (audit_fields[i].list == AUDIT_EVERY || audit_fields[i].list == list)
			add_field(l, &audit_fields[i], r);
	}
	add(l, "}\n", 2);
}

static void print_time(char out[static 32], const struct timespec *t)
{
	char text[WALL_TEXT_MAX];

	(void)wall_print((struct wall){ t->tv_sec }, text);
	/* in the place of the Z */
	(void)snprintf(out, 32, "%.*s.%06ldZ", (int)strlen(text) - 1, text, t->tv_nsec / 1000);
}

/* writing */

/* Takes back the part of a record that was written, or sees to it that the next one stands by itself. */
static void undo(struct audit *a, size_t written)
{
	struct stat st;
	off_t end = a->sink == SINK_FILE ? lseek(a->fd, 0, SEEK_CUR) : -1;

	if (end >= (off_t)written && fstat(a->fd, &st) == 0 && st.st_size == end &&
	    ftruncate(a->fd, end - (off_t)written) == 0)
		return;
	a->torn = true;
}

static ssize_t put_once(const struct audit *a, const char *p, size_t n)
{
	struct pollfd pfd = { .fd = a->fd, .events = POLLOUT };
	ssize_t w;

	/* stdout may be shared, so that it is not ours to make it non-blocking: see put() of log.c */
	if (a->sink == SINK_STDOUT && (poll(&pfd, 1, 0) != 1 || pfd.revents != POLLOUT)) {
		errno = EAGAIN;
		return -1;
	}
	do {
		w = a->sink == SINK_STDOUT_SOCKET ? send(a->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL)
						  : write(a->fd, p, n);
	} while (w < 0 && errno == EINTR);
	return w;
}

/* 0, or errno. */
static int put(struct audit *a, struct line *l)
{
	const size_t lead = a->torn;
	ssize_t w;

	if (lead) {
		memmove(l->p + 1, l->p, l->n);
		l->p[0] = '\n';
		l->n++;
	}
	w = put_once(a, l->p, l->n);
	if (w < 0)
		return errno;
	if ((size_t)w < l->n) {
		undo(a, (size_t)w);
		return ENOSPC;
	}
	a->torn = false;
	return 0;
}

static const char *why_not(int error)
{
	return error == EAGAIN ? "its reader does not keep up" : strerrordesc_np(error);
}

static void on_again(struct loop_timer *t);

static void note_missing(struct audit *a, int error)
{
	struct mono now = loop_mono(a->loop);
	unsigned long held;

	if (a->dropped == a->told)
		(void)clock_gettime(CLOCK_REALTIME, &a->missing_since);
	a->dropped++;
	if (!a->again.loop)
		loop_timer_set_msec(a->loop, &a->again, AGAIN_MSEC, on_again);
	if (!log_limit_pass(&a->limit, now, TELL_MSEC, &held))
		return;
	a->said = true;
	log_warn("audit log %s: records are dropped: %s; requests go on, and the log will say how "
		 "many are missing",
		 a->path, why_not(error));
}

/* Says what is missing so far; 0, or errno. */
static int tell_missing(struct audit *a)
{
	struct audit_record r = { .version = AUDIT_VERSION,
				  .event = "dropped",
				  .dropped = (int64_t)(a->dropped - a->told) };
	char now_text[32], since[32];
	struct timespec now;
	struct line l;
	int error;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	print_time(now_text, &now);
	print_time(since, &a->missing_since);
	r.time = now_text;
	r.since = since;
	make_line(&l, AUDIT_DROPPED, &r);
	error = put(a, &l);
	if (error)
		return error;
	a->told = a->dropped;
	loop_timer_del(&a->again);
	if (a->said)
		log_info("audit log %s: records are written again; %" PRId64 " are missing",
			 a->path, r.dropped);
	a->said = false;
	return 0;
}

static void on_again(struct loop_timer *t)
{
	struct audit *a = container_of(t, struct audit, again);

	if (tell_missing(a))
		loop_timer_set_msec(a->loop, t, AGAIN_MSEC, on_again);
}

void audit_write(struct audit *a, const struct audit_record *record)
{
	struct audit_record r = *record;
	struct timespec now;
	char text[32];
	struct line l;
	int error = 0;

	if (a->dropped != a->told)
		error = tell_missing(a);
	if (!error) {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		print_time(text, &now);
		r.version = AUDIT_VERSION;
		r.time = text;
		r.event = "decision";
		make_line(&l, AUDIT_DECISION, &r);
		error = put(a, &l);
	}
	if (error)
		note_missing(a, error);
}

unsigned long audit_dropped(const struct audit *a)
{
	return a ? a->dropped : 0;
}

struct audit *audit_free(struct audit *a)
{
	if (!a)
		return NULL;
	if (a->dropped != a->told)
		(void)tell_missing(a); /* it is not to be written now either: the metric has it */
	loop_timer_del(&a->again);
	if (a->fd >= 0 && a->fd != STDOUT_FILENO)
		close(a->fd);
	free(a->path);
	free(a);
	return NULL;
}
