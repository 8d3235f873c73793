/* SPDX-License-Identifier: MIT */

#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static struct loop *fake(void)
{
	struct err err = { 0 };
	struct loop *l = loop_new_fake(&err);

	ck_assert_msg(l != NULL, "%s", err.msg);
	return l;
}

static struct loop *real(void)
{
	struct err err = { 0 };
	struct loop *l = loop_new(&err);

	ck_assert_msg(l != NULL, "%s", err.msg);
	return l;
}

static int ready_fd(void)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* timers */

struct ticker {
	struct loop_timer timer;
	struct loop_timer *victim; /* deleted when this one fires */
	struct loop *again_in;	   /* sets itself again, this much later */
	uint64_t again_msec;
	unsigned fired;
	unsigned order; /* of the last firing, among all */
	struct mono at; /* of the last firing, by the loop's clock */
};

static unsigned firings;

static void tick(struct loop_timer *t)
{
	struct ticker *k = container_of(t, struct ticker, timer);

	k->fired++;
	k->order = ++firings;
	ck_assert_ptr_null(t->loop);
	if (k->victim)
		loop_timer_del(k->victim);
	if (k->again_in) {
		k->at = loop_mono(k->again_in);
		loop_timer_set_msec(k->again_in, t, k->again_msec, tick);
	}
}

START_TEST(timers_fire_once_each_in_the_order_of_their_deadlines)
{
	struct loop *l = fake();
	struct ticker k[5] = { 0 };
	static const unsigned msec[] = { 30, 10, 50, 20, 40 };
	static const unsigned order[] = { 3, 1, 5, 2, 4 };

	firings = 0;
	for (size_t i = 0; i < 5; i++)
		loop_timer_set_msec(l, &k[i].timer, msec[i], tick);
	loop_fake_advance(l, 9);
	ck_assert_uint_eq(firings, 0);
	loop_fake_advance(l, 1);
	ck_assert_uint_eq(firings, 1);
	loop_fake_advance(l, 1000);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_uint_eq(k[i].fired, 1);
		ck_assert_uint_eq(k[i].order, order[i]);
	}
	loop_free(l);
}
END_TEST

START_TEST(timers_of_one_moment_fire_in_the_order_they_were_set)
{
	struct loop *l = fake();
	struct ticker k[50] = { 0 };

	firings = 0;
	for (size_t i = 0; i < 50; i++)
		loop_timer_set_msec(l, &k[i].timer, 10, tick);
	loop_timer_set_msec(l, &k[7].timer, 10, tick); /* set again: now the last */
	loop_fake_advance(l, 10);
	for (size_t i = 0; i < 50; i++)
		ck_assert_uint_eq(k[i].order, i < 7 ? i + 1 : i == 7 ? 50 : i);
	loop_free(l);
}
END_TEST

START_TEST(setting_again_moves_and_deleting_twice_is_fine)
{
	struct loop *l = fake();
	struct ticker a = { 0 }, b = { 0 };

	loop_timer_set_msec(l, &a.timer, 10, tick);
	loop_timer_set_msec(l, &a.timer, 20, tick);
	loop_timer_set_msec(l, &b.timer, 15, tick);
	loop_timer_del(&b.timer);
	loop_timer_del(&b.timer);
	loop_fake_advance(l, 19);
	ck_assert_uint_eq(a.fired, 0);
	loop_fake_advance(l, 1);
	ck_assert_uint_eq(a.fired, 1);
	ck_assert_uint_eq(b.fired, 0);
	loop_free(l);
}
END_TEST

START_TEST(a_timer_may_delete_another_that_is_due_at_the_same_moment)
{
	struct loop *l = fake();
	struct ticker a = { 0 }, b = { 0 };

	a.victim = &b.timer;
	loop_timer_set_msec(l, &a.timer, 10, tick);
	loop_timer_set_msec(l, &b.timer, 10, tick);
	loop_fake_advance(l, 10);
	ck_assert_uint_eq(a.fired, 1);
	ck_assert_uint_eq(b.fired, 0);
	loop_free(l);
}
END_TEST

START_TEST(a_timer_that_sets_itself_again_fires_at_every_step_of_a_fake_clock)
{
	struct loop *l = fake();
	struct ticker k = { .again_in = l, .again_msec = 10 };
	struct mono start = loop_mono(l);

	loop_timer_set_msec(l, &k.timer, 10, tick);
	loop_fake_advance(l, 105);
	ck_assert_uint_eq(k.fired, 10);
	ck_assert_uint_eq(mono_msec_until(start, k.at), 100);
	ck_assert_uint_eq(mono_msec_until(start, loop_mono(l)), 105);
	loop_free(l);
}
END_TEST

START_TEST(a_timer_that_sets_itself_for_now_waits_for_the_next_turn)
{
	struct loop *l = fake();
	struct ticker k = { .again_in = l, .again_msec = 0 }, other = { 0 };

	loop_timer_set_msec(l, &k.timer, 0, tick);
	loop_timer_set_msec(l, &other.timer, 0, tick);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(k.fired, 1);
	ck_assert_uint_eq(other.fired, 1);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(k.fired, 2);
	loop_timer_del(&k.timer);
	loop_free(l);
}
END_TEST

static struct loop *past_loop;

static void set_in_the_past(struct loop_timer *t)
{
	container_of(t, struct ticker, timer)->fired++;
	loop_timer_set(past_loop, t, (struct mono){ 0 }, set_in_the_past);
}

START_TEST(a_timer_set_in_the_past_does_not_starve_the_others)
{
	struct ticker k = { 0 }, other = { 0 };

	past_loop = fake();
	loop_timer_set(past_loop, &k.timer, (struct mono){ 0 }, set_in_the_past);
	loop_timer_set_msec(past_loop, &other.timer, 0, tick);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(loop_turn(past_loop, 0, NULL), 0);
	ck_assert_uint_eq(other.fired, 1);
	ck_assert_uint_eq(k.fired, 3);
	loop_timer_del(&k.timer);
	loop_free(past_loop);
}
END_TEST

/*
 * Random sets, moves and deletions against a plain array: whenever time moves, exactly the timers due
 * by the model have fired, and by order of deadline.
 */
#define MODEL_TIMERS 200
#define MODEL_STEPS  20000

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	/* xorshift64 (Marsaglia, 2003): a run is repeated from its seed */
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static struct {
	struct loop *loop;
	struct ticker k[MODEL_TIMERS];
	uint64_t due[MODEL_TIMERS]; /* 0: not set */
} model;

/* Timers that the model has due before `ns`; not asserted one by one, since check reports each. */
static size_t model_due_before(uint64_t ns)
{
	size_t n = 0;

	for (size_t k = 0; k < MODEL_TIMERS; k++)
		n += model.due[k] && model.due[k] < ns;
	return n;
}

static void model_fire(struct loop_timer *t)
{
	size_t i = (size_t)(container_of(t, struct ticker, timer) - model.k);

	ck_assert_msg(model.due[i] != 0, "timer %zu fired and was not set", i);
	ck_assert_uint_eq(model.due[i], loop_mono(model.loop).ns);
	ck_assert_uint_eq(model_due_before(model.due[i]), 0);
	model.due[i] = 0;
}

START_TEST(random_timers_agree_with_a_model)
{
	const char *given = getenv("NMI_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : 0;

	while (!seed)
		ck_assert_int_eq(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
	fprintf(stderr, "NMI_TEST_SEED=%llu\n", (unsigned long long)seed);
	random_state = seed;
	memset(&model, 0, sizeof(model));
	model.loop = fake();
	for (int step = 0; step < MODEL_STEPS; step++) {
		size_t i = draw(MODEL_TIMERS);
		uint64_t what = draw(100);

		if (what < 60) {
			uint64_t msec = 1 + draw(500);

			loop_timer_set_msec(model.loop, &model.k[i].timer, msec, model_fire);
			model.due[i] = mono_add_msec(loop_mono(model.loop), msec).ns;
		} else if (what < 90) {
			loop_timer_del(&model.k[i].timer);
			model.due[i] = 0;
		} else {
			loop_fake_advance(model.loop, draw(50));
		}
		if ((model.k[i].timer.loop != NULL) != (model.due[i] != 0))
			ck_abort_msg("step %d: timer %zu is set, and in the model not, or reverse",
				     step, i);
		if (what >= 90)
			ck_assert_uint_eq(model_due_before(loop_mono(model.loop).ns + 1), 0);
	}
	loop_fake_advance(model.loop, 1000);
	ck_assert_uint_eq(model_due_before(UINT64_MAX), 0);
	loop_free(model.loop);
}
END_TEST

/* the clock */

START_TEST(a_fake_clock_starts_at_a_fixed_time_and_moves_only_when_told)
{
	struct loop *l = fake();
	struct mono start = loop_mono(l);

	ck_assert_int_eq(loop_wall(l).s, 1767225600);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(loop_mono(l).ns, start.ns);
	loop_fake_advance(l, 2500);
	ck_assert_uint_eq(loop_mono(l).ns, mono_add_msec(start, 2500).ns);
	ck_assert_uint_eq(loop_mono_coarse(l).ns, loop_mono(l).ns);
	ck_assert_int_eq(loop_wall(l).s, 1767225602);
	loop_free(l);
}
END_TEST

START_TEST(a_real_clock_is_the_systems)
{
	struct loop *l = real();
	struct timespec ts;
	struct mono now = loop_mono(l);

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ck_assert_double_lt(mono_seconds_between(now,
						 (struct mono){ (uint64_t)ts.tv_sec * NSEC_PER_SEC +
								(uint64_t)ts.tv_nsec }),
			    5);
	ck_assert_int_le(llabs(loop_wall(l).s - time(NULL)), 5);
	ck_assert(!mono_before(loop_mono(l), loop_mono_coarse(l)));
	ck_assert_double_lt(mono_seconds_between(loop_mono_coarse(l), now), 1);
	loop_free(l);
}
END_TEST

START_TEST(a_real_turn_waits_for_its_timer_and_not_much_longer)
{
	struct loop *l = real();
	struct ticker k = { 0 };
	struct mono start = loop_mono(l);

	loop_timer_set_msec(l, &k.timer, 20, tick);
	for (int i = 0; i < 10 && !k.fired; i++)
		ck_assert_int_eq(loop_turn(l, -1, NULL), 0);
	ck_assert_uint_eq(k.fired, 1);
	ck_assert_double_ge(mono_seconds_between(start, loop_mono(l)), 0.020);
	ck_assert_double_lt(mono_seconds_between(start, loop_mono(l)), 3);
	loop_free(l);
}
END_TEST

START_TEST(a_deadline_at_the_end_of_time_is_waited_for_like_any)
{
	struct loop *l = real();
	struct ticker k = { 0 };

	loop_timer_set_msec(l, &k.timer, UINT64_MAX, tick);
	ck_assert_int_eq(loop_turn(l, 1, NULL), 0);
	ck_assert_uint_eq(k.fired, 0);
	loop_timer_del(&k.timer);
	loop_free(l);
}
END_TEST

/* deferred calls */

struct call {
	struct loop_defer defer;
	struct loop *loop;
	struct call *next;   /* deferred by this one */
	struct call *victim; /* deleted by this one */
	unsigned ran;
};

static void run_call(struct loop_defer *d)
{
	struct call *c = container_of(d, struct call, defer);

	ck_assert_ptr_null(d->loop);
	c->ran++;
	if (c->victim)
		loop_defer_del(&c->victim->defer);
	if (c->next)
		loop_defer(c->loop, &c->next->defer, run_call);
}

START_TEST(a_deferred_call_runs_once_from_the_loop_never_at_once)
{
	struct loop *l = fake();
	struct call c = { 0 };

	loop_defer(l, &c.defer, run_call);
	loop_defer(l, &c.defer, run_call);
	ck_assert_uint_eq(c.ran, 0);
	ck_assert_int_eq(loop_turn(l, -1, NULL), 0); /* would hang if it waited for something */
	ck_assert_uint_eq(c.ran, 1);
	loop_fake_advance(l, 10);
	ck_assert_uint_eq(c.ran, 1);
	loop_free(l);
}
END_TEST

START_TEST(a_chain_of_deferred_calls_is_run_before_the_loop_waits)
{
	struct loop *l = fake();
	struct call c[10] = { 0 };

	for (size_t i = 0; i < 10; i++)
		c[i] = (struct call){ .loop = l, .next = i < 9 ? &c[i + 1] : NULL };
	loop_defer(l, &c[0].defer, run_call);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	for (size_t i = 0; i < 10; i++)
		ck_assert_uint_eq(c[i].ran, 1);
	loop_free(l);
}
END_TEST

START_TEST(a_deferred_call_may_delete_the_next)
{
	struct loop *l = fake();
	struct call a = { 0 }, b = { 0 }, c = { 0 };

	a.victim = &b;
	loop_defer(l, &a.defer, run_call);
	loop_defer(l, &b.defer, run_call);
	loop_defer(l, &c.defer, run_call);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(a.ran, 1);
	ck_assert_uint_eq(b.ran, 0);
	ck_assert_uint_eq(c.ran, 1);
	loop_defer_del(&a.defer);
	loop_free(l);
}
END_TEST

/* file descriptors */

struct reader {
	struct loop_fd source;
	struct loop_fd *victim;
	unsigned calls;
	uint32_t events;
};

static void on_ready(struct loop_fd *f, uint32_t events)
{
	struct reader *r = container_of(f, struct reader, source);

	r->calls++;
	r->events = events;
	if (r->victim)
		loop_fd_del(r->victim);
}

START_TEST(a_call_that_defers_itself_for_ever_does_not_keep_others_waiting)
{
	struct loop *l = fake();
	struct call c = { .loop = l };
	struct reader r = { 0 };
	int fd = ready_fd();

	c.next = &c;
	loop_defer(l, &c.defer, run_call);
	ck_assert_int_eq(loop_fd_add(l, &r.source, fd, EPOLLIN, on_ready, NULL), 0);
	ck_assert_int_eq(loop_turn(l, -1, NULL), 0);
	ck_assert_uint_eq(r.calls, 1);
	loop_defer_del(&c.defer);
	loop_fd_del(&r.source);
	close(fd);
	loop_free(l);
}
END_TEST

START_TEST(a_ready_fd_calls_back_until_deleted)
{
	struct loop *l = fake();
	struct reader r = { 0 };
	int fd = ready_fd();

	ck_assert_int_eq(loop_fd_add(l, &r.source, fd, EPOLLIN, on_ready, NULL), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(r.calls, 3);
	ck_assert_uint_eq(r.events, EPOLLIN);
	loop_fd_del(&r.source);
	loop_fd_del(&r.source);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(r.calls, 3);
	/* and may be added again */
	ck_assert_int_eq(loop_fd_add(l, &r.source, fd, EPOLLIN, on_ready, NULL), 0);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(r.calls, 4);
	loop_fd_del(&r.source);
	close(fd);
	loop_free(l);
}
END_TEST

START_TEST(changing_the_events_takes_effect)
{
	struct loop *l = fake();
	struct reader r = { 0 };
	int fd = ready_fd();

	ck_assert_int_eq(loop_fd_add(l, &r.source, fd, 0, on_ready, NULL), 0);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(r.calls, 0);
	ck_assert_int_eq(loop_fd_mod(&r.source, EPOLLOUT, NULL), 0);
	ck_assert_int_eq(loop_fd_mod(&r.source, EPOLLOUT, NULL), 0);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(r.events, EPOLLOUT);
	ck_assert_int_eq(loop_fd_mod(&r.source, EPOLLIN | EPOLLOUT, NULL), 0);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(r.events, EPOLLIN | EPOLLOUT);
	ck_assert_int_eq(loop_fd_mod(&r.source, 0, NULL), 0);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(r.calls, 2);
	loop_fd_del(&r.source);
	close(fd);
	loop_free(l);
}
END_TEST

START_TEST(an_fd_that_cannot_be_added_is_an_error_that_leaves_the_source_free)
{
	struct loop *l = fake();
	struct reader r = { 0 }, twice = { 0 };
	struct err err = { 0 };
	int fd = ready_fd();

	ck_assert_int_eq(loop_fd_add(l, &r.source, 1 << 20, EPOLLIN, on_ready, &err), -ERR_OS);
	ck_assert_int_eq(err.os_errno, EBADF);
	ck_assert_ptr_null(r.source.loop);
	ck_assert_int_eq(loop_fd_add(l, &r.source, fd, EPOLLIN, on_ready, &err), 0);
	ck_assert_int_eq(loop_fd_add(l, &twice.source, fd, EPOLLIN, on_ready, &err), -ERR_OS);
	ck_assert_int_eq(err.os_errno, EEXIST);
	loop_fd_del(&r.source);
	close(fd);
	loop_free(l);
}
END_TEST

START_TEST(a_source_deleted_by_another_of_the_same_batch_is_not_called)
{
	struct loop *l = fake();
	struct reader r[2] = { 0 };
	int fds[2] = { ready_fd(), ready_fd() };

	for (int i = 0; i < 2; i++) {
		r[i].victim = &r[1 - i].source; /* whichever comes first deletes the other */
		ck_assert_int_eq(loop_fd_add(l, &r[i].source, fds[i], EPOLLIN, on_ready, NULL), 0);
	}
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(r[0].calls + r[1].calls, 1);
	for (int i = 0; i < 2; i++) {
		loop_fd_del(&r[i].source);
		close(fds[i]);
	}
	loop_free(l);
}
END_TEST

/* The first of a batch frees the other's owner: what a connection does to its peer. */
struct heap_reader {
	struct loop_fd source;
	struct heap_reader **other;
	int fd;
};

static void free_the_other(struct loop_fd *f, uint32_t events)
{
	struct heap_reader *r = container_of(f, struct heap_reader, source), *other = *r->other;

	if (!other)
		return;
	loop_fd_del(&other->source);
	close(other->fd);
	*r->other = NULL;
	free(other);
}

START_TEST(an_owner_freed_by_another_of_the_same_batch_is_not_touched)
{
	struct loop *l = fake();
	struct heap_reader *r[2];

	for (int i = 0; i < 2; i++) {
		r[i] = xnew(struct heap_reader);
		r[i]->fd = ready_fd();
		ck_assert_int_eq(
			loop_fd_add(l, &r[i]->source, r[i]->fd, EPOLLIN, free_the_other, NULL), 0);
	}
	r[0]->other = &r[1];
	r[1]->other = &r[0];
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_int_eq((r[0] != NULL) + (r[1] != NULL), 1);
	for (int i = 0; i < 2; i++) {
		if (!r[i])
			continue;
		loop_fd_del(&r[i]->source);
		close(r[i]->fd);
		free(r[i]);
	}
	loop_free(l);
}
END_TEST

static void delete_self_and_free(struct loop_fd *f, uint32_t events)
{
	struct heap_reader *r = container_of(f, struct heap_reader, source);

	loop_fd_del(f);
	close(r->fd);
	*r->other = NULL;
	free(r);
}

START_TEST(an_owner_may_free_itself_in_its_callback)
{
	struct loop *l = fake();
	struct heap_reader *r = xnew(struct heap_reader);

	r->fd = ready_fd();
	r->other = &r;
	ck_assert_int_eq(loop_fd_add(l, &r->source, r->fd, EPOLLIN, delete_self_and_free, NULL), 0);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_ptr_null(r);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	loop_free(l);
}
END_TEST

START_TEST(more_fds_than_a_batch_are_all_served)
{
	enum { MANY = 200 };
	struct loop *l = fake();
	struct reader r[MANY] = { 0 };
	int fds[MANY];

	for (int i = 0; i < MANY; i++) {
		fds[i] = ready_fd();
		ck_assert_int_eq(loop_fd_add(l, &r[i].source, fds[i], EPOLLIN, on_ready, NULL), 0);
	}
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	for (int i = 0; i < MANY; i++) {
		ck_assert_uint_gt(r[i].calls, 0);
		loop_fd_del(&r[i].source);
		close(fds[i]);
	}
	loop_free(l);
}
END_TEST

/* running */

static struct loop *quit_loop;

static void quit_with_7(struct loop_timer *t)
{
	loop_quit(quit_loop, 7);
}

START_TEST(run_goes_on_until_quit_and_returns_its_code)
{
	struct loop_timer t = { 0 };

	quit_loop = real();
	loop_timer_set_msec(quit_loop, &t, 5, quit_with_7);
	ck_assert_int_eq(loop_run(quit_loop, NULL), 7);
	/* a quit from before the start counts, once */
	loop_quit(quit_loop, 3);
	ck_assert_int_eq(loop_run(quit_loop, NULL), 3);
	loop_timer_set_msec(quit_loop, &t, 5, quit_with_7);
	ck_assert_int_eq(loop_run(quit_loop, NULL), 7);
	loop_free(quit_loop);
}
END_TEST

static void interrupt(int signo)
{
}

START_TEST(a_signal_that_is_not_ours_does_not_end_the_wait_in_an_error)
{
	struct sigaction sa = { .sa_handler = interrupt };
	struct itimerspec in_20_msec = { .it_value.tv_nsec = 20000000 };
	struct loop *l = real();
	timer_t timer;

	ck_assert_int_eq(sigaction(SIGALRM, &sa, NULL), 0);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &in_20_msec, NULL), 0);
	ck_assert_int_eq(loop_turn(l, 5000, NULL), 0);
	timer_delete(timer);
	loop_free(l);
}
END_TEST

/* signals */

static int signals_seen[3];
static size_t n_signals_seen;

static void on_signal(void *ctx, int signo)
{
	ck_assert_ptr_eq(ctx, &n_signals_seen);
	ck_assert_uint_lt(n_signals_seen, 3);
	signals_seen[n_signals_seen++] = signo;
}

START_TEST(signals_arrive_as_calls_and_the_mask_comes_back)
{
	static const int signos[] = { SIGTERM, SIGUSR1 };
	struct loop *l = fake();
	struct err err = { 0 };
	struct loop_signals *s;
	sigset_t before, during, after;

	sigprocmask(SIG_SETMASK, NULL, &before);
	n_signals_seen = 0;
	s = loop_signals_new(l, signos, 2, on_signal, &n_signals_seen, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	sigprocmask(SIG_SETMASK, NULL, &during);
	ck_assert_int_eq(sigismember(&during, SIGTERM), 1);
	ck_assert_int_eq(raise(SIGTERM), 0);
	ck_assert_int_eq(raise(SIGUSR1), 0);
	ck_assert_uint_eq(n_signals_seen, 0);
	ck_assert_int_eq(loop_turn(l, 0, NULL), 0);
	ck_assert_uint_eq(n_signals_seen, 2);
	ck_assert(signals_seen[0] == SIGTERM || signals_seen[1] == SIGTERM);
	ck_assert(signals_seen[0] == SIGUSR1 || signals_seen[1] == SIGUSR1);
	loop_signals_free(s);
	sigprocmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	ck_assert_ptr_null(loop_signals_free(NULL));
	loop_free(l);
}
END_TEST

UNIT_MAIN("loop", UNIT(timers_fire_once_each_in_the_order_of_their_deadlines),
	  UNIT(timers_of_one_moment_fire_in_the_order_they_were_set),
	  UNIT(setting_again_moves_and_deleting_twice_is_fine),
	  UNIT(a_timer_may_delete_another_that_is_due_at_the_same_moment),
	  UNIT(a_timer_that_sets_itself_again_fires_at_every_step_of_a_fake_clock),
	  UNIT(a_timer_that_sets_itself_for_now_waits_for_the_next_turn),
	  UNIT(a_timer_set_in_the_past_does_not_starve_the_others),
	  UNIT(random_timers_agree_with_a_model),
	  UNIT(a_fake_clock_starts_at_a_fixed_time_and_moves_only_when_told),
	  UNIT(a_real_clock_is_the_systems),
	  UNIT(a_real_turn_waits_for_its_timer_and_not_much_longer),
	  UNIT(a_deadline_at_the_end_of_time_is_waited_for_like_any),
	  UNIT(a_deferred_call_runs_once_from_the_loop_never_at_once),
	  UNIT(a_chain_of_deferred_calls_is_run_before_the_loop_waits),
	  UNIT(a_deferred_call_may_delete_the_next),
	  UNIT(a_call_that_defers_itself_for_ever_does_not_keep_others_waiting),
	  UNIT(a_ready_fd_calls_back_until_deleted), UNIT(changing_the_events_takes_effect),
	  UNIT(an_fd_that_cannot_be_added_is_an_error_that_leaves_the_source_free),
	  UNIT(a_source_deleted_by_another_of_the_same_batch_is_not_called),
	  UNIT(an_owner_freed_by_another_of_the_same_batch_is_not_touched),
	  UNIT(an_owner_may_free_itself_in_its_callback),
	  UNIT(more_fds_than_a_batch_are_all_served),
	  UNIT(run_goes_on_until_quit_and_returns_its_code),
	  UNIT(a_signal_that_is_not_ours_does_not_end_the_wait_in_an_error),
	  UNIT(signals_arrive_as_calls_and_the_mask_comes_back))
