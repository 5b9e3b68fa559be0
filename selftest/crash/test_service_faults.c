//  test_service_faults.c - a service whose disk is full, or fails
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/clients.h"
#include "crash/fault.h"
#include "lib/kit.h"

#include <errno.h>

TEST (test_service_disk_failing_is_told_to_who_waits)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = clients_producer_new ("me", "jobs");
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "c");
    clients_put (producer, 1);
    CHECK_OK (zspool_producer_flush (producer));
    CHECK_EQ_U64 (clients_receive (consumer), 1);
    fault_watch ("store");
    fault_fail (FAULT_SYNC, 0, 1, FAULT_BEFORE, EIO);
    clients_put (producer, 2);
    CHECK_CODE (zspool_producer_flush (producer), ZSPOOL_EFAILED);
    fault_fail (FAULT_SYNC, 0, 0, FAULT_BEFORE, 0);
    CHECK_EQ_U64 (zspool_producer_committed (producer), 1);
    zspool_producer_destroy (&producer);
    zspool_consumer_destroy (&consumer);
    zspool_device_stop (device);
    zspool_device_destroy (&device);
    zspool_store_t *store = kit_open ("store", ZSPOOL_WRITE);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}
