/* SPDX-License-Identifier: MIT */

#include "tests/scenario/whole-agent.h"

#include "lib/base/log.h"
#include "lib/loop/loop.h"
#include "nmi/front/front.h"
#include "nmi/limits.h"
#include "nmi/metrics.h"
#include "nmi/proxy.h"
#include "nmi/token/imds.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODE "10.0.0.254"

/* Pods have addresses of their own: 10.0.0.0/8 is put on a loopback that only this process has. */
static void lay_out_network(void)
{
	struct ifreq lo = { .ifr_name = "lo:pods" };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_msg(geteuid() == 0, "this test lays out a network of its own, as root");
	client_own_network();
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(inet_pton(AF_INET, NODE, &in.sin_addr), 1);
	memcpy(&lo.ifr_addr, &in, sizeof(in));
	ck_assert_int_eq(ioctl(fd, SIOCSIFADDR, &lo), 0); /* a class A address: /8 */
	close(fd);
}

void whole_agent_init(struct whole_agent *a, void (*init)(struct world *w))
{
	struct front_spec spec = { .metadata_header_required = true };
	struct err err = { 0 };

	lay_out_network();
	*a = (struct whole_agent){ 0 };
	log_set_level(LOG_LEVEL_ERR); /* refusals are what is tested */
	init(&a->w);
	a->imds = imds_source_new(a->w.loop, &a->http, "http://imds", WORLD_TOKEN_WAIT_MSEC, NULL);
	a->w.imds.vtable = imds_source_vtable(a->imds);
	a->w.node.vtable = imds_source_vtable(a->imds);
	a->proxy = proxy_new(a->w.loop, &a->http, "http://imds");
	a->metrics = metrics_new(nmi_metric_descs, NMI_METRICS, LIMIT_METRIC_SERIES);
	a->port = client_free_port();
	ck_assert_int_eq(inet_ip_parse(NODE, &spec.address, NULL), 0);
	spec.port = a->port;
	spec.host_token = FRONT_HOST_OFF;
	spec.issuer = a->w.issuer;
	spec.proxy = a->proxy;
	spec.health = &a->health;
	spec.metrics = a->metrics;
	a->front = front_new(a->w.loop, &spec, &err);
	ck_assert_msg(a->front != NULL, "%s", err.msg);
}

void whole_agent_deinit(struct whole_agent *a)
{
	client_settle(a->w.loop);
	a->front = front_free(a->front);
	a->proxy = proxy_free(a->proxy);
	world_deinit(&a->w); /* its cache gives up what the source has under way */
	a->imds = imds_source_free(a->imds);
	a->metrics = metrics_free(a->metrics);
}

struct client *whole_agent_pod(struct whole_agent *a, const char *ip)
{
	struct client *c = client_connect(a->w.loop, ip, NODE, a->port);

	ck_assert_ptr_nonnull(c);
	return c;
}

void whole_agent_imds_says(struct whole_agent *a, long status, const char *body,
			   const char *retry_after)
{
	static char header[64];

	ck_assert_msg(a->http.calls != NULL, "IMDS was not asked");
	snprintf(header, sizeof(header), "Retry-After: %s", retry_after ? retry_after : "");
	a->http.reply_headers[0] = "Content-Type: application/json; charset=utf-8";
	a->http.reply_headers[1] = retry_after ? header : NULL;
	fake_http_reply(&a->http, status, body);
}
