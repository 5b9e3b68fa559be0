//  exactly_once.c - what is consumed, and what is made of it, change in one commit
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Payments are read from one spool; a receipt for each goes to another one, in the transaction
//  that acknowledges the payment. Whatever ends, and when: there is one receipt for each payment.
//  The program stops in the middle of a transaction once, as after a crash, and begins again.
//
//  usage: exactly_once [directory]

#include <zspool.h>

#define PAYMENTS 20

static void
s_check (int rc, const char *reason)
{
    if (rc == ZSPOOL_OK)
        return;
    fprintf (stderr, "exactly_once: %s\n", reason);
    exit (1);
}

static zspool_producer_t *
s_new_producer (const char *endpoint, const char *name, const char *spool)
{
    zspool_producer_t *producer = zspool_producer_new (endpoint);
    s_check (zspool_producer_set (producer, "name", name), zspool_producer_reason (producer));
    s_check (zspool_producer_set (producer, "spool", spool), zspool_producer_reason (producer));
    s_check (zspool_producer_connect (producer), zspool_producer_reason (producer));
    return producer;
}

static zspool_consumer_t *
s_new_consumer (const char *endpoint, const char *spool)
{
    zspool_consumer_t *consumer = zspool_consumer_new (endpoint, spool, "clerk");
    s_check (zspool_consumer_connect (consumer), zspool_consumer_reason (consumer));
    return consumer;
}

static void
s_put_payments (const char *endpoint)
{
    zspool_producer_t *producer = s_new_producer (endpoint, "bank", "payments");
    for (int number = 1; number <= PAYMENTS; number++) {
        zmsg_t *message = zmsg_new ();
        zmsg_addstrf (message, "payment %d", number);
        s_check (zspool_producer_put_msg (producer, &message, NULL),
                 zspool_producer_reason (producer));
    }
    s_check (zspool_producer_flush (producer), zspool_producer_reason (producer));
    zspool_producer_destroy (&producer);
}

//  Make receipts, one transaction each, until no payment comes; how many were made. `stop`: after
//  so many end in the middle of a transaction.
static int
s_make_receipts (const char *endpoint, int stop)
{
    zspool_consumer_t *consumer = s_new_consumer (endpoint, "payments");
    zspool_producer_t *producer = s_new_producer (endpoint, "clerk", "receipts");
    int made = 0;
    uint64_t sequence;
    zmsg_t *payment;
    while ((payment = zspool_consumer_recv_msg (consumer, 500, &sequence))) {
        char *text = zmsg_popstr (payment);
        zmsg_t *receipt = zmsg_new ();
        zmsg_addstrf (receipt, "receipt for %s", text);
        s_check (zspool_producer_begin (producer), zspool_producer_reason (producer));
        s_check (zspool_producer_put_msg (producer, &receipt, NULL),
                 zspool_producer_reason (producer));
        s_check (zspool_producer_ack (producer, consumer, sequence),
                 zspool_producer_reason (producer));
        zstr_free (&text);
        zmsg_destroy (&payment);
        if (made == stop)
            break;
        //  ESTALE would mean that the payment is delivered again: nothing of this was done.
        s_check (zspool_producer_commit (producer, NULL), zspool_producer_reason (producer));
        made++;
    }
    zspool_producer_destroy (&producer); //  rolls back what is open
    zspool_consumer_destroy (&consumer);
    return made;
}

static int
s_count_receipts (const char *endpoint)
{
    zspool_consumer_t *consumer = s_new_consumer (endpoint, "receipts");
    zspool_delivery_t delivery;
    int count = 0;
    while (zspool_consumer_recv (consumer, 500, &delivery) == ZSPOOL_OK) {
        s_check (zspool_consumer_ack (consumer, delivery.sequence),
                 zspool_consumer_reason (consumer));
        count++;
    }
    zspool_consumer_destroy (&consumer);
    return count;
}

int
main (int argc, char **argv)
{
    zspool_device_t *device = zspool_device_new ();
    s_check (zspool_device_set (device, "store", argc > 1? argv [1]: "./store-example"),
             zspool_device_reason (device));
    s_check (zspool_device_set (device, "service", "tcp://127.0.0.1:*"),
             zspool_device_reason (device));
    s_check (zspool_device_start (device), zspool_device_reason (device));
    const char *endpoint = zspool_device_service (device);

    s_put_payments (endpoint);
    int before = s_make_receipts (endpoint, PAYMENTS / 2);
    int after = s_make_receipts (endpoint, -1);
    int count = s_count_receipts (endpoint);
    printf ("%d receipts, then a stop in the middle, then %d: %d receipts for %d payments\n",
            before, after, count, PAYMENTS);
    zspool_device_destroy (&device);
    return count == PAYMENTS? 0: 1;
}
