/* SPDX-License-Identifier: MIT */

/* Messages between two agents: see handover_msg.h. */

#include "nmi/handover_msg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define MAGIC 0x6e6d6968U /* "nmih" */

/* Both ends run on one machine, so numbers are in its order. */
struct wire_listener {
	uint8_t role;
	uint8_t zero;
	uint16_t port;
	uint8_t ip[16];
};
struct wire {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	uint32_t roles;
	uint32_t n;
	struct wire_listener listeners[HANDOVER_LISTENERS_MAX];
};
static_assert(sizeof(struct wire_listener) == HANDOVER_LISTENER_BYTES, "no padding");
static_assert(sizeof(struct wire) == HANDOVER_MSG_BYTES, "no padding");

void handover_msg_print(const struct handover_msg *m, uint8_t out[static HANDOVER_MSG_BYTES])
{
	struct wire w = { .magic = MAGIC,
			  .version = HANDOVER_VERSION,
			  .kind = (uint16_t)m->kind,
			  .roles = m->roles,
			  .n = (uint32_t)m->n };

	assert(m->n <= HANDOVER_LISTENERS_MAX);
	for (size_t i = 0; i < m->n; i++) {
		w.listeners[i].role = m->listeners[i].role;
		w.listeners[i].port = m->listeners[i].port;
		memcpy(w.listeners[i].ip, m->listeners[i].ip.b, sizeof(w.listeners[i].ip));
	}
	memcpy(out, &w, sizeof(w));
}

static int check_listeners(const struct wire *w, struct err *err)
{
	static const struct wire_listener none;
	uint32_t roles = 0;

	for (size_t i = 0; i < HANDOVER_LISTENERS_MAX; i++) {
		const struct wire_listener *l = &w->listeners[i];

		if (i >= w->n) {
			if (memcmp(l, &none, sizeof(none)) != 0)
				return err_set(err, ERR_INPUT,
					       "a message with more behind its end");
			continue;
		}
		if (l->role >= 32 || l->zero || !l->port || roles & UINT32_C(1) << l->role)
			return err_set(err, ERR_INPUT, "a listener that cannot be");
		roles |= UINT32_C(1) << l->role;
	}
	return 0;
}

int handover_msg_parse(const void *p, size_t n, struct handover_msg *out, struct err *err)
{
	struct wire w = { 0 };

	memcpy(&w, p, n < sizeof(w) ? n : sizeof(w));
	if (n < offsetof(struct wire, roles) || w.magic != MAGIC)
		return err_set(err, ERR_INPUT, "%zu bytes that are no message of an agent", n);
	if (w.version != HANDOVER_VERSION)
		return err_set(err, ERR_UNAVAILABLE,
			       "it speaks version %u of the hand-over, this one version %d",
			       (unsigned)w.version, HANDOVER_VERSION);
	if (n != sizeof(w))
		return err_set(err, ERR_INPUT, "a message of %zu bytes, not %zu", n, sizeof(w));
	if (w.kind < HANDOVER_HELLO || w.kind >= HANDOVER_KINDS || w.n > HANDOVER_LISTENERS_MAX ||
	    (w.n && w.kind != HANDOVER_OFFER) || (w.roles && w.kind != HANDOVER_TAKE))
		return err_set(err, ERR_INPUT, "a message with a value out of range");
	if (check_listeners(&w, err) < 0)
		return -(int)ERR_INPUT;
	*out = (struct handover_msg){ .kind = (enum handover_kind)w.kind,
				      .roles = w.roles,
				      .n = w.n };
	for (size_t i = 0; i < w.n; i++) {
		out->listeners[i] = (struct handover_listener){ .role = w.listeners[i].role,
								.port = w.listeners[i].port,
								.fd = -EBADF };
		memcpy(out->listeners[i].ip.b, w.listeners[i].ip, sizeof(w.listeners[i].ip));
	}
	return 0;
}
