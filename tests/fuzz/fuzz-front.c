/* SPDX-License-Identifier: MIT */

/*
 * The whole of what lies between a pod's socket and the request to IMDS: libmicrohttpd, front, issuer, stores of
 * pods and identities, rules, token cache, sources, on a fake clock. An input is a program: who connects, what is
 * sent, in which pieces, with what pauses; what IMDS answers; what changes in the cluster meanwhile. What is
 * answered is judged by front-model.c, what is asked of IMDS by front-upstream.c.
 *
 * The first byte is settings. Then ops: a byte for what (OPS), a byte for whom, and what the op reads more.
 */

#include "lib/base/cleanup.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/siphash.h"
#include "nmi/front/front.h"
#include "nmi/health.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/pods/store.h"
#include "nmi/proxy.h"
#include "nmi/token/imds.h"
#include "tests/fuzz/front-model.h"
#include "tests/fuzz/front-net.h"
#include "tests/fuzz/front-upstream.h"
#include "tests/fuzz/fuzz.h"
#include "tests/scenario/world.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS	12
#define OPS_MAX 200
#define RAW_MAX 4096
/* What one request may wait for, of each wait of the world's, and a turn of each pod in the queue. */
#define ROUNDS_MAX 600
#define ROUND_MSEC 20000

enum {
	ROLE_PODS,
	ROLE_HOST,
	ROLE_HOST6,
	ROLE_PROBES,
	ROLE_METRICS,
	ROLES
}; /* as the front hands over */

static struct rig {
	struct world w;
	struct http_client http[UPSTREAMS];
	struct imds_source *imds, *node;
	struct proxy *proxy;
	struct metrics *metrics;
	struct health health;
	struct front *front;
	struct model model;
	struct caller callers[CONNS];
	int listeners[ROLES]; /* 0: none */
	bool is_draining;
	bool hears_of_ends; /* of pods' claims on their addresses; else each request has to see by itself */
	const uint8_t *at;
	size_t left;
} * rig;

static uint8_t byte(struct rig *r)
{
	if (!r->left)
		return 0;
	r->left--;
	return *r->at++;
}

/* A length, and bytes. */
static struct str bytes(struct rig *r)
{
	size_t n = byte(r);
	struct str s;

	n |= (size_t)(byte(r) & 0x0f) << 8;
	s = (struct str){ (const char *)r->at, n < r->left ? n : r->left };
	r->at += s.n;
	r->left -= s.n;
	return s;
}

/* callers */

static void hang_up(struct caller *c)
{
	net_hang_up(c->fd);
	buf_deinit(&c->to_send);
	buf_deinit(&c->sent);
	buf_deinit(&c->got);
	*c = (struct caller){ .fd = -EBADF };
}

/* True: it got something. */
static bool hear(struct rig *r, struct caller *c)
{
	static char piece[65536];
	ssize_t n;
	bool got = false;

	if (c->fd < 0 || c->is_deaf)
		return false;
	while ((n = recv(c->fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0) {
		buf_put(&c->got, piece, (size_t)n);
		got = true;
	}
	c->is_over |= n == 0 || errno == ECONNRESET;
	return got;
}

static void settle(struct rig *r)
{
	bool more = true;

	while (more) {
		more = false;
		net_settle(r->w.loop);
		for (size_t i = 0; i < CONNS; i++)
			more |= hear(r, &r->callers[i]);
	}
	for (size_t i = 0; i < CONNS; i++)
		model_check(&r->model, &r->callers[i]);
}

static void pass(struct rig *r, uint64_t msec)
{
	world_pass(&r->w, msec);
	settle(r);
}

static void op_connect(struct rig *r, struct caller *c, unsigned who)
{
	static const unsigned roles[CALLERS] = { [CALLER_HOST] = ROLE_HOST,
						 [CALLER_PROBE] = ROLE_PROBES,
						 [CALLER_METRICS] = ROLE_METRICS };
	int listener;

	who %= CALLERS;
	listener = r->listeners[roles[who]];
	if (c->fd >= 0)
		hang_up(c);
	settle(r);
	if (!listener || (r->is_draining && roles[who] <= ROLE_HOST))
		return;
	c->fd = net_connect(listener, caller_ips[who]);
	c->who = who;
}

static void op_ask(struct caller *c, unsigned which)
{
	const struct known *k = &knowns[which % n_knowns];

	if (c->fd < 0 || c->n_asked == ASKED_MAX)
		return;
	c->asked[c->n_asked++] = k;
	buf_put(&c->to_send, k->text, strlen(k->text));
}

static void op_say(struct caller *c, struct str raw)
{
	if (c->fd < 0 || raw.n == 0)
		return;
	c->is_odd = true;
	buf_put(&c->to_send, raw.p, raw.n);
}

static void op_send(struct rig *r, struct caller *c, size_t n)
{
	ssize_t sent;

	if (c->fd < 0 || c->has_shut)
		return;
	n = n == 0 || n > c->to_send.n ? c->to_send.n : n;
	sent = send(c->fd, c->to_send.p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0) {
		buf_put(&c->sent, c->to_send.p, (size_t)sent);
		buf_consume(&c->to_send, (size_t)sent);
		model_sent(&r->model, c);
	}
	settle(r);
}

static void op_end(struct rig *r, struct caller *c, unsigned how)
{
	if (c->fd < 0)
		return;
	if (how % 4 == 0) {
		hang_up(c);
	} else if (how % 4 == 1) {
		(void)shutdown(c->fd, SHUT_WR);
		c->has_shut = true;
	} else {
		c->is_deaf = how % 4 == 2;
	}
	settle(r);
}

/* the cluster */

static void on_claim_end(void *ctx, const struct inet_ip *ip, const char *uid)
{
	struct rig *r = ctx;

	if (r->front && r->hears_of_ends)
		front_close_peer(r->front, ip, uid);
}

static void change_pods(struct rig *r, unsigned what)
{
	struct world *w = &r->w;
	struct model *m = &r->model;

	switch (what) {
	case 0:
		m->p1 = false;
		world_remove_pod(w, "p1");
		break;
	case 1:
		m->p1 = true;
		world_put_pod(w, .uid = "p1", .ip = "10.0.0.1");
		break;
	case 2:
		m->p8 = true;
		world_put_pod(w, .uid = "p8", .ip = "10.0.0.1", .label = "db");
		break;
	case 3:
		m->p8 = false;
		world_remove_pod(w, "p8");
		break;
	case 4:
		m->p5 = true;
		world_put_pod(w, .uid = "p5", .ip = "10.0.0.5");
		break;
	case 5:
		m->p7 = false;
		world_remove_pod(w, "p7");
		break;
	case 6:
		m->p5 |= world_answer_get(w, &(struct world_pod){ .uid = "p5", .ip = "10.0.0.5" });
		break;
	default:
		(void)world_answer_get(w, NULL);
	}
}

static void op_change(struct rig *r, unsigned what)
{
	struct model *m = &r->model;

	for (size_t i = 0; i < CONNS; i++)
		r->callers[i].is_stale |= r->callers[i].is_deaf;
	switch (what %= 16) {
	case 8:
		m->is_bound = false;
		world_remove_binding(&r->w, "web-binding");
		break;
	case 9:
		m->is_bound = true;
		world_put_binding(&r->w, "web-binding", "web", "web");
		break;
	case 10:
	case 11:
		m->is_changed = what == 10;
		world_put_identity(&r->w, "web", m->is_changed ? "c-web9" : "c-web");
		break;
	case 12:
		front_drain(r->front, false);
		r->is_draining = true;
		break;
	case 13:
		front_drain(r->front, true);
		r->is_draining = true;
		break;
	default:
		change_pods(r, what % 8);
	}
	settle(r);
	/* what is of a pod that has gone is ended */
	for (size_t i = 0; i < CONNS; i++) {
		const struct caller *c = &r->callers[i];

		assert(!r->hears_of_ends || c->fd < 0 || c->is_deaf || c->n_tokens == 0 ||
		       c->who > CALLER_P6 || model_has(m, c->owner) || c->is_over);
	}
}

static void furnish(struct world *w)
{
	world_furnish(w);
	world_put_identity(w, "web2", "c-web2");
	world_put_binding(w, "web2-binding", "web2", "web");
	world_put_identity(w, "db", "c-db");
	world_put_binding(w, "db-binding", "db", "db");
	world_put_exception(w, "exempt", "p4");
	world_put_pod(w, .uid = "p2", .ip = "10.0.0.2", .label = "db");
	world_put_pod(w, .uid = "p3", .ip = "10.0.0.3", .label = "");
	world_put_pod(w, .uid = "p4", .ip = "10.0.0.4", .label = "");
	world_put_pod(w, .uid = "p6", .ip = "10.0.0.6");
	world_put_pod(w, .uid = "p7", .ip = "10.0.0.6", .label = "db");
}

/* the front */

static int adopt(void *ctx, const struct handover_listener *want)
{
	struct rig *r = ctx;

	assert(want->role < ROLES);
	return r->listeners[want->role] = net_listen();
}

static int whose(const struct tcp_ends *ends, uid_t *out, struct err *err)
{
	(void)ends;
	*out = rig->model.asks_root ? 0 : 1000;
	return rig->left % 7 ? 0 : err_set(err, ERR_UNAVAILABLE, "it is gone");
}

static void front_begin(struct rig *r, uint8_t settings)
{
	struct front_spec spec = {
		.address = { { [10] = 0xff, 0xff, 10, 0, 0, 254 } },
		.port = 2579,
		.probe_port = settings & 1 ? 8085 : 0,
		.metrics_port = settings & 1 ? 9090 : 0,
		.metadata_header_required = !(settings & 2),
		.block_instance_metadata = settings & 4,
		.host_token = (settings >> 3) % 3,
		.peer_uid = whose,
		.issuer = r->w.issuer,
		.proxy = r->proxy,
		.health = &r->health,
		.metrics = r->metrics,
		.adopt = adopt,
		.adopt_ctx = r,
	};
	struct err err = { 0 };

	r->model.metadata_needed = spec.metadata_header_required;
	r->model.host = spec.host_token;
	r->model.asks_root = settings & 0x80;
	r->hears_of_ends = !(settings & 0x40);
	r->http[UPSTREAM_FORWARD].blocks_instance = spec.block_instance_metadata;
	r->front = front_new(r->w.loop, &spec, &err);
	if (!r->front)
		abort();
	front_start(r->front);
}

static struct rig *begin(const uint8_t *data, size_t size)
{
	static const struct siphash_key key = { { 1, 2 } };
	struct rig *r = xnew(struct rig);

	log_set_level(LOG_LEVEL_ERR);
	net_reset();
	world_init(&r->w);
	model_reset(&r->model);
	for (enum upstream u = 0; u < UPSTREAMS; u++) {
		r->http[u] = (struct http_client){ .loop = r->w.loop, .who = u };
		(void)snprintf(r->http[u].mark, sizeof(r->http[u].mark), "K%016llx-",
			       (unsigned long long)siphash(&key, data, size));
	}
	r->model.mark = r->http[0].mark;
	r->imds = imds_source_new(r->w.loop, &r->http[UPSTREAM_IMDS], "http://imds",
				  WORLD_TOKEN_WAIT_MSEC, NULL);
	r->node = imds_source_new(r->w.loop, &r->http[UPSTREAM_NODE], "http://node",
				  WORLD_TOKEN_WAIT_MSEC, NULL);
	r->w.imds.vtable = imds_source_vtable(r->imds);
	r->w.node.vtable = imds_source_vtable(r->node);
	r->proxy = proxy_new(r->w.loop, &r->http[UPSTREAM_FORWARD], "http://forward");
	r->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, LIMIT_METRIC_SERIES);
	for (size_t i = 0; i < CONNS; i++)
		r->callers[i].fd = -EBADF;
	pod_store_on_claim_end(r->w.pods, on_claim_end, r);
	furnish(&r->w);
	r->at = data;
	r->left = size;
	return r;
}

static void end(struct rig *r)
{
	front_free(r->front);
	proxy_free(r->proxy);
	pod_store_on_claim_end(r->w.pods, NULL, NULL);
	world_deinit(&r->w);
	imds_source_free(r->imds);
	imds_source_free(r->node);
	metrics_free(r->metrics);
	for (enum upstream u = 0; u < UPSTREAMS; u++)
		assert(!r->http[u].calls);
	net_reset();
	free(r);
}

/* running */

static void step(struct rig *r)
{
	static const uint64_t pauses[] = { 1,	  20,	 499,	1000,	5000,
					   10001, 20000, 75000, 600000, 3600000 };
	static const size_t pieces[] = { 0, 1, 2, 7, 16, 50, 100, 4 };
	uint8_t op = byte(r), arg = byte(r), how[4];
	struct caller *c = &r->callers[arg % CONNS];

	switch (op % 10) {
	case 0:
		op_connect(r, c, byte(r));
		break;
	case 1:
		op_ask(c, byte(r));
		break;
	case 2:
		op_say(c, bytes(r));
		break;
	case 3:
		op_send(r, c, pieces[byte(r) % ARRAY_SIZE(pieces)]);
		break;
	case 4:
		pass(r, pauses[arg % ARRAY_SIZE(pauses)]);
		break;
	case 5:
		op_end(r, c, byte(r));
		break;
	case 6:
	case 7:
		for (size_t i = 0; i < sizeof(how); i++)
			how[i] = op % 10 == 6 ? 0 : byte(r);
		upstream_answer(&r->http[arg % UPSTREAMS], arg >> 4, how,
				op % 10 == 6 ? STR("hello") : bytes(r));
		settle(r);
		break;
	case 8: /* what most do */
		op_ask(c, byte(r));
		op_send(r, c, 0);
		break;
	default:
		op_change(r, arg);
	}
}

/* Somebody whose whole request was taken waits for an answer to it. */
static bool is_waiting(const struct caller *c)
{
	return c->fd >= 0 && !c->is_odd && !c->is_over && !c->is_deaf && c->n_answered < c->n_asked;
}

/*
 * Whatever nobody answers is given up in the end. So nobody waits for ever, and no connection stays, whatever was
 * sent on it and though nobody hangs up.
 */
static void finish(struct rig *r)
{
	bool more = true;

	for (size_t i = 0; i < CONNS; i++)
		op_send(r, &r->callers[i], 0);
	for (unsigned round = 0; more && round < ROUNDS_MAX; round++) {
		more = false;
		while (world_answer_get(&r->w, NULL))
			;
		for (enum upstream u = 0; u < UPSTREAMS; u++)
			upstream_fail_all(&r->http[u]);
		pass(r, ROUND_MSEC);
		for (size_t i = 0; i < CONNS; i++)
			more |= is_waiting(&r->callers[i]);
		more |= front_connections(r->front) > 0;
	}
	assert(!more);
	for (size_t i = 0; i < CONNS; i++) {
		if (r->callers[i].fd >= 0)
			hang_up(&r->callers[i]);
	}
	settle(r);
}

/* Of the lowest numbers, which are those that are given. */
static uint64_t open_files(void)
{
	uint64_t open = 0;

	for (int fd = 0; fd < 64; fd++)
		open |= (uint64_t)(fcntl(fd, F_GETFD) >= 0) << fd;
	return open;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t before = open_files();

	rig = begin(data, size);
	front_begin(rig, byte(rig));
	for (unsigned i = 0; rig->left && i < OPS_MAX; i++)
		step(rig);
	finish(rig);
	end(rig);
	assert(open_files() == before);
	return 0;
}
