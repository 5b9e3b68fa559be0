//  info_named.h - shows the producers of a store, and the tables of an application
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef INFO_NAMED_H_INCLUDED
#define INFO_NAMED_H_INCLUDED

#include "zspool_store.h"

//  Print both, as tables with at most INFO_LINES_MAX lines each, or all as members of a JSON object.
//  Damaged ones are told of on standard error. Returns a code of zspool_error_t: ECORRUPT, some are
//  damaged; or another, not all could be read.
#define INFO_LINES_MAX 100

int
    info_named_print (zspool_store_t *store);
int
    info_named_print_json (zspool_store_t *store);

#endif
