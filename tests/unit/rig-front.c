/* SPDX-License-Identifier: MIT */

/* A front under test, and its clients: see rig-front.h. */

#include "tests/unit/rig-front.h"

#include "lib/base/log.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "tests/unit/unit.h"

#include <stdio.h>

uint16_t rig_free_port(void)
{
	return client_free_port();
}

void rig_start(struct rig *r)
{
	struct err err = { 0 };

	client_own_network();
	log_set_level(LOG_LEVEL_ERR); /* refusals are what is tested here */
	r->loop = loop_new_fake(NULL);
	ck_assert_ptr_nonnull(r->loop);
	r->token.body = BODY;
	r->issuer.answer.token = &r->token;
	r->issuer.answer.body_id = 1;
	snprintf(r->issuer.answer.pod_namespace, sizeof(r->issuer.answer.pod_namespace), "shop");
	r->proxy = proxy_new(r->loop, &r->http, "http://imds");
	r->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, LIMIT_METRIC_SERIES);
	if (inet_ip_is_unspecified(&r->spec.address) && !r->any_address)
		(void)inet_ip_parse("127.0.0.1", &r->spec.address, NULL);
	if (!r->spec.port)
		r->spec.port = rig_free_port();
	r->spec.issuer = &r->issuer;
	r->spec.proxy = r->proxy;
	r->spec.health = &r->health;
	r->spec.metrics = r->metrics;
	r->front = front_new(r->loop, &r->spec, &err);
	ck_assert_msg(r->front != NULL, "%s", err.msg);
}

void rig_stop(struct rig *r)
{
	r->front = front_free(r->front);
	ck_assert_ptr_null(r->issuer.waiting);
	r->proxy = proxy_free(r->proxy);
	r->metrics = metrics_free(r->metrics);
	r->loop = loop_free(r->loop);
}

void rig_settle(struct rig *r)
{
	client_settle(r->loop);
}

struct client *client_open(struct rig *r, uint16_t port)
{
	return client_connect(r->loop, NULL, "127.0.0.1", port);
}

struct client *client_open_at(struct rig *r, const char *from, const char *to)
{
	return client_connect(r->loop, from, to, r->spec.port);
}

struct answer ask_port(struct rig *r, uint16_t port, const char *request)
{
	struct client *c = client_open(r, port);
	struct answer a;

	ck_assert_ptr_nonnull(c);
	client_send(c, request);
	if (!client_next(c, &a))
		a.status = 0;
	client_free(c);
	rig_settle(r);
	return a;
}

struct answer ask(struct rig *r, const char *request)
{
	return ask_port(r, r->spec.port, request);
}

struct answer ask_target(struct rig *r, const char *target)
{
	char request[8192];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HEADERS "\r\n", target);
	return ask(r, request);
}
