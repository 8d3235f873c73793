/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/secret.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Where the API server is and how to prove who we are: from a kubeconfig, else from what the kubelet
 * puts into every pod (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
 * Strings are owned by the config.
 */
struct kube_config {
	char *server; /* URL without a trailing slash */
	char *ca_file, *ca_data;
	char *cert_file, *cert_data;
	char *key_file;
	struct secret key_data; /* PEM */
	char *token_file;	/* re-read: at most once a minute, and at once after a 401 */
	struct secret token;
	char *server_name;
	char *namespace; /* of the context, or the pod's own; NULL when unknown */
	bool insecure;
};

/* What the kubelet mounts into a pod. */
#define KUBE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

/*
 * `path`: --kubeconfig, or $KUBECONFIG; NULL or "": in-cluster. Of several paths joined by ':' the
 * first that exists is read, and it alone: unlike kubectl we do not merge. On failure the output is
 * left alone.
 */
int kube_config_load(struct kube_config *c, const char *path, struct err *err);
/* `host`, `port`: $KUBERNETES_SERVICE_HOST and _PORT, may be NULL; `dir`: KUBE_ACCOUNT_DIR. */
int kube_config_in_cluster(struct kube_config *c, const char *host, const char *port,
			   const char *dir, struct err *err);
/* Pure; `dir` is where relative paths start. Understands YAML and so JSON. */
int kube_config_parse(struct kube_config *c, const char *text, size_t n, const char *dir,
		      struct err *err);
void kube_config_copy(struct kube_config *to, const struct kube_config *from);
/* A credential out of a file, without the white space around it, which a header could not carry. */
int kube_token_read(struct secret *out, const char *path, struct err *err);
void kube_config_deinit(struct kube_config *c);
