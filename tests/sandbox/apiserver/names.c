/* SPDX-License-Identifier: MIT */

/* Names, labels and their values: see names.h. */

#include "tests/sandbox/apiserver/names.h"

#include <string.h>

#define DNS_LABEL_MAX	  63
#define DNS_SUBDOMAIN_MAX 253

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? over n bytes */
static bool is_dns_label(const char *p, size_t n)
{
	if (!n || !is_lower_alnum(p[0]) || !is_lower_alnum(p[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_lower_alnum(p[i]) && p[i] != '-')
			return false;
	}
	return true;
}

const char *names_check_dns_label(const char *v)
{
	if (strlen(v) > DNS_LABEL_MAX)
		return "must be no more than 63 characters";
	if (!is_dns_label(v, strlen(v)))
		return "a lowercase RFC 1123 label must consist of lower case alphanumeric "
		       "characters or '-', and must start and end with an alphanumeric character "
		       "(e.g. 'my-name',  or '123-abc', regex used for validation is "
		       "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
	return NULL;
}

static bool is_dns_subdomain(const char *v, size_t n)
{
	size_t start = 0;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && v[i] != '.')
			continue;
		if (!is_dns_label(v + start, i - start))
			return false;
		start = i + 1;
	}
	return true;
}

const char *names_check_dns_subdomain(const char *v)
{
	if (strlen(v) > DNS_SUBDOMAIN_MAX)
		return "must be no more than 253 characters";
	if (!is_dns_subdomain(v, strlen(v)))
		return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
		       "characters, '-' or '.', and must start and end with an alphanumeric "
		       "character (e.g. 'example.com', regex used for validation is "
		       "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
	return NULL;
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9] */
static bool is_word(const char *v, size_t n)
{
	if (!n || !is_alnum(v[0]) || !is_alnum(v[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(v[i]) && !strchr("-_.", v[i]))
			return false;
	}
	return true;
}

const char *names_check_label_value(const char *v)
{
	if (strlen(v) > DNS_LABEL_MAX)
		return "must be no more than 63 characters";
	if (*v && !is_word(v, strlen(v)))
		return "a valid label must be an empty string or consist of alphanumeric "
		       "characters, '-', '_' or '.', and must start and end with an alphanumeric "
		       "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
		       "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
	return NULL;
}

const char *names_check_qualified(const char *v)
{
	const char *slash = strchr(v, '/');
	const char *name = slash ? slash + 1 : v;

	if (slash && (slash == v || slash - v > DNS_SUBDOMAIN_MAX ||
		      !is_dns_subdomain(v, (size_t)(slash - v))))
		return "prefix part a lowercase RFC 1123 subdomain must consist of lower case "
		       "alphanumeric characters, '-' or '.', and must start and end with an "
		       "alphanumeric character (e.g. 'example.com', regex used for validation is "
		       "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
	if (strlen(name) > DNS_LABEL_MAX)
		return "name part must be no more than 63 characters";
	if (!*name)
		return "name part must be non-empty";
	if (!is_word(name, strlen(name)))
		return "name part must consist of alphanumeric characters, '-', '_' or '.', and "
		       "must start and end with an alphanumeric character (e.g. 'MyName',  or "
		       "'my.name',  or '123-abc', regex used for validation is "
		       "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
	return NULL;
}
