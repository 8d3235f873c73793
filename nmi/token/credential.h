/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/err.h"
#include "lib/base/secret.h"

struct jval;

/*
 * What a service principal proves itself with, out of the `data` of a Kubernetes Secret (NULL: it has
 * none). Pure. ERR_INPUT names keys and never a value; on failure the outputs are left alone.
 */

/* Key clientSecret, in the spellings that are in use, else the only key. A newline at its end is cut. */
int credential_read_secret(const struct jval *data, struct secret *out, struct err *err);
/* Keys certificate and, if it is there, password. */
int credential_read_certificate(const struct jval *data, struct secret *out_certificate,
				struct secret *out_password, struct err *err);
