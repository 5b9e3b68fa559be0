//  embedded_store.c - a durable queue inside one program: no socket, no thread, no broker
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Orders wait in one spool. A clerk reads them, and in one transaction puts an invoice into a
//  second spool and acknowledges the order: both or neither, wherever the program may be killed.
//  Run it again: it goes on with the numbers where it stopped.
//
//  usage: embedded_store [directory]

#include <zspool_reader.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static zspool_store_t *store;

static void
s_check (int rc)
{
    if (rc == ZSPOOL_OK)
        return;
    fprintf (stderr, "embedded_store: %s\n", zspool_store_reason (store));
    exit (1);
}

static void
s_put (uint32_t spool, const char *text)
{
    zspool_frame_t frame = { text, strlen (text) };
    s_check (zspool_store_put (store, spool, &frame, 1, NULL));
}

//  Three orders become durable together.
static void
s_take_orders (uint32_t orders)
{
    s_check (zspool_store_begin (store));
    s_put (orders, "2 lamps");
    s_put (orders, "1 table");
    s_put (orders, "6 chairs");
    s_check (zspool_store_commit (store));
}

//  One order is done when its invoice is there: one transaction.
static void
s_write_invoice (uint32_t orders, uint32_t clerk, uint32_t invoices, zspool_record_t *order)
{
    zspool_frame_t text;
    char invoice [100];
    zspool_record_next_frame (order, &text);
    snprintf (invoice, sizeof invoice, "invoice %" PRIu64 ": %.*s", order->sequence,
              (int) text.size, (const char *) text.data);

    s_check (zspool_store_begin (store));
    s_put (invoices, invoice);
    s_check (zspool_store_ack (store, orders, clerk, order->sequence, order->sequence));
    s_check (zspool_store_commit (store));
    puts (invoice);
}

//  Read the orders that the clerk has not acknowledged yet: those above the cursor's floor.
static void
s_write_invoices (uint32_t orders, uint32_t clerk, uint32_t invoices)
{
    zspool_cursor_info_t info;
    s_check (zspool_store_cursor_info (store, orders, 0, &info));
    zspool_reader_t *reader = zspool_reader_new (store, orders);
    zspool_reader_seek (reader, info.floor + 1);

    zspool_block_t *block;
    while (zspool_reader_next (reader, &block) == ZSPOOL_OK) {
        zspool_record_t record;
        zspool_block_rewind (block, &record);
        while (zspool_block_next (block, &record))
            if (record.sequence > info.floor)
                s_write_invoice (orders, clerk, invoices, &record);
        zspool_block_destroy (&block);
    }
    zspool_reader_destroy (&reader);
}

int
main (int argc, char **argv)
{
    store = zspool_store_new (argc > 1? argv [1]: "./store-example");
    s_check (zspool_store_open (store, ZSPOOL_WRITE));

    uint32_t orders, invoices, clerk, archive;
    s_check (zspool_store_begin (store));
    s_check (zspool_store_spool (store, "orders", &orders));
    s_check (zspool_store_cursor (store, orders, "clerk", ZSPOOL_START_FIRST, &clerk));
    s_check (zspool_store_spool (store, "invoices", &invoices));
    s_check (zspool_store_cursor (store, invoices, "archive", ZSPOOL_START_FIRST, &archive));
    s_check (zspool_store_commit (store));

    s_take_orders (orders);
    s_write_invoices (orders, clerk, invoices);

    zspool_store_destroy (&store);
    return 0;
}
