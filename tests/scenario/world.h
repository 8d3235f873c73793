/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/identity/decide.h"
#include "nmi/issue.h"
#include "nmi/pods/by_name.h"
#include "nmi/pods/resolver.h"
#include "nmi/token/cache.h"
#include "tests/unit/fake-source.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The agent's parts together, on a fake clock: watches, stores, resolver, rules, cache, issuer are the
 * real ones; the API server and IMDS are played by the test. One world a process.
 *
 * It begins synced and empty; world_new_unsynced() is before the first sync of the identity objects.
 * Objects are given by what a scenario is about, the rest is filled in.
 */
struct world {
	struct loop *loop;
	struct pod_store *pods;
	struct pod_watch *watch;
	struct resolver *resolver;
	struct by_name *names;
	struct identity_store *identities;
	struct standard_mode standard;
	struct decider *decider;
	struct fake_source imds;  /* for identities */
	struct fake_source node;  /* for the node's own */
	struct fake_source entra; /* for federated ones */
	const struct token_source *by_type[AZURE_IDENTITY_TYPES];
	struct token_cache *cache;
	struct issuer *issuer;
	struct events *events; /* NULL but after world_tell_events() */
};

#define WORLD_POD_WAIT_MSEC	 10000
#define WORLD_SYNC_WAIT_MSEC	 8000
#define WORLD_TOKEN_WAIT_MSEC	 20000
#define WORLD_NAMED_WAIT_MSEC	 80000
#define WORLD_ASSIGNED_WAIT_MSEC 100000
/* Waiting requests and tokens that it takes. */
#define WORLD_WAITING 8192

void world_init(struct world *w);
void world_init_unsynced(struct world *w);
void world_init_standard(struct world *w); /* in standard mode; the others are in managed mode */
/* In managed mode, synced but for the ServiceAccounts, which count; and the same in standard mode. */
void world_init_accounts(struct world *w);
void world_init_accounts_standard(struct world *w);
void world_sync_accounts(struct world *w); /* the first list of them has come, and holds none */
void world_sync(struct world *w);	   /* the first lists of identity objects have come */
/* A watch was answered 410: between these two all objects of the kind are put again, and others are gone. */
void world_list_begins(struct world *w, const char *plural);
void world_list_ends(struct world *w, const char *plural);
void world_deinit(struct world *w);

/* the cluster: everything is in namespace "shop" on this node */
struct world_pod {
	const char *uid, *ip; /* ip NULL: it has none yet */
	const char *ip2;      /* its second one, or NULL */
	const char *name;     /* NULL: "pod-" and its uid */
	const char *label;    /* value of aadpodidbinding; NULL: "web", "": no label */
	const char *account;  /* NULL: "default" */
	const char *phase;    /* NULL: Running */
	bool deleting;
	int64_t started, ran; /* seconds since the epoch, as of the kubelet; 0: not told */
};
void world_put_pod_(struct world *w, const struct world_pod *p);
#define world_put_pod(w, ...) world_put_pod_((w), &(struct world_pod){ __VA_ARGS__ })
void world_remove_pod(struct world *w, const char *uid);
/* AzureIdentity `name` whose client id and resource id are "<client_id>" and "/id/<client_id>". */
void world_put_identity(struct world *w, const char *name, const char *client_id);
void world_remove_identity(struct world *w, const char *name);
void world_put_binding(struct world *w, const char *name, const char *identity,
		       const char *selector);
void world_remove_binding(struct world *w, const char *name);
/* An exception for pods with label exempt=<value>, which is put on every pod as its UID. */
void world_put_exception(struct world *w, const char *name, const char *value);
/* The controller assigns identity `name` to pod-<uid>, by a binding with selector "web". */
void world_put_assigned(struct world *w, const char *uid, const char *name, const char *client_id,
			const char *state);
void world_remove_assigned(struct world *w, const char *uid, const char *name);
/* Pod, identity "web" with client id "c-web", and its binding: what most scenarios begin with. */
void world_furnish(struct world *w);
/* ServiceAccount `name` with this client id in its annotation; NULL: without one. */
void world_put_account(struct world *w, const char *name, const char *client_id);
void world_remove_account(struct world *w, const char *name);
/* From now on refusals become Events; what is asked of the API server is at most FAKE_MAX calls. */
void world_tell_events(struct world *w);
/* The Events that were sent and not answered yet. */
unsigned world_events(const struct world *w);
/* A string of the oldest one, on the heap. */
char *world_event(const struct world *w, const char *path);
/* The oldest one is answered with this status; 201: it is created. */
void world_answer_event(struct world *w, long status);
/* Answers the question for a pod that the watch did not show; false if none was asked. */
bool world_answer_get(struct world *w, const struct world_pod *pod_or_null);

/* the caller */
struct told {
	unsigned calls;
	enum reason reason;
	unsigned retry_after_sec;
	char text[ISSUE_TEXT_MAX];
	char token[64];	     /* "" unless granted */
	char source[16];     /* where that came from */
	char body[512];	     /* as it would be sent */
	uint64_t at_msec;    /* of the world's time */
	struct issue *issue; /* while it waits */
	struct world *world;
};

struct world_ask {
	const char *ip;	      /* NULL: 10.0.0.1 */
	const char *name;     /* asked by name; NULL: from the address */
	const char *resource; /* NULL: https://vault.azure.net */
	const char *client_id, *resource_id;
	bool bypass_cache;
};
void world_ask_(struct world *w, struct told *t, const struct world_ask *a);
#define world_ask(w, t, ...) world_ask_((w), (t), &(struct world_ask){ __VA_ARGS__ })
void world_leave(struct told *t);

/* time, and IMDS */
void world_pass(struct world *w, uint64_t msec);
uint64_t world_msec(const struct world *w);	     /* since it began */
void world_give(struct world *w, const char *token); /* the oldest fetch, good for a day */
void world_give_federated(struct world *w, const char *token); /* the same of Entra */
void world_give_for(struct world *w, const char *token, int64_t life_sec);
void world_fail(struct world *w, enum token_fault fault);
