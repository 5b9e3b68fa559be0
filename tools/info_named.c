//  info_named.c - shows the producers of a store, and the tables of an application
//
//  SPDX-License-Identifier: MPL-2.0
//
//  They are asked for one by one: there may be many producers.

#include "info_named.h"
#include "command.h"
#include "text.h"
#include "zspool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

//  The next producer, or table, that is not damaged. ENOENT at the end.
static int
s_next_producer (zspool_store_t *store, zspool_producer_info_t *info, int *damaged)
{
    int rc;
    while ((rc = zspool_store_producer_info (store, info->id, info)) == ZSPOOL_ECORRUPT) {
        command_report ("the record of producer number %" PRIu32 " is damaged", info->id);
        *damaged = rc;
    }
    return rc;
}

static int
s_next_table (zspool_store_t *store, zspool_table_info_t *info, int *damaged)
{
    int rc;
    while ((rc = zspool_store_table_info (store, info->id, info)) == ZSPOOL_ECORRUPT) {
        command_report ("the record of table number %" PRIu32 " is damaged", info->id);
        *damaged = rc;
    }
    return rc;
}

//  What is to be returned: why not all could be read, or that some are damaged
static int
s_result (int rc, int damaged)
{
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT)
        command_report ("%s", zspool_strerror (rc));
    return rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT? damaged: rc;
}

//  ------------------------------------------------------------------------------------------------
//  As tables

#define NAME_WIDTH 40                  //  longer names push the rest aside

static void
s_print_name (const char *name)
{
    int width = (int) text_width (name);
    text_print (name);
    printf ("%*s", width < NAME_WIDTH? NAME_WIDTH - width: 0, "");
}

static void
s_print_more (uint64_t lines)
{
    if (lines > INFO_LINES_MAX)
        printf ("%" PRIu64 " more: see --json\n", lines - INFO_LINES_MAX);
}

static int
s_print_producers (zspool_store_t *store)
{
    zspool_producer_info_t info = { .id = 0 };
    uint64_t lines = 0;
    int rc, damaged = ZSPOOL_OK;
    while ((rc = s_next_producer (store, &info, &damaged)) == ZSPOOL_OK) {
        if (++lines > INFO_LINES_MAX)
            continue;
        if (lines == 1)
            printf ("\n%-*s  %10s  %20s\n", NAME_WIDTH, "producer", "epoch", "last number");
        s_print_name (info.name);
        printf ("  %10" PRIu32 "  %20" PRIu64 "\n", info.epoch, info.last);
    }
    s_print_more (lines);
    return s_result (rc, damaged);
}

static int
s_print_tables (zspool_store_t *store)
{
    zspool_table_info_t info = { .id = 0 };
    uint64_t lines = 0;
    int rc, damaged = ZSPOOL_OK;
    while ((rc = s_next_table (store, &info, &damaged)) == ZSPOOL_OK) {
        if (++lines > INFO_LINES_MAX)
            continue;
        if (lines == 1)
            printf ("\n%-*s  %10s\n", NAME_WIDTH, "table", "entries");
        s_print_name (info.name);
        printf ("  %10" PRIu64 "\n", info.entries);
    }
    s_print_more (lines);
    return s_result (rc, damaged);
}

int
info_named_print (zspool_store_t *store)
{
    int rc = s_print_producers (store), tables_rc = s_print_tables (store);
    return rc? rc: tables_rc;
}

//  ------------------------------------------------------------------------------------------------
//  As JSON

int
info_named_print_json (zspool_store_t *store)
{
    zspool_producer_info_t producer = { .id = 0 };
    zspool_table_info_t table = { .id = 0 };
    const char *between = "\n    ";
    int rc, damaged = ZSPOOL_OK;
    printf (",\n \"producers\": [");
    while ((rc = s_next_producer (store, &producer, &damaged)) == ZSPOOL_OK) {
        printf ("%s{\"name\": ", between);
        text_print_json (producer.name);
        printf (", \"epoch\": %" PRIu32 ", \"last\": %" PRIu64 "}", producer.epoch, producer.last);
        between = ",\n    ";
    }
    int result = s_result (rc, damaged);
    printf ("],\n \"tables\": [");
    between = "\n    ";
    damaged = ZSPOOL_OK;
    while ((rc = s_next_table (store, &table, &damaged)) == ZSPOOL_OK) {
        printf ("%s{\"name\": ", between);
        text_print_json (table.name);
        printf (", \"entries\": %" PRIu64 "}", table.entries);
        between = ",\n    ";
    }
    putchar (']');
    rc = s_result (rc, damaged);
    return result? result: rc;
}
