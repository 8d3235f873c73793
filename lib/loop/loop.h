/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The event loop: one thread, one epoll. Sources are embedded in their owner and found again with
 * container_of(). Any source may be deleted or changed from inside any callback, its own included;
 * after that its callback is not called. Callbacks must not block.
 *
 * The clock is the loop's. A loop made by loop_new_fake() starts at a fixed time which moves only by
 * loop_fake_advance(), so that expiry, backoff and renewal are tested without sleeping.
 */
struct loop;

struct loop *loop_new(struct err *err);
struct loop *loop_new_fake(struct err *err);
struct loop *loop_free(struct loop *l); /* last: who has a source frees first */
DEFINE_CLEANUP(struct loop, loop_free);

/* running */
int loop_run(
	struct loop *l,
	struct err
		*err); /* until loop_quit(), even one from before, whose code it returns (>= 0) */
void loop_quit(struct loop *l, int code);
/* One turn: waits up to max_msec (-1: until something happens), then dispatches what is due. */
int loop_turn(struct loop *l, int max_msec, struct err *err);

/* time */
struct mono loop_mono(const struct loop *l);
/* The same as of the kernel's last tick, 10 ms ago at most: for deadlines of seconds, at a fraction of its cost. */
struct mono loop_mono_coarse(const struct loop *l);
struct wall loop_wall(const struct loop *l);
/* Fake loops only: move the clock in steps from timer to timer, dispatching each at its moment. */
void loop_fake_advance(struct loop *l, uint64_t msec);
/* Fake loops only: somebody sets the wall clock by so much; the monotonic one does not notice. */
void loop_fake_set_wall(struct loop *l, int64_t by_sec);

/*
 * How long others had to wait for the loop: the latest that a timer ran after it was due, and the longest
 * turn, counted from when epoll_wait() returned (to the kernel's tick: up to 10 ms too long). Of the
 * last one to two minutes, whoever asks how often, so that several may. Of a fake loop: 0.
 */
struct loop_lag {
	uint64_t timer_nsec, turn_nsec;
};
struct loop_lag loop_lag(struct loop *l);

/* file descriptors: level-triggered epoll unless EPOLLET is asked for; the fd stays the owner's */
struct loop_fd;
typedef void loop_fd_fn(struct loop_fd *f, uint32_t events);
struct loop_fd {
	struct loop *loop; /* NULL while not added */
	loop_fd_fn *fn;
	int fd;
	uint32_t events;
};
int loop_fd_add(struct loop *l, struct loop_fd *f, int fd, uint32_t events, loop_fd_fn *fn,
		struct err *err);
int loop_fd_mod(struct loop_fd *f, uint32_t events, struct err *err);
void loop_fd_del(struct loop_fd *f); /* before closing the fd; again is fine */

/* timers: one shot; setting one again moves it; a deadline in the past is due in the next turn */
struct loop_timer;
typedef void loop_timer_fn(struct loop_timer *t);
struct loop_timer {
	struct loop *loop; /* NULL while not set */
	loop_timer_fn *fn;
	struct mono at;
	uint64_t seq; /* among those of one moment, the one set first goes first */
	size_t slot;  /* in the loop's heap */
};
void loop_timer_set(struct loop *l, struct loop_timer *t, struct mono at, loop_timer_fn *fn);
void loop_timer_set_msec(struct loop *l, struct loop_timer *t, uint64_t msec, loop_timer_fn *fn);
void loop_timer_del(struct loop_timer *t);

/*
 * Deferred calls: run once, in order, from the loop, before it next waits; deferring one that is
 * queued changes nothing. What makes "the callback is never called from inside the call that asked"
 * cheap to keep.
 */
struct loop_defer;
typedef void loop_defer_fn(struct loop_defer *d);
struct loop_defer {
	struct loop *loop; /* NULL while not queued */
	loop_defer_fn *fn;
	struct loop_defer *prev, *next;
};
void loop_defer(struct loop *l, struct loop_defer *d, loop_defer_fn *fn);
void loop_defer_del(struct loop_defer *d);

/* signals: blocked in the process and read from a signalfd; not to be freed from its own callback */
struct loop_signals;
typedef void loop_signal_fn(void *ctx, int signo);
struct loop_signals *loop_signals_new(struct loop *l, const int *signos, size_t n,
				      loop_signal_fn *fn, void *ctx, struct err *err);
struct loop_signals *loop_signals_free(struct loop_signals *s);
DEFINE_CLEANUP(struct loop_signals, loop_signals_free);
