/* SPDX-License-Identifier: MIT */

/* Messages between nmi and its redirector: see wire.h. */

#include "iptables/wire.h"

#include <assert.h>
#include <string.h>

/* Both ends are the same binary, so a version is not needed; the kind catches a mix-up. */
enum wire_kind {
	WIRE_START = 0x6e6d6901,
	WIRE_STATUS = 0x6e6d6902,
	WIRE_PORTS = 0x6e6d6903,
	WIRE_TRY = 0x6e6d6911,
	WIRE_TESTED = 0x6e6d6912,
};

struct wire_start {
	uint32_t kind;
	uint8_t backend;
	uint8_t delete_conntrack;
	uint16_t metadata_port;
	uint16_t agent_port;
	uint8_t log_json;
	uint8_t log_verbose;
	uint32_t sweep_msec;
	uint8_t metadata_ip[16];
	uint8_t agent_ip[16];
};
static_assert(sizeof(struct wire_start) == WIRE_START_BYTES, "no padding");

struct wire_status {
	uint32_t kind;
	uint8_t state;
	uint8_t protection;
	uint8_t backend;
	uint8_t zero;
	uint32_t repairs;
	uint32_t last_repair_usec;
	uint64_t spoofed;
	uint32_t ports;
	uint32_t zero2;
	char why[sizeof(((struct redirect_status *)0)->why)];
};
static_assert(sizeof(struct wire_status) == WIRE_STATUS_BYTES, "no padding");

struct wire_ports {
	uint32_t kind;
	uint32_t n;
};
struct wire_port {
	char link[REDIRECT_LINK_MAX];
	uint8_t ip[16];
};
static_assert(WIRE_PORTS_BYTES(3) == sizeof(struct wire_ports) + 3 * sizeof(struct wire_port),
	      "no padding");

void wire_put_start(const struct redirect_spec *spec, uint8_t out[static WIRE_START_BYTES])
{
	struct wire_start w = {
		.kind = WIRE_START,
		.backend = (uint8_t)spec->backend,
		.delete_conntrack = spec->delete_conntrack,
		.metadata_port = spec->metadata_port,
		.agent_port = spec->agent_port,
		.log_json = spec->log_json,
		.log_verbose = spec->log_verbose,
		.sweep_msec = spec->sweep_msec,
	};

	memcpy(w.metadata_ip, spec->metadata_ip.b, sizeof(w.metadata_ip));
	memcpy(w.agent_ip, spec->agent_ip.b, sizeof(w.agent_ip));
	memcpy(out, &w, sizeof(w));
}

int wire_get_start(const void *p, size_t n, struct redirect_spec *out, struct err *err)
{
	struct wire_start w;

	if (n != sizeof(w))
		return err_set(err, ERR_INPUT, "a message of %zu bytes, not %zu", n, sizeof(w));
	memcpy(&w, p, sizeof(w));
	if (w.kind != WIRE_START)
		return err_set(err, ERR_INPUT, "not a start message");
	if (w.backend >= REDIRECT_BACKENDS || w.delete_conntrack > 1 || w.log_json > 1 ||
	    w.log_verbose > 1)
		return err_set(err, ERR_INPUT, "a start message with a value out of range");
	*out = (struct redirect_spec){
		.backend = (enum redirect_backend)w.backend,
		.delete_conntrack = w.delete_conntrack,
		.metadata_port = w.metadata_port,
		.agent_port = w.agent_port,
		.log_json = w.log_json,
		.log_verbose = w.log_verbose,
		.sweep_msec = w.sweep_msec,
	};
	memcpy(out->metadata_ip.b, w.metadata_ip, sizeof(w.metadata_ip));
	memcpy(out->agent_ip.b, w.agent_ip, sizeof(w.agent_ip));
	return 0;
}

void wire_put_status(const struct redirect_status *s, uint8_t out[static WIRE_STATUS_BYTES])
{
	struct wire_status w = {
		.kind = WIRE_STATUS,
		.state = (uint8_t)s->state,
		.protection = (uint8_t)s->protection,
		.backend = (uint8_t)s->backend,
		.repairs = s->repairs,
		.last_repair_usec = s->last_repair_usec,
		.spoofed = s->spoofed,
		.ports = s->ports,
	};

	memcpy(w.why, s->why, strnlen(s->why, sizeof(w.why) - 1));
	memcpy(out, &w, sizeof(w));
}

int wire_get_status(const void *p, size_t n, struct redirect_status *out, struct err *err)
{
	struct wire_status w;

	if (n != sizeof(w))
		return err_set(err, ERR_INPUT, "a message of %zu bytes, not %zu", n, sizeof(w));
	memcpy(&w, p, sizeof(w));
	if (w.kind != WIRE_STATUS || w.zero || w.zero2)
		return err_set(err, ERR_INPUT, "not a status message");
	if (w.state > REDIRECT_GONE || w.protection >= REDIRECT_PROTECTIONS ||
	    w.backend >= REDIRECT_BACKENDS || w.ports > REDIRECT_PORTS_MAX ||
	    !memchr(w.why, '\0', sizeof(w.why)))
		return err_set(err, ERR_INPUT, "a status message with a value out of range");
	*out = (struct redirect_status){
		.state = (enum redirect_state)w.state,
		.protection = (enum redirect_protection)w.protection,
		.backend = (enum redirect_backend)w.backend,
		.repairs = w.repairs,
		.last_repair_usec = w.last_repair_usec,
		.spoofed = w.spoofed,
		.ports = w.ports,
	};
	memcpy(out->why, w.why, sizeof(w.why));
	return 0;
}

static bool is_kind(enum wire_kind which, const void *p, size_t n)
{
	uint32_t kind;

	if (n < sizeof(kind))
		return false;
	memcpy(&kind, p, sizeof(kind));
	return kind == which;
}

bool wire_is_ports(const void *p, size_t n)
{
	return is_kind(WIRE_PORTS, p, n);
}

void wire_put_ports(const struct redirect_port *ports, size_t n, uint8_t *out)
{
	struct wire_ports w = { .kind = WIRE_PORTS, .n = (uint32_t)n };

	assert(n <= REDIRECT_PORTS_MAX);
	memcpy(out, &w, sizeof(w));
	out += sizeof(w);
	for (size_t i = 0; i < n; i++, out += sizeof(struct wire_port)) {
		struct wire_port port = { 0 };

		memcpy(port.link, ports[i].link, strnlen(ports[i].link, sizeof(port.link) - 1));
		memcpy(port.ip, ports[i].ip.b, sizeof(port.ip));
		memcpy(out, &port, sizeof(port));
	}
}

/* What a name or an address may be is the rules' affair: spoof_rules_check(). */
int wire_get_ports(const void *p, size_t n, struct redirect_port out[static REDIRECT_PORTS_MAX],
		   size_t *out_n, struct err *err)
{
	struct wire_ports w;
	const uint8_t *at = p;

	if (n < sizeof(w))
		return err_set(err, ERR_INPUT, "a message of %zu bytes", n);
	memcpy(&w, p, sizeof(w));
	if (w.kind != WIRE_PORTS)
		return err_set(err, ERR_INPUT, "not a message of ports");
	if (w.n > REDIRECT_PORTS_MAX || n != WIRE_PORTS_BYTES(w.n))
		return err_set(err, ERR_INPUT, "%zu bytes for %u ports", n, (unsigned)w.n);
	at += sizeof(w);
	for (size_t i = 0; i < w.n; i++) {
		const char *link = (const char *)at + i * sizeof(struct wire_port);
		size_t len = strnlen(link, REDIRECT_LINK_MAX);

		for (size_t rest = len; rest < REDIRECT_LINK_MAX; rest++)
			if (link[rest])
				return err_set(err, ERR_INPUT, "a name with more behind its end");
		if (len == 0 || len == REDIRECT_LINK_MAX)
			return err_set(err, ERR_INPUT, "a link without a name, or without its end");
	}
	for (size_t i = 0; i < w.n; i++, at += sizeof(struct wire_port)) {
		memcpy(out[i].link, at, REDIRECT_LINK_MAX);
		memcpy(out[i].ip.b, at + REDIRECT_LINK_MAX, sizeof(out[i].ip.b));
	}
	*out_n = w.n;
	return 0;
}

/* self-tests */

struct wire_try {
	uint32_t kind;
	uint32_t seq;
	uint8_t nonce[REDIRECT_NONCE_BYTES];
};
static_assert(sizeof(struct wire_try) == WIRE_TRY_BYTES, "no padding");

struct wire_tested {
	uint32_t kind;
	uint32_t seq;
	uint16_t status;
	uint8_t outcome;
	uint8_t zero;
	char text[sizeof(((struct redirect_test *)0)->text)];
	char server[sizeof(((struct redirect_test *)0)->server)];
	char body[sizeof(((struct redirect_test *)0)->body)];
};
static_assert(sizeof(struct wire_tested) == WIRE_TESTED_BYTES, "no padding");

bool wire_is_try(const void *p, size_t n)
{
	return is_kind(WIRE_TRY, p, n);
}

void wire_put_try(uint32_t seq, const uint8_t nonce[static REDIRECT_NONCE_BYTES],
		  uint8_t out[static WIRE_TRY_BYTES])
{
	struct wire_try w = { .kind = WIRE_TRY, .seq = seq };

	memcpy(w.nonce, nonce, sizeof(w.nonce));
	memcpy(out, &w, sizeof(w));
}

int wire_get_try(const void *p, size_t n, uint32_t *seq, uint8_t nonce[static REDIRECT_NONCE_BYTES],
		 struct err *err)
{
	struct wire_try w;

	if (n != sizeof(w) || !wire_is_try(p, n))
		return err_set(err, ERR_INPUT, "not a request for a test");
	memcpy(&w, p, sizeof(w));
	*seq = w.seq;
	memcpy(nonce, w.nonce, sizeof(w.nonce));
	return 0;
}

bool wire_is_tested(const void *p, size_t n)
{
	return is_kind(WIRE_TESTED, p, n);
}

void wire_put_tested(uint32_t seq, const struct redirect_test *t,
		     uint8_t out[static WIRE_TESTED_BYTES])
{
	struct wire_tested w = {
		.kind = WIRE_TESTED, .seq = seq, .status = t->status, .outcome = (uint8_t)t->outcome
	};

	memcpy(w.text, t->text, strnlen(t->text, sizeof(w.text) - 1));
	memcpy(w.server, t->server, strnlen(t->server, sizeof(w.server) - 1));
	memcpy(w.body, t->body, strnlen(t->body, sizeof(w.body) - 1));
	memcpy(out, &w, sizeof(w));
}

/* It may have been made by who has read what a stranger answered. */
static bool is_line(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	for (size_t i = n; i < size; i++)
		if (s[i])
			return false;
	return n < size;
}

int wire_get_tested(const void *p, size_t n, uint32_t *seq, struct redirect_test *out,
		    struct err *err)
{
	struct wire_tested w;

	if (n != sizeof(w) || !wire_is_tested(p, n))
		return err_set(err, ERR_INPUT, "not the outcome of a test");
	memcpy(&w, p, sizeof(w));
	if (w.outcome >= REDIRECT_TESTED || w.zero || w.status > 999 ||
	    (w.outcome == REDIRECT_TEST_ANSWERED) != (w.status != 0) ||
	    !is_line(w.text, sizeof(w.text)) || !is_line(w.server, sizeof(w.server)) ||
	    !is_line(w.body, sizeof(w.body)))
		return err_set(err, ERR_INPUT, "an outcome with a value out of range");
	*seq = w.seq;
	*out = (struct redirect_test){ .outcome = (enum redirect_tested)w.outcome,
				       .status = w.status };
	memcpy(out->text, w.text, sizeof(out->text));
	memcpy(out->server, w.server, sizeof(out->server));
	memcpy(out->body, w.body, sizeof(out->body));
	return 0;
}
