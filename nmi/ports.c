/* SPDX-License-Identifier: MIT */

/*
 * Ports of bridges for the redirector: see ports.h.
 *
 * All that changes in one turn of the loop is told at once, at its end: a node that starts 100 pods tells a
 * handful of times. What cannot be told is left to the check that the agent makes by itself, when a
 * request has come (nmi/pods/claim.c).
 */

#include "nmi/ports.h"

#include "lib/base/inet.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/pods/store.h"

#include <string.h>

#define LOG_MSEC 60000

struct ports {
	struct loop *loop;
	struct ports_spec spec;
	struct loop_defer later;
	struct redirect_port *told, *now; /* REDIRECT_PORTS_MAX each; NULL until there was one */
	size_t n_told, n_now, n_left_out;
	struct err why; /* the last that was left out was */
	struct log_limit log;
};

static void leave_out(struct ports *p, const struct err *why)
{
	p->n_left_out++;
	p->why = *why;
}

static void add(void *ctx, const struct inet_ip *ip, uint32_t link)
{
	struct ports *p = ctx;
	struct redirect_port port = { .ip = *ip };
	const char *name = p->spec.name(p->spec.ctx, link);
	struct err why = { 0 };

	/* The metadata service has an IPv4 address, and a link that is gone will be told of. */
	if (!name || !inet_ip_is_v4(ip))
		return;
	memcpy(port.link, name, strnlen(name, sizeof(port.link) - 1));
	if (redirect_check_port(&port, &why) < 0) {
		leave_out(p, &why);
	} else if (p->n_now == REDIRECT_PORTS_MAX) {
		(void)err_set(&why, ERR_LIMIT, "there are more than %d", REDIRECT_PORTS_MAX);
		leave_out(p, &why);
	} else {
		if (!p->now)
			p->now = xcalloc(REDIRECT_PORTS_MAX, sizeof(*p->now));
		p->now[p->n_now++] = port;
	}
}

static bool is_told(const struct ports *p)
{
	return p->n_now == p->n_told &&
	       (!p->n_now || memcmp(p->now, p->told, p->n_now * sizeof(*p->now)) == 0);
}

static void tell(struct loop_defer *d)
{
	struct ports *p = container_of(d, struct ports, later);
	struct redirect_port *told = p->told;
	unsigned long held;

	p->n_now = p->n_left_out = 0;
	pod_store_each_port(p->spec.store, add, p);
	if (!is_told(p)) {
		if (p->spec.set(p->spec.ctx, p->now, p->n_now, &p->why) < 0) {
			p->n_left_out += p->n_now;
		} else {
			p->told = p->now;
			p->n_told = p->n_now;
			p->now = told;
		}
	}
	if (p->n_left_out && log_limit_pass(&p->log, loop_mono(p->loop), LOG_MSEC, &held))
		log_warn("%zu addresses of pods behind bridges are not tied to their ports in the "
			 "kernel, so only their links are compared: %s",
			 p->n_left_out, p->why.msg);
}

static void on_changed(void *ctx)
{
	struct ports *p = ctx;

	loop_defer(p->loop, &p->later, tell);
}

struct ports *ports_new(struct loop *l, const struct ports_spec *spec)
{
	struct ports *p = xnew(struct ports);

	p->loop = l;
	p->spec = *spec;
	pod_store_on_ports_changed(spec->store, on_changed, p);
	return p;
}

struct ports *ports_free(struct ports *p)
{
	if (!p)
		return NULL;
	pod_store_on_ports_changed(p->spec.store, NULL, NULL);
	loop_defer_del(&p->later);
	free(p->told);
	free(p->now);
	free(p);
	return NULL;
}
