/* SPDX-License-Identifier: MIT */

/*
 * The HTTP surface: see front.h. A request comes from a listener (server.c), is judged whole
 * (head.c, target.c), finds its row in the table (routes.c), and is answered by a handler (h_*.c)
 * through front_answer() or front_refuse(), so that counting and logging stand in one place.
 */

#include "nmi/front/front.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/loop/loop.h"
#include "nmi/front/asked.h"
#include "nmi/front/grants.h"
#include "nmi/front/internal.h"
#include "nmi/health.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#define JSON "application/json; charset=utf-8"
/* IMDS's words, byte for byte: SDKs' probes look for a 400, people for the sentence. */
#define NO_METADATA "Required metadata header not specified"

/* request ids: a GUID with a random head and a counting tail */

static void id_start(struct front *f)
{
	uint64_t r = 0;

	/* an id only has to differ, not to be secret */
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = loop_mono(f->loop).ns;
	snprintf(f->id, sizeof(f->id), "%08x-%04x-4%03x-8%03x-000000000000", (unsigned)(r >> 32),
		 (unsigned)(r >> 16) & 0xffff, (unsigned)(r >> 4) & 0xfff, (unsigned)r & 0xfff);
}

static void id_next(struct front *f, char out[static GUID_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint64_t n = ++f->n_requests;

	memcpy(out, f->id, GUID_LEN + 1);
	for (size_t i = GUID_LEN - 1; n && out[i] != '-'; i--, n >>= 4)
		out[i] = digits[n & 0xf];
}

/* metrics */

static void observe(struct front *f, const struct exchange *x, unsigned status,
		    const char *namespace, const char *resource)
{
	const char code[] = { (char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
			      (char)('0' + status % 10), '\0' };
	const char *values[] = { namespace ? namespace : "", x->route ? x->route->name : "none",
				 resource ? resource : "", code };
	double took = mono_seconds_between(x->start, loop_mono(f->loop));

	if (!f->spec.metrics)
		return;
	if (!x->asked || !x->pod_uid || status != 200) {
		metric_observe(f->spec.metrics, NMI_METRIC_OPERATION, values, took);
		return;
	}
	if (!x->asked->granted)
		x->asked->granted = metric_series(f->spec.metrics, NMI_METRIC_OPERATION, values);
	metric_series_observe(x->asked->granted, took);
}

/* answering */

void front_answer(struct front *f, struct exchange *x, struct response *r, const char *namespace,
		  const char *resource)
{
	if (x->route && x->route->listener <= LISTENER_HOST)
		observe(f, x, response_status(r), namespace, resource);
	exchange_answer(x, r);
}

static struct response *refusal_response(struct front *f, const struct refusal *why)
{
	char retry_after[12] = "";
	struct response_spec spec = {
		.status = reply_status(why->reason),
		.headers = {
			{ "Content-Type", JSON },
			{ "Retry-After", retry_after },
			{ "Allow", why->allow },
			{ "x-ms-request-id", why->id },
		},
		.close = why->close || f->closing,
	};

	if (reply_retry_after(why))
		snprintf(retry_after, sizeof(retry_after), "%u", reply_retry_after(why));
	spec.body = reply_body(why, &spec.body_len);
	return response_new(&spec);
}

void front_refuse(struct front *f, struct exchange *x, const struct refusal *why)
{
	_cleanup_(response_unrefp) struct response *r = NULL;
	struct refusal full = *why;
	const char *code = reply_code(why->reason);

	full.id = x->id;
	full.client_request_id = x->head.client_request_id;
	metric_add(f->spec.metrics, NMI_METRIC_REFUSALS, &code, 1);
	front_tell_refused(f, x, &full);
	r = refusal_response(f, &full);
	/*
	 * Without the resource: it is any text that the caller likes, and would fill the metrics label's
	 * limit of values for those that are granted.
	 */
	observe(f, x, reply_status(why->reason), why->namespace, NULL);
	exchange_answer(x, r);
}

void front_drop(struct front *f, struct exchange *x, const struct refusal *why)
{
	const char *code = reply_code(why->reason);

	metric_add(f->spec.metrics, NMI_METRIC_REFUSALS, &code, 1);
	front_tell_refused(f, x, why);
	exchange_drop(x);
}

void front_page(struct front *f, struct exchange *x, unsigned status, const char *type, char *body,
		size_t n)
{
	_cleanup_(response_unrefp) struct response *r = NULL;

	(void)f; /* pages are neither counted nor logged */
	r = response_new(&(struct response_spec){
		.status = status,
		.headers = { { "Content-Type", type } },
		.body = body,
		.body_len = n,
	});
	exchange_answer(x, r);
}

bool front_check_direct(struct front *f, struct exchange *x)
{
	if (!x->head.forwarded_for)
		return true;
	front_refuse(f, x,
		     &(struct refusal){
			     .reason = REASON_BAD_REQUEST,
			     .text = "The request has the header X-Forwarded-For: the metadata "
				     "service does not answer through a proxy. Send it directly "
				     "(NO_PROXY=169.254.169.254)" });
	return false;
}

bool front_check_metadata(struct front *f, struct exchange *x)
{
	struct refusal why = { .reason = REASON_METADATA_HEADER, .text = NO_METADATA };
	const char *code = reply_code(REASON_METADATA_HEADER);

	if (f->spec.metadata_header_required && !head_has_metadata(&x->head)) {
		if (f->closing) {
			front_refuse(f, x, &why);
			return false;
		}
		metric_add(f->spec.metrics, NMI_METRIC_REFUSALS, &code, 1);
		front_tell_refused(f, x, &why);
		front_answer(f, x, f->no_metadata, NULL, NULL);
		return false;
	}
	return front_check_direct(f, x);
}

/* asking the issuer */

static void on_issued(void *ctx, const struct issue_answer *a)
{
	struct exchange *x = ctx;

	x->op = NULL;
	x->issued(x->owner, x, a, x->label);
}

static void on_gone(struct exchange *x)
{
	issue_cancel(x->op);
	x->op = NULL;
}

void front_issue(struct front *f, struct exchange *x, const struct issue_request *req,
		 issued_fn *issued)
{
	x->issued = issued;
	x->op = issue_start(f->spec.issuer, req, &f->answer, on_issued, x);
	if (!x->op) {
		issued(f, x, &f->answer, req->resource);
		return;
	}
	x->gone = on_gone;
	x->label = xstrdup(req->resource);
}

struct refusal front_refusal(const struct issue_answer *a, const char *resource)
{
	return (struct refusal){ .reason = a->reason,
				 .text = a->text,
				 .error = a->error,
				 .trace = &a->trace,
				 .retry_after_sec = a->retry_after_sec,
				 .namespace = a->pod_namespace,
				 .is_reported = a->is_reported,
				 .answer = a,
				 .resource = resource };
}

/* requests of pods, and of processes of this host */

static void refuse_malformed(struct front *f, struct exchange *x)
{
	char text[ERR_MSG_MAX + 64];

	snprintf(text, sizeof(text), "The request is malformed: %s; correct the client",
		 x->head.fault);
	front_refuse(
		f, x,
		&(struct refusal){ .reason = REASON_BAD_REQUEST, .text = text, .close = true });
}

static void refuse_target(struct front *f, struct exchange *x, const struct err *err)
{
	char text[ERR_MSG_MAX + 64];

	snprintf(text, sizeof(text), "The request cannot be taken: %s; correct the client",
		 err->msg);
	front_refuse(f, x,
		     &(struct refusal){ .reason = err->kind == ERR_LIMIT ? REASON_TOO_LARGE
									 : REASON_BAD_REQUEST,
					.text = text });
}

static void refuse_method(struct front *f, struct exchange *x)
{
	char allow[32], text[128];

	methods_print(x->route->methods, allow, sizeof(allow));
	snprintf(text, sizeof(text), "The method is not known here for this path: use %s", allow);
	front_refuse(f, x,
		     &(struct refusal){ .reason = REASON_METHOD, .text = text, .allow = allow });
}

static int target_read(struct front *f, const struct exchange *x, struct err *err)
{
	if (x->target_too_long)
		return err_set(err, ERR_LIMIT, "its target is longer than %d bytes",
			       LIMIT_TARGET_BYTES);
	return target_parse(x->target, &f->target, err);
}

static void on_client(struct front *f, struct exchange *x, enum listener listener)
{
	struct err err = { 0 };

	id_next(f, x->id);
	x->owner = f;
	if (x->head.fault) {
		refuse_malformed(f, x);
		return;
	}
	if (x->asked) {
		x->route = x->asked->route;
	} else if (target_read(f, x, &err) < 0) {
		refuse_target(f, x, &err);
		return;
	} else {
		x->route = route_find(listener, f->target.path);
	}
	assert(x->route); /* the last row fits all */
	if (!(x->route->methods & method_parse(x->method)))
		refuse_method(f, x);
	else
		x->route->handle(f, x, &f->target);
}

static void on_pod(void *ctx, struct exchange *x)
{
	const struct front *f = ctx;

	if (f->spec.arrived && !inet_ip_is_loopback(&x->peer) &&
	    !str_starts(x->target, STR(FRONT_SELF_TEST)))
		f->spec.arrived(f->spec.self_test_ctx);
	on_client(ctx, x, LISTENER_PODS);
}

static void on_host(void *ctx, struct exchange *x)
{
	on_client(ctx, x, LISTENER_HOST);
}

/* requests of operators: the same rules, plain text */

static void on_operator(struct front *f, struct exchange *x, enum listener listener)
{
	static const char not_found[] = "not found\n", bad[] = "bad request\n",
			  no_method[] = "method not allowed\n";

	x->owner = f;
	if (x->head.fault || x->body_too_long || x->target_too_long ||
	    target_parse(x->target, &f->target, NULL) < 0) {
		front_page(f, x, 400, "text/plain", xstrdup(bad), strlen(bad));
		return;
	}
	x->route = route_find(listener, f->target.path);
	if (!x->route)
		front_page(f, x, 404, "text/plain", xstrdup(not_found), strlen(not_found));
	else if (!(x->route->methods & method_parse(x->method)))
		front_page(f, x, 405, "text/plain", xstrdup(no_method), strlen(no_method));
	else
		x->route->handle(f, x, &f->target);
}

static void on_probe(void *ctx, struct exchange *x)
{
	on_operator(ctx, x, LISTENER_PROBES);
}

static void on_scrape(void *ctx, struct exchange *x)
{
	on_operator(ctx, x, LISTENER_METRICS);
}

/* the front itself */

/* Does listening on `address` include `loopback`? :: takes IPv4 as well. */
static bool covers(const struct inet_ip *address, const struct inet_ip *loopback)
{
	if (inet_ip_is_unspecified(address))
		return !inet_ip_is_v4(address) || inet_ip_is_v4(loopback);
	return inet_ip_eq(address, loopback);
}

static bool is_wanted(const struct front_spec *spec, enum listener i, const struct server_spec *s)
{
	switch (i) {
	case LISTENER_PODS:
		return true;
	case LISTENER_HOST:
	case LISTENER_HOST6:
		return spec->host_token != FRONT_HOST_OFF && !covers(&spec->address, &s->address);
	case LISTENER_PROBES:
	case LISTENER_METRICS:
		return s->port != 0;
	case LISTENERS:
		break;
	}
	return false;
}

/* localhost is ::1 first on many nodes, and not there at all on others. */
static bool is_dispensable(enum listener i, const struct err *err)
{
	return i == LISTENER_HOST6 &&
	       (err->os_errno == EAFNOSUPPORT || err->os_errno == EADDRNOTAVAIL);
}

static void on_accepted(void *ctx, const struct inet_ip *peer)
{
	const struct front *f = ctx;

	issuer_admit(f->spec.issuer, peer);
}

/* It is of who has the address now, not of who will have it when its turn comes. */
static void on_waits(void *ctx, struct exchange *x)
{
	const struct front *f = ctx;
	const char *uid = x->pod_uid ? NULL : issuer_owner(f->spec.issuer, &x->peer);

	if (uid)
		x->pod_uid = xstrdup(uid);
}

static const char *const crowded_as[] = { "refused", "cut" };

static void on_crowded(void *ctx, const struct inet_ip *peer, bool was_accepted)
{
	struct front *f = ctx;
	const char *how = crowded_as[was_accepted];
	char text[INET_IP_TEXT_MAX];
	unsigned long held;

	metric_add(f->spec.metrics, NMI_METRIC_CROWDED, &how, 1);
	if (log_limit_pass(&f->crowded_log, loop_mono(f->loop), LIMIT_REFUSAL_LOG_MSEC, &held))
		log_warn("a connection of %s was %s (and %lu of all addresses before it): it has "
			 "more than its share; "
			 "look at what opens so many there",
			 inet_ip_print(peer, text), how, held);
}

/* Files are short for all listeners alike, so what any of them can spare is as good. */
static bool on_short(void *ctx)
{
	struct front *f = ctx;
	struct server *all[LISTENERS + FRONT_OLDER_MAX];
	size_t n = 0;

	for (enum listener i = 0; i < LISTENERS; i++) {
		if (f->servers[i])
			all[n++] = f->servers[i];
	}
	for (size_t i = 0; i < f->n_older; i++)
		all[n++] = f->older[i].server;
	return server_spare(all, n);
}

/* What is shared out is what there may be: where few files may be open, fewer. */
static unsigned most_connections(void)
{
	const rlim_t others = LIMIT_FILES - LIMIT_CONNECTIONS;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= LIMIT_FILES)
		return LIMIT_CONNECTIONS;
	return (unsigned)(files.rlim_cur > 2 * others ? files.rlim_cur - others
						      : files.rlim_cur / 2);
}

static void describe(struct front *f, struct server_spec out[static LISTENERS])
{
	const struct front_spec *spec = &f->spec;
	const struct server_spec host = {
		.address = { { [10] = 0xff, 0xff, 127, 0, 0, 1 } },
		.port = spec->port,
		.port_setting = "nmi-port",
		.connections = LIMIT_HOST_CONNECTIONS,
		.spare = on_short,
		.handle = on_host,
		.ctx = f,
	};
	const struct server_spec specs[LISTENERS] = {
		[LISTENER_PODS] = {
			.address = spec->address,
			.port = spec->port,
			.port_setting = "nmi-port",
			.connections = most_connections(),
			.connections_per_peer = LIMIT_CONNECTIONS_PER_PEER,
			.body_max = LIMIT_FORWARD_REQUEST_BYTES,
			.handle = on_pod,
			.accepted = on_accepted,
			.waits = on_waits,
			.crowded = on_crowded,
			.spare = on_short,
			.ctx = f,
		},
		[LISTENER_HOST] = host,
		[LISTENER_HOST6] = host,
		[LISTENER_PROBES] = {
			.port = spec->probe_port,
			.port_setting = "http-probe-port",
			.connections = LIMIT_OPERATOR_CONNECTIONS,
			.connections_per_peer = LIMIT_OPERATOR_CONNECTIONS,
			.turns = LIMIT_OPERATOR_TURNS,
			.crowded = on_crowded,
			.spare = on_short,
			.handle = on_probe,
			.ctx = f,
		},
		[LISTENER_METRICS] = {
			.port = spec->metrics_port,
			.port_setting = "prometheus-port",
			.connections = LIMIT_OPERATOR_CONNECTIONS,
			.connections_per_peer = LIMIT_OPERATOR_CONNECTIONS,
			.turns = LIMIT_OPERATOR_TURNS,
			.crowded = on_crowded,
			.spare = on_short,
			.handle = on_scrape,
			.ctx = f,
		},
	};

	memcpy(out, specs, sizeof(specs));
	out[LISTENER_HOST6].address = (struct inet_ip){ { [15] = 1 } };
}

static struct handover_listener listener_of(enum listener i, const struct server_spec *s, int fd)
{
	return (struct handover_listener){
		.role = (uint8_t)i, .ip = s->address, .port = s->port, .fd = fd
	};
}

static int start_listeners(struct front *f, struct err *err)
{
	const struct front_spec *spec = &f->spec;
	struct server_spec specs[LISTENERS];

	describe(f, specs);
	for (enum listener i = 0; i < LISTENERS; i++) {
		struct handover_listener want = listener_of(i, &specs[i], -EBADF);
		struct err why = { 0 };

		if (!is_wanted(spec, i, &specs[i]))
			continue;
		if (spec->adopt)
			specs[i].listening = spec->adopt(spec->adopt_ctx, &want);
		f->servers[i] = server_new(f->loop, &specs[i], &why);
		if (f->servers[i] || is_dispensable(i, &why))
			continue;
		if (err)
			*err = why;
		return -(int)why.kind;
	}
	return 0;
}

struct front *front_new(struct loop *l, const struct front_spec *spec, struct err *err)
{
	_cleanup_(front_freep) struct front *f = xnew(struct front);
	struct refusal why = { .reason = REASON_METADATA_HEADER, .text = NO_METADATA };

	f->loop = l;
	f->spec = *spec;
	for (enum listener i = 0; i < LISTENERS; i++)
		f->kept[i] = -EBADF;
	id_start(f);
	/* there before it happens, so that the first one is an increase */
	for (size_t i = 0; i < ARRAY_SIZE(crowded_as); i++)
		metric_add(f->spec.metrics, NMI_METRIC_CROWDED, &crowded_as[i], 0);
	f->answers = answers_new(l);
	f->grants = grants_new();
	if (start_listeners(f, err) < 0)
		return NULL;
	f->no_metadata = refusal_response(f, &why);
	return steal_ptr(f);
}

void front_set_rules(struct front *f, const struct front_rules *rules)
{
	f->spec.metadata_header_required = rules->metadata_header_required;
	f->spec.block_instance_metadata = rules->block_instance_metadata;
	f->spec.host_token = rules->host_token;
}

void front_start(struct front *f)
{
	for (enum listener i = 0; i < LISTENERS; i++) {
		struct err err = { 0 };

		if (f->servers[i] && server_start(f->servers[i], &err) < 0)
			log_err("nothing is accepted on a listener: %s", err.msg);
	}
}

void front_drain(struct front *f, bool cut_idle)
{
	f->closing = true;
	for (enum listener i = LISTENER_PODS; i <= LISTENER_HOST6; i++) {
		if (f->servers[i])
			server_drain(f->servers[i], cut_idle);
	}
}

/* handing over */

size_t front_listeners(struct front *f, struct handover_listener out[static HANDOVER_LISTENERS_MAX])
{
	struct server_spec specs[LISTENERS];
	size_t n = 0;

	static_assert(LISTENERS <= HANDOVER_LISTENERS_MAX, "all fit");
	describe(f, specs);
	for (enum listener i = 0; i < LISTENERS; i++) {
		int fd = f->servers[i] ? server_listening(f->servers[i]) : -EBADF;

		if (fd >= 0)
			out[n++] = listener_of(i, &specs[i], fd);
	}
	return n;
}

static void forget_older(struct front *f, size_t i)
{
	server_free(f->older[i].server);
	memmove(&f->older[i], &f->older[i + 1], (f->n_older - i - 1) * sizeof(f->older[0]));
	f->n_older--;
}

static void put_older(struct front *f, enum listener role, struct server *s)
{
	for (size_t i = f->n_older; i-- > 0;) {
		if (server_connections(f->older[i].server) == 0)
			forget_older(f, i);
	}
	if (f->n_older == FRONT_OLDER_MAX)
		forget_older(f, 0);
	f->older[f->n_older].role = role;
	f->older[f->n_older++].server = s;
}

void front_hand_over(struct front *f, uint32_t roles)
{
	f->closing = true;
	for (enum listener i = 0; i < LISTENERS; i++) {
		if (!f->servers[i] || !(roles & UINT32_C(1) << i))
			continue;
		f->kept[i] = server_release(f->servers[i]);
		put_older(f, i, steal_ptr(f->servers[i]));
	}
}

void front_take_back(struct front *f)
{
	struct server_spec specs[LISTENERS];

	describe(f, specs);
	for (enum listener i = 0; i < LISTENERS; i++) {
		struct err err = { 0 };

		if (f->kept[i] < 0)
			continue;
		specs[i].listening = steal_fd(&f->kept[i]);
		f->servers[i] = server_new(f->loop, &specs[i], &err);
		if (!f->servers[i])
			log_err("a listener is not taken back: %s", err.msg);
	}
	f->closing = false;
	front_start(f);
}

void front_settle(struct front *f)
{
	for (enum listener i = 0; i < LISTENERS; i++) {
		if (f->kept[i] >= 0)
			close(steal_fd(&f->kept[i]));
	}
}

/* By its earlier requests, or by the one under way. */
static bool is_of_pod(const struct exchange *x, const char *pod_uid)
{
	const char *uid = x->pod_uid;

	if (!uid && x->gone == on_gone)
		uid = issue_pod_uid(x->op);
	return uid && strcmp(uid, pod_uid) == 0;
}

void front_close_peer(struct front *f, const struct inet_ip *ip, const char *pod_uid)
{
	if (f->servers[LISTENER_PODS])
		server_close_peer(f->servers[LISTENER_PODS], ip, is_of_pod, pod_uid);
	for (size_t i = 0; i < f->n_older; i++)
		server_close_peer(f->older[i].server, ip, is_of_pod, pod_uid);
}

size_t front_connections(const struct front *f)
{
	size_t n = 0;

	for (enum listener i = LISTENER_PODS; i <= LISTENER_HOST6; i++)
		n += f->servers[i] ? server_connections(f->servers[i]) : 0;
	for (size_t i = 0; i < f->n_older; i++)
		n += f->older[i].role <= LISTENER_HOST6 ? server_connections(f->older[i].server)
							: 0;
	return n;
}

struct front *front_free(struct front *f)
{
	if (!f)
		return NULL;
	front_settle(f);
	for (enum listener i = 0; i < LISTENERS; i++)
		f->servers[i] = server_free(f->servers[i]);
	while (f->n_older)
		forget_older(f, f->n_older - 1);
	f->answers = answers_free(f->answers);
	f->grants = grants_free(f->grants);
	f->no_metadata = response_unref(f->no_metadata);
	for (size_t i = 0; i < METRIC_FORMATS; i++)
		response_unref(f->metrics_pages[i].last);
	free(f);
	return NULL;
}
