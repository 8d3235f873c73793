/* SPDX-License-Identifier: MIT */

/* The machine that the IMDS stand-in plays: see conf.h. */

#include "tests/sandbox/imds/conf.h"

#include "lib/base/buf.h"
#include "lib/base/jval.h"
#include "lib/base/mem.h"

#include <fcntl.h>
#include <unistd.h>

#define CONF_MAX ((size_t)1024 * 1024)

static int read_identity(struct imds_identity *id, const struct jval *v, const char *tenant,
			 struct err *err)
{
	const char *client = NULL, *object = NULL, *resource = NULL, *own_tenant = tenant;
	const struct jval_field fields[] = {
		{ "clientId", JVAL_STR, JVAL_MUST, &client },
		{ "objectId", JVAL_STR, JVAL_MUST, &object },
		{ "resourceId", JVAL_STR, JVAL_MAY, &resource },
		{ "tenantId", JVAL_STR, JVAL_MAY, &own_tenant },
	};
	int r = jval_read(v, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);

	if (r < 0)
		return r;
	id->client_id = xstrdup(client);
	id->object_id = xstrdup(object);
	id->resource_id = resource ? xstrdup(resource) : NULL;
	id->tenant_id = xstrdup(own_tenant);
	return 0;
}

static int read_identities(struct imds_conf *c, const struct jval *system, const struct jval *user,
			   struct err *err)
{
	size_t n = user ? jval_len(user) : 0;
	int r;

	if (system) {
		c->system = xnew(struct imds_identity);
		r = read_identity(c->system, system, c->tenant_id, err);
		if (r < 0)
			return err_wrap(err, "systemAssigned");
		if (!c->system->resource_id)
			c->system->resource_id = imds_conf_vm_id(c);
	}
	c->user = n ? xcalloc(n, sizeof(*c->user)) : NULL;
	for (size_t i = 0; i < n; i++) {
		c->n_user = i + 1;
		r = read_identity(&c->user[i], jval_at(user, i), c->tenant_id, err);
		if (r < 0)
			return err_wrap(err, "userAssigned[%zu]", i);
		if (!c->user[i].resource_id)
			return err_set(err, ERR_INPUT, "userAssigned[%zu]: no resourceId", i);
	}
	return 0;
}

struct imds_conf *imds_conf_parse(const char *text, size_t n, struct err *err)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse(text, n, CONF_MAX, err);
	_cleanup_(imds_conf_freep) struct imds_conf *c = NULL;
	const char *tenant = NULL, *subscription = "00000000-0000-0000-0000-000000000000";
	const char *group = "MC_sandbox", *vm = "aks-nodepool1-12345678-vmss_0";
	const char *location = "westeurope";
	const struct jval *system = NULL, *user = NULL;
	const struct jval_field fields[] = {
		{ "tenantId", JVAL_STR, JVAL_MUST, &tenant },
		{ "subscriptionId", JVAL_STR, JVAL_MAY, &subscription },
		{ "resourceGroup", JVAL_STR, JVAL_MAY, &group },
		{ "vm", JVAL_STR, JVAL_MAY, &vm },
		{ "location", JVAL_STR, JVAL_MAY, &location },
		{ "systemAssigned", JVAL_OBJ, JVAL_MAY, &system },
		{ "userAssigned", JVAL_ARR, JVAL_MAY, &user },
	};

	if (!doc || jval_read(doc, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err) < 0)
		return NULL;
	c = xnew(struct imds_conf);
	c->tenant_id = xstrdup(tenant);
	c->subscription_id = xstrdup(subscription);
	c->resource_group = xstrdup(group);
	c->vm = xstrdup(vm);
	c->location = xstrdup(location);
	if (read_identities(c, system, user, err) < 0)
		return NULL;
	return steal_ptr(c);
}

struct imds_conf *imds_conf_load(const char *path, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(buf_deinit) struct buf text = { 0 };
	struct imds_conf *c;
	char chunk[4096];
	ssize_t n;

	if (fd < 0) {
		(void)err_set_errno(err, errno, "%s", path);
		return NULL;
	}
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		if (buf_append(&text, chunk, (size_t)n, CONF_MAX, err) < 0)
			return NULL;
	}
	if (n < 0) {
		(void)err_set_errno(err, errno, "%s", path);
		return NULL;
	}
	c = imds_conf_parse(text.p ? text.p : "", text.n, err);
	if (!c)
		(void)err_wrap(err, "%s", path);
	return c;
}

static void identity_deinit(struct imds_identity *id)
{
	free(id->client_id);
	free(id->object_id);
	free(id->resource_id);
	free(id->tenant_id);
}

struct imds_conf *imds_conf_free(struct imds_conf *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->n_user; i++)
		identity_deinit(&c->user[i]);
	free(c->user);
	if (c->system)
		identity_deinit(c->system);
	free(c->system);
	free(c->tenant_id);
	free(c->subscription_id);
	free(c->resource_group);
	free(c->vm);
	free(c->location);
	free(c);
	return NULL;
}

char *imds_conf_vm_id(const struct imds_conf *c)
{
	return xasprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/"
			 "virtualMachines/%s",
			 c->subscription_id, c->resource_group, c->vm);
}
