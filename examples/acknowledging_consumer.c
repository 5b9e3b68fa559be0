//  acknowledging_consumer.c - consumers of a cursor that share messages, acknowledge, and give back
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Five tasks are done. The first attempt at one fails: it is given back, and comes again. Another
//  one can never be done: it is moved to the dead letters, with a reason. s_work () is all that a
//  worker needs; any number of them may run, and the device would usually be a process of its own:
//
//      zspool queue --store DIR --service EP
//
//  usage: acknowledging_consumer [directory]

#include <zspool.h>

#define TASKS 5

static void
s_check (int rc, const char *reason)
{
    if (rc == ZSPOOL_OK)
        return;
    fprintf (stderr, "acknowledging_consumer: %s\n", reason);
    exit (1);
}

//  Receive tasks until `count` are done with.
static void
s_work (zspool_consumer_t *consumer, int count)
{
    while (count > 0) {
        uint64_t sequence;
        zmsg_t *message = zspool_consumer_recv_msg (consumer, 10000, &sequence);
        s_check (message? ZSPOOL_OK: ZSPOOL_ETIMEDOUT, zspool_consumer_reason (consumer));
        char *task = zmsg_popstr (message);
        static bool failed = false;
        int rc;
        if (streq (task, "task 2") && !failed) {
            printf ("%s: failed, to be tried again in 50 ms\n", task);
            rc = zspool_consumer_reject (consumer, sequence, 50);
            failed = true;
        }
        else if (streq (task, "task 4")) {
            printf ("%s: can never be done\n", task);
            rc = zspool_consumer_bury (consumer, sequence, "no such thing");
            count--;
        }
        else {
            printf ("%s: done\n", task);
            rc = zspool_consumer_ack (consumer, sequence);
            count--;
        }
        //  ESTALE: the connection was lost meanwhile, and it is delivered again.
        s_check (rc == ZSPOOL_ESTALE? ZSPOOL_OK: rc, zspool_consumer_reason (consumer));
        zstr_free (&task);
        zmsg_destroy (&message);
    }
    s_check (zspool_consumer_flush (consumer), zspool_consumer_reason (consumer));
}

static void
s_put_tasks (const char *endpoint)
{
    zspool_producer_t *producer = zspool_producer_new (endpoint);
    s_check (zspool_producer_set (producer, "spool", "tasks"), zspool_producer_reason (producer));
    s_check (zspool_producer_connect (producer), zspool_producer_reason (producer));
    for (int number = 1; number <= TASKS; number++) {
        zmsg_t *message = zmsg_new ();
        zmsg_addstrf (message, "task %d", number);
        s_check (zspool_producer_put_msg (producer, &message, NULL),
                 zspool_producer_reason (producer));
    }
    s_check (zspool_producer_flush (producer), zspool_producer_reason (producer));
    zspool_producer_destroy (&producer);
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
    s_put_tasks (endpoint);

    zspool_consumer_t *consumer = zspool_consumer_new (endpoint, "tasks", "workers");
    s_check (zspool_consumer_connect (consumer), zspool_consumer_reason (consumer));
    s_work (consumer, TASKS);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
    return 0;
}
