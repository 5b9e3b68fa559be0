//  filters.h - filters of topics, as a command line has them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef FILTERS_H_INCLUDED
#define FILTERS_H_INCLUDED

#include "zspool_filter.h"

//  Add a filter; exits when it is none. Returns false when memory is out.
bool
    filters_add (zspool_filter_t *filter, const char *text);

//  Bytes at the start of every topic that a filter matches; *pattern becomes true when there is
//  more to it.
size_t
    filters_literal_bytes (const char *text, bool *pattern);

#endif
