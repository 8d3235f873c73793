/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a process holds of the machine's memory without needing it: pages of program and libraries that only
 * its start has read, and what the allocator keeps of what was freed.
 */

/*
 * Gives both back; what is used again comes again, from the page cache, a fault for each 64 KiB. Between 0.1 and
 * 1 ms, so not on the way of a request. Changes nothing that the process can see, and fails silently.
 */
void resident_release(void);
