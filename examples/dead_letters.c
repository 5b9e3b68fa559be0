//  dead_letters.c - a task that no worker can do is put aside, looked at, and tried again
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The device delivers each task twice at most (max-deliveries). The worker cannot do "task 2", so this one
//  becomes a dead letter, and holds up nobody. When the device has stopped, the program opens the store,
//  prints why the task died, and puts it back into its queue. While a device runs, `zspool dead` does that.
//
//  usage: dead_letters [directory]

#include <zspool.h>

#include <inttypes.h>

#define TASKS 3

static zspool_device_t *
s_start_device (const char *directory)
{
    static const char *const options [] [2] = {
        { "in", "@inproc://tasks" }, { "out", "@tcp://127.0.0.1:*" },
        { "ack", "explicit" }, { "ack-in", "@tcp://127.0.0.1:*" },
        { "ack-timeout", "200" }, { "max-deliveries", "2" },
    };
    zspool_device_t *device = zspool_device_new ();
    int rc = zspool_device_set (device, "store", directory);
    for (size_t index = 0; index < 6 && rc == ZSPOOL_OK; index++)
        rc = zspool_device_set (device, options [index] [0], options [index] [1]);
    if (rc == ZSPOOL_OK)
        rc = zspool_device_start (device);
    if (rc == ZSPOOL_OK)
        return device;
    fprintf (stderr, "dead_letters: %s\n", zspool_device_reason (device));
    exit (1);
}

//  How many messages the device has put aside so far
static int
s_buried (zspool_device_t *device)
{
    zconfig_t *status = zspool_device_status (device);
    int count = atoi (zconfig_get (status, "out/buried", "0"));
    zconfig_destroy (&status);
    return count;
}

//  Work until the one task that cannot be done has been put aside.
static void
s_work (zspool_device_t *device)
{
    zsock_t *work = zsock_new (ZMQ_PULL);
    zsock_t *acks = zsock_new (ZMQ_PUSH);
    zsock_connect (work, "%s", zspool_device_out (device));
    zsock_connect (acks, "%s", zspool_device_ack_in (device));
    zsock_set_rcvtimeo (work, 50);
    while (s_buried (device) == 0) {
        zmsg_t *message = zmsg_recv (work);
        if (!message)
            continue;
        zframe_t *ticket = zmsg_pop (message);
        char *task = zmsg_popstr (message);
        bool done = !streq (task, "task 2");
        printf ("%s: %s\n", task, done? "done": "failed");
        if (done)
            zframe_send (&ticket, acks, 0);
        zframe_destroy (&ticket);
        zstr_free (&task);
        zmsg_destroy (&message);
    }
    zsock_destroy (&work);
    zsock_destroy (&acks);
}

//  Print the dead letters of a store that no device runs on, and put them back. Returns how many.
static uint64_t
s_try_again (const char *directory)
{
    zspool_store_t *store = zspool_store_new (directory);
    uint64_t count = 0;
    int rc = zspool_store_open (store, ZSPOOL_WRITE);
    zspool_dead_t *dead = rc == ZSPOOL_OK? zspool_dead_new (store, "main"): NULL;
    zspool_letter_t letter;
    while (dead && zspool_dead_next (dead, &letter) == ZSPOOL_OK) {
        const zspool_death_t *death = &letter.history.deaths [letter.history.deaths_count - 1];
        zspool_frame_t frame;
        zspool_record_next_frame (&letter.record, &frame);
        printf ("dead: %.*s, message %" PRIu64 " of %s, delivered %" PRIu32 " times\n", (int) frame.size,
                (const char *) frame.data, death->sequence, letter.history.origin, death->deliveries);
    }
    if (dead)
        rc = zspool_dead_requeue (dead, 1, UINT64_MAX, &count);
    if (!dead || rc != ZSPOOL_OK)
        fprintf (stderr, "dead_letters: %s\n", zspool_store_reason (store));
    zspool_dead_destroy (&dead);
    zspool_store_destroy (&store);
    return count;
}

int
main (int argc, char **argv)
{
    const char *directory = argc > 1? argv [1]: "./store-example";
    zspool_device_t *device = s_start_device (directory);
    zsock_t *producer = zsock_new_push (">inproc://tasks");
    for (int number = 1; number <= TASKS; number++)
        zstr_sendf (producer, "task %d", number);
    s_work (device);
    zsock_destroy (&producer);
    zspool_device_destroy (&device);

    uint64_t count = s_try_again (directory);
    printf ("put back: %" PRIu64 ", to be delivered when a device runs again\n", count);
    return count > 0? 0: 1;
}
