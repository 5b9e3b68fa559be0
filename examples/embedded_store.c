//  embedded_store.c - a durable queue inside one program: no socket, no thread, no broker
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Orders wait in one spool. A clerk reads them, and in one transaction puts an invoice into a
//  second spool, books what was sold in a table of its own, and acknowledges the order: all or
//  nothing, wherever the program may be killed. Run it again: it goes on where it stopped.
//
//  usage: embedded_store [directory]

#include <zspool_reader.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Numbers of spools, of a cursor on the orders, and of a table
typedef struct {
    uint32_t orders;
    uint32_t clerk;
    uint32_t invoices;
    uint32_t sold;
} office_t;

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

//  Count what was sold of an article, in the open transaction. Gives how many, ever.
static unsigned
s_book (uint32_t sold, const char *article, unsigned count)
{
    unsigned total = 0;
    zspool_frame_t key = { article, strlen (article) }, value;
    int rc = zspool_store_table_get (store, sold, key, &value);
    if (rc == ZSPOOL_OK)
        memcpy (&total, value.data, sizeof total);
    else if (rc != ZSPOOL_ENOENT)
        s_check (rc);
    total += count;
    value = (zspool_frame_t){ &total, sizeof total };
    s_check (zspool_store_table_put (store, sold, key, value));
    return total;
}

//  One order is done when its invoice is there, and booked: one transaction.
static void
s_write_invoice (const office_t *office, zspool_record_t *order)
{
    zspool_frame_t frame;
    char text [50] = "", article [50] = "", invoice [100];
    unsigned count = 0;
    zspool_record_next_frame (order, &frame);
    snprintf (text, sizeof text, "%.*s", (int) frame.size, (const char *) frame.data);
    sscanf (text, "%u %49s", &count, article);
    snprintf (invoice, sizeof invoice, "invoice %" PRIu64 ": %s", order->sequence, text);

    s_check (zspool_store_begin (store));
    s_put (office->invoices, invoice);
    unsigned total = s_book (office->sold, article, count);
    s_check (zspool_store_ack (store, office->orders, office->clerk, order->sequence, order->sequence));
    s_check (zspool_store_commit (store));
    printf ("%s (%u sold by now)\n", invoice, total);
}

//  Read the orders that the clerk has not acknowledged yet: those above the cursor's floor.
static void
s_write_invoices (const office_t *office)
{
    zspool_cursor_info_t info;
    s_check (zspool_store_cursor_info (store, office->orders, 0, &info));
    zspool_reader_t *reader = zspool_reader_new (store, office->orders);
    zspool_reader_seek (reader, info.floor + 1);

    zspool_block_t *block;
    while (zspool_reader_next (reader, &block) == ZSPOOL_OK) {
        zspool_record_t record;
        zspool_block_rewind (block, &record);
        while (zspool_block_next (block, &record))
            if (record.sequence > info.floor)
                s_write_invoice (office, &record);
        zspool_block_destroy (&block);
    }
    zspool_reader_destroy (&reader);
}

int
main (int argc, char **argv)
{
    store = zspool_store_new (argc > 1? argv [1]: "./store-example");
    s_check (zspool_store_open (store, ZSPOOL_WRITE));

    office_t office;
    uint32_t archive;
    s_check (zspool_store_begin (store));
    s_check (zspool_store_spool (store, "orders", &office.orders));
    s_check (zspool_store_cursor (store, office.orders, "clerk", ZSPOOL_START_FIRST, &office.clerk));
    s_check (zspool_store_spool (store, "invoices", &office.invoices));
    s_check (zspool_store_cursor (store, office.invoices, "archive", ZSPOOL_START_FIRST, &archive));
    s_check (zspool_store_table (store, "sold", &office.sold));
    s_check (zspool_store_commit (store));

    s_take_orders (office.orders);
    s_write_invoices (&office);

    zspool_store_destroy (&store);
    return 0;
}
