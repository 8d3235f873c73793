/* SPDX-License-Identifier: MIT */
#pragma once

#include "mic-client/match.h"

/* What the tables of test-match.c and test-match-standard.c are written with. */

/* what the pod asks for */
#define NO_ID                                                                                      \
	{                                                                                          \
		SELECTOR_NONE, ""                                                                  \
	}
#define CLIENT_ID(s)                                                                               \
	{                                                                                          \
		SELECTOR_CLIENT_ID, s                                                              \
	}
#define RESOURCE(s)                                                                                \
	{                                                                                          \
		SELECTOR_RESOURCE_ID, s                                                            \
	}
#define OBJECT_ID(s)                                                                               \
	{                                                                                          \
		SELECTOR_OBJECT_ID, s                                                              \
	}

/* the labels of the pod, as JSON */
#define LABELLED "{\"aadpodidbinding\":\"web\",\"app\":\"demo\"}"
#define BARE	 "{\"app\":\"demo\"}"
