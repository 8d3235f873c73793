/* SPDX-License-Identifier: MIT */

/*
 * What determines a token: see key.h.
 *
 * A managed identity is its client id: an AzureIdentity in each of fifty namespaces that names the
 * same one shares one token, which is what keeps a node within the budget of IMDS. Its
 * resourceVersion is not part: an edit that changes nothing here keeps the token, an edit of clientID
 * is another key at once.
 *
 * What a secret holds is not part of the key: its source says of each token whether it is still there
 * what the token was made with (token_source.check).
 *
 * For every other type the secret is part of what is asked for, and whose secret it is: without the
 * object's name, whoever knows a service principal's client id could be served from the cache what
 * another namespace's secret has paid for.
 */

#include "nmi/token/key.h"

#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#include <string.h>

/* Writes as much as there is room for, and counts on. */
struct writer {
	char *to;
	size_t room, n;
};

static char lower_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c;
}

static void put(struct writer *w, const void *p, size_t n, bool lower)
{
	const char *from = p;

	if (w->n + n <= w->room) {
		if (!lower)
			memcpy(w->to + w->n, from, n);
		else
			for (size_t i = 0; i < n; i++)
				w->to[w->n + i] = lower_of(from[i]);
	}
	w->n += n;
}

/* With its length in front, so that no value can run over into the next field. */
static void put_field(struct writer *w, const char *value, bool lower)
{
	const size_t n = value ? strlen(value) : 0;

	put(w, &n, sizeof(n), false);
	if (n)
		put(w, value, n, lower);
}

static void put_identity(struct writer *w, const struct azure_identity *i)
{
	put(w, "i", 1, false);
	put(w, &i->type, sizeof(i->type), false);
	put_field(w, i->client_id, true);
	/* one without a client id cannot be fetched; its refusal names it, so it is its own alone */
	if (i->type == AZURE_IDENTITY_USER_ASSIGNED && !i->federated && !str_is_blank(i->client_id))
		return;
	put(w, i->of_account ? "a" : i->federated ? "f" : "-", 1, false);
	put_field(w, i->meta.namespace, false);
	put_field(w, i->meta.name, false);
	/* another of the same name, after this one was deleted, may be somebody else's */
	put_field(w, i->meta.uid, false);
	put_field(w, i->tenant_id, true);
	put_field(w, i->ad_endpoint, true);
	put_field(w, i->secret_namespace, false);
	put_field(w, i->secret_name, false);
	for (size_t k = 0; k < i->n_aux_tenants; k++)
		put_field(w, i->aux_tenants[k], true);
}

static void put_ask(struct writer *w, const struct token_ask *ask)
{
	static const char kinds[] = { [SELECTOR_NONE] = '-',
				      [SELECTOR_CLIENT_ID] = 'c',
				      [SELECTOR_RESOURCE_ID] = 'r',
				      [SELECTOR_OBJECT_ID] = 'o' };

	if (ask->identity) {
		/* the selector has done its work by choosing the identity */
		put_identity(w, ask->identity);
		/* Entra is shown a token of this account: what it pays for is for its pods alone */
		if (ask->identity->federated && ask->pod) {
			put_field(w, ask->pod->namespace, false);
			put_field(w, ask->pod->service_account, false);
		}
	} else {
		put(w, "n", 1, false);
		put(w, &kinds[ask->selector.kind], 1, false);
		put_field(w, ask->selector.value, true);
	}
	put_field(w, ask->resource, false);
}

void token_key_init(struct token_key *k, const struct token_ask *ask)
{
	struct writer w = { k->inlined, sizeof(k->inlined), 0 };

	put_ask(&w, ask);
	k->heap = w.n > sizeof(k->inlined) ? xcalloc(1, w.n) : NULL;
	k->p = k->heap ? k->heap : k->inlined;
	k->n = w.n;
	if (!k->heap)
		return;
	w = (struct writer){ k->heap, k->n, 0 };
	put_ask(&w, ask);
}

void token_key_deinit(struct token_key *k)
{
	free(k->heap);
	k->heap = NULL;
}

bool token_key_eq(const struct token_ask *a, const struct token_ask *b)
{
	struct token_key ka, kb;
	bool eq;

	token_key_init(&ka, a);
	token_key_init(&kb, b);
	eq = str_eq((struct str){ ka.p, ka.n }, (struct str){ kb.p, kb.n });
	token_key_deinit(&ka);
	token_key_deinit(&kb);
	return eq;
}
