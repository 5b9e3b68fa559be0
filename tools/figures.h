//  figures.h - figures of a device's status: found by their names, printed with units
//
//  SPDX-License-Identifier: MPL-2.0
//
//  An outlet is a node of the status: "out", or one below "feed", whose name is the feed's.

#ifndef FIGURES_H_INCLUDED
#define FIGURES_H_INCLUDED

#include "zspool.h"

#include <stdbool.h>

//  A value by its path below a node, "" or 0 when there is none. The string belongs to the node.
const char *
    figure_text (zconfig_t *node, const char *path);
uint64_t
    figure_number (zconfig_t *node, const char *path);

//  The main outlet, or NULL when the device has feeds only; the first feed, or NULL; zconfig_next ()
//  gives the next.
zconfig_t *
    figure_out (zconfig_t *status);
zconfig_t *
    figure_first_feed (zconfig_t *status);

//  Of an outlet: whether it publishes; its policy of acknowledging; whether its peers connect over
//  inproc, where nobody counts them.
bool
    figure_is_pub (zconfig_t *status, zconfig_t *outlet);
const char *
    figure_policy (zconfig_t *status, zconfig_t *outlet);
bool
    figure_is_inproc (zconfig_t *status, zconfig_t *outlet);

//  Messages that it sends a second, and those that have a number and that it has not come to.
uint64_t
    figure_rate (zconfig_t *status, zconfig_t *outlet);
uint64_t
    figure_unsent (zconfig_t *status, zconfig_t *outlet);

//  Print microseconds, or bytes, with a unit that suits them.
void
    figure_print_us (uint64_t us);
void
    figure_print_bytes (uint64_t bytes);

#endif
