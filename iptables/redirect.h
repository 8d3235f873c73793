/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/inet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;

/*
 * What the agent sees of the redirector: a process of its own that keeps the packet rules (see
 * redirector.c for its theory of operation). redirect_spawn() forks it, so it is called first, while
 * the process has one thread and no secret; the caller may then drop CAP_NET_ADMIN.
 */
struct redirect;

enum redirect_backend {
	REDIRECT_AUTO,
	REDIRECT_NFT,
	REDIRECT_IPTABLES,
	REDIRECT_NONE,
	REDIRECT_BACKENDS
};

/* Fixed size: it crosses the socketpair as it is. */
struct redirect_spec {
	enum redirect_backend backend;
	struct inet_ip metadata_ip;
	uint16_t metadata_port;
	struct inet_ip agent_ip; /* where pods' requests are sent: an address of this node */
	uint16_t agent_port;
	uint32_t sweep_msec; /* how often all is compared even without an event */
	bool delete_conntrack;
	bool log_json, log_verbose; /* of redirect_tune() alone: at first it is as here */
};

enum redirect_state {
	REDIRECT_STARTING, /* nothing installed yet */
	REDIRECT_ACTIVE,   /* rules in place, as of the last comparison */
	REDIRECT_FAILING,  /* they could not be written; being retried; `why` says what is wrong */
	REDIRECT_GONE, /* the process ended: rules stand (owned by nobody), nobody repairs them */
};

/* What happens when another program removes the rules. */
enum redirect_protection {
	REDIRECT_REPAIRED, /* it can; they are put back */
	REDIRECT_DOUBLED, /* the same, but a copy that only we can remove stands beside: Linux 5.12 */
	REDIRECT_HELD,	  /* it cannot: Linux 6.9 */
	REDIRECT_GUARDED, /* it can; they are put back, and a guard that it cannot remove stands beside */
	REDIRECT_PROTECTIONS
};

struct redirect_status {
	enum redirect_state state;
	enum redirect_protection protection;
	enum redirect_backend backend; /* the chosen one; REDIRECT_AUTO: none yet */
	uint32_t repairs;	   /* times that something was missing or altered and put back */
	uint32_t last_repair_usec; /* from the event to the commit */
	uint64_t
		spoofed; /* packets dropped since they came with an address that is not their link's */
	uint32_t ports; /* pairs of redirect_set_ports() that are in place: all, or none */
	char why[200];
};

/*
 * A self-test: somebody in a network namespace of his own, whose only link leads to this node, asks the
 * metadata address for /nmi/self-test/NONCE, as a pod would (tester.c). Whether it was this agent that
 * was asked is for the agent to say.
 */
#define REDIRECT_NONCE_BYTES 16
#define REDIRECT_TEST_PATH   "/nmi/self-test/"
/* The answer's body begins so where an agent of ours, but not this one, was asked. */
#define REDIRECT_TEST_OTHER "nmi: no such self-test"

enum redirect_tested {
	REDIRECT_TEST_ANSWERED,	  /* HTTP; `text` is the status line, `server` that header */
	REDIRECT_TEST_GARBLED,	  /* something else came, which `text` begins with */
	REDIRECT_TEST_REFUSED,	  /* a reset */
	REDIRECT_TEST_SILENT,	  /* no connection within the time */
	REDIRECT_TEST_MUTE,	  /* a connection, but no answer within the time */
	REDIRECT_TEST_BROKEN,	  /* the kernel had another reason, which is `text` */
	REDIRECT_TEST_IMPOSSIBLE, /* it could not be made; `text` is why */
	REDIRECT_TESTED
};

/* Text of others is escaped, so that it is safe in a line. */
struct redirect_test {
	enum redirect_tested outcome;
	uint16_t status; /* of HTTP, with REDIRECT_TEST_ANSWERED */
	char text[100], server[48], body[40];
};

/* From the loop, once for each redirect_try(), within some five seconds. */
typedef void redirect_tested_fn(void *ctx, const struct redirect_test *t);

/* Called from the loop whenever the status changes. */
typedef void redirect_status_fn(void *ctx, const struct redirect_status *s);

/*
 * `wanted`: the backend of the spec that will follow. A redirector that may have to run iptables, which is found
 * out here for REDIRECT_AUTO, keeps what that takes; any other one can do nothing but speak nftables.
 */
struct redirect *redirect_spawn(enum redirect_backend wanted, struct err *err);
/* Send the spec; the rules are installed soon after. */
int redirect_start(struct redirect *r, struct loop *l, const struct redirect_spec *spec,
		   redirect_status_fn *fn, void *ctx, struct err *err);
/* How often all is compared, and how it logs, from now on; whole seconds. After redirect_start(). */
int redirect_tune(struct redirect *r, uint32_t sweep_msec, bool log_json, bool log_verbose,
		  struct err *err);
const struct redirect_status *redirect_status(const struct redirect *r);

/* One test at a time; `fn` is told of how it ended. After redirect_start(). */
int redirect_try(struct redirect *r, const uint8_t nonce[static REDIRECT_NONCE_BYTES],
		 redirect_tested_fn *fn, void *ctx, struct err *err);

/*
 * Pods behind a bridge share a link; what tells them apart is the port, that is the host's end of the
 * pod's own link. These are all addresses whose port is known. The kernel then drops a request to the
 * metadata service, and ARP, that has one of them and came by another port, or the other way round.
 */
#define REDIRECT_PORTS_MAX 1024
#define REDIRECT_LINK_MAX  16 /* the kernel's limit, with the NUL */
struct redirect_port {
	char link[REDIRECT_LINK_MAX];
	struct inet_ip ip;
};
/*
 * In place of those before; in the kernel some two milliseconds later, which shows in the status. Never
 * waits: what cannot be sent now is sent later. ERR_INPUT, ERR_LIMIT: refused, and those before stand.
 */
int redirect_set_ports(struct redirect *r, const struct redirect_port *ports, size_t n,
		       struct err *err);
/* Would this one be taken? */
int redirect_check_port(const struct redirect_port *port, struct err *err);
/* Can this kernel do that? Asked in this process, which needs CAP_NET_ADMIN for it; changes nothing. */
int redirect_probe_ports(struct err *err);

/* Ends the process and waits for it (at most a second). Table nmi stays: guard and redirect. */
struct redirect *redirect_free(struct redirect *r);
DEFINE_CLEANUP(struct redirect, redirect_free);

/* Of the redirector; 0 once it is known to have ended. */
pid_t redirect_pid(const struct redirect *r);

/*
 * `nmi uninstall`: remove every rule of ours, of any backend, in this process. Nothing there is not an error;
 * else the message says what is left.
 */
int redirect_uninstall(struct err *err);
/*
 * `nmi status`: all rules of ours as the kernel has them, with counters and comments, "" if there are none; on
 * the heap. Needs CAP_NET_ADMIN, and no agent. Whether they keep pods from the metadata service: next.
 */
int redirect_list(char **out, struct err *err);
bool redirect_listing_guards(const char *listing);
const char *redirect_backend_name(enum redirect_backend b);
const char *redirect_protection_name(enum redirect_protection p);
int redirect_backend_parse(const char *name, enum redirect_backend *out, struct err *err);
