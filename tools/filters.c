//  filters.c - filters of topics, as a command line has them
//
//  SPDX-License-Identifier: MPL-2.0

#include "filters.h"
#include "command.h"

#include <string.h>

bool
filters_add (zspool_filter_t *filter, const char *text)
{
    size_t size = strlen (text);
    int rc = zspool_filter_add (filter, text, size);
    if (rc == ZSPOOL_ETOOBIG)
        command_usage ("a filter has at most %d bytes, not %zu", ZSPOOL_FILTER_BYTES_MAX, size);
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOMEM)
        command_usage ("'%s' is no filter: %s", text, zspool_strerror (rc));
    return rc == ZSPOOL_OK;
}

size_t
filters_literal_bytes (const char *text, bool *pattern)
{
    for (const char *token = text;; token++) {
        size_t size = strcspn (token, ".");
        if (size == 1 && (*token == '*' || *token == '#')) {
            *pattern = true;
            //  "a.#" matches "a", too.
            size_t literal = (size_t) (token - text);
            return *token == '#' && literal > 0? literal - 1: literal;
        }
        token += size;
        if (!*token)
            return (size_t) (token - text);
    }
}
