/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * Makes writing to a pipe that others write to as well, such as stderr, fail with EAGAIN where it would wait.
 *
 * To ask poll(2) first is not enough: that there is room is so until another process has filled it. And to set
 * O_NONBLOCK would set it for all who share the open file, the shell that started us among them. So the pipe is
 * opened once more, by /proc/self/fd (proc(5)), and the fd becomes that one: ours, and of those that we start.
 *
 * False if it cannot be, and then the fd is as it was: it is no pipe, or it is another user's.
 */
bool pipe_own(int fd);
