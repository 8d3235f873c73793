/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Every fixed limit of the agent, with its reason. What an operator may want to change is a setting
 * (options.def) instead.
 */

/* A request target: the longest that an Azure SDK sends (resource and ARM id escaped) is under 1 KiB. */
#define LIMIT_TARGET_BYTES 4096
/*
 * Header block: MHD refuses what does not fit the pool of a connection with 431. The longest target and 20
 * headers of 100 bytes fit; the SDKs' are under 1 KiB in all. It clears one and a half times the pool for
 * each request, so a larger one is paid for by everybody.
 */
#define LIMIT_CONNECTION_POOL 8192
/* A resource or id in a query, decoded; ARM ids are under 512 characters. */
#define LIMIT_PARAM_BYTES 1024
/*
 * Open connections in all; each costs a pool of 8 KiB at most. From three quarters of them on, the address that
 * has the most makes room for others (nmi/front/crowd.h).
 */
#define LIMIT_CONNECTIONS 4096
/* Applications whose 429 from Entra is remembered; one that falls out is asked for, and refused, once more. */
#define LIMIT_ENTRA_BRAKES 64
/* Half of them: one pod cannot take them all, yet a node-local proxy can speak for many. */
#define LIMIT_CONNECTIONS_PER_PEER 2048
/* Files in all: the others are listeners, API server, IMDS, netlink and the like. */
#define LIMIT_FILES (LIMIT_CONNECTIONS + 256)
/* Accepted in one turn of the loop, at some 15 us each: half a millisecond for those who are being served. */
#define LIMIT_ACCEPTS 32
/* Until it is looked again whether there is a file for who waits, where no connection has ended meanwhile. */
#define LIMIT_ACCEPT_REST_MSEC 50
/* Connections whose memory is kept for those that will come; where there were more, it is given back when they are gone. */
#define LIMIT_MEMORY_KEPT 512
/*
 * Requests of one address that are begun in one round of the server, where several addresses have connections: an
 * SDK has a few under way, and a round of a few attackers, some 20 us for each request, stays below a millisecond.
 */
#define LIMIT_TURNS 16
/* From the first byte to a whole request: a slow sender is cut after this. */
#define LIMIT_REQUEST_MSEC 10000
/* An idle keep-alive connection. */
#define LIMIT_IDLE_SEC 75
/* Closed behind an answer that is not acknowledged, in all: mostly none; beyond it the oldest is reset. */
#define LIMIT_LINGERING 64
/*
 * Resending of what a peer does not acknowledge, by the kernel: it goes on when we were killed, and to
 * whoever has the address then. Pods are microseconds away.
 */
#define LIMIT_UNACKNOWLEDGED_MSEC 3000
/* While draining: long enough for a request that was on its way, short enough for a quick exit. */
#define LIMIT_DRAIN_IDLE_MSEC 500
/* Each answer of another agent, when one takes the other's place; it is on this machine, and has a loop. */
#define LIMIT_HANDOVER_MSEC 2000
/* A port that is in use when an agent starts: as long as one that was ended needs for what is under way. */
#define LIMIT_LISTEN_WAIT_MSEC 10000
/* Connections to the probe or metrics listener: a kubelet, a scraper, a person. */
#define LIMIT_OPERATOR_CONNECTIONS 64
/* Requests there of one address that are begun in one round: a metrics page may have a megabyte. */
#define LIMIT_OPERATOR_TURNS 2
/* Metrics pages of a format that are made anew: more at once than scrapers and people have, then one a while. */
#define LIMIT_SCRAPE_BURST 5
#define LIMIT_SCRAPE_MSEC  100
/* Connections to the loopback listeners: the CSI driver has one for each volume that it mounts. */
#define LIMIT_HOST_CONNECTIONS 512
/* A refusal is logged once in this time for each pod and reason. */
#define LIMIT_REFUSAL_LOG_MSEC 10000
/* Grants that are new: more at once than a pod has identities and resources, then one a while. */
#define LIMIT_GRANT_LOG_BURST 20
#define LIMIT_GRANT_LOG_MSEC  UINT64_C(10000)
/* A refusal that recurs is told again by an Event after this; the API server keeps Events for an hour. */
#define LIMIT_EVENT_QUIET_MSEC 600000
/* After a failure of the API server. */
#define LIMIT_EVENT_RETRY_MSEC 60000
/* A refusal that was not seen for so long counts from one again. */
#define LIMIT_EVENT_FORGET_MSEC 3600000
/* Different refusals of one pod that are told in that time: it can make up any number of them. */
#define LIMIT_EVENTS_PER_POD 4
/* Pods that are remembered for it: a node runs up to 250. */
#define LIMIT_EVENT_PODS 256
/* For the node: as the kubelet's Events, one a second in the long run, a few more at once. */
#define LIMIT_EVENT_INTERVAL_MSEC 1000
#define LIMIT_EVENT_BURST	  10
/* Under way at once, and how long one may take. */
#define LIMIT_EVENTS_SENDING  4
#define LIMIT_EVENT_POST_MSEC 10000
/* The start-up taint: one call, and after a failure the first wait and the longest: a right may be granted. */
#define LIMIT_TAINT_CALL_MSEC	   10000
#define LIMIT_TAINT_RETRY_MSEC	   500
#define LIMIT_TAINT_RETRY_MAX_MSEC 120000
/* So often in a row the Node can well have changed under our hands; an admission policy answers the same. */
#define LIMIT_TAINT_OVERTAKEN 5
/* Body of a forwarded request and of its answer (instance metadata is under 64 KiB). */
#define LIMIT_FORWARD_REQUEST_BYTES 65536
#define LIMIT_FORWARD_ANSWER_BYTES  1048576
#define LIMIT_FORWARD_MSEC	    20000
/* Requests forwarded at once, per agent: beyond it 503. */
#define LIMIT_FORWARDS 64
/* A quarter of them to one address: a pod that asks and asks leaves room for the others. */
#define LIMIT_FORWARDS_PER_PEER 16
/*
 * And how often: so many at once, then so many a second. IMDS gives a VM 5 a second of what is not a token, whoever
 * on it asks; who polls for scheduled events asks once.
 */
#define LIMIT_POD_FORWARD_BURST	     100
#define LIMIT_POD_FORWARD_PER_SECOND 2
/* Addresses of which that is remembered: four times the pods that a node runs. */
#define LIMIT_POD_FORWARD_MEMORY 1024
/* An answer of IMDS to a token request; a token is under 8 KiB. */
#define LIMIT_TOKEN_ANSWER_BYTES 65536
/* IMDS allows 5 identity requests at once for a VM (Azure, "Rate limiting"): one is left to others. */
#define LIMIT_IMDS_IN_FLIGHT 4
/*
 * Secrets of service principals. Where the agent may not watch one, its version is taken for right so long
 * after it was looked at: what rotates a Secret leaves both values good for longer than that, and a node
 * asks the API server no more often for each Secret in use.
 */
#define LIMIT_SECRET_FRESH_MSEC 5000
#define LIMIT_SECRET_GET_MSEC	5000
/* One that no request was for is forgotten after this, and its watch ends; so is a watch's 403. */
#define LIMIT_SECRET_UNUSED_MSEC 600000
/* Of which the version is remembered: far more than the applications that one node's pods are. */
#define LIMIT_SECRETS 256
/* A TokenRequest to the API server, which signs it itself. */
#define LIMIT_ACCOUNT_TOKEN_MSEC 5000
/* A token request to Entra, in all; it answers within a second. */
#define LIMIT_ENTRA_MSEC 15000
/* Entra throttles by application and tenant and publishes no figure; this starts a full node in seconds. */
#define LIMIT_ENTRA_IN_FLIGHT  16
#define LIMIT_ENTRA_PER_SECOND 50
/* It answers within a second, and where it does not (an adEndpoint that is a black hole) others go on. */
#define LIMIT_ENTRA_SLOW_MSEC 2000
#define LIMIT_ENTRA_SLOW      64
/* And 20 a second (the same page). */
#define LIMIT_IMDS_PER_SECOND 20
/*
 * New tokens that one pod may cause to be fetched: so many at once, then so many a second. The first is
 * more than any application has resources and identities to begin with; the second is a tenth of what
 * IMDS gives the node, so that one pod's invention does not use up what other agents of the VM need.
 */
#define LIMIT_POD_FETCH_BURST	   50
#define LIMIT_POD_FETCH_PER_SECOND 2
/* Pods of which that is remembered though nothing of theirs is under way: four times what a node runs. */
#define LIMIT_POD_FETCH_MEMORY 1024
/* Fetches kept for callers who were told to come back: what IMDS gives in half a minute. */
#define LIMIT_ABANDONED 512
/* Tokens kept; the least recently used one goes first. 4,096 × about 4 KiB = 16 MiB at the worst. */
#define LIMIT_TOKENS 4096
/*
 * A token is not given with less than this left of it, whatever else there is: the clocks of the pod and of who
 * takes the token may differ by as much (5 minutes is what verifiers allow), and a request takes its time.
 */
#define LIMIT_TOKEN_LAST_SEC 60
/* Requests that wait for a pod or a token at once. */
#define LIMIT_WAITING 8192
/* Requests in the name of a pod that is not known: every event of a pod walks over them. */
#define LIMIT_NAMES_WAITING 1024
/*
 * Links that went without a pod: for longer than the API server's news are late, even where it is under
 * load; and four times what a kubelet can start and end within that time (some 4 pods a second).
 */
#define LIMIT_UNCLAIMED_MSEC 60000
#define LIMIT_UNCLAIMED	     1024
/*
 * Ports of bridges: the wait for a pod, as every pod of the bridge may be in doubt that starts in the same
 * second. host-local, which gives addresses there, gives the same one again only after all others.
 */
#define LIMIT_UNCLAIMED_PORT_MSEC 10000
/* Different values of one metric label before the rest is counted as "other". */
#define LIMIT_METRIC_SERIES 256
