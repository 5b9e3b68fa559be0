//  view.h - shows the status of a running device: for people, as names and values, or as JSON
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef VIEW_H_INCLUDED
#define VIEW_H_INCLUDED

#include "zspool.h"

#include <stdbool.h>

//  Print a screen of it, and last what holds messages up, if anything does. `end` goes before each
//  end of line.
void
    view_print (zconfig_t *status, const char *end);

//  Print it as a row of figures, and the row that heads them.
void
    view_print_row (zconfig_t *status);
void
    view_print_row_head (void);

//  Print each name and its value on a line of its own.
void
    view_print_names (zconfig_t *status);

//  Print it as a JSON object without an end of line, indented so far; whole numbers as such.
void
    view_print_json (zconfig_t *status, int indent);

#endif
