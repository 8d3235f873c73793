/* SPDX-License-Identifier: MIT */

/*
 * nmi's side of the redirector: see redirect.h. Everything here is a few bytes over a socketpair;
 * what may block happens in the other process (redirector.c).
 */

#include "iptables/redirect.h"

#include "iptables/backend.h"
#include "iptables/redirector.h"
#include "iptables/ruleset.h"
#include "iptables/spoof.h"
#include "iptables/spoof_rules.h"
#include "iptables/wire.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/loop/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

/* How long the process may take to end once it is told to. */
#define END_MSEC      1000
#define END_STEP_MSEC 5

struct redirect {
	pid_t pid; /* 0 once reaped */
	int fd;
	struct loop_fd channel;
	struct redirect_status status;
	redirect_status_fn *fn;
	void *ctx;
	struct redirect_spec spec;
	uint8_t *ports; /* a message that could not be sent yet; NULL: none */
	size_t ports_bytes;
	redirect_tested_fn *tested; /* NULL: no test is under way */
	void *tested_ctx;
	uint32_t test_seq;
};

static const char *const backend_names[] = {
	[REDIRECT_AUTO] = "auto",
	[REDIRECT_NFT] = "nft",
	[REDIRECT_IPTABLES] = "iptables",
	[REDIRECT_NONE] = "none",
};
static_assert(ARRAY_SIZE(backend_names) == REDIRECT_BACKENDS, "a name for each backend");

static const char *const protection_names[] = {
	[REDIRECT_REPAIRED] = "put back when removed",
	[REDIRECT_DOUBLED] = "put back when removed, a copy cannot be",
	[REDIRECT_HELD] = "only nmi can remove them",
	[REDIRECT_GUARDED] = "put back when removed, a guard cannot be",
};
static_assert(ARRAY_SIZE(protection_names) == REDIRECT_PROTECTIONS, "a name for each");

struct redirect *redirect_spawn(enum redirect_backend wanted, struct err *err)
{
	int pair[2];
	struct redirect *r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		(void)err_set_errno(err, errno, "socketpair of the redirector");
		return NULL;
	}
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		redirector_main(pair[1], wanted);
	}
	close(pair[1]);
	if (pid < 0) {
		(void)err_set_errno(err, errno, "starting the redirector");
		close(pair[0]);
		return NULL;
	}
	r = xnew(struct redirect);
	r->pid = pid;
	r->fd = pair[0];
	return r;
}

/* In words, if it can be known yet; the process is left to redirect_free() otherwise. */
static void describe_end(struct redirect *r, char *why, size_t size)
{
	int status;

	if (waitpid(r->pid, &status, WNOHANG) != r->pid) {
		(void)snprintf(why, size, "the redirector ended");
		return;
	}
	r->pid = 0;
	if (WIFSIGNALED(status))
		(void)snprintf(why, size, "the redirector was ended by signal %d",
			       WTERMSIG(status));
	else
		(void)snprintf(why, size, "the redirector ended with code %d", WEXITSTATUS(status));
}

static void set_gone(struct redirect *r)
{
	size_t n;

	loop_fd_del(&r->channel);
	r->status.state = REDIRECT_GONE;
	r->status.protection = REDIRECT_REPAIRED;
	describe_end(r, r->status.why, sizeof(r->status.why));
	n = strlen(r->status.why);
	(void)snprintf(r->status.why + n, sizeof(r->status.why) - n,
		       ": the rules stand, but nobody repairs them; restart nmi");
	r->fn(r->ctx, &r->status);
}

/* Not before redirect_start(): the spec goes first. */
static void send_ports(struct redirect *r)
{
	bool full;

	if (!r->ports || !r->channel.loop)
		return;
	full = send(r->fd, r->ports, r->ports_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	       (errno == EAGAIN || errno == EINTR);
	/* Another failure means that the redirector is gone, which the channel tells by itself. */
	(void)loop_fd_mod(&r->channel, full ? EPOLLIN | EPOLLOUT : EPOLLIN, NULL);
	if (full)
		return;
	free(r->ports);
	r->ports = NULL;
}

static void on_tested(struct redirect *r, const void *msg, size_t n)
{
	redirect_tested_fn *fn = r->tested;
	struct redirect_test test;
	struct err err;
	uint32_t seq;

	if (wire_get_tested(msg, n, &seq, &test, &err) < 0) {
		log_warn("ignoring what the redirector says of a self-test: %s", err.msg);
		return;
	}
	/* of an earlier one, which was given up */
	if (!fn || seq != r->test_seq)
		return;
	r->tested = NULL;
	fn(r->tested_ctx, &test);
}

static_assert(WIRE_TESTED_BYTES <= WIRE_STATUS_BYTES, "one buffer for both");

static void on_channel(struct loop_fd *f, uint32_t events)
{
	struct redirect *r = container_of(f, struct redirect, channel);
	uint8_t msg[WIRE_STATUS_BYTES + 1];
	struct err err;
	ssize_t n;

	if (events & EPOLLOUT)
		send_ports(r);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	n = recv(r->fd, msg, sizeof(msg), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		set_gone(r);
	else if (wire_is_tested(msg, (size_t)n))
		on_tested(r, msg, (size_t)n);
	else if (wire_get_status(msg, (size_t)n, &r->status, &err) == 0)
		r->fn(r->ctx, &r->status);
	else
		log_warn("ignoring what the redirector says: %s", err.msg);
}

int redirect_start(struct redirect *r, struct loop *l, const struct redirect_spec *spec,
		   redirect_status_fn *fn, void *ctx, struct err *err)
{
	uint8_t msg[WIRE_START_BYTES];
	int e = ruleset_check(spec, err);

	if (e < 0)
		return e;
	r->fn = fn;
	r->ctx = ctx;
	r->spec = *spec;
	wire_put_start(spec, msg);
	if (send(r->fd, msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return err_set_errno(err, errno, "telling the redirector what to do");
	e = loop_fd_add(l, &r->channel, r->fd, EPOLLIN, on_channel, err);
	if (e == 0)
		send_ports(r);
	return e;
}

/* The spec once more, of which the redirector takes these alone. */
int redirect_tune(struct redirect *r, uint32_t sweep_msec, bool log_json, bool log_verbose,
		  struct err *err)
{
	uint8_t msg[WIRE_START_BYTES];

	if (r->spec.sweep_msec == sweep_msec && r->spec.log_json == log_json &&
	    r->spec.log_verbose == log_verbose)
		return 0;
	r->spec.sweep_msec = sweep_msec;
	r->spec.log_json = log_json;
	r->spec.log_verbose = log_verbose;
	wire_put_start(&r->spec, msg);
	if (send(r->fd, msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return err_set_errno(err, errno,
				     "telling the redirector how to compare and to log");
	return 0;
}

int redirect_set_ports(struct redirect *r, const struct redirect_port *ports, size_t n,
		       struct err *err)
{
	int e = spoof_rules_check(ports, n, err);

	if (e < 0)
		return e;
	free(r->ports);
	r->ports_bytes = WIRE_PORTS_BYTES(n);
	r->ports = xcalloc(1, r->ports_bytes);
	wire_put_ports(ports, n, r->ports);
	send_ports(r);
	return 0;
}

int redirect_check_port(const struct redirect_port *port, struct err *err)
{
	return spoof_rules_check(port, 1, err);
}

int redirect_probe_ports(struct err *err)
{
	return spoof_probe(err);
}

int redirect_try(struct redirect *r, const uint8_t nonce[static REDIRECT_NONCE_BYTES],
		 redirect_tested_fn *fn, void *ctx, struct err *err)
{
	uint8_t msg[WIRE_TRY_BYTES];

	wire_put_try(++r->test_seq, nonce, msg);
	if (send(r->fd, msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return err_set_errno(err, errno, "asking the redirector for a self-test");
	r->tested = fn;
	r->tested_ctx = ctx;
	return 0;
}

const struct redirect_status *redirect_status(const struct redirect *r)
{
	return &r->status;
}

/* Closing the channel is the request; the process does nothing long, but it may be stuck. */
static void end_process(pid_t pid)
{
	const struct timespec step = { .tv_nsec = END_STEP_MSEC * (long)NSEC_PER_MSEC };

	for (int waited = 0; waited < END_MSEC; waited += END_STEP_MSEC) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;		      /* ended; or -1: not ours to reap any more */
		(void)nanosleep(&step, NULL); /* woken early, it looks early */
	}
	log_warn("the redirector does not end: killing it");
	/* Not permitted once nmi is isolated; it then ends when the kernel lets go of it. */
	if (kill(pid, SIGKILL) == 0)
		(void)waitpid(pid, NULL, 0);
}

struct redirect *redirect_free(struct redirect *r)
{
	if (!r)
		return NULL;
	loop_fd_del(&r->channel);
	close(r->fd);
	if (r->pid)
		end_process(r->pid);
	free(r->ports);
	free(r);
	return NULL;
}

int redirect_uninstall(struct err *err)
{
	return backend_remove_all(err);
}

int redirect_list(char **out, struct err *err)
{
	return backend_list_all(out, err);
}

/* A chain of that name, to its brace, or in the listings of iptables a line; an empty one keeps nobody. */
bool redirect_listing_guards(const char *listing)
{
	for (const char *at = listing; (at = strstr(at, "guard")); at++) {
		size_t line = strcspn(at, "\n");
		bool is_block = line && at[line - 1] == '{';
		struct str rules = { at, is_block ? strcspn(at, "}") : line };

		if (memmem(rules.p, rules.n, " reject", 7) ||
		    memmem(rules.p, rules.n, " drop", 5) ||
		    memmem(rules.p, rules.n, " REJECT", 7) || memmem(rules.p, rules.n, " DROP", 5))
			return true;
	}
	return false;
}

pid_t redirect_pid(const struct redirect *r)
{
	return r->pid;
}

const char *redirect_backend_name(enum redirect_backend b)
{
	return (unsigned)b < REDIRECT_BACKENDS ? backend_names[b] : "?";
}

const char *redirect_protection_name(enum redirect_protection p)
{
	return (unsigned)p < REDIRECT_PROTECTIONS ? protection_names[p] : "?";
}

int redirect_backend_parse(const char *name, enum redirect_backend *out, struct err *err)
{
	for (unsigned b = 0; b < REDIRECT_BACKENDS; b++) {
		if (strcmp(name, backend_names[b]) == 0) {
			*out = (enum redirect_backend)b;
			return 0;
		}
	}
	return err_set(err, ERR_INPUT,
		       "'%.40s' is not a redirect backend: auto, nft, iptables or none", name);
}
