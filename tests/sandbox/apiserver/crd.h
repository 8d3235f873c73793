/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>

struct api;

/* CustomResourceDefinitions: checked, completed, and turned into kinds that are served. */
void crd_default(json_t *crd);
void crd_init_status(json_t *crd, const char *now);
void crd_validate(const json_t *crd, json_t *causes);
/* Serve what the definition says; a definition that was served before is replaced, objects stay. */
void crd_install(struct api *api, const json_t *crd);
void crd_uninstall(struct api *api, const json_t *crd);
