/* SPDX-License-Identifier: MIT */

/*
 * The event loop: see loop.h.
 *
 * Timers sit in a binary heap ordered by deadline; the wait of epoll_wait() is the first one's, so no
 * timerfd is needed. It waits whole milliseconds, rounded up, which is all that anyone here asks for;
 * epoll_pwait2() would be finer, but kernels before 5.11 have none. The heap is ours because the
 * packaged event libraries own the clock, and a clock that tests can move is what this loop is for.
 * Each timer knows its slot, so that moving and deleting are logarithmic.
 *
 * Nothing can keep the loop from going round: a timer or deferred call that starts itself again is not
 * run for ever within one turn. Timers carry the number of the loop_timer_set() that started them, and
 * a turn runs those with a number from before it. Ties between deadlines go by that number too.
 *
 * A batch of events from epoll may name a source that an earlier callback of the batch deleted:
 * loop_fd_del() therefore wipes it from the batch that is being dispatched.
 */

#include "lib/loop/loop.h"

#include "lib/base/mem.h"

#include <assert.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <utlist.h>

#define BATCH 64

/* What loop_lag() tells is at least so old before it is forgotten. */
#define LAG_WINDOW_MSEC 60000

/* A chain of deferred calls, each starting the next, goes this far before fds are looked at again. */
#define DEFER_ROUNDS 16

/* loop_fake_advance() meets a timer that time cannot get past: a test's mistake, better seen than hung. */
#define FAKE_TURNS_MAX 10000000

/* Where a fake clock starts: any fixed moment does; this one is 2026-01-01T00:00:00Z. */
#define FAKE_WALL_START INT64_C(1767225600)
#define FAKE_MONO_START (1000 * NSEC_PER_SEC)

struct loop {
	int epfd;
	bool fake;
	struct mono fake_now;
	int64_t fake_wall_by; /* what the wall clock was set by, in seconds */
	bool quit;
	int quit_code;
	struct loop_timer **heap;
	size_t n_timers, cap_timers;
	uint64_t next_seq; /* of the next loop_timer_set() */
	bool in_timers;	   /* timers are being run, and `turn` is their idea of now */
	struct mono turn;
	struct loop_defer *deferred;
	struct epoll_event *batch; /* being dispatched, or NULL */
	int batch_n;
	struct mono woke_at;	       /* when the turn under way began; 0: not known */
	struct loop_lag lag, lag_past; /* of this window, and of the one before */
	struct mono lag_until;	       /* the end of this window */
};

static struct loop *new_loop(bool fake, struct err *err)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct loop *l;

	if (epfd < 0) {
		(void)err_set_errno(err, errno, "epoll");
		return NULL;
	}
	l = xnew(struct loop);
	l->epfd = epfd;
	l->fake = fake;
	l->fake_now.ns = FAKE_MONO_START;
	return l;
}

struct loop *loop_new(struct err *err)
{
	return new_loop(false, err);
}

struct loop *loop_new_fake(struct err *err)
{
	return new_loop(true, err);
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	close(l->epfd);
	free(l->heap);
	free(l);
	return NULL;
}

/* time */

static struct mono read_clock(const struct loop *l, clockid_t clock)
{
	struct timespec ts;

	if (l->fake)
		return l->fake_now;
	clock_gettime(clock, &ts);
	return (struct mono){ (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec };
}

struct mono loop_mono(const struct loop *l)
{
	return read_clock(l, CLOCK_MONOTONIC);
}

struct mono loop_mono_coarse(const struct loop *l)
{
	return read_clock(l, CLOCK_MONOTONIC_COARSE);
}

struct wall loop_wall(const struct loop *l)
{
	if (l->fake)
		return (struct wall){ FAKE_WALL_START +
				      (int64_t)((l->fake_now.ns - FAKE_MONO_START) / NSEC_PER_SEC) +
				      l->fake_wall_by };
	return (struct wall){ time(NULL) };
}

/* lag */

static void max_out(uint64_t *max, uint64_t v)
{
	*max = v > *max ? v : *max;
}

static void next_window(struct loop *l, struct mono now)
{
	bool is_next = mono_before(now, mono_add_msec(l->lag_until, LAG_WINDOW_MSEC));

	if (mono_before(now, l->lag_until))
		return;
	l->lag_past = is_next ? l->lag : (struct loop_lag){ 0 };
	l->lag = (struct loop_lag){ 0 };
	l->lag_until = mono_add_msec(now, LAG_WINDOW_MSEC);
}

/* There is one such look a turn. */
static void note_waking(struct loop *l)
{
	if (!l->fake)
		l->woke_at = loop_mono_coarse(l);
}

/* `now` is looked at anyway, before waiting again. */
static void note_turn(struct loop *l, struct mono now)
{
	if (l->fake)
		return;
	next_window(l, now);
	if (l->woke_at.ns && mono_before(l->woke_at, now))
		max_out(&l->lag.turn_nsec, now.ns - l->woke_at.ns);
}

static void note_timer(struct loop *l, struct mono due)
{
	if (!l->fake && mono_before(due, l->turn))
		max_out(&l->lag.timer_nsec, l->turn.ns - due.ns);
}

struct loop_lag loop_lag(struct loop *l)
{
	struct loop_lag lag;

	next_window(l, loop_mono(l));
	lag = l->lag;
	max_out(&lag.timer_nsec, l->lag_past.timer_nsec);
	max_out(&lag.turn_nsec, l->lag_past.turn_nsec);
	return lag;
}

/* timers */

static void heap_put(struct loop *l, size_t slot, struct loop_timer *t)
{
	l->heap[slot] = t;
	t->slot = slot;
}

static bool is_due_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at.ns != b->at.ns ? mono_before(a->at, b->at) : a->seq < b->seq;
}

static void heap_up(struct loop *l, size_t i)
{
	struct loop_timer *t = l->heap[i];

	while (i > 0 && is_due_before(t, l->heap[(i - 1) / 2])) {
		heap_put(l, i, l->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i)
{
	struct loop_timer *t = l->heap[i];

	for (;;) {
		size_t kid = 2 * i + 1;

		if (kid + 1 < l->n_timers && is_due_before(l->heap[kid + 1], l->heap[kid]))
			kid++;
		if (kid >= l->n_timers || !is_due_before(l->heap[kid], t))
			break;
		heap_put(l, i, l->heap[kid]);
		i = kid;
	}
	heap_put(l, i, t);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, struct mono at, loop_timer_fn *fn)
{
	loop_timer_del(t);
	if (l->n_timers == l->cap_timers) {
		l->cap_timers = l->cap_timers ? l->cap_timers * 2 : 16;
		l->heap = xrealloc(l->heap, l->cap_timers * sizeof(struct loop_timer *));
	}
	t->loop = l;
	t->fn = fn;
	t->at = at;
	/* in the past is now: behind those that are due and still have to run in this turn */
	if (l->in_timers && mono_before(at, l->turn))
		t->at = l->turn;
	t->seq = l->next_seq++;
	heap_put(l, l->n_timers++, t);
	heap_up(l, t->slot);
}

void loop_timer_set_msec(struct loop *l, struct loop_timer *t, uint64_t msec, loop_timer_fn *fn)
{
	loop_timer_set(l, t, mono_add_msec(loop_mono(l), msec), fn);
}

void loop_timer_del(struct loop_timer *t)
{
	struct loop *l = t->loop;
	struct loop_timer *last;

	if (!l)
		return;
	last = l->heap[--l->n_timers];
	if (last != t) {
		heap_put(l, t->slot, last);
		heap_up(l, last->slot);
		heap_down(l, last->slot);
	}
	t->loop = NULL;
}

/* Only timers that were due when this began: one that sets itself again waits for the next turn. */
static void run_timers(struct loop *l)
{
	const uint64_t end = l->next_seq;

	l->turn = loop_mono(l);
	l->in_timers = true;
	while (l->n_timers && !mono_before(l->turn, l->heap[0]->at) && l->heap[0]->seq < end) {
		struct loop_timer *t = l->heap[0];

		note_timer(l, t->at);
		loop_timer_del(t);
		t->fn(t);
	}
	l->in_timers = false;
}

/* deferred calls */

void loop_defer(struct loop *l, struct loop_defer *d, loop_defer_fn *fn)
{
	if (d->loop)
		return;
	d->loop = l;
	d->fn = fn;
	DL_APPEND(l->deferred, d);
}

void loop_defer_del(struct loop_defer *d)
{
	if (!d->loop)
		return;
	DL_DELETE(d->loop->deferred, d);
	d->loop = NULL;
}

static void run_deferred(struct loop *l)
{
	for (int round = 0; l->deferred && round < DEFER_ROUNDS; round++) {
		/* whoever defers from here on stands behind the mark, and has the next round */
		struct loop_defer mark = { 0 };

		loop_defer(l, &mark, NULL);
		while (l->deferred != &mark) {
			struct loop_defer *d = l->deferred;

			loop_defer_del(d);
			d->fn(d);
		}
		loop_defer_del(&mark);
	}
}

/* file descriptors */

int loop_fd_add(struct loop *l, struct loop_fd *f, int fd, uint32_t events, loop_fd_fn *fn,
		struct err *err)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	assert(!f->loop);
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return err_set_errno(err, errno, "epoll add of fd %d", fd);
	*f = (struct loop_fd){ .loop = l, .fn = fn, .fd = fd, .events = events };
	return 0;
}

int loop_fd_mod(struct loop_fd *f, uint32_t events, struct err *err)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	assert(f->loop);
	if (events == f->events)
		return 0;
	if (epoll_ctl(f->loop->epfd, EPOLL_CTL_MOD, f->fd, &ev) < 0)
		return err_set_errno(err, errno, "epoll change of fd %d", f->fd);
	f->events = events;
	return 0;
}

void loop_fd_del(struct loop_fd *f)
{
	struct loop *l = f->loop;

	if (!l)
		return;
	/* fails only if the fd was closed first, and then the kernel has forgotten it too */
	(void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, f->fd, NULL);
	f->loop = NULL;
	for (int i = 0; i < l->batch_n; i++) {
		if (l->batch[i].data.ptr == f)
			l->batch[i].data.ptr = NULL;
	}
}

/* running */

static int wait_for_events(struct loop *l, int max_msec, struct epoll_event *events)
{
	uint64_t msec = max_msec < 0 ? UINT64_MAX : (uint64_t)max_msec;

	if (l->quit || l->deferred)
		msec = 0;
	if (!l->fake && l->n_timers) {
		struct mono now = loop_mono(l);
		uint64_t due = mono_msec_until(now, l->heap[0]->at);

		note_turn(l, now);
		msec = due < msec ? due : msec;
	}
	if (msec == UINT64_MAX)
		return epoll_wait(l->epfd, events, BATCH, -1);
	/* after INT_MAX there is nothing due yet, and the next turn waits for the rest */
	return epoll_wait(l->epfd, events, BATCH, msec < INT_MAX ? (int)msec : INT_MAX);
}

int loop_turn(struct loop *l, int max_msec, struct err *err)
{
	struct epoll_event events[BATCH];
	int n;

	if (l->deferred)
		max_msec = 0; /* then something has happened already */
	run_deferred(l);
	n = wait_for_events(l, max_msec, events);
	if (n < 0 && errno != EINTR)
		return err_set_errno(err, errno, "epoll wait");
	note_waking(l);
	l->batch = events;
	l->batch_n = n;
	for (int i = 0; i < n; i++) {
		struct loop_fd *f = events[i].data.ptr;

		if (f)
			f->fn(f, events[i].events);
	}
	l->batch = NULL;
	l->batch_n = 0;
	run_timers(l);
	run_deferred(l);
	return 0;
}

int loop_run(struct loop *l, struct err *err)
{
	while (!l->quit) {
		int r = loop_turn(l, -1, err);

		if (r < 0)
			return r;
	}
	l->quit = false;
	return l->quit_code;
}

void loop_quit(struct loop *l, int code)
{
	l->quit = true;
	l->quit_code = code;
}

void loop_fake_set_wall(struct loop *l, int64_t by_sec)
{
	assert(l->fake);
	l->fake_wall_by += by_sec;
}

void loop_fake_advance(struct loop *l, uint64_t msec)
{
	struct mono end = mono_add_msec(l->fake_now, msec);
	unsigned turns = 0;

	assert(l->fake);
	(void)loop_turn(l, 0, NULL);
	while (l->n_timers && !mono_before(end, l->heap[0]->at)) {
		turns++;
		assert(turns < FAKE_TURNS_MAX);
		if (mono_before(l->fake_now, l->heap[0]->at))
			l->fake_now = l->heap[0]->at;
		(void)loop_turn(l, 0, NULL);
	}
	l->fake_now = end;
	(void)loop_turn(l, 0, NULL);
}

/* signals */

struct loop_signals {
	struct loop_fd source;
	int fd;
	sigset_t was;
	loop_signal_fn *fn;
	void *ctx;
};

static void on_signalfd(struct loop_fd *f, uint32_t events)
{
	struct loop_signals *s = container_of(f, struct loop_signals, source);
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->fn(s->ctx, (int)info.ssi_signo);
}

struct loop_signals *loop_signals_new(struct loop *l, const int *signos, size_t n,
				      loop_signal_fn *fn, void *ctx, struct err *err)
{
	struct loop_signals *s = xnew(struct loop_signals);
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, signos[i]);
	s->fn = fn;
	s->ctx = ctx;
	sigprocmask(SIG_BLOCK, &set, &s->was);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		(void)err_set_errno(err, errno, "signalfd");
	else if (loop_fd_add(l, &s->source, s->fd, EPOLLIN, on_signalfd, err) == 0)
		return s;
	return loop_signals_free(s);
}

struct loop_signals *loop_signals_free(struct loop_signals *s)
{
	if (!s)
		return NULL;
	loop_fd_del(&s->source);
	if (s->fd >= 0)
		close(s->fd);
	sigprocmask(SIG_SETMASK, &s->was, NULL);
	free(s);
	return NULL;
}
