//  why.h - says in words what holds the messages of a device up
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef WHY_H_INCLUDED
#define WHY_H_INCLUDED

#include "zspool.h"

//  Print the first thing on the way from in to out that holds messages up, without an end of line.
void
    why_print (zconfig_t *status);

#endif
