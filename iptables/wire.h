/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"

/*
 * What crosses the socketpair, each a datagram: down the spec, which may come again (redirect_tune()), then ports as they change, and
 * self-tests to be made; up statuses, and how tests ended. Pure. The readers trust nothing: nmi meets hostile HTTP, and the redirector has a capability.
 */
#define WIRE_START_BYTES    48
#define WIRE_STATUS_BYTES   232
#define WIRE_TRY_BYTES	    24
#define WIRE_TESTED_BYTES   200
#define WIRE_PORTS_BYTES(n) (8 + (size_t)(n)*32)
#define WIRE_DOWN_MAX	    WIRE_PORTS_BYTES(REDIRECT_PORTS_MAX)

void wire_put_start(const struct redirect_spec *spec, uint8_t out[static WIRE_START_BYTES]);
int wire_get_start(const void *p, size_t n, struct redirect_spec *out, struct err *err);
void wire_put_status(const struct redirect_status *s, uint8_t out[static WIRE_STATUS_BYTES]);
int wire_get_status(const void *p, size_t n, struct redirect_status *out, struct err *err);
/* Which of the two that go down it says to be. */
bool wire_is_ports(const void *p, size_t n);
void wire_put_ports(const struct redirect_port *ports, size_t n, uint8_t *out);
int wire_get_ports(const void *p, size_t n, struct redirect_port out[static REDIRECT_PORTS_MAX],
		   size_t *out_n, struct err *err);

/* `seq` ties an outcome to its test. */
bool wire_is_try(const void *p, size_t n);
void wire_put_try(uint32_t seq, const uint8_t nonce[static REDIRECT_NONCE_BYTES],
		  uint8_t out[static WIRE_TRY_BYTES]);
int wire_get_try(const void *p, size_t n, uint32_t *seq, uint8_t nonce[static REDIRECT_NONCE_BYTES],
		 struct err *err);
bool wire_is_tested(const void *p, size_t n);
void wire_put_tested(uint32_t seq, const struct redirect_test *t,
		     uint8_t out[static WIRE_TESTED_BYTES]);
int wire_get_tested(const void *p, size_t n, uint32_t *seq, struct redirect_test *out,
		    struct err *err);
