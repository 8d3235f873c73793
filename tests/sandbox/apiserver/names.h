/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * What names, labels and their values may look like. A check returns NULL, or why not in the words of
 * the real server.
 */
const char *names_check_dns_label(const char *v); /* a namespace */
const char *names_check_dns_subdomain(const char *v);
const char *names_check_label_value(const char *v);
const char *names_check_qualified(const char *v); /* "prefix.example/name": keys of labels */
